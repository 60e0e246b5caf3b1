"""Questions as headings: of Markdown, HTML and Word files, with the text below each as its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lora_scripts.data.reading.ambiguity import ambiguous, try_alternatives
from lora_scripts.data.reading.dialogues import Remarks
from lora_scripts.data.reading.labels import find_marks, match_number
from lora_scripts.data.reading.line_roles import LineRoles
from lora_scripts.data.reading.names import is_field_name, role_of, split_names
from lora_scripts.data.reading.questions import asks
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.messages import text as say

Names = Mapping[str, str | Sequence[str]] | None
Rows = Sequence[tuple[int, Sequence[str]]]
# Reads the rows of a table (line, cells), its file's name and the user's columns; None where it holds no pairs.
TableReader = Callable[[Rows, str, Names], Parsed | None]

TERM = 7  # level of what is no heading and asks: a bold line, a ``dt``, a ``summary``
MARKUP, LEFT_OUT = -1, -2  # levels of lines that only mark up (a fence, a rule), and of comments, scripts, contents
_FEWEST = 2
_ASKING_SHARE = 0.6
_HEADING_NAMES = frozenset({"heading", "headings", "标题"})
_HOUSEKEEPING = re.compile(
    r"[\W\d]*(?:目录|联系我们|联系方式|结语|附录|更新(?:记录|日志|说明)?|版权.*|前言|简介|关于.{0,6}|参考(?:资料|文献)?|免责声明"
    r"|版本(?:记录|历史)?"
    r"|table of contents|contents|toc|contact(?: us)?|about.{0,12}|licen[cs]e|changelog|references|appendix"
    r"|introduction|disclaimer)\W*",
    re.IGNORECASE,
)
_QUESTION_LABEL = re.compile(r"[\s*_]*(?:q|question|问题?|提问)\s*\d*[\s*_]*[:：.．、][\s*_]*", re.IGNORECASE)
_ANSWER_LABEL = re.compile(
    r"[\s*_]*(?:a|answer|答案?|回答|答复|解答)\s*(?:[\s*_]*[:：]|\d+[\s*_]*[:：.．、])[\s*_]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Block:
    """A line of a marked-up text: its number in the file, its text, and its level.

    ``level`` is 1 to 6 for headings, ``TERM``, 0 for text, ``MARKUP`` or ``LEFT_OUT``. ``cells`` are those of a row
    of a table; ``raw`` is how the line is written, where it differs from ``text``.
    """

    line: int
    text: str
    level: int = 0
    cells: tuple[str, ...] = ()
    raw: str = ""

    @property
    def written(self) -> str:
        """As part of an answer."""
        return self.raw or self.text


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading and its text: positions among the blocks."""

    head: int
    stop: int


def read_sections(
    blocks: Sequence[Block], where: str, roles: Names, columns: Names, read_rows: TableReader, fewest: int = _FEWEST
) -> Parsed | None:
    """The sections whose headings ask, and the tables beside them; None where neither is there.

    Args:
        blocks: All lines of the text.
        where: Its name, for messages.
        roles: ``{"user": ["heading"], "assistant": ["text"]}`` takes every heading for a question.
        columns: As for tables.
        read_rows: Reader of tables.
        fewest: Questions that are enough.
    """
    forced = takes_headings(roles)
    level = _question_level(blocks, fewest, forced)
    account = LineRoles([block.written for block in blocks])
    for i, block in enumerate(blocks):
        if block.level == MARKUP:
            account.assign(i, i + 1, "metadata")
        elif block.level == LEFT_OUT:
            account.assign(i, i + 1, "left_out")
    drafts: list[Draft] = []
    remarks: Remarks = []
    read: set[int] = set()
    passed: list[int] = []
    if level:
        sections, passed = _sections(blocks, level, forced)
        numbered = sum(match_number(blocks[s.head].text) is not None for s in sections) >= _ASKING_SHARE * len(sections)
        for section in sections:
            drafts.append(_draft(blocks, section, numbered))
            account.assign(section.head, section.head + 1, "question")
            for i in range(section.head + 1, section.stop):
                if blocks[i].level != LEFT_OUT:
                    account.assign(i, i + 1, "answer")
            read.update(range(section.head, section.stop))
        if drafts:
            remarks.append(("info", "headings_read", drafts[0].line, {"count": len(drafts)}))
    details = [say("data.detail.headings")] if drafts else []
    tables, table_details = _read_tables(blocks, where, read, columns, read_rows, account, remarks)
    drafts = sorted([*drafts, *tables], key=lambda draft: draft.line)
    if not drafts:
        return None
    left = [i for i, b in enumerate(blocks) if i not in read and b.level == 0 and not b.cells and b.text.strip()]
    if left:
        remarks.append(("info", "text_beside_questions", blocks[left[0]].line, {"count": len(left)}))
        for i in left:
            account.assign(i, i + 1, "left_out")
    titles = [i for i, b in enumerate(blocks) if b.level > 0 and i not in read]
    remarks += title_remarks([blocks[i] for i in titles])
    for i in titles:
        account.assign(i, i + 1, "left_out" if i in passed else "metadata")
    out = sum(block.level == LEFT_OUT and bool(block.text.strip()) for block in blocks)
    if out:
        remarks.append(("info", "markup_left_out", 1, {"count": out}))
    return account.account(
        Parsed(
            "sections" if len(drafts) > len(tables) else "tables", "; ".join(details + table_details), drafts, remarks
        )
    )


