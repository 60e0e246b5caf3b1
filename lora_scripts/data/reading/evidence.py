"""Which column or key holds the question and which the answer: evidence from names and from content, over many rows.

Every pair of columns is a hypothesis with a score. The best one is taken where it clearly beats the others and what it
would teach does not look degenerate; else the user is asked (`ambiguity.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from lora_scripts.data.reading.columns import (
    RowLayout,
    answer_score,
    followup_columns,
    header_role,
    is_body_name,
    is_metadata_name,
    names_the_key,
    option_columns,
    plain_header,
    question_score,
)
from lora_scripts.data.reading.questions import asks

Values = Mapping[str, Any]

CLEAR_MARGIN = 0.75  # points by which the best hypothesis has to beat the second
FEWEST_UNNAMED = 2  # rows below the first that let columns without names be read
_LONGEST_HEADER = 24
_SHORT_TEXT = 10  # characters up to which texts under an unknown name are labels, not sentences
FEWEST_ROWS = 6  # below it, content says little about a column
_DATE = r"\d{4}[-/.年]\d{1,2}(?:[-/.月]\d{1,2}日?)?(?:[ T]*\d{1,2}:\d{2}(?::\d{2})?)?\S{0,6}|\d{1,2}:\d{2}(?::\d{2})?"
_PERSON = (
    r"[\u4e00-\u9fff·]{1,4}(?:先生|女士|小姐|老师|医生|律师|经理|主任|客服)?\d*|客服\S{1,4}"
    r"|[A-Z][a-z]+(?: [A-Z][a-z]+)?"
)
_CONTENT_KINDS = (
    ("number", re.compile(r"[-+]?[\d,]+(?:\.\d+)?(?:[eE][-+]?\d+)?%?")),
    ("date", re.compile(_DATE)),
    ("url", re.compile(r"https?://\S+")),
    ("contact", re.compile(r"1\d{10}|\S+@\S+\.\w+|\+?[\d\- ]{7,}")),
    ("option", re.compile(r"[A-Ha-h](?:[,，、 ]?[A-Ha-h]){0,7}[.。]?")),
    ("code", re.compile(r"(?=\S*\d)[\w\-./#]{1,40}", re.ASCII)),
    ("person", re.compile(_PERSON)),
)
# Names that hold the task in front of what it is about.
_INSTRUCTIONS = frozenset({"instruction", "prompt", "指令"})


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What the values of one column look like, over the rows that were sampled.

    Attributes:
        rows: Rows that have the column.
        filled: Those with a value.
        distinct: Different values.
        mean_length: Characters of a value.
        asking: Share of the values that ask something.
        kind: What nearly all values are: ``text``, ``number``, ``date``, ``url``, ``contact``, ``option``, ``code``,
            ``person`` (a short word that may be a name), ``structure`` (lists and objects), ``empty``.
    """

    rows: int
    filled: int
    distinct: int
    mean_length: float
    asking: float
    kind: str

    @property
    def categorical(self) -> bool:
        """Few short values again and again, as of a status."""
        few = self.distinct <= max(2, 0.1 * self.filled) or (self.distinct <= 4 and self.filled >= 3 * self.distinct)
        return self.filled >= FEWEST_ROWS and few and self.mean_length <= 12

    @property
    def constant(self) -> bool:
        """One value, again and again."""
        return self.filled >= FEWEST_ROWS and self.distinct == 1

    @property
    def is_text(self) -> bool:
        """Values that may be sentences."""
        return self.kind == "text" and not self.categorical

    @property
    def characters(self) -> float:
        """Characters of all values together."""
        return self.mean_length * self.filled


_NOTHING = ColumnProfile(0, 0, 0, 0.0, 0.0, "empty")


