"""What a scanner says about a text that comes in pieces."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """Characters ``start`` to ``end`` of the whole text break rule number ``rule``; ``type`` says by what (PII)."""

    start: int
    end: int
    rule: int
    type: str = ""


Scan = tuple[list[Span], int]


class Scanner(Protocol):
    """Follows one text. What it finds depends on the text alone, never on how it was cut."""

    def scan(self, text: str, base: int, ended: bool) -> Scan:
        """Spans that are certain now, each told once, and the place before which no other will start.

        Args:
            text: The text so far; at least the last ``KEPT`` characters before what was held back.
            base: Place of its first character in the whole text.
            ended: Nothing follows.
        """
        ...
