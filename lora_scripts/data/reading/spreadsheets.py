"""Excel workbooks: every visible sheet with a header, title rows and merged cells, stored results of formulas."""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lora_scripts.data.reading.archives import broken_as_error, refuse_bomb
from lora_scripts.data.reading.columns import Columns, guesses, shown
from lora_scripts.data.reading.tables import HEADER_ROWS, Names, Row, drafts_of_rows, sheet_header
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_KIND = "Excel"
_MOST_ROWS = 1_048_576  # of Excel itself
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*ref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_CHUNK = 1 << 20
# First and last column and row of merged cells, from 1.
Range = tuple[int, int, int, int]


@dataclass(slots=True)
class Sheet:
    """One sheet as it is read: its rows of texts, and what was met on the way.

    ``watched`` are the places of the columns taken; a formula there without a stored result spoils its row.
    """

    title: str
    rows: Iterator[tuple[int, list[str], list[int]]]
    merged: list[Range]
    watched: set[int] = field(default_factory=set)
    formulas: int = 0
    beside: int = 0


def read_workbook(path: Path, where: str, roles: Names, columns: Names) -> Parsed | None:
    """The rows of all visible sheets whose header names a question and an answer.

    Args:
        path: The file.
        where: Its name, for messages.
        roles: Not used; a table has no speakers.
        columns: Headers of question, answer, system, input, history, where the names do not tell.

    Raises:
        DataError: No workbook, no such sheet, or several columns are equally good.
    """
    refuse_bomb(path, where, _KIND)
    parsed = Parsed("workbook", "", encoding="xlsx")
    drafts: list[Draft] = []
    taken: list[str] = []
    passed: list[tuple[str, list[list[str]]]] = []
    refused: list[DataError] = []
    with broken_as_error(where, _KIND):
        for sheet in _sheets(path, parsed):
            try:
                found = _read_sheet(sheet, f"{where}[{sheet.title}]", columns, drafts, parsed)
            except DataError as error:
                if not columns:
                    raise
                refused.append(error)
                passed.append((sheet.title, []))
                continue
            if isinstance(found, Columns):
                taken.append(f"[{sheet.title}] {found}")
            else:
                passed.append((sheet.title, found))
    if not taken:
        if refused:
            raise refused[0]
        head = max((rows for _, rows in passed), key=lambda rows: max(map(len, rows), default=0), default=[])
        names = [n for n in next((r for r in head if sum(map(bool, r)) > 1), []) if n][:12]
        there = ", ".join(map(shown, names)) or "-"
        raise DataError("data.no_columns", where=where, there=there, guesses=guesses(names, head[1:]))
    if passed:
        titles = ", ".join(title for title, _ in passed)
        parsed.remarks.append(("warning", "sheets_without_header", 1, {"names": titles}))
    parsed.detail = say("data.detail.workbook", sheets="; ".join(taken))
    parsed.drafts = drafts
    return parsed


def _sheets(path: Path, parsed: Parsed) -> Iterator[Sheet]:
    from openpyxl import load_workbook

    book = load_workbook(path, read_only=True, data_only=True)
    hidden = [s.title for s in book.worksheets if s.sheet_state != "visible"]
    if hidden:
        parsed.remarks.append(("warning", "hidden_sheets", 1, {"names": ", ".join(hidden)}))
    formulas = None
    for index, sheet in enumerate(book.worksheets):
        if sheet.sheet_state != "visible":
            continue
        merged, computed = _scan(path, getattr(sheet, "_worksheet_path", ""))
        if computed and formulas is None:
            formulas = load_workbook(path, read_only=True)
        yield Sheet(sheet.title, _grid(sheet, formulas.worksheets[index] if computed and formulas else None), merged)


def _scan(path: Path, part: str) -> tuple[list[Range], bool]:
    """Merged cells of a sheet and whether it computes any; openpyxl does not tell while it streams."""
    merged: list[Range] = []
    computed = False
    with zipfile.ZipFile(path) as archive:
        if part not in archive.namelist():
            return merged, True
        with archive.open(part) as file:
            tail = b""
            while chunk := file.read(_CHUNK):
                chunk, kept = tail + chunk, 0
                computed = computed or bool(_FORMULA.search(chunk))
                for found in _MERGED.finditer(chunk):
                    merged.append(_range(found[1].decode()))
                    kept = found.end()
                tail = chunk[max(kept, len(chunk) - 200) :]
    return merged, computed


