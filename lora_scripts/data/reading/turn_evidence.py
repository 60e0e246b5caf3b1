"""Who asks and who answers: evidence from names, order, questions, lengths and repetition over a whole text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from lora_scripts.data.reading.dialogues import Turn, record_openings
from lora_scripts.data.reading.names import person_role, role_of
from lora_scripts.data.reading.questions import ends_asking

CLEAR = 0.4  # score from which the roles of two speakers are certain
_STRONG, _WEAK = 2.0, 0.75  # what known names are worth
# Known names of people who also ask: a teacher tests, a manager wants to know.
_EITHER_WORDS = """
老师 教师 导师 学生 学员 家长 员工 职工 经理 主任 hr 人事 我 me you teacher tutor student coach 教练 manager officer
法官 民警 警官 检察官 a b support parent employee member
"""
_EITHER = frozenset(_EITHER_WORDS.split())
_OPTION = re.compile(r"[（(]?[A-Ha-h](?:[,，、 ]?[A-Ha-h]){0,7}[)）]?[.。]?|[√×✓✗]|对|错|正确|错误")
_OPTION_LINE = re.compile(r"^\s*[（(]?[A-Da-d][.．、:：)）]", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?[\d,]+(?:\.\d+)?%?")
_TO_FILL_IN = re.compile(r"\s*(?:[□☐☑○◯◻]|_{3,}|[（(][ \u3000_]*[)）]\s*\S)")
_FEWEST_ANSWERS = 8  # below it, nothing is called degenerate


def role_score(turns: Sequence[Turn]) -> float:
    """How well the roles of ``turns`` fit them: above ``CLEAR`` they do, below ``-CLEAR`` they are the wrong way round.

    Terms: what the names are known for; who opens records (texts that are said again and again are greetings);
    whose turns ask; who has the last word; whose turns are longer.
    """
    return known_names(turns) + content_score(turns)


def known_names(turns: Sequence[Turn]) -> float:
    """What the names alone say about the roles of ``turns``."""
    score = 0.0
    for role in ("user", "assistant"):
        names = Counter(t.name for t in turns if t.role == role)
        known = {n: r for n in names if (r := role_of(n) or person_role(n)) in ("user", "assistant")}
        worth = {n: (_WEAK if _may_be_either(n) else _STRONG) * (1 if r == role else -1) for n, r in known.items()}
        score += sum(worth[n] * names[n] for n in worth) / max(1, names.total())
    return score / 2


def _may_be_either(name: str) -> bool:
    return name in _EITHER or any(name.endswith(title) for title in _EITHER if len(title) > 1)


def content_score(turns: Sequence[Turn]) -> float:
    """What order and texts alone say about the roles of ``turns``."""
    turns = [t for t in turns if t.role in ("user", "assistant")]
    said: dict[str, list[str]] = {r: [t.words.strip() for t in turns if t.role == r] for r in ("user", "assistant")}
    if not said["user"] or not said["assistant"]:
        return 0.0
    repeated = {text for texts in said.values() for text, n in Counter(texts).items() if n >= max(3, 0.1 * len(texts))}
    breaks = sorted(record_openings(turns) | {0})
    openers = [turns[i] for i in breaks if turns[i].words.strip() not in repeated]
    closers = [turns[i - 1] for i in [*breaks[1:], len(turns)]]
    sure = min(1.0, len(breaks) / 3)
    score = 0.75 * sure * _balance(openers) - 0.5 * sure * _balance(closers)
    asking = {role: [ends_asking(text) for text in texts if text not in repeated] for role, texts in said.items()}
    score += _mean(asking["user"]) - _mean(asking["assistant"])
    lengths = {role: median(map(len, texts)) + 1 for role, texts in said.items()}
    return score + 0.3 * max(-1.0, min(1.0, (lengths["assistant"] - lengths["user"]) / max(lengths.values())))


def _balance(turns: Sequence[Turn]) -> float:
    """From 1, all by users, to -1, all by assistants."""
    return sum(1 if t.role == "user" else -1 for t in turns) / len(turns) if turns else 0.0


def _mean(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def degenerate(answers: Sequence[str], questions: Sequence[str] = ()) -> bool:
    """Whether answers hold next to nothing to learn: few different short ones, options, or numbers.

    Letters are answers where the questions list options.
    """
    if questions and sum(bool(_OPTION_LINE.search(q)) for q in questions) >= 0.8 * len(questions):
        return False
    texts = [answer.strip() for answer in answers if answer.strip()]
    if len(texts) < _FEWEST_ANSWERS:
        return False
    few = len(set(texts)) <= max(2, 0.2 * len(texts)) and median(map(len, texts)) <= 10
    plain = sum(bool(_OPTION.fullmatch(t) or _NUMBER.fullmatch(t)) for t in texts)
    return few or plain >= 0.8 * len(texts)


def is_to_fill_in(answers: Sequence[str]) -> bool:
    """Whether most answers are boxes to tick or lines to write on: a questionnaire."""
    return bool(answers) and sum(bool(_TO_FILL_IN.match(a)) for a in answers) >= 0.5 * len(answers)


def swapped(names: Mapping[str, str]) -> dict[str, str]:
    """Speakers with the two roles the other way round."""
    other = {"user": "assistant", "assistant": "user"}
    return {name: other.get(role, role) for name, role in names.items()}
