"""Questions as sparse vectors of hashed character n-grams weighted by TF-IDF, and centroids of them. numpy only.

A centroid is the mean direction of a class (Rocchio 1971), or of a group of it (k-means on the sphere, Dhillon and
Modha 2001).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

FEATURES = 1 << 16
LONGEST = 2000  # characters of a question that are looked at: half from its beginning, half from its end

_PIECE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af]+|[^\W\d_]+|\d+")
_BATCH = 256

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Sparse vectors of length 1, none empty: the i-th has ``values[starts[i]:starts[i + 1]]`` at ``features[…]``."""

    features: Ints
    values: Floats
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def dot(self, rows: Floats) -> Floats:
        """Products with ``rows`` [K, FEATURES], as [len, K]."""
        found = [np.empty((0, len(rows)), np.float32)]
        for first in range(0, len(self), _BATCH):
            starts = self.starts[first : first + _BATCH + 1]
            span = slice(starts[0], starts[-1])
            products = rows[:, self.features[span]] * self.values[span]
            found.append(np.add.reduceat(products, starts[:-1] - starts[0], axis=1).T)
        return np.concatenate(found)

    def sums(self, groups: Ints, count: int) -> Floats:
        """The sum of the vectors of each of ``count`` groups, [count, FEATURES]."""
        out = np.zeros((count, FEATURES), np.float32)
        np.add.at(out, (np.repeat(groups, np.diff(self.starts)), self.features), self.values)
        return out


def grams(question: str) -> Iterator[str]:
    """What a question is known by: words of letters, their parts of four, and one and two characters of Chinese."""
    told = unicodedata.normalize("NFKC", question).lower()
    if len(told) > LONGEST:
        told = told[: LONGEST // 2] + " " + told[-LONGEST // 2 :]
    for piece in _PIECE.findall(told):
        if piece[0].isdigit():
            continue
        if piece.isascii():
            yield piece
            framed = f"_{piece}_"
            yield from (framed[i : i + 4] for i in range(len(framed) - 3))
        else:
            for size in (1, 2):
                yield from (piece[i : i + size] for i in range(len(piece) - size + 1))


def counted(questions: Iterable[str]) -> list[Counter[int]]:
    """How often each feature is in each question."""
    return [Counter(crc32(gram.encode()) % FEATURES for gram in grams(question)) for question in questions]


def vectors(counts: Sequence[Mapping[int, int]], idf: Floats) -> Vectors:
    """Counts as vectors of length 1: (1 + log count) · idf."""
    features, values, starts = [], [], [0]
    for count in counts:
        at = np.fromiter(count.keys(), np.int64, len(count)) if count else np.zeros(1, np.int64)
        tf = 1 + np.log(np.fromiter(count.values(), np.float32, len(count))) if count else np.zeros(1, np.float32)
        weighted = tf * idf[at]
        norm = float(np.linalg.norm(weighted))
        features.append(at)
        values.append((weighted / norm if norm else weighted).astype(np.float32))
        starts.append(starts[-1] + len(at))
    if not features:
        return Vectors(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(1, np.int64))
    return Vectors(np.concatenate(features), np.concatenate(values), np.array(starts, np.int64))


def inverse_frequencies(classes: Sequence[Sequence[Mapping[int, int]]]) -> Floats:
    """-log of the share of questions that hold a feature, each class counting the same however many it has."""
    share = np.zeros(FEATURES, np.float64)
    for counts in classes:
        held = np.zeros(FEATURES, np.float64)
        for count in counts:
            held[list(count)] += 1
        share += held / (len(counts) * len(classes))
    total = sum(len(counts) for counts in classes)
    idf: Floats = -np.log((share + 1 / total) / (1 + 1 / total)).astype(np.float32)
    return idf


def centroids(rows: Vectors, count: int) -> Floats:
    """At most ``count`` centroids of length 1 by k-means on the sphere, begun at vectors far from each other."""
    groups = np.zeros(len(rows), np.int64)
    found = _length_one(rows.sums(groups, 1))
    if count == 1:
        return found
    nearest = rows.dot(found)[:, 0]
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, rows.dot(_dense(rows, chosen[-1]))[:, 0])
    found = np.concatenate([_dense(rows, one) for one in chosen])
    for _ in range(10):
        fresh = rows.dot(found).argmax(axis=1)
        if (fresh == groups).all():
            break
        groups = fresh
        sums = rows.sums(groups, len(found))
        found = _length_one(sums[np.bincount(groups, minlength=len(found)) > 0])
    return found


def _dense(rows: Vectors, index: int) -> Floats:
    span = slice(rows.starts[index], rows.starts[index + 1])
    out = np.zeros((1, FEATURES), np.float32)
    out[0, rows.features[span]] = rows.values[span]
    return out


def _length_one(rows: Floats) -> Floats:
    scaled: Floats = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return scaled
