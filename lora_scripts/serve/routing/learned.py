"""A router learned from the questions that adapters were trained on: which adapter is asked, or none of them.

An adapter is one or several centroids of its questions (``question_vectors``). The nearest one is chosen where its
cosine and its lead over the next adapter, or over everyday questions, are large enough; else the router abstains, and
the base answers. How large that is, is settled on questions that no centroid has seen. numpy only.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lora_scripts.serve.routing.general_questions import GENERAL
from lora_scripts.serve.routing.vectors import (
    FEATURES,
    Floats,
    Ints,
    Vectors,
    centroids,
    counted,
    inverse_frequencies,
    vectors,
)

FEWEST_QUESTIONS = 10
MOST_QUESTIONS = 2000  # of one adapter
GROUPS = (1, 4, 16)  # centroids of an adapter that are tried
QUESTIONS_A_GROUP = 8  # on average, at least
LANGUAGES = 2  # centroids of everyday questions, which are Chinese and English
WRONG_COSTS = 2.0  # a question sent to the wrong adapter, against one that is left to the base
STRANGE_COSTS = 1.0  # a question that no adapter knows
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Guess:
    """What a learned router says: ``to`` is an adapter, or None for the base; cosine and lead of the nearest one."""

    to: str | None
    cosine: float
    lead: float


@dataclass(frozen=True, slots=True)
class LearnedRouter:
    """Centroids of adapters and of everyday questions.

    Attributes:
        names: The adapters.
        rows: All centroids, [K, FEATURES].
        owners: Whose each centroid is, an index into ``names``; ``len(names)`` for everyday questions.
        idf: [FEATURES].
        cosines: The least cosine at which each adapter is chosen, ``leads`` the least lead over the next one.
    """

    names: tuple[str, ...]
    rows: Floats
    owners: Ints
    idf: Floats
    cosines: Floats
    leads: Floats

    def choose(self, question: str) -> Guess:
        """The adapter that is asked, or the base."""
        nearest, cosine, lead = _nearest(self.scores([question]))
        at, found = int(nearest[0]), Guess(None, float(cosine[0]), float(lead[0]))
        if at < len(self.names) and cosine[0] >= self.cosines[at] and lead[0] >= self.leads[at]:
            return Guess(self.names[at], found.cosine, found.lead)
        return found

    def scores(self, questions: Iterable[str]) -> Floats:
        """Cosines of each question with the nearest centroid of each adapter and of everyday ones, [N, names + 1]."""
        return _scores(vectors(counted(questions), self.idf), self.rows, self.owners, len(self.names) + 1)


def _scores(asked: Vectors, rows: Floats, owners: Ints, count: int) -> Floats:
    products = asked.dot(rows)
    return np.stack([products[:, owners == one].max(axis=1, initial=0.0) for one in range(count)], axis=1)


def _nearest(scores: Floats) -> tuple[Ints, Floats, Floats]:
    """Index of the nearest, its cosine, and its lead over the next."""
    two = -np.partition(-scores, 1, axis=1)[:, :2]
    return scores.argmax(axis=1), two[:, 0], two[:, 0] - two[:, 1]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a learned router did on questions that it was not trained on.

    Attributes:
        names: The adapters.
        confusion: [names + 2, names + 1]: what was asked, by what was chosen. The last column is the base; the last two
            rows are everyday questions, and questions of each adapter to a router that was never told of it.
        shared: Questions in the data of more than one adapter, which no router can tell apart; they are left out.
    """

    names: tuple[str, ...]
    confusion: Ints
    shared: int

    @property
    def accuracy(self) -> float:
        """Share of questions sent to their adapter, each adapter counting the same."""
        asked = self.confusion[: len(self.names)]
        return float((asked.diagonal() / asked.sum(axis=1)).mean())

    @property
    def wrong(self) -> float:
        """Share of questions sent to another adapter, each adapter counting the same."""
        asked = self.confusion[: len(self.names)]
        elsewhere = asked[:, :-1].sum(axis=1) - asked.diagonal()
        return float((elsewhere / asked.sum(axis=1)).mean())

    def left(self, row: int) -> float:
        """Share of the questions of a row that was left to the base."""
        return float(self.confusion[row, -1] / max(1, self.confusion[row].sum()))


