"""Lines that may open a turn: a name and a colon, a name in brackets, a count (``Q1.``), a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lora_scripts.data.reading.inline import COLON
from lora_scripts.data.reading.names import plain_name, role_of
from lora_scripts.data.reading.questions import asks, ends_asking

_LEAD = (
    r"[\s>#*•●·■◆◇★☆▶►→▪\-]*"
    r"(?:[\[(（]?\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?[\])）]?\s+"
    r"|\[?\d{1,2}:\d{2}(?::\d{2})?\]?\s+)?"
    r"(?P<number>(?:第\s*)?(?:\d{1,6}\s*[.、．)）]|[一二三四五六七八九十百零〇]{1,6}\s*[、．)）])\s*"
    r"|[（(](?:\d{1,6}|[一二三四五六七八九十百零〇]{1,6})[)）]\s*|[\[【]\d{1,6}[\]】]\s*|[①-⑳]\s*)?"
    r"\*{0,2}"
)
_NAME = r"[^\W\d_][\w \-·'’“”&/.]{0,23}?(?:\s*[（(][^（）()\n]{1,16}[)）])?"
_DOTTED = re.compile(r"[QqAa][.．]\d{1,5}")
_MARK = re.compile(
    rf"{_LEAD}(?:[【\[〔［<＜「『]\s*\|?(?P<boxed>{_NAME})\|?\s*[】\]〕］>＞」』]\*{{0,2}}\s*{COLON}?"
    r"|(?P<counted>(?:[QqAa]|问题?|答案?|提问|回答)\s?\d{1,5})\s*(?:[.．](?!\d)|[、)）|｜])"
    rf"|(?P<dotted>{_DOTTED.pattern})(?=\s)"
    rf"|(?P<bare>{_NAME})\*{{0,2}}\s*{COLON}(?!//))\*{{0,2}}\s*"
)
_HEADING = re.compile(rf"\s*#{{1,6}}\s*(?P<bare>{_NAME})\s*$")
_START = re.compile(_LEAD)
_WORD = re.compile(r"[^\W\d_]\S{0,15}(?=\s|$)")
# A known name in front of a tab, blanks, "=" or a dash.
_PARTED = re.compile(r"\s*(第\s?\d{1,4}\s?[问题]|[^\W\d_]{1,10})(?:\s*[=＝]\s*|\s+[-–—]\s+|[ \t　]+)")
_FEWEST_PARTED = 3  # lines of each side from which such a sign stands for the colon
_LEAST_PARTED = 0.1  # of all lines
_ENOUGH_COLONS = 500  # labels with a colon from which nothing else is looked for
_ARTICLE = re.compile(r"第[\d一二三四五六七八九十百零〇]+[条款章节项]")
_MAX_WORDS = 3
_MAX_CJK = 10
_NUMBER = re.compile(
    r"\s*(?:(?:第\s*)?(?:(?P<digits>\d{1,6})\s*(?:[.．](?!\d)|[、)）]|[题问]\s*[:：.、]?)"
    r"|(?P<words>[一二三四五六七八九十百]{1,6})\s*(?:[、．)）]|[题问]\s*[:：.、]?))"
    r"|[（(](?:(?P<boxed>\d{1,6})|(?P<boxed_words>[一二三四五六七八九十百]{1,6}))[)）]"
    r"|(?:[Nn][Oo]\.?|№)\s?(?P<counted>\d{1,6})(?:\s*[.．、:：)）]|(?=\s))|(?P<circled>[①-⑳]))\s*"
)
_DIGITS = {c: i for i, c in enumerate("一二三四五六七八九", 1)}
_MOST_UNANSWERED = 5  # questions in a row
UNLABELLED = ""  # the name of a turn that has none


@dataclass(frozen=True, slots=True)
class Mark:
    """A line (0-based) that may open a turn: whose, where its words begin, and what stands before it.

    ``cost`` of taking it for one: 0 with a colon or brackets; such a mark (``sure``) is never passed over.
    """

    line: int
    name: str
    shown: str
    start: int
    numbered: bool
    blank: int
    cost: float = 0.0
    sure: bool = True


def find_marks(lines: Sequence[str]) -> list[Mark]:
    """The lines that begin with a label, whoever's."""
    out: list[Mark] = []
    without_colon: list[Mark] = []
    dotted: set[str] = set()
    blank = 1
    for number, line in enumerate(lines):
        if not line.strip():
            blank += 1
            continue
        found = _MARK.match(line)
        parted = None if found or len(out) > _ENOUGH_COLONS else _PARTED.match(line)
        if parted and role_of(name := plain_name(parted[1])):
            without_colon.append(Mark(number, name, parted[1], parted.end(), False, blank))
        elif not found and len(line) <= _MAX_CJK and role_of(name := plain_name(line.strip())):  # on a line of its own
            without_colon.append(Mark(number, name, line.strip(), len(line), False, blank))
        heading = None if found else _HEADING.match(line)
        if heading and role_of(name := plain_name(heading["bare"])):
            out.append(Mark(number, name, heading["bare"], heading.end(), False, blank))
        if found:
            shown = (found["boxed"] or found["counted"] or found["dotted"] or found["bare"]).strip()
            name = plain_name(shown)
            # The limit keeps clauses ("双方协商一致的情况下：") from being taken for names.
            if (
                len(name.split()) <= _MAX_WORDS
                and not _ARTICLE.fullmatch(name)
                and (name.isascii() or len(name) <= _MAX_CJK)
            ):
                out.append(Mark(number, name, shown, found.end(), bool(found["number"]), blank))
            dotted |= {name} if found["dotted"] else set()
        blank = 0
    if dotted == {"a"}:  # A.3: an option; with Q.3 an answer
        out = [mark for mark in out if not _DOTTED.fullmatch(mark.shown)]
    roles = Counter(role_of(mark.name) for mark in without_colon)
    enough = max(len(out), _LEAST_PARTED * sum(map(bool, lines)))
    if min(roles["user"], roles["assistant"]) >= _FEWEST_PARTED and len(without_colon) > enough:
        return without_colon
    return out


