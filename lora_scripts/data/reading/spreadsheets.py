"""Excel workbooks: every visible sheet with a header, title rows and merged cells, stored results of formulas."""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lora_scripts.data.reading.archives import broken_as_error, refuse_bomb
from lora_scripts.data.reading.rows import Names, read_rows
from lora_scripts.data.reading.tables import HEADER_ROWS, Cells, is_headless, rows_below, sheet_header
from lora_scripts.data.reading.value_text import ContinuedCell, UnreadableCell
from lora_scripts.data.records import Parsed
from lora_scripts.errors import AmbiguousDataError, DataError
from lora_scripts.messages import text as say

_KIND = "Excel"
_MOST_ROWS = 1_048_576  # of Excel itself
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*ref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')
_HIDDEN_ROW = re.compile(rb'<(?:\w+:)?row [^>]*hidden="(?:1|true)"')
_HEAD_ROWS = 200
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_CHUNK = 1 << 20
# First and last column and row of merged cells, from 1.
Range = tuple[int, int, int, int]


@dataclass(slots=True)
class Sheet:
    """One sheet as it is read: its rows of texts, and what was met on the way.

    ``beside`` counts cells to the right of the header, ``formulas`` computed cells.
    """

    title: str
    rows: Iterator[tuple[int, list[str], list[int]]]
    merged: list[Range]
    hidden_rows: int = 0
    formulas: int = 0
    beside: int = 0


def read_workbook(path: Path, where: str, roles: Names, columns: Names) -> Parsed | None:
    """The rows of all visible sheets whose header names a question and an answer.

    Args:
        path: The file.
        where: Its name, for messages.
        roles: Speakers' names by role, for sheets with one message a row.
        columns: Headers of question, answer, system, input, history, where the names do not tell.

    Raises:
        DataError: No workbook, or no such sheet.
        AmbiguousDataError: A sheet can be read in several ways.
    """
    refuse_bomb(path, where, _KIND)
    with broken_as_error(where, _KIND):
        missing: DataError | None = None
        try:
            if parsed := _read_sheets(path, where, roles, columns, strict=True):
                return parsed
        except AmbiguousDataError:
            raise
        except DataError as error:
            missing = error
        if parsed := _read_sheets(path, where, roles, columns, strict=False):
            return parsed
        raise missing or DataError("reading.no_columns", where=where, there="-")


def _read_sheets(path: Path, where: str, roles: Names, columns: Names, strict: bool) -> Parsed | None:
    """The rows of the sheets; without ``strict``, of sheets too whose first row names nothing that we know."""
    parsed = Parsed("workbook", "", encoding="xlsx")
    details: list[str] = []
    passed: list[str] = []
    refused: list[DataError] = []
    for sheet in _sheets(path, parsed):
        try:
            read = _read_sheet(sheet, where, roles, columns, strict)
        except DataError as error:
            if not columns:
                raise
            refused.append(error)
            read = None
        if read:
            parsed.absorb(read)
            details.append(f"[{sheet.title}] {read.detail}")
        else:
            passed.append(sheet.title)
    if not details:
        if refused:
            raise refused[0]
        return None
    if passed:
        parsed.remarks.append(("warning", "sheets_without_header", 1, {"names": ", ".join(passed)}))
    parsed.detail = say("data.detail.workbook", sheets="; ".join(details))
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
        merged, computed, hidden_rows = _scan(path, getattr(sheet, "_worksheet_path", ""))
        if computed and formulas is None:
            formulas = load_workbook(path, read_only=True)
        grid = _grid(sheet, formulas.worksheets[index] if computed and formulas else None)
        yield Sheet(sheet.title, grid, merged, hidden_rows)


def _scan(path: Path, part: str) -> tuple[list[Range], bool, int]:
    """Merged cells of a sheet, whether it computes any, its hidden rows; openpyxl does not tell while it streams."""
    merged: list[Range] = []
    computed, hidden_rows = False, 0
    with zipfile.ZipFile(path) as archive:
        if part not in archive.namelist():
            return merged, True, 0
        with archive.open(part) as file:
            tail = b""
            while chunk := file.read(_CHUNK):
                chunk, kept = tail + chunk, 0
                computed = computed or bool(_FORMULA.search(chunk))
                for match in _MERGED.finditer(chunk):
                    merged.append(_range(match[1].decode()))
                    kept = match.end()
                for match in _HIDDEN_ROW.finditer(chunk):
                    hidden_rows += 1
                    kept = max(kept, match.end())
                tail = chunk[max(kept, len(chunk) - 200) :]
    return merged, computed, hidden_rows


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


def _read_sheet(sheet: Sheet, where: str, roles: Names, columns: Names, strict: bool) -> Parsed | None:
    """The records of one sheet; None where it has no header that we know."""
    head = list(islice(sheet.rows, _HEAD_ROWS))
    wide, groups = _wide([cells for _, cells, _ in head[: HEADER_ROWS + 1]], sheet.merged)
    part = f"[{sheet.title}]"
    named = True
    try:
        header = sheet_header(wide, groups, f"{where}{part}", columns)
    except DataError:
        if strict:
            raise
        header = None
    if header is None:
        at = next((i for i, cells in enumerate(wide) if sum(map(bool, cells)) > 1), None)
        if strict or at is None:
            return None
        named = not is_headless([cells for _, cells, _ in head[at:]])
        header = (at + 1, wide[at], "") if named else (at, [""] * len(wide[at]), "")
    line, names, _ = header
    below = chain(head[line:], sheet.rows)
    rows = rows_below(_even(sheet, below, len(names), line), names)
    parsed = read_rows(rows, "sheet", where, columns, roles, part=part, header_line=line, named=named)
    if parsed is None:
        return None
    parsed.drafts = list(parsed.drafts)
    parsed.units["metadata"] += sum(map(bool, names))
    parsed.units["left_out"] += sheet.beside
    above = sum(any(cells) for _, cells, _ in head[: line - 1])
    for kind, count, severity in (
        ("rows_above_header", above, "info"),
        ("formulas", sheet.formulas, "warning"),
        ("cells_without_header", sheet.beside, "warning"),
        ("hidden_rows", sheet.hidden_rows, "warning"),
    ):
        if count:
            values: dict[str, object] = {"lines": count, "count": count, "name": sheet.title}
            parsed.remarks.append((severity, kind, 1 if kind == "rows_above_header" else line, values))
    return parsed


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


def _even(sheet: Sheet, rows: Iterator[tuple[int, list[str], list[int]]], width: int, header: int) -> Iterator[Cells]:
    """Rows of the header's width without the blank ones; a cell merged downwards speaks for each of its rows."""
    starts: dict[int, list[Range]] = defaultdict(list)
    for area in sheet.merged:
        if area[1] > header and area[3] > area[1]:
            starts[area[1]].append(area)
    active: dict[int, tuple[int, str]] = {}
    for number, cells, computed in rows:
        sheet.beside += sum(bool(c.strip()) for c in cells[width:])
        cells = (cells + [""] * (width - len(cells)))[:width]
        own = any(c.strip() for c in cells)
        for left, _, _, bottom in starts.get(number, ()):
            if left <= width:
                active[left - 1] = bottom, cells[left - 1]
        for place, (bottom, content) in list(active.items()):
            if number > bottom:
                del active[place]
            elif not cells[place]:
                cells[place] = ContinuedCell(content)
        sheet.formulas += len(computed)
        for place in computed:
            if place < 0 and -place - 1 < width:
                cells[-place - 1] = UnreadableCell(say("data.note.formula"))
        if own or computed:
            yield number, cells, ""
