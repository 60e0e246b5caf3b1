"""Excel workbooks without personal data: cells, rich text run by run, comments, links, titles, headers and properties.

The workbook is written anew by openpyxl: formulas become their stored results (openpyxl cannot write both, and a
formula without a result reads as nothing), and charts are lost; both are told.
"""

from __future__ import annotations

import contextlib
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from lora_scripts.data.pii.desensitize import apply_edits, edit_runs
from lora_scripts.data.pii.file_pass import Pass, safe_text
from lora_scripts.data.pii.table_files import HEADER_ROWS, header_of
from lora_scripts.data.reading.archives import broken_as_error, refuse_bomb

_PROPERTIES = ("creator", "lastModifiedBy", "title", "subject", "description", "keywords", "category")


def workbook(path: Path, job: Pass) -> bytes:
    """An Excel workbook; in mode ``drop`` rows below the header are left out.

    Raises:
        DataError: No workbook that openpyxl can read and write.
    """
    from openpyxl import load_workbook  # slow to import, seldom needed

    refuse_bomb(path, job.file, "Excel")
    with broken_as_error(job.file, "Excel"):
        book = load_workbook(path, rich_text=True)
        results = load_workbook(path, data_only=True)
        charts = sum(len(getattr(sheet, "_charts", ())) for sheet in book.worksheets) + len(book.chartsheets)
        formulas = sum(_use_results(sheet, results[sheet.title]) for sheet in book.worksheets)
        for sheet in book.worksheets:
            _sheet(sheet, job)
        rewrite_properties(book.properties, _PROPERTIES, job, nobody=("openpyxl",))
        out = BytesIO()
        book.save(out)
    if formulas:
        job.remark("info", "formula_results", count=formulas)
    job.remark("warning" if charts else "info", "sheet_parts")
    return out.getvalue()


def rewrite_properties(properties: Any, names: tuple[str, ...], job: Pass, nobody: tuple[str, ...] = ()) -> None:
    """The document's properties; who wrote it is a person's name, whatever it looks like."""
    for name in names:
        value = getattr(properties, name)
        if not isinstance(value, str) or not value:
            continue
        person = name in ("creator", "author", "lastModifiedBy", "last_modified_by") and "name" in job.types
        if person and value not in nobody:
            setattr(properties, name, job.marks["name"])
        else:
            new = job.rewrite(value, place=name, keep=True)
            if new != value:
                setattr(properties, name, new)


def _use_results(sheet: Any, results: Any) -> int:
    """Put the stored result in place of each formula that has one; how many."""
    count = 0
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == "f" and (result := results[cell.coordinate].value) is not None:
                cell.value = result
                if isinstance(result, str):
                    cell.data_type = "s"  # a result that begins with = is no formula
                count += 1
    return count


def _sheet(sheet: Any, job: Pass) -> None:
    title = safe_text(sheet.title)
    rows = sheet.iter_rows(max_row=HEADER_ROWS, values_only=True)
    header, names = header_of([["" if value is None else str(value) for value in row] for row in rows])
    bad_rows = []
    for number, row in enumerate(sheet.iter_rows()):
        count = len(job.hits)
        for column, cell in enumerate(row):
            label = names[column] if column < len(names) and number > header else ""
            _sheet_cell(cell, job, label, f"{title}!{cell.coordinate}", keep=number <= header)
        if job.mode == "drop" and number > header and len(job.hits) > count:
            bad_rows.append(number + 1)
    for row_number in reversed(bad_rows):
        sheet.delete_rows(row_number)
    for band in ("oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter"):
        for side in ("left", "center", "right"):
            part = getattr(getattr(sheet, band), side)
            if part.text:
                part.text = job.rewrite(part.text, place=f"{title}!{band}", keep=True)
    new_title = job.rewrite(sheet.title, place=title, keep=True)
    if new_title != sheet.title:
        sheet.title = re.sub(r"[\[\]]", "", new_title)[:31]


def _sheet_cell(cell: Any, job: Pass, label: str, place: str, *, keep: bool) -> None:
    from openpyxl.cell.rich_text import CellRichText, TextBlock

    value = cell.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, CellRichText):
        runs = [run if isinstance(run, str) else run.text for run in value]
        edits = job.edits("".join(runs), label=label, place=place, keep=keep)
        if edits:
            changed = zip(value, edit_runs(runs, edits), strict=True)
            cell.value = CellRichText(
                [words if isinstance(run, str) else TextBlock(run.font, words) for run, words in changed if words]
            )
    elif isinstance(value, str | int) and not isinstance(value, bool):
        edits = job.edits(str(value), label=label, place=place, keep=keep)
        if edits:
            with contextlib.suppress(AttributeError):  # a cell inside a merged range holds nothing
                cell.value = apply_edits(str(value), edits)
    comment = getattr(cell, "comment", None)
    if comment is not None:
        comment.text = job.rewrite(comment.text, place=place, keep=keep)
        if "name" in job.types and comment.author:
            comment.author = job.marks["name"]
    link = getattr(cell, "hyperlink", None)
    if link is not None and link.target and job.edits(link.target, place=place, keep=keep):
        cell.hyperlink = None
