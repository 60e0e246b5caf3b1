"""The record: one training conversation with the place it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

# (severity, kind, line, values); its text is ``data.finding.<kind>``.
Remark = tuple[str, str, int, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation; ``source`` is ``file:line`` of its first line (1-based).

    ``synthetic`` marks one that was made from another by augmentation. ``rejected`` makes it a preference record: the
    words that should not have been said in place of the last answer.
    """

    messages: tuple[Message, ...]
    source: str
    synthetic: bool = False
    rejected: str | None = None

    @property
    def question(self) -> str:
        """The first thing the user says."""
        return next((m.content for m in self.messages if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """The last thing the assistant says."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as a reader found it, before cleaning: line in its file and (role, text) turns.

    A draft that cannot be used has a ``reason`` (and a ``note``) instead of turns. ``part`` names the sheet, table
    or page of a file that has such (``[Sheet1]``); lines count from its beginning. ``rejected``: as in ``Record``.
    """

    line: int
    turns: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    note: str = ""
    part: str = ""
    synthetic: bool = False
    rejected: str | None = None


@dataclass(slots=True)
class Parsed:
    """What a reader made of one file: the shape that it saw, how it took it, its drafts, and its remarks.

    ``drafts`` may be an iterator over a file that is still being read: ``detail`` and ``remarks`` are complete when
    it has ended.
    """

    format: str
    detail: str
    drafts: Iterable[Draft] = ()
    remarks: list[Remark] = field(default_factory=list)
    encoding: str = ""