def without_options(marks: list[Mark], given: Mapping[str, str]) -> list[Mark]:
    """Without the A of ``A: yes / B: no`` in a text whose speakers have names: a choice, not an answer."""
    if "b" in given or not any(m.name in given or role_of(m.name) == "user" for m in marks):
        return marks
    after = [*marks[1:], None]
    return [m for m, then in zip(marks, after, strict=True) if m.name != "a" or then is None or then.name != "b"]


def weak_marks(lines: Sequence[str], strong: Iterable[Mark], names: Mapping[str, str], given: set[str]) -> list[Mark]:
    """Lines that begin with a speaker's name and a space; for a given name that never has a colon, glued too."""
    taken = {m.line for m in strong if m.name in names}
    glued = sorted(given - {m.name for m in strong}, key=len, reverse=True)
    out, blank = [], 1
    for number, line in enumerate(lines):
        if not line.strip():
            blank += 1
            continue
        start = _START.match(line) if number not in taken else None
        if start:
            at, numbered = start.end(), bool(start["number"])
            word = _WORD.match(line, at)
            hit = next((n for n in glued if line[at : at + 24].casefold().startswith(n)), None)
            if hit:
                out.append(Mark(number, hit, hit, at + len(hit), numbered, blank, 0.0, False))
            elif word and (name := plain_name(word[0])) in names:
                out.append(Mark(number, name, word[0], word.end(), numbered, blank, 0.5, False))
        blank = 0
    return out


def unlabelled_questions(lines: Sequence[str], marks: Sequence[Mark], names: Mapping[str, str]) -> list[Mark]:
    """Questions without a label, numbered or not, above answers that follow no question.

    Empty where fewer than half of such answers have one.
    """
    spoken = [m for m in marks if names[m.name] in ("user", "assistant")]
    found, count, regular = list[Mark](), 0, 0
    count_of_answers = sum(names[mark.name] == "assistant" for mark in spoken)
    missing: list[tuple[int, int]] = []  # where questions may stand: lines from the one to in front of the other
    answered: list[tuple[int, int]] = []
    for before, mark in pairwise([None, *spoken]):
        assert mark is not None
        if names[mark.name] != "assistant":
            continue
        count += 1
        regular += before is not None and names[before.name] == "user" and before.line == mark.line - 1
        start = before.line + 1 if before else 0
        if before and (names[before.name] == "user" or start == mark.line):
            continue
        missing.append((start, mark.line))
        if question := _question_above(lines, start, mark.line, count):
            questions, count = _with_unanswered(lines, question, start, mark.line, count)
            found += questions
            answered.append((questions[-1].line, mark.line))
    regular += sum(line == stop - 1 for line, stop in answered)
    is_regular = regular >= max(3, 0.8 * count_of_answers)  # a question right above each answer
    if len(answered) < max(1, 0.5 * len(missing)) and not is_regular:
        return []
    if is_regular:
        there = {stop for _, stop in answered}
        for start, stop in missing:
            if stop not in there and lines[stop - 1].strip() and (start == stop - 1 or not lines[stop - 2].strip()):
                found.append(_question_at(lines, stop - 1))
    if spoken and sum(mark.numbered for mark in found) >= max(3, 0.8 * count_of_answers):
        found += _counted_on(lines, spoken[-1].line + 1, count)
    return found


