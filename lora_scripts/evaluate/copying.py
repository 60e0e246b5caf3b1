"""Verbatim copies: long runs of a training answer that a model says again.

A run is 20 Chinese characters or 10 words, a word counting as two characters, whatever stands between them; one that
three or more training answers share is the form of the house, and one that the question holds was given. Carlini et
al., "Quantifying Memorization Across Neural Language Models" (2023), count continuations in the same way, by tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

RUN = 20  # units: a Chinese character is one, a word two
COMMON = 3  # training answers from which a run belongs to nobody
MOST_RUNS = 1 << 24  # held at once: 128 MiB, twice that for a moment
_BATCH = 2048
_CHINESE, _LETTER = 1, 2
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that products keep all bits
_POWERS = np.cumprod(np.full(64, _FACTOR, np.uint64))


@dataclass(frozen=True, slots=True)
class TrainingText:
    """Hashes of the runs of training answers that fewer than ``COMMON`` of them hold, sorted, ``[runs]``.

    ``share`` is how many of all runs are held, 0 to 1: less than 1 where there were more than ``MOST_RUNS``. Whether
    a run is held depends on its hash alone, and a copy of n units has n - RUN + 1 runs, so a longer one is found
    nevertheless.
    """

    runs: NDArray[np.uint64]
    share: float


def training_text(answers: Iterable[str], *, most: int = MOST_RUNS) -> TrainingText:
    """What ``copied_shares`` looks up; made once of all training answers, which may be a stream.

    An answer that several records share counts once for each, so leave out records that were made from others.
    """
    texts = iter(answers)
    held: list[NDArray[np.uint64]] = []
    size = halvings = 0
    while batch := list(islice(texts, _BATCH)):
        hashes, owners, _ = _runs(batch)
        chosen = _sampled(hashes, halvings)
        hashes, owners = hashes[chosen], owners[chosen]
        order = np.argsort(hashes, kind="stable")  # owners of one run stay in order
        hashes, owners = hashes[order], owners[order]
        first = np.ones(len(hashes), bool)  # of a run in its answer
        first[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        held.append(hashes[first])
        size += len(held[-1])
        while size > most:
            halvings += 1
            held = [part[_sampled(part, halvings)] for part in held]
            size = sum(map(len, held))
    together = np.concatenate(held) if held else np.empty(0, np.uint64)
    held.clear()
    together.sort()
    kept = np.ones(size, bool)
    kept[1:] = together[1:] != together[:-1]  # once each
    kept[: 1 - COMMON] &= together[COMMON - 1 :] != together[: 1 - COMMON]  # and not in COMMON answers
    return TrainingText(together[kept], 0.5**halvings)


def copied_shares(answers: Sequence[str], training: TrainingText, questions: Sequence[str]) -> list[float]:
    """How much of each answer stands in copied runs, 0 to 1; runs that its question holds do not count."""
    shares = []
    for start in range(0, len(answers), _BATCH):
        hashes, owners, sizes = _runs(answers[start : start + _BATCH])
        asked, askers, _ = _runs(questions[start : start + _BATCH])
        copied = _inside(hashes, training.runs)
        begins, asks = (np.searchsorted(of, np.arange(len(sizes) + 1)) for of in (owners, askers))
        for i, size in enumerate(sizes):
            mine, given = slice(begins[i], begins[i + 1]), asked[asks[i] : asks[i + 1]]
            places = np.flatnonzero(copied[mine] & ~np.isin(hashes[mine], given))
            # run k of an answer covers its units k … k + RUN - 1
            covered = np.zeros(size + 1, np.int64)
            np.add.at(covered, places, 1)
            np.add.at(covered, places + RUN, -1)
            shares.append(float((np.cumsum(covered)[:-1] > 0).mean()) if size else 0.0)
    return shares


def copy_rate(shares: Sequence[float]) -> float | None:
    """The share of answers that hold a copied run; None without answers."""
    return sum(share > 0 for share in shares) / len(shares) if shares else None


def _inside(hashes: NDArray[np.uint64], held: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(held):
        return np.zeros(len(hashes), bool)
    at = np.minimum(np.searchsorted(held, hashes), len(held) - 1)
    return np.equal(held[at], hashes, dtype=bool)


def _sampled(hashes: NDArray[np.uint64], halvings: int) -> NDArray[np.bool_]:
    return (hashes >> np.uint64(64 - halvings) == 0) if halvings else np.ones(len(hashes), bool)


def _runs(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64], list[int]]:
    """Hashes of all runs in order, ``[runs]``, the text that each stands in, ``[runs]``, and the units of each text."""
    units, owners = _units(texts)
    sizes = np.bincount(owners, minlength=len(texts)).tolist()
    count = len(units) - RUN + 1
    if count <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64), sizes
    hashes = np.zeros(count, np.uint64)
    for i in range(RUN):
        hashes *= _FACTOR
        hashes += units[i : i + count]
    whole = owners[:count] == owners[RUN - 1 :]
    return _mixed(hashes[whole]), owners[:count][whole], sizes


def _units(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A hash of each unit, ``[units]``, and the text that it stands in, ``[units]``; a word comes twice."""
    joined = "".join(f"{_plain(text)}\n" for text in texts)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[np.minimum(codes, 0xFFFF)]
    ends = np.cumsum(codes == ord("\n"))
    written = np.flatnonzero(kinds)
    # a unit begins at a Chinese character, and at a letter that follows none
    opens = (kinds[written] == _CHINESE) | (kinds[written - 1] != _LETTER)
    starts = np.flatnonzero(opens)
    if not len(starts):
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    within = np.arange(len(written)) - np.repeat(starts, np.diff(np.append(starts, len(written))))
    letters = _mixed(codes[written].astype(np.uint64)) * _POWERS[within % len(_POWERS)]
    units = np.add.reduceat(letters, starts)
    first = written[starts]
    times = np.where(kinds[first] == _LETTER, 2, 1)
    return np.repeat(units, times), np.repeat(ends[first], times)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@cache
def _kinds() -> NDArray[np.uint8]:
    """What each character is: part of Chinese or Japanese writing, a letter or digit of another, or neither (0)."""
    letters = np.fromiter((chr(code).isalnum() for code in range(0x10000)), bool, 0x10000)
    kinds = np.where(letters, _LETTER, 0).astype(np.uint8)
    for low, high in ((0x3005, 0x3007), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFFFF, 0xFFFF)):
        kinds[low : high + 1] = _CHINESE  # 0xFFFF stands for all that is above it
    return kinds


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers with their bits spread over all places (the finaliser of splitmix64; Steele et al. 2014)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
