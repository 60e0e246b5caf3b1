"""Figures about answers. ``MEASURES`` maps a name to a function of (answers, references, rules)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from lora_scripts.evaluate.rules import HouseRules, broken_rules, read_rules


@cache
def _words(text: str) -> str:
    """Words of a text, one space between two; Chinese is cut by jieba."""
    import jieba

    jieba.setLogLevel("ERROR")
    return " ".join(word for word in jieba.cut(text) if word.strip())


def rouge_l(answers: Sequence[str], references: Sequence[str], rules: HouseRules) -> float | None:
    """Mean ROUGE-L F1 (Lin 2004) over words, 0 to 1."""
    from rouge_chinese import Rouge

    scored = Rouge(metrics=["rouge-l"])
    total = 0.0
    for given, wanted in zip(answers, references, strict=True):
        words, truth = _words(given), _words(wanted)
        if words and truth:
            total += scored.get_scores(words, truth)[0]["rouge-l"]["f"]
    return total / len(answers) if answers else None


def bleu(answers: Sequence[str], references: Sequence[str], rules: HouseRules) -> float | None:
    """BLEU over all answers together (Papineni et al. 2002; Post 2018 for sacrebleu), over words, 0 to 100."""
    import sacrebleu

    if not answers:
        return None
    given, wanted = ([_words(words) for words in side] for side in (answers, references))
    # force: a full stop that stands alone is what jieba makes, not a sign of data that were cut before
    return float(sacrebleu.corpus_bleu(given, [wanted], tokenize="none", force=True).score)


def house_form(answers: Sequence[str], references: Sequence[str], rules: HouseRules) -> int | None:
    """How many answers open as the rule ``opening`` says; None without such a rule."""
    return sum("opening" not in broken_rules(given, rules) for given in answers) if rules.opening else None


def rules_kept(answers: Sequence[str], references: Sequence[str], rules: HouseRules) -> dict[str, int] | None:
    """How many answers keep each rule that is set, and ``all`` of them; None without rules."""
    broken = [broken_rules(given, rules) for given in answers]
    kept = {name: sum(name not in one for one in broken) for name in rules.names}
    return kept | {"all": sum(not one for one in broken)} if kept else None


MEASURES: Mapping[str, Callable[[Sequence[str], Sequence[str], HouseRules], Any]] = {
    "rouge_l": rouge_l,
    "bleu": bleu,
    "house_form": house_form,
    "rules_kept": rules_kept,
}


def measure(answers: Sequence[str], references: Sequence[str], rules: Mapping[str, Any] | HouseRules) -> dict[str, Any]:
    """All measures of these answers that say something under these rules (as ``read_rules`` takes or gives them).

    Raises:
        ConfigError: The rules cannot be read.
    """
    house = rules if isinstance(rules, HouseRules) else read_rules(rules)
    values = {name: function(answers, references, house) for name, function in MEASURES.items()}
    return {name: value for name, value in values.items() if value is not None}