def _counted_on(lines: Sequence[str], start: int, count: int) -> list[Mark]:
    """Questions below the last answer that go on with the count of those above."""
    found: list[Mark] = []
    for number in range(start, len(lines)):
        counted = _NUMBER.match(lines[number])
        if counted and number_value(counted) == count + len(found) + 1:
            found.append(_question_at(lines, number))
    return found


def _question_at(lines: Sequence[str], number: int) -> Mark:
    """A line right above an answer, where questions without a label stand in the whole file."""
    counted = _NUMBER.match(lines[number])
    begin = counted.end() if counted else 0
    return Mark(number, UNLABELLED, UNLABELLED, begin, bool(counted), _blank_above(lines, number), sure=False)


def _blank_above(lines: Sequence[str], number: int) -> int:
    blank = 0
    while number - blank > 0 and not lines[number - blank - 1].strip():
        blank += 1
    return blank


def _with_unanswered(lines: Sequence[str], question: Mark, start: int, stop: int, count: int) -> tuple[list[Mark], int]:
    """A numbered question, those that are counted above and below it in front of its answer, and the last one's number.

    The last one is answered, the others are not. What stands below one of these may be its answer.
    """
    here = match_number(lines[question.line]) if question.numbered else None
    if here is None or not count <= number_value(here) <= count + _MOST_UNANSWERED:
        return [question], count
    out: list[Mark] = []
    for number in range(start, question.line):  # those that were passed over
        above = match_number(lines[number])
        if above and number_value(above) == count + len(out) < number_value(here):
            out.append(_question_at(lines, number))
    if number_value(here) != count + len(out):
        return [question], count
    count += len(out)
    out.append(question)
    for number in range(question.line + 1, stop):
        below = match_number(lines[number])
        apart = number == stop - 1 or not lines[number - 1].strip() or out[-1].line == number - 1
        if below and number_value(below) == count + 1 and apart:
            out.append(_question_at(lines, number))
            count += 1
    return out, count


def _question_above(lines: Sequence[str], start: int, stop: int, count: int) -> Mark | None:
    """The line in ``start`` to ``stop - 1`` that asks: the last one that has most of question mark, number, gap."""
    best: tuple[float, int, int, bool] | None = None
    below = stop  # the beginning of the block in front of the answer
    while below > start and not lines[below - 1].strip():
        below -= 1
    while below > start and lines[below - 1].strip():
        below -= 1
    for number in range(max(start, stop - 200), stop):
        line = lines[number]
        if not line.strip():
            continue
        counted = _NUMBER.match(line)
        first = number == start or not lines[number - 1].strip()
        if not counted and not (first and number >= below) and number != stop - 1:
            continue
        score = 2.0 * asks(line) + ends_asking(line) + 0.5 * first
        score += (0.5 + 1.5 * (number_value(counted) == count)) if counted else 0.0
        if score >= 2 and (best is None or score >= best[0]):
            best = (score, number, counted.end() if counted else 0, bool(counted))
    if best is None:
        return None
    _, number, begin, numbered = best
    return Mark(number, UNLABELLED, UNLABELLED, begin, numbered, _blank_above(lines, number), sure=False)


def match_number(line: str) -> re.Match[str] | None:
    """The number in front of a line (``1、`` ``（二）`` ``第3题``), for ``number_value``."""
    return _NUMBER.match(line)


def number_value(found: re.Match[str]) -> int:
    """What ``match_number`` found, as a number."""
    digits = found["digits"] or found["boxed"] or found["counted"]
    if digits:
        return int(digits)
    if found["circled"]:
        return ord(found["circled"]) - ord("①") + 1
    hundreds, _, rest = (found["words"] or found["boxed_words"]).rpartition("百")
    tens, ten, units = rest.rpartition("十")
    value = 100 * _DIGITS.get(hundreds, 1) if hundreds or "百" in found[0] else 0
    return value + (10 * _DIGITS.get(tens, 1) if ten else 0) + _DIGITS.get(units, 0)