def learn(questions: Mapping[str, Sequence[str]]) -> tuple[LearnedRouter, Measured]:
    """A router from the training questions of each adapter, at least ``FEWEST_QUESTIONS`` of each, and how good it is.

    A fifth of the questions is set aside to measure it. How many centroids an adapter has, and from which cosine and
    lead on it is chosen, is settled on the others by cross-validation. The router itself is made of all questions.
    """
    names = tuple(sorted(questions))
    asked, shared = _told_apart([questions[name] for name in names])
    classes = [*asked, _drawn(GENERAL)]
    counts = [counted(one) for one in classes]
    parts = [np.arange(len(one)) % FOLDS for one in classes]
    groups, best = GROUPS[0], -np.inf
    cosines = leads = np.zeros(len(names), np.float32)
    for tried in GROUPS:
        held = [_held_out(counts, parts, fold, tried) for fold in range(1, FOLDS)]
        found = [_limits(one, held) for one in range(len(names))]
        gain = sum(value for value, _, _ in found)
        if gain > best:
            groups, best = tried, gain
            cosines = np.array([cosine for _, cosine, _ in found], np.float32)
            leads = np.array([lead for _, _, lead in found], np.float32)
    test = _held_out(counts, [np.where(part == 0, 0, 1) for part in parts], 0, groups)
    confusion = _confusion(test, cosines, leads)
    rows, owners, idf = _model(counts, groups)
    return LearnedRouter(names, rows, owners, idf, cosines, leads), Measured(names, confusion, shared)


def _drawn(questions: Iterable[str]) -> list[str]:
    """Each once, in an order that has nothing to do with theirs, at most ``MOST_QUESTIONS``."""
    once = {question.strip(): None for question in questions}
    return sorted(once, key=lambda q: blake2b(q.encode("utf-8", "surrogatepass")).digest())[:MOST_QUESTIONS]


def _told_apart(questions: Sequence[Sequence[str]]) -> tuple[list[list[str]], int]:
    """The questions of each adapter without those that others have too, unless hardly any is left; and their number."""
    owners = Counter(q for one in questions for q in {question.strip() for question in one})
    asked = []
    for one in questions:
        own = [question for question in one if owners[question.strip()] == 1]
        asked.append(_drawn(own if len(own) >= FEWEST_QUESTIONS else one))
    return asked, sum(count > 1 for count in owners.values())