def profile_columns(rows: Sequence[Values]) -> dict[str, ColumnProfile]:
    """The profile of each column of ``rows``."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {name: _profile(column) for name, column in values.items()}


def _profile(column: Sequence[Any]) -> ColumnProfile:
    filled = [value for value in column if _is_filled(value)]
    if not filled:
        return replace(_NOTHING, rows=len(column))
    texts = [value.strip() if isinstance(value, str) else str(value) for value in filled]
    kinds = Counter(_kind_of(value, text) for value, text in zip(filled, texts, strict=True))
    kind, count = kinds.most_common(1)[0]
    if count < 0.8 * len(filled):
        kind = "text" if kinds["structure"] < 0.5 * len(filled) else "structure"
    asking = sum(map(asks, texts)) / len(texts)
    mean_length = sum(map(len, texts)) / len(texts)
    return ColumnProfile(len(column), len(filled), len(set(texts)), mean_length, asking, kind)


def _is_filled(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value not in (None, [], {})


def _kind_of(value: Any, text: str) -> str:
    if isinstance(value, (bool, int, float)):
        return "number"
    if not isinstance(value, str):
        return "text" if isinstance(value, list) and all(isinstance(v, str) for v in value) else "structure"
    return next((kind for kind, pattern in _CONTENT_KINDS if pattern.fullmatch(text)), "text")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A layout with its score."""

    score: float
    layout: RowLayout


def hypotheses(
    names: Sequence[str], profiles: Mapping[str, ColumnProfile], given: Mapping[str, str]
) -> list[Hypothesis]:
    """Every layout with a question and an answer that the names allow, the best first.

    Args:
        names: Of the columns, as they stand in the file.
        profiles: Of these columns; missing ones count as empty.
        given: What the user named, by key of the layout; it is taken as it is.
    """
    plain = {name: plain_header(name) for name in names}
    options = option_columns(names)
    special = {name for name in names if header_role(plain[name]) in ("system", "history", "reasoning")}
    special |= {name for pair in followup_columns(names) for name in pair}
    free = [n for n in names if n not in given.values() and n not in options and n not in special]
    asked = {n: question_score(plain[n]) for n in free}
    answers = {n: answer_score(plain[n]) for n in free}
    # "input" is the question only where nothing else is
    if any(score for n, score in asked.items() if header_role(plain[n]) != "inputs" and score > 0.9):
        asked = {n: score for n, score in asked.items() if header_role(plain[n]) != "inputs"}
    if any(plain[n] in _INSTRUCTIONS for n in asked):  # the task in front of a text: the text is its input
        asked = {n: score for n, score in asked.items() if not is_body_name(plain[n])}
    if "question" in given:
        asked = {given["question"]: 3.0}
    if "answer" in given:
        answers = {given["answer"]: 3.0}
    out = []
    for (question, q), (answer, a) in product(asked.items(), answers.items()):
        if question == answer or not q or not a:
            continue
        score = q + a + _question_content(profiles.get(question, _NOTHING))
        score += _answer_content(profiles.get(answer, _NOTHING), bool(options))
        out.append(Hypothesis(score, _layout(question, answer, names, plain, profiles, options, given)))
    return sorted(out, key=lambda h: -h.score)


def _question_content(profile: ColumnProfile) -> float:
    if profile.filled < FEWEST_ROWS:
        return 0.0
    score = 1.5 * profile.asking + 0.5 * profile.is_text
    if profile.categorical or profile.kind in ("number", "date", "url", "contact", "code", "option"):
        score -= 2.5
    elif profile.kind == "person":
        score -= 1.0
    return score - (profile.filled < 0.5 * profile.rows)


def _answer_content(profile: ColumnProfile, has_options: bool) -> float:
    if profile.filled < FEWEST_ROWS:
        return -2.0 if profile.kind == "empty" and profile.rows >= FEWEST_ROWS else 0.0
    if profile.kind == "option" and has_options:
        return 0.5
    score = min(1.0, profile.mean_length / 20) if profile.is_text else 0.0
    if profile.categorical or profile.kind in ("number", "date", "url", "contact", "code", "option"):
        score -= 2.5
    elif profile.kind == "person":
        score -= 1.0
    if profile.asking > 0.6 and profile.mean_length < 60:
        score -= 1.0
    return score - (profile.filled < 0.5 * profile.rows)


