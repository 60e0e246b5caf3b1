"""One text on its way past the rules of one side, in pieces or whole.

What leaves depends on the text alone, never on how it was cut: every scanner tells spans that no longer change and
the place before which no other will start, and text leaves only up to the first such place.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lora_scripts.data.pii.desensitize import MARKS
from lora_scripts.messages import text
from lora_scripts.serve.guardrails.disguise import MARK
from lora_scripts.serve.guardrails.patterns import WINDOW, PatternScanner, TooSlowError
from lora_scripts.serve.guardrails.personal import BEFORE, PersonalScanner
from lora_scripts.serve.guardrails.rules import ACTIONS, Ready, Rule
from lora_scripts.serve.guardrails.spans import Scan, Scanner, Span
from lora_scripts.serve.guardrails.words import WordScanner

KEPT = WINDOW + BEFORE  # characters that stay in sight behind what has left
_TRIM = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule was broken ``count`` times; what was said is not kept."""

    rule: str
    action: str
    kind: str
    where: str
    count: int


class LengthScanner:
    """Follows the length of one text."""

    def __init__(self, rule: Rule, number: int) -> None:
        self._rule, self._number, self._told = rule, number, False

    def scan(self, text: str, base: int, ended: bool) -> Scan:
        """See ``spans.Scanner``."""
        rule, length = self._rule, base + len(text)
        # what is too short is refused from its first character, so nothing leaves before it is long enough
        hold = 0 if length < rule.least and rule.action == "refuse" else length
        if self._told:
            return [], hold
        if rule.most and length > rule.most:
            self._told = True
            return [Span(rule.most, length, self._number)], hold
        if ended and length < rule.least:
            self._told = True
            return [Span(0, length, self._number)], length
        return [], min(hold, rule.most) if rule.most else hold


class Passage:
    """Takes a text in, lets out what may leave. ``side`` is ``input`` or ``output``."""

    def __init__(self, ready: Ready, side: str) -> None:
        self._ready, self._side = ready, side
        self._scanners = _scanners(ready)
        self._text, self._base, self._at = "", 0, 0
        self._spans: list[Span] = []
        self._skip_until = self._mask_until = 0
        self._counts: Counter[tuple[int, str]] = Counter()
        self.refused_by: Rule | None = None
        self.changed = False
        self.heard: set[int] = set()

    def feed(self, piece: str) -> str:
        """What may leave after ``piece`` came; nothing after a refusal."""
        return self._go(piece, False)

    def end(self) -> str:
        """What was held back."""
        return self._go("", True)

    def whole(self, content: str) -> str:
        """A whole text at once."""
        return self._go(content, True)

    @property
    def hits(self) -> list[Hit]:
        """The rules broken so far, in their order."""
        rules = self._ready.rules
        return [
            Hit(rules[number].name, action, rules[number].kind, self._side, count)
            for (number, action), count in sorted(self._counts.items())
        ]

    @property
    def appended(self) -> list[str]:
        """What broken rules append, each once."""
        rules = [self._ready.rules[number] for number, action in sorted(self._counts) if action == "append"]
        return list(dict.fromkeys(rule.text for rule in rules))

    def _go(self, piece: str, ended: bool) -> str:
        if self.refused_by is not None:
            return ""
        if not self._scanners:
            return piece
        self._text += piece
        hold = self._base + len(self._text)
        for number, scanner in self._scanners:
            try:
                spans, place = scanner.scan(self._text, self._base, ended)
            except TooSlowError:
                return self._too_slow(number)
            self._spans += spans
            hold = min(hold, place)
        left = self._let_out(hold, ended)
        surplus = self._at - self._base - KEPT
        if surplus > _TRIM:
            self._text, self._base = self._text[surplus:], self._base + surplus
        return left

    def _too_slow(self, number: int) -> str:
        """A pattern that runs out of time cannot say that the text is good, so it refuses."""
        rule = self._ready.rules[number]
        log.warning(text("guardrails.too_slow", name=rule.name))
        self._counts[number, "refuse"] += 1
        self.refused_by = rule
        return ""

    def _let_out(self, hold: int, ended: bool) -> str:
        rules = self._ready.rules
        order = sorted(self._spans, key=lambda s: (s.start, ACTIONS.index(rules[s.rule].action), -s.end, s.rule))
        out: list[str] = []
        self._spans = []
        for span in order:
            if span.start >= hold and not ended:
                self._spans.append(span)
                continue
            self._walk(span.start, out)
            self._apply(span, rules[span.rule], out)
            if self.refused_by is not None:
                return "".join(out)
        self._walk(hold, out)
        return "".join(out)

    def _walk(self, to: int, out: list[str]) -> None:
        """Let the characters up to ``to`` out, or what stands for them."""
        while self._at < to:
            if self._at < self._skip_until:
                self._at = min(to, self._skip_until)
                continue
            masked = self._at < self._mask_until
            stop = min(to, self._mask_until) if masked else to
            piece = self._text[self._at - self._base : stop - self._base]
            out.append(MARK * len(piece) if masked else piece)
            self._at = stop

    def _apply(self, span: Span, rule: Rule, out: list[str]) -> None:
        if rule.kind == "require":
            self.heard.add(span.rule)
            return
        self._counts[span.rule, rule.action] += 1
        if rule.action == "refuse":
            self.refused_by = rule
            return
        if rule.action not in ("mask", "replace"):
            return
        self.changed = True
        words = rule.text if rule.action == "replace" else MARKS.get(span.type, "")
        if (words or rule.action == "replace") and span.start >= max(self._skip_until, self._mask_until):
            out.append(words)
            self._skip_until = span.end
            return
        self._mask_until = max(self._mask_until, span.end)


def _scanners(ready: Ready) -> Sequence[tuple[int, Scanner]]:
    """A scanner for every rule that looks at text, each with the number of a rule to name when it fails."""
    found: list[tuple[int, Scanner]] = [(-1, WordScanner(ready.words))] if ready.words else []
    found += [(number, PatternScanner(pattern, number)) for number, pattern in ready.patterns]
    found += [(number, PersonalScanner(types, number)) for number, types in ready.types]
    return found + [(number, LengthScanner(ready.rules[number], number)) for number in ready.lengths]
