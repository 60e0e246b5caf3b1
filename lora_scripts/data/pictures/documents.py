"""Pictures as a run shows them: each with its caption and the bucket that it is fitted into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.data.ledger import Finding
from lora_scripts.data.pictures.buckets import Size, buckets, fit, nearest_bucket
from lora_scripts.data.pictures.reading import PictureRecord
from lora_scripts.messages import text

MUCH_LOST = 0.25  # share of a picture whose loss is named with its file


@dataclass(frozen=True, slots=True)
class PictureDocument:
    """A picture of a run: ``size`` is its own, ``digest`` the sha256 of its file; no trigger word where ``prior``."""

    path: Path
    caption: str
    source: str
    digest: str
    size: Size
    bucket: Size
    prior: bool = False


def lay_out(
    records: Iterable[PictureRecord], resolution: int, unit: int, *, prior: bool = False
) -> list[PictureDocument]:
    """Each picture with the bucket of its proportions."""
    sizes = buckets(resolution, unit)
    found = []
    for record in records:
        size = (record.looks.width, record.looks.height)
        bucket = nearest_bucket(size, sizes)
        found.append(PictureDocument(record.path, record.caption, record.source, record.digest, size, bucket, prior))
    return found


def order_numbers(documents: Sequence[PictureDocument]) -> tuple[int, ...]:
    """A number for each document that grows with its area and is the same for one bucket alone."""
    known = sorted({d.bucket for d in documents}, key=lambda b: (b[0] * b[1], b))
    place = {bucket: i for i, bucket in enumerate(known)}
    return tuple(d.bucket[0] * d.bucket[1] * (len(known) + 1) + place[d.bucket] for d in documents)


def bucket_counts(documents: Iterable[PictureDocument]) -> dict[str, int]:
    """How many pictures each bucket holds, the fullest first."""
    counted = Counter(f"{d.bucket[0]}×{d.bucket[1]}" for d in documents)
    return dict(counted.most_common())


def fitting_findings(documents: Sequence[PictureDocument]) -> list[Finding]:
    """What fitting does to pictures: how much is cut off, and which are enlarged."""
    found = []
    lost = [(fit(d.size, d.bucket).lost, d) for d in documents]
    mean = sum(share for share, _ in lost) / len(lost)
    sizes, most = {d.bucket for d in documents}, max(share for share, _ in lost)
    said = text("picture_run.fitted", buckets=len(sizes), mean=mean, most=most)
    found.append(Finding("info", "fitted", "", said))
    if much := [d for share, d in lost if share > MUCH_LOST]:
        said = text("picture_run.much_lost", count=len(much), share=MUCH_LOST)
        found.append(Finding("warning", "much_cut_off", much[0].path.name, said))
    if small := [d for d in documents if d.size[0] < d.bucket[0] or d.size[1] < d.bucket[1]]:
        said = text("picture_run.enlarged", count=len(small))
        found.append(Finding("warning", "enlarged", small[0].path.name, said))
    return found
