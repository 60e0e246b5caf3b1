"""The account of a text: what each of its lines was read as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from lora_scripts.data.records import UNIT_ROLES, Parsed
from lora_scripts.errors import DataError

MOST_SHARE = 0.1  # of the lines that may be not understood
MOST_LINES = 3  # that may be not understood whatever their share
LONGEST_PREAMBLE = 20  # non-blank lines in front of the first record
_MOST_PLACES = 8
_CODES = {role: code for code, role in enumerate(UNIT_ROLES)}
_NOT_UNDERSTOOD = _CODES["not_understood"]
_OF_TURNS = {"user": "question", "assistant": "answer", "system": "system", "other": "left_out"}


class LineRoles:
    """One role of ``UNIT_ROLES`` for each line of a text, ``not_understood`` until one is assigned.

    Args:
        lines: All lines of the text; blank ones are no units.
        first: Number of the first one in its file.
    """

    __slots__ = ("_codes", "_first", "_lines")

    def __init__(self, lines: Sequence[str], first: int = 1) -> None:
        self._lines = lines
        self._first = first
        self._codes = bytearray([_NOT_UNDERSTOOD]) * len(lines)

    def assign(self, start: int, stop: int, role: str) -> None:
        """Give lines ``start`` to ``stop - 1`` (0-based) a role of ``UNIT_ROLES``, or the one of a turn's role."""
        code = _CODES[_OF_TURNS.get(role, role)]
        self._codes[start:stop] = bytes([code]) * (min(stop, len(self._lines)) - start)

    def assign_preamble(self, stop: int) -> None:
        """Leave out the lines in front of line ``stop`` (0-based), where a title page could be so long."""
        if sum(bool(line.strip()) for line in self._lines[:stop]) <= LONGEST_PREAMBLE:
            self.assign(0, stop, "left_out")

    def units(self) -> Counter[str]:
        """Non-blank lines by role."""
        counts = Counter(
            code for code, line in zip(self._codes, self._lines, strict=True) if line and not line.isspace()
        )
        return Counter({UNIT_ROLES[code]: count for code, count in counts.items()})

    def not_understood(self) -> list[int]:
        """Numbers of the non-blank lines that have no role."""
        if _NOT_UNDERSTOOD not in self._codes:
            return []
        numbered = enumerate(zip(self._codes, self._lines, strict=True), self._first)
        return [number for number, (code, line) in numbered if code == _NOT_UNDERSTOOD and line.strip()]

    def account(self, parsed: Parsed) -> Parsed:
        """``parsed`` with the units of its text, and a remark about lines that were not understood."""
        parsed.units = self.units()
        if unread := self.not_understood():
            values: dict[str, object] = {"count": len(unread), "lines": listed_lines(unread)}
            parsed.remarks.append(("warning", "lines_not_understood", unread[0] - self._first + 1, values))
        return parsed


def listed_lines(numbers: Iterable[int | str]) -> str:
    """The first of some line numbers, or ranges of such, for a message."""
    first = list(islice(numbers, _MOST_PLACES + 1))
    return ", ".join(map(str, first[:_MOST_PLACES])) + (" …" if len(first) > _MOST_PLACES else "")


def line_range(first: int, last: int) -> int | str:
    """Lines ``first`` to ``last`` for ``listed_lines``."""
    return first if last <= first else f"{first}-{last}"


def refuse_unread(units: Counter[str], where: str) -> None:
    """Stop where more than a small share of a text was not understood.

    Raises:
        DataError: It was.
    """
    unread, total = units["not_understood"], units.total()
    if unread > max(MOST_LINES, MOST_SHARE * total):
        raise DataError("reading.not_understood", where=where, count=unread, total=total)
