"""Marks to turns: where the words of each turn end, and what stands between turns and is no part of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from lora_scripts.data.reading.dialogues import Turn
from lora_scripts.data.reading.labels import Mark
from lora_scripts.data.reading.line_roles import LineRoles
from lora_scripts.data.reading.notices import is_state_of_session
from lora_scripts.data.reading.record_headers import header_start
from lora_scripts.data.reading.record_marks import close_tag, is_tag_line
from lora_scripts.data.reading.stray_lines import stray_line_counts
from lora_scripts.data.reading.timestamps import DATE_LINE

_ANY_PAGE = re.compile(r"第\s*\d+\s*页|\bpage\s+\d|[-—–]\s*\d{1,4}\s*[-—–]\s*$", re.IGNORECASE | re.MULTILINE)
_ORNAMENTED = re.compile(r"[—–=~（(【\[]")
_QUOTE = re.compile(r"^\s*>\s?")
_FEW_SYSTEM_TEXTS = 0.2  # share of the questions up to which a system text inside the file is a notice
PAGE_LINE = "\x00"  # in place of a line that belongs to a page, not to the text
_PAGE = re.compile(
    r"\W*第\s*\d+\s*页(?:\W*共\s*\d+\s*页)?\W*|\W*page\s+\d+(?:\s*(?:of|/)\s*\d+)?\W*|[-—–]\s*\d{1,4}\s*[-—–]",
    re.IGNORECASE,
)
# A running head or foot with its page; a colon or a stop makes it a sentence.
_NUMBERED_PAGE = re.compile(
    r"[^：:。，,；;]{0,40}(?:第\s*\d+\s*页(?:\W*共\s*\d+\s*页)?|\bpage\s+\d+(?:\s*(?:of|/)\s*\d+)?|[-—–]\s*\d{1,4}\s*[-—–])\W*$",
    re.IGNORECASE,
)
_DIVIDER = re.compile(
    r"\s*(?:(?:[-=*_#~—－＝·.+] ?){3,}|(?:#+\s*)?(?:第\s*[\d一二三四五六七八九十百]+\s*[个组段条轮次号]?\s*)?"
    r"(?:对话|问答|案例|会话|样本|记录|dialogue|dialog|conversation|session|example|sample|case|chat|qa|q&a)"
    r"\s*(?:#|no\.?|第)?\s*[\d一二三四五六七八九十百]*\s*[.:：]?|[（(]?\d{1,6}[)）.、．])\s*",
    re.IGNORECASE,
)

# Titles of sections between records: ``## 工资``, ``第二章 工资``, ``【工资】``, ``【场景二】工资``, ``二、工资``.
_TITLE = re.compile(
    r"\s{0,3}(?:#{1,6}\s+[^。；，]{1,40}"
    r"|第[\d一二三四五六七八九十百]{1,4}\s*(?:部分|[章节部篇编类])\s*[：:]?[^。；，：:?？]{0,24}"
    r"|[【〖][^】〗。；，]{0,12}[\d一二三四五六七八九十]{1,3}[^】〗。；，]{0,4}[】〗][^。；，：:?？]{1,20}"
    r"|[一二三四五六七八九十]{1,3}\s*[、.．]\s*[^。；，：:?？]{1,20}|[【〖]\s*[^】〗。；，]{1,20}[】〗]"
    r"|[=*—－-]{2,}\s*[^=*—-]{1,24}\s*[=*—－-]{2,}"
    r"|(?:chapter|part|section|topic)\s+[\dIVX]{1,4}\b.{0,40})\s*",
    re.IGNORECASE,
)


# What stands below the last record: （完）, —— 全文完 ——, *** end of file ***, and who made it.
_END = re.compile(
    r"\W*(?:.{0,16}(?:到此|至此)(?:结束|为止)"
    r"|(?:全文|本文|文档|以上)?\W*(?:完|完毕|结束|终)|(?:the )?end(?: of .{1,20})?|eof)\W*"
    r"|[—=*－-]{2,}\s*[^—=*－-]{1,30}\s*[—=*－-]{2,}\s*",
    re.IGNORECASE,
)


def footer_start(lines: Sequence[str], start: int) -> int:
    """The line in ``start`` to the end from which a footer reaches to the end of the text."""
    stop = len(lines)
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    first = stop
    while first > start and lines[first - 1].strip():
        first -= 1
    apart = first > start
    return first if apart and stop - first <= 4 and any(map(_END.fullmatch, lines[first:stop])) else len(lines)


def _is_title(body: Sequence[str]) -> bool:
    """Whether the last line of a turn is the title of what follows: behind a blank line, or in Markdown."""
    last = body[-1]
    return bool(_TITLE.fullmatch(last)) and (last.lstrip().startswith("#") or not body[-2].strip())


def is_section_title(line: str) -> bool:
    """Whether a line is the title of a section, under which several records stand."""
    ornamented_number = line.strip()[:1] in "=*—－-" and any(map(str.isdigit, line))
    return bool(_TITLE.fullmatch(line)) and not _is_divider(line) and not ornamented_number


def _signatures(lines: Sequence[str], ends: Sequence[int], roles: Sequence[str]) -> set[int]:
    """Last lines (0-based) of records that differ only in figures: ``——客服部 3月8日``, ``（第3条已修订）``."""
    last: dict[int, str] = {}
    for end, role, follows in zip(ends, roles, [*roles[1:], "user"], strict=True):
        if role == "assistant" and follows != "assistant":
            while end > 0 and not lines[end - 1].strip():
                end -= 1
            if end and len(line := lines[end - 1].strip()) < 60 and _ORNAMENTED.match(line):
                last[end - 1] = line
    shapes = Counter(re.sub(r"\d+", "#", line) for line in last.values())
    records = sum(role == "assistant" for role in roles)
    kept = {shape for shape, n in shapes.items() if n >= max(3, 0.6 * records)}
    different = {shape for shape in kept if len({v for v in last.values() if re.sub(r"\d+", "#", v) == shape}) > 1}
    return {number for number, line in last.items() if re.sub(r"\d+", "#", line) in different}


def _is_divider(line: str) -> bool:
    return len(line) < 80 and bool(_DIVIDER.fullmatch(line) or DATE_LINE.fullmatch(line))


def turns_of(
    lines: Sequence[str], marks: Sequence[Mark], names: Mapping[str, str], header: tuple[str, ...]
) -> list[Turn]:
    """The turns between the marks, without dividers and headers behind them."""
    turns: list[Turn] = []
    if not marks:
        return turns
    roles = [names.get(m.name, "user") for m in marks]  # without a label: a question
    few = roles.count("system") <= _FEW_SYSTEM_TEXTS * roles.count("user")
    # a system text stands in front of the first question or of many; anywhere else it is a notice
    for i, role in enumerate(roles):
        told = lines[marks[i].line][marks[i].start :]
        if role == "system" and (roles[i + 1 : i + 2] != ["user"] or (i and few) or is_state_of_session(told)):
            roles[i] = "other"
    last = marks[-1].line + 1
    ends = [m.line for m in marks[1:]] + [footer_start(lines, last)]
    signatures = _signatures(lines, ends, roles)
    bodies: list[list[str]] = []
    beyond: list[int] = []  # lines behind the end tag of a turn
    divided = [False]
    for position, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        final = position + 1 == len(marks)
        opens = not final and roles[position + 1] != "assistant"
        stop = header_start(lines, mark.line + 1, end, header) if opens or final else end
        body, behind_tag = _body(lines, mark, stop)
        beyond.append(behind_tag)
        behind = stop < end and any(lines[n].strip() and not is_section_title(lines[n]) for n in range(stop, end))
        while len(body) > 1:
            outside = body[-1] == PAGE_LINE or mark.line + len(body) - 1 in signatures
            if outside or not body[-1].strip() or (opens and _is_title(body)):
                body.pop()
            elif (opens or final) and _is_divider(body[-1]):
                behind = True
                body.pop()
            else:
                break
        bodies.append(body)
        divided.append(behind)
    stray = _without_stray_lines(bodies, roles)
    for mark, role, body, behind, count in zip(marks, roles, bodies, divided, stray, strict=False):
        count += beyond[len(turns)]
        if body[0].rstrip().endswith("**") and "**" in lines[mark.line][: mark.start] and body[0].count("**") % 2:
            body[0] = body[0].rstrip()[:-2]
        stop = mark.line + len(body)
        words = "\n".join([line for line in body if line != PAGE_LINE] if PAGE_LINE in body else body)
        left_out = tuple(n + 1 for n in range(stop, stop + count) if lines[n].strip() and not is_tag_line(lines[n]))
        turns.append(
            Turn(
                role,
                mark.name,
                mark.shown,
                mark.line + 1,
                words,
                mark.blank,
                mark.numbered,
                behind,
                stop=stop,
                left_out=left_out,
            )
        )
    return turns


def _body(lines: Sequence[str], mark: Mark, stop: int) -> tuple[list[str], int]:
    """The lines of a turn without the tag or the quotation marks around it, and the number of lines behind the tag."""
    body = [lines[mark.line][mark.start :], *lines[mark.line + 1 : stop]]
    lead = lines[mark.line][: mark.start].strip()
    closed = close_tag(body, mark.shown) if lead.endswith(f"<{mark.shown}>") else None
    if closed:
        return closed[0], closed[1]
    if lead.startswith(">"):  # Markdown's quotation
        body = [_QUOTE.sub("", line) for line in body]
    return body, 0


def _without_stray_lines(bodies: list[list[str]], roles: Sequence[str]) -> list[int]:
    """Take from the last answer of each record the lines that are no part of it; their number for each turn."""
    last = [i for i, role in enumerate(roles) if role == "assistant" and roles[i + 1 : i + 2] != ["assistant"]]
    last = [i for i in last if PAGE_LINE not in bodies[i]]
    counts = [0] * len(bodies)
    for i, count in zip(last, stray_line_counts([bodies[i] for i in last], is_section_title), strict=True):
        if count:
            counts[i] = count
            del bodies[i][-count:]
            while len(bodies[i]) > 1 and not bodies[i][-1].strip():
                bodies[i].pop()
                counts[i] += 1
    return counts


def without_pages(text: str) -> tuple[Sequence[str], list[int]]:
    """The lines of a text, with ``PAGE_LINE`` for each head or foot of a page, and the numbers (from 1) of these."""
    lines = text.split("\n")
    if not _ANY_PAGE.search(text):
        return lines, []
    shapes = Counter(
        re.sub(r"\d+", "#", line.strip()) for line in lines if len(line) < 60 and _NUMBERED_PAGE.match(line)
    )
    pages = [
        number
        for number, line in enumerate(lines)
        if len(line) < 60
        and _NUMBERED_PAGE.match(line)
        and shapes[re.sub(r"\d+", "#", line.strip())] >= (1 if _PAGE.fullmatch(line.strip()) else 3)
    ]
    if not pages:
        return lines, []
    out = list(lines)
    for number in pages:
        out[number] = PAGE_LINE
    return out, [number + 1 for number in pages]


def title_names(lines: Sequence[str], numbers: Sequence[int]) -> list[str]:
    """The titles of sections among the lines of these numbers."""
    return list(dict.fromkeys(lines[n - 1].strip() for n in numbers if _TITLE.fullmatch(lines[n - 1])))


def account_for_turns(
    lines: Sequence[str], turns: Sequence[Turn], header: tuple[str, ...], account: LineRoles
) -> list[int]:
    """Give each line its role; the numbers of the lines of record headers and titles."""
    top = header_start(lines, 0, turns[0].line - 1, header)
    footer = footer_start(lines, turns[-1].line)
    account.assign_preamble(top)
    account.assign(top, turns[0].line - 1, "metadata")
    headers = [n + 1 for n in range(top, turns[0].line - 1) if lines[n] != PAGE_LINE and lines[n].strip()]
    ends = [t.line - 1 for t in turns[1:]] + [footer]
    account.assign(footer, len(lines), "left_out")
    for turn, end in zip(turns, ends, strict=True):
        start = turn.line - 1
        stop = turn.stop or start + turn.words.count("\n") + 1
        account.assign(start, stop, turn.role)
        account.assign(stop, end, "metadata")
        for number in turn.left_out:
            account.assign(number - 1, number, "left_out")
        headers += [
            n + 1
            for n in range(stop, end)
            if lines[n] != PAGE_LINE and lines[n].strip() and not _is_divider(lines[n]) and n + 1 not in turn.left_out
        ]
    return headers