def _model(counts: Sequence[Sequence[Counter[int]]], groups: int) -> tuple[Floats, Ints, Floats]:
    """Centroids, owners, idf; everyday questions are the last."""
    idf = inverse_frequencies(counts)
    found = []
    for one, own in enumerate(counts):
        most = max(1, min(groups, len(own) // QUESTIONS_A_GROUP)) if one < len(counts) - 1 else LANGUAGES
        found.append(centroids(vectors(own, idf), most))
    owners = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
    return np.concatenate(found), owners, idf


Held = tuple[list[Floats], list[Floats]]
"""Scores of each class's held-out questions, and the same of each adapter's by a model without that adapter."""


def _held_out(counts: Sequence[Sequence[Counter[int]]], parts: Sequence[Ints], fold: int, groups: int) -> Held:
    """Scores of the questions of ``fold`` by a model of the others; part 0 is in no model unless it is ``fold``."""
    used = [
        [c for c, part in zip(own, its, strict=True) if part not in (0, fold)]
        for own, its in zip(counts, parts, strict=True)
    ]
    rows, owners, idf = _model(used, groups)
    known, strange = [], []
    for one, (own, its) in enumerate(zip(counts, parts, strict=True)):
        asked = vectors([c for c, part in zip(own, its, strict=True) if part == fold], idf)
        scores = _scores(asked, rows, owners, len(counts))
        known.append(scores)
        without = scores.copy()
        without[:, one] = 0
        strange.append(without if one < len(counts) - 1 else scores[:0])
    return known, strange


def _limits(one: int, held: Sequence[Held]) -> tuple[float, float, float]:
    """(gain, cosine, lead): the limits of adapter ``one`` that keep most of its questions and take fewest of others'.

    What it takes counts by its worst kind: everyday questions, those of each other adapter, and those of each other
    adapter to a router that does not know them. Where nothing is gained it is never chosen. Of limits that are
    equally good those in the middle are taken.
    """
    count = held[0][0][0].shape[1]
    known = [np.concatenate([scores[at] for scores, _ in held]) for at in range(count)]
    strange = [np.concatenate([scores[at] for _, scores in held]) for at in range(count - 1)]
    own = _taken(known[one], one)
    others = [(WRONG_COSTS, _taken(known[at], one)) for at in range(count) if at != one]
    others += [(STRANGE_COSTS, _taken(strange[at], one)) for at in range(count - 1) if at != one]
    best, tied = 0.0, [(np.inf, np.inf)]
    for cosine, lead in product(_steps(own[:, 0]), _steps(own[:, 1])):
        taken = max(cost * _share(other, cosine, lead) for cost, other in others)
        gain = _share(own, cosine, lead) - taken
        if gain >= best:
            tied = [*(tied if gain == best else []), (float(cosine), float(lead))]
            best = gain
    return best, *sorted(tied, key=sum)[len(tied) // 2]


def _share(taken: Floats, cosine: float, lead: float) -> float:
    return float(((taken[:, 0] >= cosine) & (taken[:, 1] >= lead)).mean())


def _taken(scores: Floats, one: int) -> Floats:
    """[N, 2] cosine and lead where adapter ``one`` is the nearest, else -1."""
    nearest, cosine, lead = _nearest(scores)
    return np.where((nearest == one)[:, None], np.stack([cosine, lead], axis=1), -1).astype(np.float32)


def _steps(values: Floats) -> Floats:
    """Limits worth trying: below all that would be kept, and quantiles of it."""
    found = values[values >= 0]
    if not len(found):
        return np.zeros(1, np.float32)
    below = np.linspace(0, found.min(), 5)
    return np.unique(np.append(below, np.quantile(found, np.linspace(0, 0.9, 31)))).astype(np.float32)


def _confusion(test: Held, cosines: Floats, leads: Floats) -> Ints:
    count = len(cosines)
    rows = [_chosen(scores, cosines, leads) for scores in test[0]]
    rows.append(sum((_chosen(scores, cosines, leads) for scores in test[1]), np.zeros(count + 1, np.int64)))
    return np.stack(rows)


def _chosen(scores: Floats, cosines: Floats, leads: Floats) -> Ints:
    """How many questions go to each adapter and, last, to the base."""
    nearest, cosine, lead = _nearest(scores)
    sure = (cosine >= np.append(cosines, np.inf)[nearest]) & (lead >= np.append(leads, np.inf)[nearest])
    return np.bincount(np.where(sure, nearest, len(cosines)), minlength=len(cosines) + 1)


def write_router(path: Path, router: LearnedRouter, measured: Measured) -> None:
    """Write both as one npz file without pickle, whole or not at all."""
    told = {"names": router.names, "shared": measured.shared}
    words = np.frombuffer(json.dumps(told).encode(), np.uint8)
    raw = io.BytesIO()
    np.savez_compressed(
        raw, told=words, rows=router.rows, owners=router.owners, idf=router.idf, cosines=router.cosines,
        leads=router.leads, confusion=measured.confusion,
    )  # fmt: skip
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(raw.getvalue())
    fresh.replace(path)


def read_router(path: Path) -> tuple[LearnedRouter, Measured] | None:
    """What ``write_router`` wrote; None where there is no such file or it is not one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            told = json.loads(file["told"].tobytes())
            rows, owners, idf, cosines, leads = (file[n] for n in ("rows", "owners", "idf", "cosines", "leads"))
            names, count = tuple(map(str, told["names"])), len(told["names"])
            router = LearnedRouter(names, rows, owners, idf, cosines, leads)
            measured = Measured(names, file["confusion"], int(told["shared"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
    whole = rows.shape == (len(owners), FEATURES) and idf.shape == (FEATURES,) and cosines.shape == leads.shape
    return (router, measured) if whole and cosines.shape == (count,) else None
