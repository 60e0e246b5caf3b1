"""Exam papers: numbered questions, and below a heading (参考答案) their answers by the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.labels import match_number, number_value
from lora_scripts.data.reading.line_roles import LineRoles, line_range
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_FEWEST = 3
_HEADING = re.compile(
    r"\W*(?:[一二三四五六七八九十]\s*[、.．]\s*)?(?:(?:参考|标准|正确)?(?:答案|解答)(?:[与及和]解析|部分|要点)?"
    r"|(?:the )?(?:answers?|answer key|key|solutions))\W*",
    re.IGNORECASE,
)
# Entries of a key on one line: ``1.B  2.C``.
_SHORT = re.compile(r"(?<!\d)(\d{1,3})\s*[.．、:：)）]?\s*([A-Ha-h]{1,8}|[√×✓✗对错])(?![^\W\d_])")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A numbered entry: its line (0-based), where its words begin, and the line behind it."""

    line: int
    start: int
    stop: int


def read_answer_key(text: str, where: str, is_title: Callable[[str], bool]) -> Parsed | None:
    """The pairs of an exam paper whose answers stand at its end; None where the text is none.

    Args:
        text: A whole file.
        where: Its name, for messages.
        is_title: Tells a line that is the title of a section.

    Raises:
        DataError: The answers are there, but their numbers are not those of the questions.
    """
    text, _ = scrub(text)
    lines = text.split("\n")
    headings = [n for n, line in enumerate(lines) if len(line) < 24 and _HEADING.fullmatch(line)]
    if len(headings) != 1:
        return None
    heading = headings[0]
    questions = _counted(lines, 0, heading, is_title)
    if len(questions) < _FEWEST:
        return None
    answers = _answers(lines, heading + 1, len(questions), is_title)
    if answers is None:
        return None
    if len(answers) != len(questions) or _counts_again(lines[:heading]) or _counts_again(lines[heading:]):
        raise DataError(
            "reading.answers_apart", where=f"{where}:{heading + 1}", questions=len(questions), answers=len(answers)
        )
    account = LineRoles(lines)
    account.assign_preamble(questions[0].line)
    account.assign(heading, heading + 1, "metadata")
    drafts = []
    for question, (answer, first, stop) in zip(questions, answers, strict=True):
        account.assign(question.line, question.stop, "question")
        account.assign(first, stop, "answer")
        asked = "\n".join([lines[question.line][question.start :], *lines[question.line + 1 : question.stop]]).strip()
        drafts.append(Draft(question.line + 1, (Message("user", asked), Message("assistant", answer))))
    remarks: list[tuple[str, str, int, dict[str, object]]] = []
    if any(line.strip() for line in lines[: questions[0].line]):
        remarks.append(("info", "preamble", 1, {"lines": questions[0].line}))
    values: dict[str, object] = {"count": len(drafts), "lines": line_range(answers[0][1] + 1, answers[-1][2])}
    remarks.append(("warning", "answers_by_number", heading + 1, values))
    return account.account(Parsed("answer_key", say("data.detail.numbered"), drafts, remarks))


def _counted(lines: Sequence[str], start: int, stop: int, is_title: Callable[[str], bool]) -> list[_Entry]:
    """Entries counted 1, 2, 3 … in lines ``start`` to ``stop - 1``, without titles of sections behind them."""
    by_figures: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for number in range(start, stop):
        if found := match_number(lines[number]):
            heads = by_figures[any(map(str.isdigit, found[0]))]
            if number_value(found) == len(heads) + 1:
                heads.append((number, found.end()))
    heads = max(by_figures.values(), key=len)  # 一、二 number the parts of a paper
    entries = []
    for (number, begin), end in zip(heads, [*(n for n, _ in heads[1:]), stop], strict=True):
        while end > number + 1 and (not lines[end - 1].strip() or is_title(lines[end - 1])):
            end -= 1
        entries.append(_Entry(number, begin, end))
    return entries


def _counts_again(lines: Sequence[str]) -> bool:
    """Whether a number stands in front of two lines, so that it does not tell which entry is meant."""
    values = [number_value(found) for line in lines if (found := match_number(line)) and re.search(r"\d", found[0])]
    return len(set(values)) < len(values)


def _answers(
    lines: Sequence[str], start: int, count: int, is_title: Callable[[str], bool]
) -> list[tuple[str, int, int]] | None:
    """The answers below a heading with the lines they take, each entry or each short key; None where there are none."""
    entries = _counted(lines, start, len(lines), is_title)
    short = [(int(m[1]), m[2], n) for n in range(start, len(lines)) for m in _SHORT.finditer(lines[n])]
    if [number for number, _, _ in short] == list(range(1, count + 1)):
        return [(key, n, n + 1) for _, key, n in short]
    if len(entries) < _FEWEST:
        return None
    return [
        ("\n".join([lines[e.line][e.start :], *lines[e.line + 1 : e.stop]]).strip(), e.line, e.stop) for e in entries
    ]
