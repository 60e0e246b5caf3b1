"""Figures about answers. ``MEASURES`` maps a name to a function of (answers, references, rules)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any


@cache
def _words(text: str) -> str:
    """Words of a text, one space between two; Chinese is cut by jieba."""
    import jieba

    jieba.setLogLevel("ERROR")
    return " ".join(word for word in jieba.cut(text) if word.strip())


def rouge_l(answers: Sequence[str], references: Sequence[str], rules: Mapping[str, str]) -> float | None:
    """Mean ROUGE-L F1 (Lin 2004) over words, 0 to 1."""
    from rouge_chinese import Rouge

    scored = Rouge(metrics=["rouge-l"])
    total = 0.0
    for given, wanted in zip(answers, references, strict=True):
        words, truth = _words(given), _words(wanted)
        if words and truth:
            total += scored.get_scores(words, truth)[0]["rouge-l"]["f"]
    return total / len(answers) if answers else None


def house_form(answers: Sequence[str], references: Sequence[str], rules: Mapping[str, str]) -> int | None:
    """How many answers open as ``rules["opening"]`` (a regular expression) says; None without such a rule."""
    if not rules.get("opening"):
        return None
    opening = re.compile(rules["opening"])
    return sum(bool(opening.match(given)) for given in answers)


MEASURES: Mapping[str, Callable[[Sequence[str], Sequence[str], Mapping[str, str]], Any]] = {
    "rouge_l": rouge_l,
    "house_form": house_form,
}


def measure(answers: Sequence[str], references: Sequence[str], rules: Mapping[str, str]) -> dict[str, Any]:
    """All measures of these answers that say something under these rules."""
    values = {name: function(answers, references, rules) for name, function in MEASURES.items()}
    return {name: value for name, value in values.items() if value is not None}
