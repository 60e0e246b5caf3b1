"""Text without speakers: numbered questions, blocks, neighbouring lines, or two fields on a line.

Only strong evidence is taken, and a finding says what was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lora_scripts.data.clean import scrub
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.messages import text as say

# Line (1-based) and text.
Line = tuple[int, str]
Pair = tuple[Line, list[Line]]

_FEWEST = 3
_ASKS = re.compile(
    r"[?？]|吗|呢|怎么|怎样|如何|什么|为何|哪|多少|能否|是否|可以.{0,8}不|\b(?:what|how|why|when|where|who|which|can|is|are|do|does)\b",
    re.I,
)
_NUMBER = re.compile(
    r"\s*(?:(?:第\s*)?(?:(?P<digits>\d{1,6})\s*(?:[.．](?!\d)|[、)）]|[题问]\s*[:：.、]?)"
    r"|(?P<words>[一二三四五六七八九十百]{1,6})\s*(?:[、．)）]|[题问]\s*[:：.、]?))"
    r"|[（(](?:(?P<boxed>\d{1,6})|(?P<boxed_words>[一二三四五六七八九十百]{1,6}))[)）])\s*"
)
_BETWEEN = re.compile(r"\t+|\s*\|{1,3}\s*|\s*(?:=>|-->|→|####)\s*")
_DIGITS = {c: i for i, c in enumerate("一二三四五六七八九", 1)}


def read_paragraphs(text: str) -> Parsed | None:
    """The pairs of a text without speakers, or None where nothing tells its questions from its answers."""
    text, touched = scrub(text)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1)]
    filled = [line for line in lines if line[1].strip()]
    readings = (
        ("fields", "fields_assumed", _on_one_line(filled)),
        ("numbered", "numbered_assumed", _numbered(filled, lines)),
        ("blocks", "blocks_assumed", _blocks(lines)),
        ("neighbours", "neighbours_assumed", _neighbours(filled)),
    )
    kind, told, pairs = next((r for r in readings if r[2]), ("", "", []))
    if not pairs:
        return None
    drafts = [_draft(pair) for pair in pairs]
    remarks: list[tuple[str, str, int, dict[str, object]]] = [("warning", told, drafts[0].line, {"count": len(drafts)})]
    above = sum(number < drafts[0].line for number, _ in filled)
    if above:
        remarks.append(("info", "preamble", 1, {"lines": drafts[0].line - 1}))
    if touched:
        remarks.append(("info", "invisible_characters", 1, {"count": touched}))
    return Parsed("blocks", say(f"data.detail.{kind}"), drafts, remarks)


def _draft(pair: Pair) -> Draft:
    (number, asked), answer = pair
    turns = (Message("user", asked), Message("assistant", "\n".join(words for _, words in answer)))
    return Draft(number, turns if answer else turns[:1])


def _asks(line: str) -> bool:
    return bool(_ASKS.search(line))


def _ends_asking(line: str) -> bool:
    return line.rstrip(" \t”\"')）").endswith(("?", "？"))


def _blocks(lines: Sequence[Line]) -> list[Pair]:
    """Blocks of at least two lines, nearly all beginning with a question that their other lines do not ask."""
    blocks: list[Pair] = []
    blank = True
    for number, line in lines:
        if line.strip():
            if blank:
                blocks.append(((number, line), []))
            else:
                blocks[-1][1].append((number, line))
        blank = not line.strip()
    paired = [b for b in blocks if b[1]]
    asking = sum(_asks(head[1]) for head, _ in paired)
    answering = sum(not _ends_asking(answer[-1][1]) for _, answer in paired)
    enough = max(_FEWEST, 0.9 * len(blocks))
    if len(paired) < enough or asking < 0.7 * len(paired) or answering < 0.9 * len(paired):
        return []
    return blocks


def _neighbours(filled: Sequence[Line]) -> list[Pair]:
    """Lines that take turns: a question, its answer, a question, …, with or without blank lines between them."""
    start = 0 if filled and _asks(filled[0][1]) else 1  # a title may stand above
    rows = filled[start:]
    asked, answers = rows[::2], rows[1::2]
    if len(answers) < _FEWEST or len(asked) != len(answers):
        return []
    asking = sum(_ends_asking(line) for _, line in asked)
    answering = sum(not _ends_asking(line) for _, line in answers)
    if asking < 0.9 * len(asked) or answering < 0.95 * len(answers):
        return []
    return [(question, [answer]) for question, answer in zip(asked, answers, strict=True)]


def _on_one_line(filled: Sequence[Line]) -> list[Pair]:
    """Lines of two fields, a question and its answer, between which a tab, a bar or an arrow stands."""
    pairs: list[Pair] = []
    for number, line in filled:
        fields = _BETWEEN.split(line.strip())
        if len(fields) == 2 and all(fields):
            pairs.append(((number, fields[0]), [(number, fields[1])]))
    asking = sum(_asks(asked) for (_, asked), _ in pairs)
    answering = sum(not _ends_asking(answer[0][1]) for _, answer in pairs)
    if len(pairs) < max(_FEWEST, len(filled)) or asking < 0.8 * len(pairs) or answering < 0.9 * len(pairs):
        return []
    return pairs


def _numbered(filled: Sequence[Line], lines: Sequence[Line]) -> list[Pair]:
    """Questions counted 1, 2, 3 …, each with its answer below; a list inside an answer starts its own count."""
    heads: list[tuple[int, int]] = []  # line, where its words begin
    for number, line in filled:
        found = _NUMBER.match(line)
        if found and _value(found) == len(heads) + 1 and _asks(line):
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
    still_asking = sum(bool(answer) and _ends_asking(answer[-1][1]) for _, answer in pairs)
    above = sum(number < heads[0][0] for number, _ in filled)
    if answered < 0.8 * len(pairs) or still_asking > 0.1 * len(pairs) or above > 5:
        return []
    return pairs


def _value(found: re.Match[str]) -> int:
    digits = found["digits"] or found["boxed"]
    if digits:
        return int(digits)
    hundreds, _, rest = (found["words"] or found["boxed_words"]).rpartition("百")
    tens, ten, units = rest.rpartition("十")
    value = 100 * _DIGITS.get(hundreds, 1) if hundreds or "百" in found[0] else 0
    return value + (10 * _DIGITS.get(tens, 1) if ten else 0) + _DIGITS.get(units, 0)