def _range(name: str) -> Range:
    from openpyxl.utils.cell import coordinate_to_tuple

    (top, left), (bottom, right) = map(coordinate_to_tuple, name.split(":"))
    return left, top, right, bottom


def _grid(sheet: Any, formulas: Any | None) -> Iterator[tuple[int, list[str], list[int]]]:
    """Row numbers, texts of cells, and the places of formulas (negative, less one, where no result is stored)."""
    sheet.reset_dimensions()  # other tools write a wrong size, and cells outside would be cut
    rows = sheet.iter_rows(values_only=True)
    if formulas is None:
        for number, values in enumerate(islice(rows, _MOST_ROWS), 1):
            yield number, [_text(v) for v in values], []
        return
    formulas.reset_dimensions()
    for number, (values, cells) in enumerate(zip(islice(rows, _MOST_ROWS), formulas.iter_rows(), strict=False), 1):
        places = [i for i, cell in enumerate(cells) if cell.data_type == "f"]
        computed = [i if i < len(values) and values[i] is not None else -i - 1 for i in places]
        yield number, [_text(v) for v in values], computed


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _read_sheet(
    sheet: Sheet, where: str, columns: Names, drafts: list[Draft], parsed: Parsed
) -> Columns | list[list[str]]:
    """Add the drafts of one sheet, and tell its columns; or its first rows, where it has no header that we know."""
    head = list(islice(sheet.rows, HEADER_ROWS + 1))
    wide, groups = _wide([cells for _, cells, _ in head], sheet.merged)
    found = sheet_header(wide, groups, where, columns)
    if found is None:
        return wide
    taken, (line, names, _) = found
    held = (taken.question, taken.answer, taken.more, taken.system, taken.history, taken.rejected)
    sheet.watched = {names.index(name) for name in held if name}
    below = chain(head[line:], sheet.rows)
    part = f"[{sheet.title}]"
    drafts += drafts_of_rows(_even(sheet, below, len(names), line), names, taken, part)
    above = sum(any(cells) for _, cells, _ in head[: line - 1])
    for kind, count, severity in (
        ("rows_above_header", above, "info"),
        ("formulas", sheet.formulas, "warning"),
        ("cells_without_header", sheet.beside, "info"),
    ):
        if count:
            values: dict[str, object] = {"lines": count, "count": count, "name": sheet.title}
            parsed.remarks.append((severity, kind, line, values))
    return taken


def _wide(head: Sequence[Sequence[str]], merged: Sequence[Range]) -> tuple[list[list[str]], set[int]]:
    """The first rows with the text of merged cells in all of them, and which of them hold cells merged sideways."""
    rows = [list(cells) for cells in head]
    groups = set()
    for left, top, right, bottom in merged:
        if top > len(rows) or left > len(rows[top - 1]):
            continue
        words = rows[top - 1][left - 1]
        for number in range(top, min(bottom, len(rows)) + 1):
            row = rows[number - 1]
            row += [""] * (min(right, 256) - len(row))
            row[left - 1 : min(right, 256)] = [words] * (min(right, 256) - left + 1)
            if right > left:
                groups.add(number - 1)
    return [[c.strip() for c in row] for row in rows], groups


def _even(sheet: Sheet, rows: Iterator[tuple[int, list[str], list[int]]], width: int, header: int) -> Iterator[Row]:
    """Rows of the header's width without the blank ones; a cell merged downwards speaks for each of its rows."""
    starts: dict[int, list[Range]] = defaultdict(list)
    for found in sheet.merged:
        if found[1] > header and found[3] > found[1]:
            starts[found[1]].append(found)
    active: dict[int, tuple[int, str]] = {}
    for number, cells, computed in rows:
        sheet.beside += any(c.strip() for c in cells[width:])
        cells = (cells + [""] * (width - len(cells)))[:width]
        own = any(c.strip() for c in cells)
        for left, _, _, bottom in starts.get(number, ()):
            if left <= width:
                active[left - 1] = bottom, cells[left - 1]
        for place, (bottom, words) in list(active.items()):
            if number > bottom:
                del active[place]
            elif not cells[place]:
                cells[place] = words
        sheet.formulas += sum(place in sheet.watched for place in computed)
        lost = any(place < 0 and -place - 1 in sheet.watched for place in computed)
        if lost or own:
            yield number, cells, say("data.note.formula") if lost else ""
