"""How each kind of file is desensitised: text where it stands, JSON by its strings, tables by their cells.

Nothing but personal data changes: escapes, quoting, delimiters, indentation, line ends and encoding stay. A string of
JSON is read under its key and a cell under its column's name, which tell what a bare number is.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_scripts.data.pii.desensitize import ASCII_MARKS, MARKS, rewrite
from lora_scripts.data.pii.find import PII_TYPES
from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError

_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_JSON_NUMBER = re.compile(r"(?<![\w.])-?[0-9]{5,20}(?![\w.])")
_LABEL = re.compile(r"[^\d\n]{1,16}")


@dataclass(slots=True)
class Pass:
    """One run over one file: how to rewrite, what it is called in the report, and the counts to fill."""

    mode: str
    types: frozenset[str]
    key: str
    file: str
    marks: dict[str, str] = field(default_factory=lambda: MARKS)
    hits: list[tuple[str, str]] = field(default_factory=list)

    def rewrite(self, content: str, line: int = 1, label: str = "", place: str = "") -> str:
        """``content`` without personal data; hits are noted at ``place`` or at their line."""
        if not content:
            return content
        label = label if _LABEL.fullmatch(label) else ""
        new, hits = rewrite(content, mode=self.mode, types=self.types, key=self.key, label=label, marks=self.marks)
        self.hits += [(kind, f"{self.file}:{place or line + below}") for kind, below in hits]
        return new

    def holds_any(self, content: str, line: int = 1, label: str = "", place: str = "") -> bool:
        """Whether there is anything to leave out; notes it."""
        count = len(self.hits)
        self.rewrite(content, line, label, place)
        return len(self.hits) > count


def safe_text(words: str) -> str:
    """``words`` for a message: personal data in it is masked."""
    types = frozenset(PII_TYPES) - {"amount", "address"}
    masked = rewrite(words, mode="mask", types=types, marks=ASCII_MARKS)[0]
    # A name of a file is read in its parts too: signs join words there.
    parts = re.split(r"([/\\_.\s]+)", masked)
    return "".join(rewrite(part, mode="mask", types=types, marks=ASCII_MARKS)[0] for part in parts)


def _text_file(change: Callable[[str, Pass], str]) -> Callable[[Path, Pass], bytes]:
    """A writer for a kind of text: decoded, changed, and encoded as it was."""

    def write(path: Path, job: Pass) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError("desensitize.cannot_read", where=job.file, why=error.strerror or str(error)) from None
        encoding = decode(data, job.file).encoding
        content = data.decode(encoding)
        try:
            return change(content, job).encode(encoding)
        except UnicodeEncodeError:  # no Chinese in this encoding
            job.hits.clear()
            job.marks, job.mode = ASCII_MARKS, "mask" if job.mode == "pseudonym" else job.mode
            return change(content, job).encode(encoding)

    return write


def _paragraphs(content: str, job: Pass) -> str:
    if job.mode != "drop":
        return job.rewrite(content)
    return _without(re.split(r"((?:\r\n|\n|\r)(?:[ \t　]*(?:\r\n|\n|\r))+)", content), job)


def _lines(content: str, job: Pass) -> str:
    if job.mode != "drop":
        return job.rewrite(content)
    return _without(re.split(r"(\r\n|\n|\r)", content), job)


def _without(pieces: list[str], job: Pass) -> str:
    """The pieces (each followed by its separator) that hold no personal data."""
    kept, line = [], 1
    for piece, gap in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if not job.holds_any(piece, line):
            kept += [piece, gap]
        line += piece.count("\n") + gap.count("\n")
    return "".join(kept)


def _json_text(content: str, job: Pass) -> str:
    """Strings and long numbers of JSON (also of JSON lines, also of broken ones); all else stays as it is."""
    pieces: list[str] = []
    position, line, label = 0, 1, ""
    for literal in _LITERAL.finditer(content):
        gap = content[position : literal.start()]
        pieces.append(_json_gap(gap, job, line, label))
        line += gap.count("\n")
        value = _json_value(literal[0])
        is_key = re.match(r"\s*:", content[literal.end() : literal.end() + 20]) is not None
        if is_key:
            label = value or ""
        if value is None:
            pieces.append(job.rewrite(literal[0], line))
        else:
            new = job.rewrite(value, line, "" if is_key else label)
            ascii_only = literal[0].isascii() and "\\u" in literal[0]
            pieces.append(literal[0] if new == value else json.dumps(new, ensure_ascii=ascii_only))
        line += literal[0].count("\n")
        position = literal.end()
    pieces.append(_json_gap(content[position:], job, line, label))
    return "".join(pieces)


def _json_value(literal: str) -> str | None:
    try:
        value = json.loads(literal, strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _json_gap(gap: str, job: Pass, line: int, label: str) -> str:
    def number(match: re.Match[str]) -> str:
        new = job.rewrite(match[0], line + gap.count("\n", 0, match.start()), label)
        return match[0] if new == match[0] else json.dumps(new, ensure_ascii=False)

    gap = _JSON_NUMBER.sub(number, gap)
    broken = not gap.isascii() or "@" in gap  # no JSON: the rest of a string that never ends
    return job.rewrite(gap, line) if broken else gap


def _json_lines(content: str, job: Pass) -> str:
    if job.mode != "drop":
        return _json_text(content, job)
    kept = []
    for number, row in enumerate(re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", content), 1):
        count = len(job.hits)
        _json_text(row, job)
        job.hits[count:] = [(kind, f"{job.file}:{number}") for kind, _ in job.hits[count:]]
        if len(job.hits) == count:
            kept.append(row)
    return "".join(kept)


def _json_document(content: str, job: Pass) -> str:
    if job.mode != "drop":
        return _json_text(content, job)
    if re.match(r"\s*\{[^\r\n]*\}[ \t]*\r?\n\s*\{", content):
        return _json_lines(content, job)
    try:
        whole: Any = json.loads(content.removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError) as error:
        raise DataError("desensitize.cannot_read", where=job.file, why=str(error)[:80]) from None
    if not isinstance(whole, list):
        raise DataError("desensitize.no_drop_here", where=job.file)
    kept = []
    for index, item in enumerate(whole, 1):
        count = len(job.hits)
        _json_text(json.dumps(item, ensure_ascii=False), job)
        job.hits[count:] = [(kind, f"{job.file}:[{index}]") for kind, _ in job.hits[count:]]
        if len(job.hits) == count:
            kept.append(item)
    if len(kept) == len(whole):
        return content
    indent = re.match(r"\s*\[\s*\n([ \t]+)", content)
    escaped = content.isascii() and "\\u" in content
    tail = "\n" if content.endswith("\n") else ""
    out = json.dumps(kept, ensure_ascii=escaped, indent=indent[1] if indent else None) + tail
    return out.replace("\n", "\r\n") if "\r\n" in content else out


def _delimiter(content: str, suffix: str) -> str:
    head = content.lstrip("\ufeff").split("\n", 1)[0]
    return max(("\t", ",", ";", "|") if suffix == ".tsv" else (",", ";", "\t", "|"), key=head.count)


def _table(content: str, job: Pass) -> str:
    """Cells of a delimited table, each with the name of its column; quoting and line ends stay."""
    by = re.escape(_delimiter(content, Path(job.file).suffix))
    cell = re.compile(rf'(?P<cell>[ ]*"(?:[^"]|"")*"[ ]*(?={by}|[\r\n]|\Z)|[^{by}\r\n]*)(?P<end>{by}|\r\n|\n|\r|\Z)')
    names: list[str] = []
    out: list[str] = []
    row: list[str] = []
    position, line, column, count, first = 0, 1, 0, 0, True
    while position <= len(content):
        match = cell.match(content, position)
        if match is None or (not match[0] and position == len(content) and not row):
            break
        raw = match["cell"]
        label = names[column] if column < len(names) else ""
        new = _cell(raw, job, line, label)
        if first:
            names.append(_unquoted(raw).strip("\ufeff \t"))
        row += [new if job.mode != "drop" else raw, match["end"]]
        column += 1
        line += raw.count("\n")
        if match["end"] in ("\n", "\r\n", "\r", ""):
            if job.mode != "drop" or len(job.hits) == count:
                out += row
            first, row, column, count = False, [], 0, len(job.hits)
            line += 1
        if match["end"] == "":
            break
        position = match.end()
    return "".join(out)


def _unquoted(raw: str) -> str:
    bare = raw.strip(" ")
    return bare[1:-1].replace('""', '"') if len(bare) > 1 and bare[0] == bare[-1] == '"' else raw


def _cell(raw: str, job: Pass, line: int, label: str) -> str:
    value = _unquoted(raw)
    new = job.rewrite(value, line, label)
    if new == value:
        return raw
    return '"' + new.replace('"', '""') + '"' if value is not raw and value != raw else new


def _workbook(path: Path, job: Pass) -> bytes:
    from io import BytesIO

    from openpyxl import load_workbook  # slow to import, seldom needed

    try:
        book = load_workbook(path)
    except Exception as error:  # openpyxl lets errors of zip, XML and its own through
        raise DataError("desensitize.cannot_read", where=job.file, why=type(error).__name__) from None
    for sheet in book.worksheets:
        title = safe_text(sheet.title)
        names = [str(cell.value or "") for cell in next(sheet.iter_rows(max_row=1), ())]
        bad_rows = []
        for number, row in enumerate(sheet.iter_rows(), 1):
            count = len(job.hits)
            for cell, label in zip(row, [*names, *[""] * (len(row) - len(names))], strict=False):
                _sheet_cell(cell, job, label if number > 1 else "", f"{title}!{cell.coordinate}")
            if job.mode == "drop" and len(job.hits) > count:
                bad_rows.append(number)
        for number in reversed(bad_rows):
            sheet.delete_rows(number)
        new_title = job.rewrite(sheet.title, place=title)
        if new_title != sheet.title:
            sheet.title = re.sub(r"[\[\]]", "", new_title)[:31]
    for name in ("creator", "lastModifiedBy", "title", "subject", "description", "keywords", "category"):
        value = getattr(book.properties, name)
        if isinstance(value, str):
            # People stand here by name alone; whoever asks for names masked wants these gone too.
            person = name in ("creator", "lastModifiedBy") and "name" in job.types and value != "openpyxl"
            setattr(book.properties, name, job.marks["name"] if person else job.rewrite(value, place=name))
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet_cell(cell: Any, job: Pass, label: str, place: str) -> None:
    value = cell.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        new = job.rewrite(str(value), label=label, place=place)
        if new != str(value) and job.mode != "drop":
            with contextlib.suppress(AttributeError):  # a cell inside a merged range holds nothing
                cell.value = new
    comment = getattr(cell, "comment", None)
    if comment is not None:
        comment.text = job.rewrite(comment.text, place=place)
    link = getattr(cell, "hyperlink", None)
    if link is not None and link.target and job.holds_any(link.target, place=place) and job.mode != "drop":
        cell.hyperlink = None


WRITERS: dict[str, Callable[[Path, Pass], bytes]] = {
    ".txt": _text_file(_paragraphs),
    ".md": _text_file(_paragraphs),
    ".log": _text_file(_lines),
    ".csv": _text_file(_table),
    ".tsv": _text_file(_table),
    ".json": _text_file(_json_document),
    ".jsonl": _text_file(_json_lines),
    ".xlsx": _workbook,
}
