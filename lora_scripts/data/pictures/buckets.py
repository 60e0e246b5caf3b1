"""Aspect buckets: the sizes that pictures are scaled and cropped to, so that those of one batch have one shape.

Pictures keep their proportions as nearly as sizes of one area allow (the idea is NovelAI's, "Improvements on Stable
Diffusion", 2022). Sizes are (width, height) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]
WIDEST = 2.0  # of a side, in multiples of the resolution


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture goes into its bucket: scaled to ``scaled``, then cut at ``left`` and ``top``."""

    bucket: Size
    scaled: Size
    left: int
    top: int

    @property
    def lost(self) -> float:
        """Share of the picture that is cut off."""
        return 1 - self.bucket[0] * self.bucket[1] / (self.scaled[0] * self.scaled[1])


def buckets(resolution: int, unit: int) -> list[Size]:
    """All sizes of sides that are multiples of ``unit``, of at most ``resolution`` squared pixels; the square first.

    ``resolution`` is rounded down to a multiple of ``unit``, and is one at least.
    """
    side = max(unit, resolution // unit * unit)
    found = [(side, side)]
    for width in range(max(unit, int(side / WIDEST) // unit * unit), int(side * WIDEST) + 1, unit):
        height = side * side // width // unit * unit
        if (width, height) not in found and 0 < height <= side * WIDEST:
            found.append((width, height))
    return found


def nearest_bucket(size: Size, sizes: Sequence[Size]) -> Size:
    """The bucket whose proportions are most like those of ``size``; of several the largest."""

    def apart(bucket: Size) -> tuple[float, int]:
        ratio = math.log(size[0] / size[1]) - math.log(bucket[0] / bucket[1])
        return round(abs(ratio), 9), -bucket[0] * bucket[1]

    return min(sizes, key=apart)


def fit(size: Size, bucket: Size, at: tuple[float, float] = (0.5, 0.5)) -> Fit:
    """How a picture of ``size`` fills ``bucket``; ``at`` tells where the part that is kept lies, 0 to 1 each way."""
    factor = max(bucket[0] / size[0], bucket[1] / size[1])
    width, height = (max(b, round(s * factor)) for s, b in zip(size, bucket, strict=True))
    left, top = (round((whole - kept) * where) for whole, kept, where in zip((width, height), bucket, at, strict=True))
    return Fit(bucket, (width, height), left, top)


def fitted(image: Image.Image, how: Fit) -> Image.Image:
    """``image`` scaled and cut."""
    scaled = image if image.size == how.scaled else image.resize(how.scaled, Image.Resampling.LANCZOS)
    return scaled.crop((how.left, how.top, how.left + how.bucket[0], how.top + how.bucket[1]))