def _layout(
    question: str,
    answer: str,
    names: Sequence[str],
    plain: Mapping[str, str],
    profiles: Mapping[str, ColumnProfile],
    options: tuple[str, ...],
    given: Mapping[str, str],
) -> RowLayout:
    """The layout around a question and an answer column: what else the names tell."""
    taken = {question, answer, *given.values(), *options}
    roles = {name: header_role(plain[name]) for name in names if name not in taken}
    by_role = {
        role: [n for n, r in roles.items() if r == role] for role in ("system", "history", "reasoning", "inputs")
    }
    texts = [name for name in by_role["inputs"] if profiles.get(name, _NOTHING).kind != "structure"]
    inputs = texts if "question" not in given else []
    if plain[question] in _INSTRUCTIONS and "question" not in given:
        inputs += [n for n in names if n not in taken and n not in inputs and question_score(plain[n]) >= 3.0]
    profile = profiles.get(question, _NOTHING)
    if "question" not in given and (profile.constant or profile.categorical):
        inputs += [n for n in names if n not in taken and n not in inputs and is_body_name(plain[n])]
    if "input" in given:
        inputs = [given["input"]]
    return RowLayout(
        question,
        answer,
        tuple(inputs),
        options,
        given.get("system") or next(iter(by_role["system"]), ""),
        given.get("history") or next(iter(by_role["history"]), ""),
        next(iter(by_role["reasoning"]), ""),
        rejected=given.get("rejected", ""),
        repeats=_repeats(question, answer, names, plain) if not given else (),
        followups=followup_columns(names),
    )


def layout_beside(names: Sequence[str]) -> RowLayout:
    """System, history and reasoning as they stand beside a list of messages."""
    roles = {header_role(plain_header(name)): name for name in reversed(names)}
    return RowLayout(
        system=roles.get("system", ""), history=roles.get("history", ""), reasoning=roles.get("reasoning", "")
    )


