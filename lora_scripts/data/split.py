"""Training and validation: by the content of the question, so that no question stands on both sides."""

from __future__ import annotations

from array import array
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lora_scripts.data.clean import Places, finding, normal
from lora_scripts.data.findings import observe
from lora_scripts.data.ledger import Ledger, Sources
from lora_scripts.data.near_duplicates import Sketches, as_numpy, close_pairs, figures
from lora_scripts.data.records import Record
from lora_scripts.messages import text

FEWEST = 8  # below this many records none is set aside
TRAINING, VALIDATION, LEFT_OUT = 0, 1, 2
_TELLING = 8  # a later question shorter than this ("and then?") says nothing about its conversation
_ALIKE = 0.85  # resemblance from which two records are almost the same
_REWORDED = 0.5  # resemblance from which a question may be another wording of one
_FORM, _FEW = 20, 3  # likeness but for figures in more than one of 20 records is the form of the set
_DRAWN, _SYNTHETIC, _TRAINS, _VALIDATES = range(4)

Bits = NDArray[np.bool_]
Pairs = NDArray[np.int64]


class Split:
    """Sides of records that come one by one; it holds hashes (some 350 bytes a record), never texts.

    A record's side follows from its first question and the seed alone, so order does not matter and new records
    move old ones only where they share words with them. Questions that differ in spaces, punctuation or case only
    count as one. Not validation but training are: a conversation whose later question is asked in training; a
    record that is almost the same as a trained one, figures included. A synthetic record trains, unless it was
    made from one that validates: then it is left out. With a ratio above 0 and at least 8 records at least one
    stands on each side where there are two different questions.
    """

    def __init__(self, ratio: float, seed: int = 0) -> None:
        self._ratio = ratio
        self._seed = seed
        self._asked = array("Q")
        self._answer = array("Q")
        self._whole = array("Q")
        self._figures = array("Q")
        self._question_figures = array("Q")
        self._kind = array("B")
        self._owner = array("Q")
        self._later = array("Q")
        self._sources = Sources()
        self._records = Sketches()
        self._questions = Sketches()

    def add(self, record: Record, *, held_out: bool | None = None) -> None:
        """Take in a record; ``held_out`` says the side of one from a file of its own (None: it is drawn)."""
        words = [normal(m.content) for m in record.messages]
        first = normal(record.question)
        told = [*(m.content for m in record.messages), *([] if record.rejected is None else [record.rejected])]
        whole = [*words, *map(normal, told[len(words) :])]
        self._asked.append(self._hash(first))
        self._answer.append(self._hash(words[-1]))
        self._whole.append(self._hash("\0".join(whole)))
        self._figures.append(self._hash("\0".join(map(figures, told))))
        self._question_figures.append(self._hash(figures(record.question)))
        self._kind.append(_SYNTHETIC if record.synthetic else _DRAWN if held_out is None else _TRAINS + held_out)
        if len(words) > 3:
            for message, bare in zip(record.messages, words, strict=True):
                if message.role == "user" and len(bare) >= _TELLING:
                    self._owner.append(len(self._asked) - 1)
                    self._later.append(self._hash(bare))
        self._sources.add(record.source)
        self._records.add("".join(whole))
        self._questions.add(first)

    def decide(self, ledger: Ledger | None = None) -> NDArray[np.int8]:
        """The side of each record, in the order of ``add``: ``TRAINING``, ``VALIDATION`` or ``LEFT_OUT``.

        Args:
            ledger: Where given, ``validation`` is set, what is left out is moved to its bin, and findings say what
                was moved to training, which records look alike, and that nothing could be set aside.
        """
        kind = np.array(self._kind, np.uint8)
        pairs = close_pairs(self._records.rows(), as_numpy(self._whole), _ALIKE)
        numbers = as_numpy(self._figures)
        same = pairs[numbers[pairs[:, 0]] == numbers[pairs[:, 1]]]
        trains = (kind == _DRAWN) | (kind == _TRAINS)
        wanted = self._draw(kind == _DRAWN) | (kind == _VALIDATES)
        strict = self._without_leaks(wanted, trains, same[:0])
        held = self._without_leaks(strict, trains, same)
        sides = np.where(held, VALIDATION, TRAINING).astype(np.int8)
        sides[(kind == _VALIDATES) & ~held] = LEFT_OUT
        sides[self._made_from_held(np.flatnonzero(kind == _SYNTHETIC), held, trains & ~held)] = LEFT_OUT
        if ledger is not None:
            ledger.validation = int(held.sum())
            self._tell_left_out(ledger, sides, kind)
            self._tell_alike(ledger, pairs, kind, np.flatnonzero(strict & ~held & trains))
            if wanted.sum() + self._ratio > 0 and not held.any():
                ledger.findings.append(finding("warning", "no_validation", "", count=len(kind)))
        return sides

    def _hash(self, words: str) -> int:
        raw = f"{self._seed}\0{words}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big")

    def _draw(self, drawn: Bits) -> Bits:
        """Records whose question falls below the ratio; with two questions at least one on each side."""
        asked = as_numpy(self._asked)
        questions = np.unique(asked[drawn])
        if self._ratio <= 0 or drawn.sum() < FEWEST or len(questions) < 2:
            return np.zeros(len(asked), bool)
        # the hash of a question is its place between 0 and 2**64
        count = int(np.searchsorted(questions, np.uint64(int(self._ratio * 2.0**64))))
        return drawn & np.isin(asked, questions[: min(max(count, 1), len(questions) - 1)])

    def _without_leaks(self, held: Bits, trains: Bits, same: Pairs) -> Bits:
        """``held`` less what shares a question with training, or is almost the same as a trained record."""
        asked, later, owner = as_numpy(self._asked), as_numpy(self._later), as_numpy(self._owner).astype(np.int64)
        held = held.copy()
        while held.any():
            training = trains & ~held
            questions = np.concatenate((asked[training], later[training[owner]]))
            leaking = held & np.isin(asked, questions)
            leaking[owner[held[owner] & np.isin(later, questions)]] = True
            for one, other in (same.T, same.T[::-1]):
                leaking[one[held[one] & training[other]]] = True
            if not leaking.any():
                break
            held &= ~leaking
        return held

    def _made_from_held(self, synthetic: Pairs, held: Bits, training: Bits) -> Pairs:
        """Those of ``synthetic`` (indices) that were made from a validation record: training on them would tell.

        Making changes the question and keeps the answer, so the answer tells which record it was; where the
        answer is nobody's, the likeness of the questions does.
        """
        asked, answer = as_numpy(self._asked), as_numpy(self._answer)
        told = np.isin(asked[synthetic], asked[held]) | np.isin(answer[synthetic], answer[held])
        nobodys = synthetic[~told & ~np.isin(answer[synthetic], answer[training])]
        both = np.concatenate((nobodys, np.flatnonzero(held)))
        if len(nobodys) and len(both) > len(nobodys):
            rows = self._questions.rows()[both]
            pairs = close_pairs(rows, asked[both], _REWORDED, band=2, window=8)
            numbers = as_numpy(self._question_figures)[both]
            across = (pairs[:, 0] < len(nobodys)) & (pairs[:, 1] >= len(nobodys))
            pairs = pairs[across & (numbers[pairs[:, 0]] == numbers[pairs[:, 1]])]
            return np.concatenate((synthetic[told], nobodys[np.unique(pairs[:, 0])]))
        return synthetic[told]

    def _tell_left_out(self, ledger: Ledger, sides: NDArray[np.int8], kind: NDArray[np.uint8]) -> None:
        made = Places()
        for index in np.flatnonzero(sides == LEFT_OUT):
            source = self._sources[int(index)]
            if kind[index] == _SYNTHETIC:
                ledger.take_back(source, "seed_in_validation", text("report.note_seed"))
                made.add(source)
            else:
                ledger.take_back(source, "asked_in_training", text("report.note_asked"))
        if made.count:
            told = observe("info", "seed_in_validation", made.first[0], count=made.count, places=made)
            ledger.findings.append(told)

    def _tell_alike(self, ledger: Ledger, pairs: Pairs, kind: NDArray[np.uint8], moved: Pairs) -> None:
        numbers = as_numpy(self._figures)
        same, other = Places(), Places()
        real = pairs[(kind[pairs] != _SYNTHETIC).all(axis=1)]
        _, once = np.unique(real[:, 1], return_index=True)
        for first, second in real[once]:
            places = same if numbers[first] == numbers[second] else other
            places.add(f"{self._sources[int(second)]} ≈ {self._sources[int(first)]}")
        leaks = Places()
        for index in moved:
            leaks.add(self._sources[int(index)])
        few = other.count <= max(_FEW, len(kind) // _FORM)
        for severity, name, found in (
            ("warning", "near_duplicates", same),
            ("warning" if few else "info", "other_figures", other),
            ("warning", "leakage", leaks),
        ):
            if found.count:
                where = found.first[0].split(" ≈ ")[0]
                ledger.findings.append(observe(severity, name, where, count=found.count, places=found))
