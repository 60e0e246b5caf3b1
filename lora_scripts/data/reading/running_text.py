"""Running text: which of its layouts a file has, and its reader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.answer_key import read_answer_key
from lora_scripts.data.reading.blocks import read_blocks
from lora_scripts.data.reading.chat_export import read_chat_export
from lora_scripts.data.reading.forms import read_form
from lora_scripts.data.reading.line_roles import line_range, refuse_unread
from lora_scripts.data.reading.markup import html_blocks, markdown_blocks
from lora_scripts.data.reading.paragraphs import read_paragraphs
from lora_scripts.data.reading.rows import read_rows
from lora_scripts.data.reading.sections import (
    MARKUP,
    Rows,
    ask_about_headings,
    read_sections,
    takes_headings,
    title_remarks,
)
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.reading.speakers import unmarked_speakers
from lora_scripts.data.reading.subtitles import read_subtitles
from lora_scripts.data.reading.tables import HEADER_ROWS, read_table, rows_below, sheet_header
from lora_scripts.data.reading.transcript import read_transcript
from lora_scripts.data.reading.turns import is_section_title
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError

Names = Mapping[str, str | Sequence[str]] | None

_MARKDOWN_QUESTION = re.compile(r"^#{1,6}\s.*[?？]\s*$", re.MULTILINE)
_LABEL_NEAR = re.compile(r".{1,8}?(?:[:：﹕\])】〕》>」』\t =＝\-]|$)")
_LABELLED_QUESTION = re.compile(r"[\s>*#+\-]*(?:q|question|问题?|提问)\s*\d*[\s*]*[:：]", re.IGNORECASE)
_FEW_LABELS = 0.3  # share of the lines that begin with a speaker's name, up to which these are no labels
_FEWEST_MARKDOWN = 3  # headings that ask, for a plain text to be Markdown
_SAMPLED_LINES = 2_000  # of a large file, from which its layout is told


def read_running_text(source: Source, roles: Names, columns: Names) -> Parsed | None:
    """The records of a text: a chat export, a form, a transcript, a table, or questions and answers without names.

    Args:
        source: The file.
        roles: Names by role.
        columns: Names of fields or columns.

    Raises:
        DataError: Several readings are equally good, or too much of the text fits none.
    """
    large = source.whole is None
    sample = "\n".join(islice(source.lines(), _SAMPLED_LINES))
    text = source.whole or sample
    if (not roles or takes_headings(roles)) and len(_MARKDOWN_QUESTION.findall(sample)) >= _FEWEST_MARKDOWN:
        return read_markdown(source, roles, columns)
    if not large and "-->" in text and (subtitles := read_subtitles(text, source.where, roles)):
        return _accounted(subtitles, source.where)
    if not roles:
        refuse_names_without_colon(sample, source.where)
    for read in (_read_chat, _read_form):
        if found := read(sample, source.where, roles, columns):
            whole = len(source.whole or "") == len(sample)
            return _accounted(found if whole else read(source.text(), source.where, roles, columns), source.where)
    if not large and not roles and (paper := read_answer_key(text, source.where, is_section_title)):
        return _accounted(paper, source.where)
    parsed = read_blocks(source, roles) if large else read_transcript(text, source.where, roles)
    if parsed is None:
        parsed = read_table(source, columns, roles, sure=columns is not None)
    if parsed is None:
        parsed = read_blocks(source, roles, spoken=False) if large else read_paragraphs(text)
    return _accounted(parsed, source.where)


def read_markdown(source: Source, roles: Names, columns: Names) -> Parsed | None:
    """The records of a Markdown text: headings or bold lines that ask, tables, or else as of any running text.

    Args:
        source: The file.
        roles: Names by role; ``{"user": ["heading"]}`` takes every heading for a question.
        columns: Names of columns.

    Raises:
        DataError: As for ``read_running_text``; or headings do not ask, and nothing else does.
    """
    text = scrub(source.text())[0]
    blocks = markdown_blocks(text.split("\n"))
    found = read_sections(blocks, source.where, roles, columns, _read_table)
    front = next((n for n, block in enumerate(blocks) if block.level != MARKUP), 0)
    if found and front and blocks[0].text.strip() == "---":
        found.remarks.append(("info", "front_matter", 1, {"lines": line_range(1, front)}))
    if found and found.format == "tables" and (spoken := read_transcript(text, source.where, roles)):
        found = spoken
    if found and _labelled(found.drafts, text.split("\n")):
        spoken = read_transcript(text, source.where, roles)
        if spoken and len(list(spoken.drafts)) > len(list(found.drafts)):
            found = spoken
    if found is None and not len(_MARKDOWN_QUESTION.findall(text)) >= _FEWEST_MARKDOWN:
        found = read_running_text(source, roles, columns)
    if found is None:
        ask_about_headings(blocks, source.where, _read_table)
    return _accounted(found, source.where)


def read_html(source: Source, roles: Names, columns: Names) -> Parsed | None:
    """The records of an HTML page: headings, ``dt``, ``summary`` or bold lines that ask, tables, or its text.

    Args:
        source: The file.
        roles: As for ``read_markdown``.
        columns: Names of columns.

    Raises:
        DataError: As for ``read_markdown``.
    """
    blocks = html_blocks(scrub(source.text())[0])
    found = read_sections(blocks, source.where, roles, columns, _read_table)
    if found and found.format != "tables":
        return _accounted(found, source.where)
    shown = [block for block in blocks if block.level >= 0]
    text = "\n".join(block.text for block in shown)
    spoken = read_running_text(Source(source.where, source.encoding, text), roles, None) if text.strip() else None
    drafts = list(spoken.drafts) if spoken else []
    if spoken and (found is None or len(drafts) > len(list(found.drafts))):
        spoken.drafts = [replace(d, line=shown[d.line - 1].line) for d in drafts]
        spoken.remarks = [(s, k, shown[max(n, 1) - 1].line if n else 0, v) for s, k, n, v in spoken.remarks]
        spoken.remarks += title_remarks(shown)
        spoken.units["left_out"] += sum(block.level < 0 for block in blocks)
        spoken.drafts = list(_with_own_places(spoken.drafts))
        return spoken
    if found is None:
        ask_about_headings(blocks, source.where, _read_table)
    return _accounted(found, source.where)


def _read_table(rows: Rows, where: str, columns: Names) -> Parsed | None:
    """The records of a table inside a text; None where it has no columns for pairs."""
    head = [[cell.strip() for cell in cells] for _, cells in rows[: HEADER_ROWS + 1]]
    try:
        header = sheet_header(head, set(), where, columns)
    except DataError:
        if not columns:
            raise
        return None
    if not header:
        return None
    line, names, _ = header
    width = len(names)
    even = ((n, ([*cells, *[""] * width])[:width], "") for n, cells in rows[line:])
    parsed = read_rows(rows_below(even, names), "table", where, columns, None, header_line=rows[line - 1][0])
    if parsed:
        parsed.drafts = list(parsed.drafts)
    return parsed


def _read_chat(text: str, where: str, roles: Names, columns: Names) -> Parsed | None:
    return read_chat_export(text, where, roles)


def _read_form(text: str, where: str, roles: Names, columns: Names) -> Parsed | None:
    return read_form(text, where, roles, columns) if not roles else None


def _accounted(parsed: Parsed | None, where: str) -> Parsed | None:
    if parsed:
        refuse_unread(parsed.units, where)
        apart = _with_own_places(parsed.drafts)
        parsed.drafts = list(apart) if isinstance(parsed.drafts, Sequence) else apart
    return parsed


def _labelled(drafts: Iterable[Draft], lines: Sequence[str]) -> bool:
    """Whether labels stand in front of most questions: their answers may have labels too."""
    marked = [bool(_LABELLED_QUESTION.match(lines[draft.line - 1])) for draft in drafts]
    return sum(marked) >= 0.5 * len(marked)


def _with_own_places(drafts: Iterable[Draft]) -> Iterator[Draft]:
    """``drafts``, with an index for those that begin on one line."""
    for _, group in groupby(drafts, key=lambda draft: (draft.part, draft.line)):
        same = list(group)
        for number, draft in enumerate(same, 1):
            yield replace(draft, index=str(number)) if len(same) > 1 and not draft.index else draft


def refuse_names_without_colon(text: str, where: str) -> None:
    """Stop where lines begin with speakers' names but without a colon.

    Raises:
        DataError: They do.
    """
    names = unmarked_speakers(text)
    if not names:
        return
    begins = [line for line in text.casefold().split("\n") if line.strip().startswith(names)]
    if sum(bool(_LABEL_NEAR.match(line.strip())) for line in begins) < _FEW_LABELS * len(begins):
        raise DataError("data.no_colon", where=where, user=names[0], assistant=names[1])