def takes_headings(roles: Names) -> bool:
    """Whether the user's roles say that headings are the questions."""
    return any(name.casefold() in _HEADING_NAMES for name in split_names((roles or {}).get("user", ())))


def ask_about_headings(blocks: Sequence[Block], where: str, read_rows: TableReader) -> None:
    """Ask whether headings that are no questions are meant as such, where nothing else was seen in a text.

    Raises:
        AmbiguousDataError: Several headings have text of their own.
    """
    heads = [b for i, b in enumerate(blocks) if b.level > 0 and _own_text(blocks, i)]
    if len(heads) < 3:
        return
    settings = [{"roles": {"user": [say("data.detail.heading")], "assistant": [say("data.detail.body")]}}]

    def drafts(chosen: Mapping[str, Names]) -> Iterable[Draft]:
        parsed = read_sections(blocks, where, chosen["roles"], None, read_rows)
        return parsed.drafts if parsed else ()

    place = f"{where}:{heads[0].line}"
    alternatives = try_alternatives(settings, drafts, where)
    raise ambiguous("reading.headings_do_not_ask", place, alternatives, count=len(heads))


def _own_text(blocks: Sequence[Block], head: int) -> bool:
    """Whether text stands right below a heading, before the next one."""
    below = next((b for b in blocks[head + 1 :] if b.level > 0 or b.cells or (b.level == 0 and b.text.strip())), None)
    return below is not None and below.level == 0


def _question_level(blocks: Sequence[Block], fewest: int, forced: bool) -> int:
    """The highest level on which most headings with text of their own ask; 0 where there is none."""
    most = (0, 0)
    for level in range(1, TERM + 1):
        heads = [b.text for i, b in enumerate(blocks) if b.level == level and _own_text(blocks, i)]
        spoken = sum(role_of(m.name) is not None and not is_field_name(m.name) for m in find_marks(heads))
        if heads and spoken >= 0.5 * len(heads):  # bold turns of a transcript
            continue
        asking = sum(map(asks, heads))
        if len(heads) >= fewest and asking >= _ASKING_SHARE * len(heads):
            return level
        most = max(most, (len(heads), level))
    return most[1] if forced else 0


def _sections(blocks: Sequence[Block], level: int, forced: bool) -> tuple[list[_Section], list[int]]:
    """The sections of a level, and the positions of headings among them that hold no question."""
    heads = [i for i, b in enumerate(blocks) if 0 < b.level <= level] + [len(blocks)]
    sections, passed = [], []
    for head, stop in pairwise(heads):
        if blocks[head].level != level:
            continue
        if _HOUSEKEEPING.fullmatch(blocks[head].text) and not forced:
            passed.append(head)
        else:
            sections.append(_Section(head, stop))
    return sections, passed


def _draft(blocks: Sequence[Block], section: _Section, numbered: bool) -> Draft:
    head = blocks[section.head]
    found = match_number(head.text) if numbered else None
    asked = head.text[found.end() :] if found else head.text
    asked = _QUESTION_LABEL.sub("", asked, count=1) if _QUESTION_LABEL.match(asked) else asked
    body = [b for b in blocks[section.head + 1 : section.stop] if b.level != LEFT_OUT]
    lines = [b.written if b.level != MARKUP or b.raw else "" for b in body]
    while lines and re.fullmatch(r"\s*(?:[-*_]{3,})?\s*", lines[-1]):
        lines.pop()
    if lines and all(line.lstrip().startswith(">") for line in lines if line.strip()):
        lines = [re.sub(r"^\s*>\s?", "", line) for line in lines]
    answer = "\n".join(lines).strip("\n")
    if label := _ANSWER_LABEL.match(answer):
        answer = answer[label.end() :]
    return Draft(head.line, (Message("user", asked), Message("assistant", re.sub(r"\n{3,}", "\n\n", answer))))


def title_remarks(titles: Sequence[Block]) -> Remarks:
    """What is said about headings that are no questions."""
    titles = [block for block in titles if block.level > 0]
    if not titles:
        return []
    names = ", ".join(block.text[:24] for block in titles[:8])
    return [("info", "section_titles", titles[0].line, {"count": len(titles), "names": names})]


def _read_tables(
    blocks: Sequence[Block],
    where: str,
    read: set[int],
    columns: Names,
    read_rows: TableReader,
    account: LineRoles,
    remarks: Remarks,
) -> tuple[list[Draft], list[str]]:
    """The drafts of the tables that are no part of an answer."""
    drafts: list[Draft] = []
    details: list[str] = []
    start = 0
    while start < len(blocks):
        stop = start
        while stop < len(blocks) and (blocks[stop].cells or (stop > start and blocks[stop].level == MARKUP)):
            stop += 1
        rows = [i for i in range(start, stop) if blocks[i].cells and i not in read]
        start = max(stop, start + 1)
        if not rows:
            continue
        taken = read_rows([(blocks[i].line, blocks[i].cells) for i in rows], where, columns)
        if taken is None:
            remarks.append(("warning", "table_without_pairs", blocks[rows[0]].line, {"count": len(rows)}))
            for i in rows:
                account.assign(i, i + 1, "left_out")
            continue
        found = list(taken.drafts)
        drafts += found
        details.append(taken.detail)
        remarks += taken.remarks
        lines = {draft.line for draft in found}
        for i in rows:
            account.assign(i, i + 1, "answer" if blocks[i].line in lines else "metadata")
            read.add(i)
    return drafts, details
