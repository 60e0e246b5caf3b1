"""Whether a copy reads as well as its source: the same records, with the same turns, and nothing unreadable added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_scripts.data.reading.formats import read_records
from lora_scripts.errors import DataError

# Reasons that a copy may not add to; others (equal records, an answer of marks alone) come with the data gone.
_BROKEN = ("unreadable", "orphan_question", "orphan_answer")


@dataclass(frozen=True, slots=True)
class ReadingOfFile:
    """What ``read_records`` makes of one file: roles of the turns by place, and numbers of what is left out."""

    roles: dict[str, tuple[str, ...]]
    read: int
    broken: int


def reading_of(path: Path) -> ReadingOfFile | None:
    """How ``path`` reads; None where it is refused."""
    try:
        reading = read_records(path)
    except DataError:
        return None
    roles = {r.source[len(str(path)) :]: tuple(m.role for m in r.messages) for r in reading.records}
    reasons = reading.ledger.reasons()
    return ReadingOfFile(roles, reading.ledger.read, sum(reasons.get(reason, 0) for reason in _BROKEN))


def reads_worse(source: ReadingOfFile, copy: ReadingOfFile | None, *, dropped: bool) -> str:
    """What of the copy reads worse, as ``records in the source/records in the copy``; empty where nothing does.

    Args:
        source: How the source reads.
        copy: How the copy reads; None where it is refused.
        dropped: Records were left out on purpose, so fewer are right.
    """
    if copy is None:
        return "" if dropped and len(source.roles) <= 1 else f"{len(source.roles)}/0"
    other = any(source.roles.get(place, roles) != roles for place, roles in copy.roles.items())
    if copy.broken > source.broken or (not dropped and (other or copy.read != source.read)):
        return f"{len(source.roles)}/{len(copy.roles)}"
    return ""
