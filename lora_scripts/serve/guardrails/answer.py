"""A generated answer on its way out: rules, refusal, required words, label."""

from __future__ import annotations

from collections import Counter

from lora_scripts.serve.guardrails.disguise import MARK
from lora_scripts.serve.guardrails.passage import Hit, Passage
from lora_scripts.serve.guardrails.rules import RuleSet
from lora_scripts.serve.guardrails.words import WordList, WordScanner

_BREAK = "\n\n"


class Seams:
    """Masks words that come to be where a replacement or an appended text meets what stands beside it."""

    def __init__(self, words: WordList | None) -> None:
        self._scanner = WordScanner(words) if words else None
        self._text, self._base = "", 0
        self._mask: set[int] = set()
        self.masked: Counter[int] = Counter()
        """Words masked, by the number of their rule."""

    def pass_on(self, piece: str, ended: bool = False) -> str:
        """What of the text so far may leave."""
        if self._scanner is None:
            return piece
        self._text += piece
        spans, hold = self._scanner.scan(self._text, self._base, ended)
        self.masked.update(span.rule for span in spans)
        for span in spans:
            self._mask.update(range(span.start, span.end))
        size = hold - self._base
        left = self._text[:size]
        if self._mask:
            left = "".join(MARK if place in self._mask else char for place, char in enumerate(left, self._base))
        self._mask = {place for place in self._mask if place >= hold}
        self._text, self._base = self._text[size:], hold
        return left


def breaks_rules(rules: RuleSet, words: str) -> bool:
    """Whether ``words`` of the operator hold a word that may not leave."""
    seams = Seams(rules.sides["output"].seams)
    seams.pass_on(words, ended=True)
    return bool(seams.masked)


class OutputGuard:
    """Guards one answer: ``feed`` its text as it comes, then ``end`` it; what they return may be sent.

    However the answer is cut, the same text leaves. It holds no listed word, save a rule only logs or appends.
    """

    def __init__(self, rules: RuleSet) -> None:
        self._rules, self._ready = rules, rules.sides["output"]
        self._passage = Passage(self._ready, "output")
        self._seams = Seams(self._ready.seams)
        self._some = False
        self.refusal = ""
        """The words that a refused answer ends with; they stand alone where nothing had left before."""

    @property
    def refused(self) -> bool:
        """Whether the answer was refused; nothing leaves any more."""
        return self._passage.refused_by is not None

    @property
    def finish_reason(self) -> str | None:
        """``content_filter`` where something of the answer was refused, masked or replaced, else None."""
        changed = self.refused or self._passage.changed or self._seams.masked
        return "content_filter" if changed else None

    @property
    def hits(self) -> list[Hit]:
        """The rules broken so far; never what was said."""
        rules, masked = self._ready.rules, sorted(self._seams.masked.items())
        return self._passage.hits + [Hit(rules[n].name, "mask", "words", "output", count) for n, count in masked]

    def feed(self, text: str) -> str:
        """What may leave now; the rest is held back until no rule can still match in it."""
        if self.refused:
            return ""
        return self._sent(self._passage.feed(text))

    def end(self) -> str:
        """What was held back, then what broken rules append, required words that are missing, the label."""
        if self.refused:
            return ""
        left = self._sent(self._passage.end())
        if self.refused:
            return left
        tail = self._passage.appended
        tail += [self._ready.rules[n].text for n in self._ready.required if n not in self._passage.heard]
        tail += [self._rules.label] if self._rules.label else []
        said = "".join(_BREAK + words for words in tail) if self._some else ""
        return left + self._seams.pass_on(said, ended=True)

    def _sent(self, left: str) -> str:
        self._some |= bool(left)
        sent = self._seams.pass_on(left)
        rule = self._passage.refused_by
        if rule is None:
            return sent
        self.refusal = rule.text if rule.action == "refuse" and rule.text else self._rules.refusal
        return sent + self._seams.pass_on((_BREAK if self._some else "") + self.refusal, ended=True)
