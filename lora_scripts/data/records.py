"""The record: one training conversation with the place it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# (severity, kind, line, values); its text is ``data.finding.<kind>``.
Remark = tuple[str, str, int, dict[str, object]]


_EXCERPT_LENGTH = 80  # characters


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``role`` is ``system``, ``user`` or ``assistant``.

    ``trained`` is False for an assistant turn that is context only (``weight: 0`` in OpenAI's format); ``reasoning`` is
    the chain of thought that a file holds beside the answer; it is not trained on.
    """

    role: str
    content: str
    trained: bool = True
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One conversation; ``source`` is ``file:line`` of its first line (1-based), ``file:line[n]`` where several
    records begin on that line. No two records of a reading have one source.

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

    def excerpt(self) -> list[str]:
        """Lines that show the record on a terminal: its source, and the beginning of each message."""
        lines = [f"  {self.source}"]
        for message in self.messages:
            content = " ⏎ ".join(message.content.split("\n"))
            content = content if len(content) <= _EXCERPT_LENGTH else content[:_EXCERPT_LENGTH] + "…"
            lines.append(f"    {message.role}{'' if message.trained else ' (weight 0)'}: {content}")
        if self.rejected is not None:
            lines.append(f"    rejected: {self.rejected[:_EXCERPT_LENGTH]}")
        return lines


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as a reader found it, before cleaning: line in its file and turns.

    A draft that cannot be used has a ``reason`` (and a ``note``) instead of turns. ``part`` names the sheet, table
    or page of a file that has such (``[Sheet1]``); lines count from its beginning. ``index`` (``7``, ``7.2``)
    tells records that begin on one line apart; empty where the line has one. ``rejected``: as in ``Record``.
    """

    line: int
    turns: tuple[Message, ...] = ()
    reason: str = ""
    note: str = ""
    part: str = ""
    synthetic: bool = False
    rejected: str | None = None
    index: str = ""

    @property
    def place(self) -> str:
        """``line`` or ``line[index]``."""
        return f"{self.line}[{self.index}]" if self.index else str(self.line)


# What a unit of a file (a non-blank line of a text, a filled cell of a table, a key of an object) was read as.
UNIT_ROLES = (
    "question",
    "answer",
    "system",
    "context",  # history, passages, further input
    "reasoning",
    "metadata",  # ids, times, speakers, weights, headers
    "left_out",  # on purpose, with a reason that a decision or finding names
    "not_understood",
)


@dataclass(slots=True)
class Parsed:
    """What a reader made of one file: the shape that it saw, how it took it, its drafts, and its remarks.

    ``drafts`` may be an iterator over a file that is still being read: ``detail``, ``remarks`` and ``units`` are
    complete when it has ended. ``units`` counts the units of the file by what they were read as (``UNIT_ROLES``).
    """

    format: str
    detail: str
    drafts: Iterable[Draft] = ()
    remarks: list[Remark] = field(default_factory=list)
    encoding: str = ""
    units: Counter[str] = field(default_factory=Counter)

    def absorb(self, part: Parsed) -> None:
        """Add the drafts of a part of the file (a sheet, a table) and its account; its detail stays its own."""
        self.drafts = [*self.drafts, *part.drafts]
        self.remarks += part.remarks
        self.units.update(part.units)