def _repeats(question: str, answer: str, names: Sequence[str], plain: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Further columns of the same two names with a number behind them: 问题1, 答案1, 问题2, 答案2."""

    def alike(name: str) -> list[str]:
        stem = _without_number(plain[name])
        return [n for n in names if _without_number(plain[n]) == stem]

    questions, answers = alike(question), alike(answer)
    if len(questions) != len(answers) or questions[0] != question or answers[0] != answer:
        return ()
    return tuple(zip(questions[1:], answers[1:], strict=True))


def _without_number(name: str) -> str:
    return re.sub(r"(?:_?\(?\d+\)?|[一二三四五六])$", "", name)


def rivals(ranked: Sequence[Hypothesis], profiles: Mapping[str, ColumnProfile]) -> list[RowLayout]:
    """The layouts that the user has to choose from; empty where the best of ``ranked`` is clear.

    In doubt are: another one within ``CLEAR_MARGIN``; answers that would be degenerate (a status, names, numbers)
    beside a column of text that nobody uses, or under a name that promises sentences; much text in a column of a name
    that says nothing.
    """
    best = ranked[0].layout
    instruction_first = plain_header(best.question) in _INSTRUCTIONS
    near = [
        h.layout
        for h in ranked[1:]
        if h.score > ranked[0].score - CLEAR_MARGIN
        and not (instruction_first and h.layout.question in best.inputs)
        and (h.layout.question, h.layout.answer) not in best.repeats
        and not _is_mixed_repeat(h.layout, best)
    ]
    if near:
        return [best, *near]
    unread = unread_columns(best, profiles)
    keys = [n for n in unread if names_the_key(plain_header(n)) and not profiles[n].is_text and profiles[n].filled]
    if keys and not names_the_key(plain_header(best.answer)):
        return [best, *(replace(best, answer=n, repeats=()) for n in keys[:1])]
    answer = profiles.get(best.answer, _NOTHING)
    degenerate = answer.filled >= FEWEST_ROWS and not answer.is_text and answer.kind != "structure"
    if degenerate and not (answer.kind in ("option", "number") and best.options):
        others = [n for n in profiles if n not in best.columns() and _is_prose(profiles[n], answer)]
        others = [n for n in others if not is_metadata_name(plain_header(n))]
        if others:
            return [replace(best, answer=n, repeats=()) for n in others[:2]] + [best]
        if not names_the_key(plain_header(best.answer)):
            return [best]
    unknown = [n for n, role in unread.items() if role == "not_understood"]
    total = sum(profile.characters for profile in profiles.values()) or 1.0
    largest = max(unknown, key=lambda n: profiles[n].characters, default="")
    if largest and profiles[largest].characters > 0.3 * total and profiles[largest].filled >= FEWEST_ROWS:
        return [best, replace(best, inputs=(*best.inputs, largest))]
    return []


def _is_prose(profile: ColumnProfile, answer: ColumnProfile) -> bool:
    return profile.is_text and profile.mean_length >= 8 and profile.filled >= 0.5 * answer.filled


def _is_mixed_repeat(layout: RowLayout, best: RowLayout) -> bool:
    """A question and an answer of two different repeats (问题1 with 答案2)."""
    pairs = ((best.question, best.answer), *best.repeats)
    return layout.question in {q for q, _ in pairs} and layout.answer in {a for _, a in pairs} and len(pairs) > 1


def unread_columns(layout: RowLayout, profiles: Mapping[str, ColumnProfile]) -> dict[str, str]:
    """What becomes of the columns that a layout does not use: name → ``metadata``, ``left_out``, ``not_understood``."""
    used = layout.columns()
    roles = {}
    for name, profile in profiles.items():
        if name in used:
            continue
        plain = plain_header(name)
        if is_metadata_name(plain) or not profile.is_text or profile.constant or profile.mean_length < _SHORT_TEXT:
            roles[name] = "metadata"
        elif question_score(plain) >= 1 or answer_score(plain) >= 1 or header_role(plain) or is_body_name(plain):
            roles[name] = "left_out"
        else:
            roles[name] = "not_understood"
    return roles


def layout_by_content(row: Values, profiles: Mapping[str, ColumnProfile]) -> RowLayout | None:
    """The layout of columns without names, where it is beyond doubt: one column asks, one other holds text.

    ``row`` is the first row; its question ends with a question mark.
    """
    texts = [name for name, profile in profiles.items() if profile.is_text]
    asking = [n for n in texts if profiles[n].asking >= 0.8 and str(row.get(n, "")).rstrip().endswith(("?", "？"))]
    others = [n for n in texts if n not in asking]
    if len(asking) != 1 or len(others) != 1 or profiles[others[0]].filled < FEWEST_UNNAMED:
        return None
    return RowLayout(asking[0], others[0]) if profiles[others[0]].asking <= 0.5 else None


def looks_like_content(name: str, profile: ColumnProfile) -> bool:
    """A cell of the first row that is a value rather than a header: it is what the rest of its column is."""
    kind = _kind_of(name, name)
    if name.rstrip().endswith(("?", "？")) or len(name) > _LONGEST_HEADER:
        return True
    a_question = asks(name) and len(name) > 5 and profile.asking >= 0.8
    return a_question or (
        kind == profile.kind and kind in ("number", "date", "url", "contact", "code") and kind != "empty"
    )


def layouts_by_content(names: Iterable[str], profiles: Mapping[str, ColumnProfile]) -> list[RowLayout]:
    """Likely layouts where the names tell nothing: who asks, and whose values are longest."""
    there = {n: profiles[n] for n in names if n in profiles}
    known = {n: p for n, p in there.items() if p.filled >= FEWEST_UNNAMED and p.is_text}
    asking = sorted(known, key=lambda n: -_question_content(known[n]) - known[n].asking)
    longest = sorted(known, key=lambda n: (not known[n].is_text, -known[n].mean_length))
    return [RowLayout(q, a) for q, a in product(asking[:2], longest[:3]) if q != a][:3]
