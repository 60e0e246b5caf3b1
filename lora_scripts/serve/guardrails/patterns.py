"""Regular expressions on a text that comes in pieces.

A match may still begin where ``regex`` finds a partial one. Word boundaries and the like are left out of that
question, because at the end of what is there they cannot be answered.
"""

from __future__ import annotations

from typing import Any

import regex

from lora_scripts.serve.guardrails.spans import Scan, Span

WINDOW = 256  # characters from where a match begins that are looked at; a longer match is seen as far as that
TIMEOUT_S = 0.05  # for one look of one pattern

_TOKEN = r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]"
_LOOSER = {r"(?>": "(?:", "(?!": "(?=|", "(?<!": "(?<=|", "(?<=": "(?<=|"}
_STRICT = regex.compile(
    rf"(?P<boundary>\\[bBmMA]|\^)|{_TOKEN}|(?P<group>\(\?(?:>|!|<[!=]))|(?P<repeat>[+*?]|\{{[^}}]*\}})\+", regex.DOTALL
)
_AHEAD = regex.compile(rf"(?P<ahead>\(\?!|\(\?\(|\$|\\Z|\\z)|{_TOKEN}", regex.DOTALL)
_REFUSED = regex.compile(
    rf"(?P<refused>\\[KGXRLN]|\(\*|\(\?[a-zA-Z01-]*[befrxV]|\(\?(?:R|&|[0-9])|\(\?\(DEFINE|(?<=[)\].\w])\{{[^}}]*[eids<>])"
    rf"|{_TOKEN}",
    regex.DOTALL,
)


class TooSlowError(Exception):
    """A pattern took more than ``TIMEOUT_S``."""


def pattern_fault(pattern: str) -> tuple[str, str]:
    """Why ``pattern`` cannot be used, as the key of a text and what it speaks of; two empty texts where it can."""
    odd = next((m["refused"] for m in _REFUSED.finditer(pattern) if m["refused"]), None)
    if odd:
        return "guardrails.pattern_construct", odd
    try:
        compiled = regex.compile(pattern)
        if compiled.match("", timeout=TIMEOUT_S):
            return "guardrails.pattern_empty", ""
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        return "guardrails.pattern_syntax", str(error)
    except TimeoutError:
        return "guardrails.pattern_slow", ""
    return "", ""


def _looser(token: regex.Match[str]) -> str:
    if token["boundary"]:
        return "(?:)"
    return _LOOSER.get(token["group"] or "") or token["repeat"] or token[0]


class Pattern:
    """A pattern made ready; ``exact`` decides.

    ``loose`` matches wherever ``exact`` does and more: it has no boundaries, nothing is asked of what stands before
    and nothing forbidden behind, and it may always go back. It tells what may still become a match.
    """

    def __init__(self, pattern: str) -> None:
        self.exact: Any = regex.compile(pattern)
        self.loose: Any = regex.compile(_STRICT.sub(_looser, pattern))
        self.looks_ahead = any(m["ahead"] for m in _AHEAD.finditer(pattern))

    def may_begin(self, text: str, start: int) -> int | None:
        """The first place from ``start`` on where a match is or may still come; None where none will."""
        found = self.loose.search(text, start, partial=True, timeout=TIMEOUT_S)
        if found is None or found.partial:
            return None if found is None else int(found.start())
        # a whole match is told first, though one that began before may only lack its end
        for earlier in range(max(start, len(text) - WINDOW), found.start()):
            if self.loose.match(text, earlier, partial=True, timeout=TIMEOUT_S):
                return earlier
        return int(found.start())

    def is_settled(self, text: str, start: int) -> bool:
        """Whether what follows ``text`` can no longer change the match at ``start``."""
        if len(text) - start >= WINDOW:
            return True
        return not self.looks_ahead and not self.loose.fullmatch(text, start, partial=True, timeout=TIMEOUT_S)

    def end_of_match(self, text: str, start: int) -> int:
        """Where the match at ``start`` ends, ``start`` where there is none."""
        found = self.exact.match(text, start, min(len(text), start + WINDOW), timeout=TIMEOUT_S)
        return int(found.end()) if found else start


class PatternScanner:
    """Follows one text with one pattern.

    Raises (in ``scan``):
        TooSlowError: The pattern ran out of time; nothing of this text may leave any more.
    """

    def __init__(self, pattern: Pattern, rule: int) -> None:
        self._pattern, self._rule, self._done = pattern, rule, 0

    def scan(self, text: str, base: int, ended: bool) -> Scan:
        """See ``spans.Scanner``."""
        try:
            return self._scan(text, base, ended)
        except TimeoutError:
            raise TooSlowError from None

    def _scan(self, text: str, base: int, ended: bool) -> Scan:
        pattern, found = self._pattern, []
        at = self._done - base
        while at < len(text):
            start = self._next(text, at, ended)
            if start is None or start == len(text):
                at = len(text)
                break
            if not ended and not pattern.is_settled(text, start):
                at = start
                break
            stop = pattern.end_of_match(text, start)
            if stop > start:
                found.append(Span(base + start, base + stop, self._rule))
            at = max(stop, start + 1)
        self._done = base + at
        return found, self._done

    def _next(self, text: str, at: int, ended: bool) -> int | None:
        if not ended:
            return self._pattern.may_begin(text, at)
        found = self._pattern.loose.search(text, at, timeout=TIMEOUT_S)
        return int(found.start()) if found else None
