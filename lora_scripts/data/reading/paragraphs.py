"""Text without speakers: numbered questions, blocks, neighbouring lines, or two fields on a line.

Only strong evidence is taken, and a finding says what was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.labels import match_number, number_value
from lora_scripts.data.reading.line_roles import LineRoles, listed_lines
from lora_scripts.data.reading.questions import asks, ends_asking
from lora_scripts.data.reading.record_marks import sign_of, without_common_marks
from lora_scripts.data.reading.stray_lines import is_fragment
from lora_scripts.data.reading.turn_evidence import is_to_fill_in
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.messages import text as say

# Line (1-based) and text.
Line = tuple[int, str]
Pair = tuple[Line, list[Line]]

_FEWEST = 3
_JSON_KEY = re.compile(r'\s*"[^"\n]{1,40}"\s*:')
_MOST_FRAGMENTS = 3  # blocks that are no pairs
_ASKING_MORE = 0.3  # share of the lines by which more first fields than second ones ask, for a tab to part pairs
_COUNT_LINE = re.compile(r"\W*(\d{1,6})\W*")
_BETWEEN = re.compile(r"\t+|(?<=[?？])[ 　]+(?=\w)|\s*——\s*|\s*\|{1,3}\s*|\s*(?:=>|-->|→|####)\s*")


def read_paragraphs(text: str, first: int = 1) -> Parsed | None:
    """The pairs of a text without speakers, or None where nothing tells its questions from its answers.

    ``first`` is the number of its first line in its file.
    """
    text, touched = scrub(text)
    written = text.split("\n")
    counts = _counts_alone(written)
    lines = [(n, "" if n in counts else line) for n, line in enumerate(written, 1)]
    filled = [line for line in lines if line[1].strip()]
    if sum(bool(_JSON_KEY.match(line)) for _, line in filled) >= 0.5 * len(filled):
        return None  # what is broken of an object is no text
    readings = (
        ("fields", "fields_assumed", _on_one_line(filled)),
        ("numbered", "numbered_assumed", _numbered(filled, lines)),
        ("blocks", "blocks_assumed", _signed(filled) or _indented(filled) or _blocks(lines, 2) or _blocks(lines)),
        ("neighbours", "neighbours_assumed", _neighbours(filled)),
    )
    kind, told, pairs = next((r for r in readings if r[2]), ("", "", []))
    if not pairs:
        return None
    if is_to_fill_in([answer[0][1] if answer else "" for _, answer in pairs]):
        return None
    left_out = _fragments_between(filled, pairs) if kind == "blocks" else []
    pairs, marks = _without_marks(pairs)
    drafts = [_draft(pair) for pair in pairs]
    remarks: list[tuple[str, str, int, dict[str, object]]] = [("warning", told, drafts[0].line, {"count": len(drafts)})]
    above = sum(number < drafts[0].line for number, _ in filled)
    if above:
        remarks.append(("info", "preamble", 1, {"lines": drafts[0].line - 1}))
    if marks:
        remarks.append(("info", "record_marks", drafts[0].line, {"marks": " ".join(marks)}))
    if left_out:
        shown = listed_lines(number + first - 1 for number in left_out)
        remarks.append(("warning", "stray_lines", left_out[0], {"count": len(left_out), "lines": shown}))
    if touched:
        remarks.append(("info", "invisible_characters", 1, {"count": touched}))
    account = LineRoles(written, first)
    for number in counts:
        account.assign(number - 1, number, "metadata")
    account.assign_preamble(drafts[0].line - 1)
    for number in left_out:
        account.assign(number - 1, number, "left_out")
    for (question, _), answer in pairs:
        account.assign(question - 1, question, "question")
        for number, _ in answer:
            account.assign(number - 1, number, "answer" if number != question else "question")
    return account.account(Parsed("blocks", say(f"data.detail.{kind}"), drafts, remarks))


def _fragments_between(filled: Sequence[Line], pairs: Sequence[Pair]) -> list[int]:
    """Numbers of the lines between and below the pairs."""
    read = {number for question, answer in pairs for number, _ in (question, *answer)}
    return [number for number, _ in filled if number > pairs[0][0][0] and number not in read]


def _without_marks(pairs: list[Pair]) -> tuple[list[Pair], list[str]]:
    """``pairs`` without the marks in front of all questions or all answers, and these."""
    questions, asked_with = without_common_marks([words for (_, words), _ in pairs])
    numbers, answered_with = asked_with == "1", ""
    firsts = [answer[0][1] if answer else "" for _, answer in pairs]
    firsts, answered_with = without_common_marks(firsts, numbers)
    out: list[Pair] = []
    for ((number, _), answer), question, first in zip(pairs, questions, firsts, strict=True):
        out.append(((number, question), [(answer[0][0], first), *answer[1:]] if answer else []))
    return out, [mark for mark in dict.fromkeys((asked_with, answered_with)) if mark]


def _counts_alone(lines: Sequence[str]) -> set[int]:
    """Lines (1-based) that hold nothing but 1, 2, 3 … in order: they part records."""
    counts: list[int] = []
    for number, line in enumerate(lines, 1):
        found = _COUNT_LINE.fullmatch(line) if len(line) < 12 else None
        if found and int(found[1]) == len(counts) + 1:
            counts.append(number)
    return set(counts) if len(counts) >= _FEWEST else set()


def _draft(pair: Pair) -> Draft:
    (number, asked), answer = pair
    turns = (Message("user", asked), Message("assistant", "\n".join(words for _, words in answer)))
    return Draft(number, turns if answer else turns[:1])


def _indented(filled: Sequence[Line]) -> list[Pair]:
    """Questions at the margin, each with indented lines below it."""
    blocks: list[Pair] = []
    for number, line in filled:
        if line[0] not in " \t　":
            blocks.append(((number, line), []))
        elif blocks:
            blocks[-1][1].append((number, line.strip()))
    return _if_they_ask(blocks)


def _signed(filled: Sequence[Line]) -> list[Pair]:
    """Questions behind a sign (``★``) that no answer has, each with the lines down to the next one."""
    sign = sign_of(filled[0][1]) if filled else ""
    blocks: list[Pair] = []
    for number, line in filled if sign else ():
        if sign_of(line) == sign:
            blocks.append(((number, line), []))
        else:
            blocks[-1][1].append((number, line))
    return _if_they_ask(blocks)


def _blocks(lines: Sequence[Line], gap: int = 1) -> list[Pair]:
    """Blocks of at least two lines between ``gap`` blank lines, nearly all beginning with a question."""
    blocks: list[Pair] = []
    blank = gap
    for number, line in lines:
        if line.strip():
            if blank >= gap:
                blocks.append(((number, line), []))
            else:
                blocks[-1][1].append((number, line))
        elif blocks and blank + 1 < gap and blocks[-1][1]:
            blocks[-1][1].append((number, ""))
        blank = 0 if line.strip() else blank + 1
    for _, answer in blocks:
        while answer and not answer[-1][1]:
            answer.pop()
    asking = [b for b in blocks if asks(b[0][1]) or not is_fragment([b[0][1], *(words for _, words in b[1])])]
    # what neither asks nor holds a sentence is a heading, a menu or the foot of a page
    return _if_they_ask(asking if len(asking) >= _FEWEST and len(blocks) - len(asking) <= _MOST_FRAGMENTS else blocks)


def _if_they_ask(blocks: list[Pair]) -> list[Pair]:
    """``blocks`` where nearly all begin with a question that their other lines do not ask."""
    paired = [b for b in blocks if b[1]]
    asking = sum(asks(head[1]) for head, _ in paired)
    answering = sum(not ends_asking(answer[-1][1]) for _, answer in paired)
    enough = max(_FEWEST, 0.9 * len(blocks))
    if len(paired) < enough or asking < 0.7 * len(paired) or answering < 0.9 * len(paired):
        return []
    return blocks


def _neighbours(filled: Sequence[Line]) -> list[Pair]:
    """Lines that take turns: a question, its answer, a question, …, with or without blank lines between them."""
    start = 0 if filled and asks(filled[0][1]) else 1  # a title may stand above
    rows = filled[start:]
    asked, answers = rows[::2], rows[1::2]
    if len(answers) < _FEWEST or len(asked) != len(answers):
        return []
    asking = sum(ends_asking(line) for _, line in asked)
    answering = sum(not ends_asking(line) for _, line in answers)
    if asking < 0.9 * len(asked) or answering < 0.95 * len(answers):
        return []
    return [(question, [answer]) for question, answer in zip(asked, answers, strict=True)]


def _most(flags: Sequence[bool]) -> bool:
    return sum(flags) >= 0.6 * len(flags)


def _on_one_line(filled: Sequence[Line]) -> list[Pair]:
    """Lines of two fields, a question and its answer, between which a tab, a bar or an arrow stands."""
    pairs: list[Pair] = []
    for number, line in filled:
        fields = _BETWEEN.split(line.strip())
        if len(fields) == 3 and fields[0].isdecimal() and int(fields[0]) in (len(pairs), len(pairs) + 1):
            fields = fields[1:]  # counted rows
        if len(fields) == 2 and all(fields):
            pairs.append(((number, fields[0]), [(number, fields[1])]))
    asking = sum(asks(asked) for (_, asked), _ in pairs)
    answering = sum(not ends_asking(answer[0][1]) for _, answer in pairs)
    if len(pairs) == len(filled) >= _FEWEST and all("\t" in line for _, line in filled):
        told_apart = asking - sum(asks(answer[0][1]) for _, answer in pairs) >= _ASKING_MORE * len(pairs)
        longer = sum(len(answer[0][1]) > len(asked) for (_, asked), answer in pairs) >= 0.8 * len(pairs)
        if told_apart and longer:
            return pairs
    if len(pairs) < max(_FEWEST, len(filled)) or asking < 0.8 * len(pairs) or answering < 0.9 * len(pairs):
        return []
    return pairs


def _numbered(filled: Sequence[Line], lines: Sequence[Line]) -> list[Pair]:
    """Questions counted 1, 2, 3 …, each with its answer below; a list inside an answer starts its own count.

    Where nothing else is numbered, most of them have to ask; else all.
    """
    counted = [(number, found) for number, line in filled if (found := match_number(line))]
    heads: list[tuple[int, int]] = []  # line, where its words begin
    asking = [asks(lines[number - 1][1]) for number, _ in counted]
    if [number_value(f) for _, f in counted] == list(range(1, len(counted) + 1)) and _most(asking):
        heads = [(number, found.end()) for number, found in counted]
    else:
        for (number, found), is_asking in zip(counted, asking, strict=True):
            if number_value(found) == len(heads) + 1 and is_asking:
                heads.append((number, found.end()))
    if len(heads) < _FEWEST:
        return []
    ends = [number for number, _ in heads[1:]] + [len(lines) + 1]
    pairs: list[Pair] = []
    for (number, start), end in zip(heads, ends, strict=True):
        answer = list(lines[number : end - 1])
        while answer and not answer[-1][1].strip():
            answer.pop()
        while answer and not answer[0][1].strip():
            answer.pop(0)
        pairs.append(((number, lines[number - 1][1][start:]), answer))
    answered = sum(bool(answer) for _, answer in pairs)
    still_asking = sum(bool(answer) and ends_asking(answer[-1][1]) for _, answer in pairs)
    above = sum(number < heads[0][0] for number, _ in filled)
    if answered < 0.8 * len(pairs) or still_asking > 0.1 * len(pairs) or above > 5:
        return []
    return pairs
