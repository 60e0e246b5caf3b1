"""Word documents and PDF: their text goes to the text readers, their tables are read as tables."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from lora_scripts.data.reading.archives import MOST_BYTES, broken_as_error, refuse_bomb
from lora_scripts.data.reading.questions import ends_asking
from lora_scripts.data.reading.rows import Names, Row, read_rows
from lora_scripts.data.reading.sections import TERM, Block, ask_about_headings, read_sections
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.reading.tables import HEADER_ROWS, rows_below, sheet_header
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError

TextReader = Callable[[Source, Names, Names], Parsed | None]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# Kinds of notes, how one begins, and how many every document has.
_NOTES = (("footnotes", b"<w:footnote ", 2), ("endnotes", b"<w:endnote ", 2), ("comments", b"<w:comment ", 0))
_MOST_PAGES = 5000
_FEWEST_SIGNS = 8  # on a page; a scan has a page number at most
# Begins something new, so the line above was not cut by the page's edge.
_NEW = re.compile(r"\s*(?:[\d一二三四五六七八九十]{1,4}\s*[.、．)）]|[（(【\[①-⑳●•\-]|[^\W\d_][\w \-]{0,11}\s*[:：﹕])")
_FULL = 0.85  # share of the widest lines' width from which a line counts as full
_ENDS = tuple("。！？!?；;：:…")


def read_document(path: Path, where: str, roles: Names, columns: Names, read: TextReader) -> Parsed | None:
    """The paragraphs of a Word document as lines of a text, and its tables as tables; a paragraph's number is its line.

    Args:
        path: The file.
        where: Its name, for messages.
        roles: As for transcripts.
        columns: As for tables.
        read: The reader for the paragraphs.

    Raises:
        DataError: No such document, or its text or a table has several equally good readings.
    """
    import docx

    refuse_bomb(path, where, "Word")
    blocks: list[Block] = []
    tables: list[list[list[str]]] = []
    with broken_as_error(where, "Word"):
        document = docx.Document(str(path))
        _walk(document.element.body, blocks, tables, _heading_styles(document))
        notes = sorted({kind for kind, mark, usual in _NOTES for p in _parts(document) if p.blob.count(mark) > usual})
    lines = [block.text for block in blocks]
    text = "\n".join(lines)
    parsed = _headed(blocks, where, roles, columns) or (
        read(Source(where, "docx", text), roles, columns) if text.strip() else None
    )
    if parsed is None and not tables:
        ask_about_headings(blocks, where, _no_rows)
    out = Parsed("document", "", encoding="docx")
    details = []
    passed = []
    if parsed:
        out.absorb(parsed)
        details.append(parsed.detail)
    forms = _forms(tables, where, roles, columns)
    if forms:
        out.absorb(forms)
        details.append(forms.detail)
    for number, rows in enumerate(tables, 1):
        if forms and _is_form(rows):
            continue
        table = _table(rows, number, where, roles, columns, read)
        if table:
            out.absorb(table)
            details.append(f"[{number}] {table.detail}")
        else:
            passed.append(str(number))
    if not details:
        return None
    if passed:
        out.remarks.append(("warning", "tables_without_header", 1, {"names": ", ".join(passed)}))
    if text.strip() and not parsed:
        count = sum(bool(line.strip()) for line in lines)
        out.units["left_out"] += count
        out.remarks.append(("info", "text_not_read", 1, {"lines": count}))
    if notes:
        out.remarks.append(("info", "notes_not_read", 1, {"names": ", ".join(notes)}))
    out.detail = "; ".join(details)
    return out


def _is_form(rows: Sequence[list[str]]) -> bool:
    """A table of labels on the left and their values on the right."""
    labels = [cells[0].strip() for cells in rows]
    return len(rows) > 2 and all(len(c) == 2 for c in rows) and all(labels) and len(set(labels)) == len(labels)


def _forms(tables: Sequence[Sequence[list[str]]], where: str, roles: Names, columns: Names) -> Parsed | None:
    """The records of a document with a form in each table; None where there are no two of the same labels."""
    forms = {number: rows for number, rows in enumerate(tables, 1) if _is_form(rows)}
    labels = Counter(tuple(cells[0].strip() for cells in rows) for rows in forms.values())
    if not labels or labels.most_common(1)[0][1] < 2:
        return None
    rows = (Row(number, {cells[0].strip(): cells[1] for cells in form}) for number, form in forms.items())
    parsed = read_rows(rows, "form", where, columns, roles, header_line=1, sure=False)
    if parsed:
        parsed.drafts = [replace(draft, line=1, part=f"[{draft.line}]") for draft in parsed.drafts]
    return parsed


def _parts(document: Any) -> Iterator[Any]:
    return (rel.target_part for rel in document.part.rels.values() if not rel.is_external)


def _headed(blocks: Sequence[Block], where: str, roles: Names, columns: Names) -> Parsed | None:
    """The questions that stand as headings or in bold."""
    return read_sections(blocks, where, roles, columns, _no_rows) if any(b.level > 0 for b in blocks) else None


def _no_rows(rows: object, where: str, columns: object) -> None:
    return None  # tables are read on their own


def _heading_styles(document: Any) -> dict[str, int]:
    """Style id → level, of the styles for headings and those based on them."""
    levels: dict[str, int] = {}
    for style in document.styles:
        base, depth = style, 0
        while base is not None and depth < 10:
            found = re.fullmatch(r"(?:heading|标题)\s*([1-6])", str(base.name or "").strip(), re.IGNORECASE)
            if found:
                levels[style.style_id] = int(found[1])
                break
            base, depth = getattr(base, "base_style", None), depth + 1
    return levels


def _level(paragraph: Any, words: str, styles: dict[str, int]) -> int:
    """The level of a paragraph: of its style or outline; ``TERM`` for a question in bold."""
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    if style is not None and (level := styles.get(style.get(f"{_W}val"))):
        return level
    outline = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
    if outline is not None and (outline.get(f"{_W}val") or "9") in "012345":
        return int(outline.get(f"{_W}val")) + 1
    runs = [run for run in paragraph.iter(f"{_W}r") if "".join(t.text or "" for t in run.iter(f"{_W}t")).strip()]
    bold = (run.find(f"{_W}rPr/{_W}b") for run in runs)
    all_bold = runs and all(b is not None and b.get(f"{_W}val") not in ("0", "false") for b in bold)
    return TERM if all_bold and ends_asking(words) else 0


def _walk(element: Any, blocks: list[Block], tables: list[list[list[str]]], styles: dict[str, int]) -> None:
    """Paragraphs and tables in order, those in content controls too."""
    for child in element.iterchildren():
        if child.tag == f"{_W}p":
            words = _words(child)
            level = _level(child, words, styles) if words.strip() and "\n" not in words else 0
            blocks += [Block(len(blocks) + 1 + n, line, level) for n, line in enumerate(words.split("\n"))]
        elif child.tag == f"{_W}tbl":
            tables.append(_cells(child))
            blocks.append(Block(len(blocks) + 1, ""))
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins"):
            _walk(child, blocks, tables, styles)


def _words(paragraph: Any) -> str:
    """The text of a paragraph as it reads with its changes accepted; deleted words are not in ``w:t``."""
    out = []
    for run in paragraph.iter(f"{_W}r"):
        if any(up.tag in (_FALLBACK, f"{_W}moveFrom") for up in run.iterancestors()):
            continue
        for child in run.iterchildren():
            if child.tag == f"{_W}t":
                out.append(child.text or "")
            elif child.tag == f"{_W}tab":
                out.append("\t")
            elif child.tag in (f"{_W}br", f"{_W}cr"):
                out.append("\n")
    return "".join(out)


def _cells(table: Any) -> list[list[str]]:
    """The texts of a table; a merged cell speaks in each of its places."""
    rows: list[list[str]] = []
    for row in table.iterchildren(f"{_W}tr"):
        cells: list[str] = []
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is not row:
                continue
            words = "\n".join(_words(p) for p in cell.iter(f"{_W}p"))
            span = cell.find(f"{_W}tcPr/{_W}gridSpan")
            merge = cell.find(f"{_W}tcPr/{_W}vMerge")
            if merge is not None and merge.get(f"{_W}val") != "restart" and rows and len(rows[-1]) > len(cells):
                words = rows[-1][len(cells)]
            cells += [words] * min(64, int(span.get(f"{_W}val") or 1) if span is not None else 1)
        rows.append(cells)
    return rows


def _table(
    rows: Sequence[list[str]], number: int, where: str, roles: Names, columns: Names, read: TextReader
) -> Parsed | None:
    """The records of one table; None where it holds no pairs."""
    part = f"[{number}]"
    head = [[c.strip() for c in cells] for cells in rows[: HEADER_ROWS + 1]]
    groups = {i for i, cells in enumerate(head) if len(set(cells)) < len(cells)}
    try:
        header = sheet_header(head, groups, f"{where}{part}", columns)
    except DataError:
        if not columns:
            raise
        header = None
    if header:
        line, names, _ = header
        width = len(names)
        below = enumerate(rows[line:], line + 1)
        even = ((n, (c + [""] * (width - len(c)))[:width], "") for n, c in below if any(map(str.strip, c)))
        parsed = read_rows(rows_below(even, names), "document", where, columns, roles, part=part)
        if parsed:
            parsed.drafts = list(parsed.drafts)
        return parsed
    if rows and all(len(cells) == 2 for cells in rows):  # speakers on the left, their words on the right
        text = "\n".join(f"{who.strip()}：{words}" for who, words in rows)
        if parsed := read(Source(where, "docx", text), roles, None):
            parsed.drafts = [replace(draft, part=part) for draft in parsed.drafts]
            return parsed
    return None


def read_pdf(path: Path, where: str, roles: Names, columns: Names, read: TextReader) -> Parsed | None:
    """The text of a PDF: lines that its pages cut are joined, lines that stand on most pages are left out, both said.

    Args:
        path: The file.
        where: Its name, for messages.
        roles: As for transcripts.
        columns: As for tables.
        read: The reader for the text.

    Raises:
        DataError: No PDF, locked, without text (a scan), or its text has several equally good readings.
    """
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it mends silently is no matter for users
    if path.stat().st_size > MOST_BYTES:
        raise DataError("files.too_big", where=where, size=path.stat().st_size >> 20, most=MOST_BYTES >> 20)
    with broken_as_error(where, "PDF"):
        reader = pypdf.PdfReader(str(path))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError("files.locked", where=where)
        if len(reader.pages) > _MOST_PAGES:
            raise DataError("files.too_many_pages", where=where, count=len(reader.pages), most=_MOST_PAGES)
        pages = [page.extract_text().split("\n") for page in reader.pages]
    signs = [sum(len(line.strip()) for line in page) for page in pages]
    blank = [str(n) for n, count in enumerate(signs, 1) if count < _FEWEST_SIGNS]
    if len(blank) == len(pages):
        raise DataError("files.no_text_in_pdf", where=where, count=len(pages))
    running = _running(pages)
    lines, joined = _unwrapped(pages, running)
    left_out = sum(_bare(line) in running for page in pages for line in page if line.strip())
    parsed = read(Source(where, "pdf", "\n".join(words for words, _, _ in lines)), roles, columns)
    if parsed is None:
        return None
    drafts = [_placed(draft, lines) for draft in parsed.drafts]
    for kind, count, severity in (
        ("lines_joined", joined, "info"),
        ("running_lines", len(running), "info"),
        ("pages_without_text", len(blank), "warning"),
    ):
        if count:
            parsed.remarks.append((severity, kind, 1, {"count": count, "pages": ", ".join(blank[:20])}))
    parsed.units["left_out"] += left_out
    return Parsed("pdf", parsed.detail, drafts, parsed.remarks, "pdf", parsed.units)


def _placed(draft: Draft, lines: Sequence[tuple[str, int, int]]) -> Draft:
    """``draft`` with its page and the line on it, instead of the line in the whole text."""
    _, page, line = lines[min(max(draft.line, 1), len(lines)) - 1]
    return replace(draft, part=f"[p{page}]", line=line)


def _running(pages: Sequence[Sequence[str]]) -> set[str]:
    """Heads and feet: what stands first or last on most of at least three pages, but for its numbers."""
    if len(pages) < 3:
        return set()
    seen: Counter[str] = Counter()
    for page in pages:
        words = [_bare(line) for line in page if line.strip()]
        seen.update(set(words[:1] + words[-1:]))
    return {line for line, count in seen.items() if count >= max(3, 0.6 * len(pages))}


def _bare(line: str) -> str:
    return re.sub(r"\d+", "#", line.strip())


def _unwrapped(pages: Sequence[Sequence[str]], running: set[str]) -> tuple[list[tuple[str, int, int]], int]:
    """Lines with page and line on it, those joined that only the page's width had cut; and how many were."""
    lines: list[tuple[str, int, int]] = []
    for number, page in enumerate(pages, 1):
        rows = [(line, number, i) for i, line in enumerate(page, 1)]
        for end in (-1, 0):  # a page's edge is no blank line in the text
            while rows and (not rows[end][0].strip() or _bare(rows[end][0]) in running):
                rows.pop(end)
        lines += rows
    widths = sorted(w for words, _, _ in lines if (w := _width(words)))
    full = _FULL * widths[int(len(widths) * 0.95)] if len(widths) > 3 else 1e9
    out: list[tuple[str, int, int]] = []
    joined, open_line = 0, False
    for words, number, line in lines:
        if open_line and words.strip() and not _NEW.match(words):
            above = out[-1]
            gap = " " if above[0][-1:].isascii() and words[:1].isascii() and above[0][-1:] not in "- " else ""
            out[-1] = (above[0].rstrip() + gap + words.lstrip(), above[1], above[2])
            joined += 1
        else:
            out.append((words, number, line))
        open_line = _width(words) >= full and words.rstrip()[-1:] not in _ENDS
    return out, joined


def _width(line: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in line.strip())
