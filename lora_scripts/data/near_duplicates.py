"""Texts that are almost the same: MinHash sketches over runs of three characters, and the pairs among them.

Sketches are made in Rust by rensa. Broder, "On the resemblance and containment of documents" (1997) for the sketch;
Li and König, "b-bit minwise hashing" (2010) for keeping only its low bits: 128 bytes a text, however long it is.
"""

from __future__ import annotations

import re
from array import array

import numpy as np
from numpy.typing import NDArray

SLOTS = 64  # an estimate of resemblance errs by about 0.05
_BAND = 4  # slots that must agree before two texts are compared
_WINDOW = 4  # neighbours that a text is compared with in each band, so that many equal texts cost no square
_BATCH = 4096  # texts sketched at once, or so many hundred characters
_SEED = 1997
# Figures and names of laws: what makes two texts different though they look alike.
_FIGURES = re.compile(
    r"\d+(?:[.:/]\d+)*|[零〇一二三四五六七八九十百千万两]+(?=[条款项章年月日天个元倍岁周时分])|《[^》]{1,40}》"
)


def figures(text: str) -> str:
    """The numbers and names of laws in ``text``, in order: ``3|《劳动法》|四十四``."""
    return "|".join(_FIGURES.findall(text))


class Sketches:
    """Sketches of texts, added one by one; the texts themselves are not kept."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._size = 0
        self._blocks: list[NDArray[np.uint16]] = []

    def add(self, text: str) -> None:
        """Sketch ``text``, which should come without spaces and punctuation (see ``clean.normal``)."""
        self._waiting.append(text if len(text) >= 3 else text.ljust(3))
        self._size += len(self._waiting[-1])
        if len(self._waiting) >= _BATCH or self._size >= 100 * _BATCH:
            self._flush()

    def rows(self) -> NDArray[np.uint16]:
        """All sketches so far, ``[texts, SLOTS]``."""
        if self._waiting:
            self._flush()
        if len(self._blocks) != 1:
            self._blocks = [np.concatenate(self._blocks) if self._blocks else np.empty((0, SLOTS), np.uint16)]
        return self._blocks[0]

    def _flush(self) -> None:
        from rensa import RMinHash

        lengths = np.fromiter(map(len, self._waiting), np.int64, len(self._waiting))
        joined = "".join(self._waiting).encode("utf-32-le", "surrogatepass")
        letters = np.frombuffer(joined, np.uint32).astype(np.uint64)
        # 21 bits hold any character, so the three are told apart before they are mixed
        runs = (letters[:-2] << np.uint64(42)) | (letters[1:-1] << np.uint64(21)) | letters[2:]
        runs *= np.uint64(0x9E3779B97F4A7C15)
        runs ^= runs >> np.uint64(29)
        inside = np.ones(len(runs), bool)
        ends = np.cumsum(lengths)[:-1]
        inside[ends - 1] = inside[ends - 2] = False  # runs that reach into the next text
        offsets = np.concatenate(([0], np.cumsum(lengths - 2))).astype(np.uint64)
        hashes = np.ascontiguousarray(runs[inside])
        digests = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, SLOTS, _SEED).to_rows()
        self._blocks.append(np.array(digests, np.uint32).astype(np.uint16))
        self._waiting, self._size = [], 0


def close_pairs(
    rows: NDArray[np.uint16], order: NDArray[np.uint64], least: float, *, band: int = _BAND, window: int = _WINDOW
) -> NDArray[np.int64]:
    """Pairs ``[pairs, 2]`` of rows that resemble each other by at least ``least`` (0 to 1), smaller index first.

    Rows that agree in one band of slots are neighbours; each is compared with the next few in ``order``. What is
    found depends on the texts alone, not on the order in which they came. In large groups not every pair is named,
    but the pairs named hold the group together.

    Args:
        rows: Sketches ``[texts, SLOTS]``.
        order: A hash of each text, ``[texts]``.
        least: Least share of equal slots.
        band: Slots in a band; fewer find weaker likeness.
        window: Neighbours compared.
    """
    found = []
    for start in range(0, rows.shape[1], band):
        key = np.zeros(len(rows), np.uint64)
        for slot in range(start, start + band):
            key = key * np.uint64(0x100000001B3) ^ rows[:, slot].astype(np.uint64)
        by_key = np.lexsort((order, key))
        sorted_key = key[by_key]
        for step in range(1, window + 1):
            same = np.flatnonzero(sorted_key[:-step] == sorted_key[step:])
            for part in np.array_split(same, max(1, len(same) // 200_000)):
                left, right = by_key[part], by_key[part + step]
                alike = (rows[left] == rows[right]).mean(axis=1) >= least if len(part) else np.empty(0, bool)
                found.append(np.stack((left[alike], right[alike]), axis=1))
    if not found:
        return np.empty((0, 2), np.int64)
    pairs = np.sort(np.concatenate(found).astype(np.int64), axis=1)
    return np.unique(pairs, axis=0)


def as_numpy(numbers: array[int]) -> NDArray[np.uint64]:
    """An ``array("Q")`` as numpy sees it, copied (``[numbers]``)."""
    return np.array(numbers, np.uint64)
