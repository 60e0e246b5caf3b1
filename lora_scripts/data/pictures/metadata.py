"""The table of a folder of pictures: a line for each, its file name below the folder and its caption."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.data.pictures.opening import OTHER_KINDS, SUFFIXES
from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError
from lora_scripts.messages import text

_END = "\0end"  # a last line of our own: where it is not reached a quote was never closed
COLUMNS = ("filename", "prompt")
FILE_HEADS = ("filename", "file_name", "file", "image", "path", "文件名", "文件", "图片")
CAPTION_HEADS = ("prompt", "caption", "text", "description", "tags", "描述", "提示词", "标签", "文字")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: which picture, and what it says of it.

    ``taken`` are the names of these two columns, ``others`` those beside them.
    """

    source: str
    name: str
    caption: str
    taken: tuple[str, str] = COLUMNS
    others: tuple[str, ...] = ()

    def columns(self) -> str:
        """What was taken for which column, in words."""
        named = text("pictures.columns", file=self.taken[0], caption=self.taken[1])
        return named + (text("pictures.other_columns", names=", ".join(self.others)) if self.others else "")


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a table, the encoding of its file, and what was taken for its columns, in words."""

    lines: list[Line]
    encoding: str
    columns: str


@dataclass(frozen=True, slots=True)
class Astray:
    """A line that no picture gets: ``bin`` is its reason, ``first`` the line that the picture has already."""

    line: Line
    bin: str
    first: str = ""


def read_table(table: Path) -> Table:
    """A CSV, TSV or JSONL table, with or without a header.

    Raises:
        DataError: It cannot be read as such, or does not say which picture and what of it.
    """
    if not table.is_file():
        raise DataError("pictures.no_table", where=table)
    decoded = decode(table.read_bytes(), str(table))
    read = _json_lines if table.suffix.lower() == ".jsonl" else _cells
    lines = list(read(decoded.text, table.name))
    return Table(lines, decoded.encoding, lines[0].columns() if lines else "-")


def matched(lines: Iterable[Line], pictures: Iterable[str]) -> tuple[dict[str, Line], list[Astray]]:
    """The line of each picture by its name, and the lines that no picture gets. A name may lack its suffix."""
    found: dict[str, Line] = {}
    astray = []
    by_stem: dict[str, list[str]] = {}
    known = set(pictures)
    for name in known:
        by_stem.setdefault(Path(name).with_suffix("").as_posix(), []).append(name)
    for line in lines:
        name = posixpath.normpath(line.name.replace("\\", "/")) if line.name.rstrip("/\\") == line.name else line.name
        alike = [name] if name in known else by_stem.get(name, [])
        if Path(name).is_absolute() or ".." in Path(name).parts or re.match(r"[A-Za-z]:", name):
            astray.append(Astray(line, "line_outside"))
        elif not line.name:
            astray.append(Astray(line, "line_unnamed"))
        elif len(alike) != 1:
            astray.append(Astray(line, "line_without_picture"))
        elif alike[0] in found:
            astray.append(Astray(line, "line_again", found[alike[0]].source))
        else:
            found[alike[0]] = line
    return found, astray


def write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write names and captions whole or not at all; with a byte-order mark, by which Excel knows UTF-8."""
    half = path.with_name(f".{path.name}.half")
    with half.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)
    half.replace(path)


def _cells(words: str, where: str) -> Iterator[Line]:
    delimiter = _delimiter(words, where)
    raw = [*words.split("\n"), _END]
    reader = csv.reader(io.StringIO("\n".join(raw) + "\n"), delimiter=delimiter)
    places: tuple[int, int] | None = None
    heads: list[str] = list(COLUMNS)
    begin = 1
    try:
        for row in reader:
            first, begin = begin, reader.line_num + 1
            if first == len(raw):
                return
            row = _as_written(row, raw[first - 1 : reader.line_num], delimiter, f"{where}:{first}")
            while row and not row[-1].strip():  # Excel's
                row.pop()
            if not row:
                continue
            if places is None:
                told = [cell.strip().lower() for cell in row]
                places = _places(told)
                if places is not None:
                    heads = told
                    continue
                if len(row) < 2 or Path(row[0].strip()).suffix.lower() not in (*SUFFIXES, *OTHER_KINDS):
                    raise DataError("pictures.bad_heads", where=f"{where}:{first}", heads=", ".join(row)[:120])
                places = (0, 1)
            if len(row) > len(heads):
                if places[1] != len(heads) - 1:
                    raise DataError("pictures.more_cells", where=f"{where}:{first}", count=len(row), heads=len(heads))
                row[places[1] :] = [delimiter.join(row[places[1] :])]  # commas of tags that nobody quoted
            yield _line(f"{where}:{first}", [*row, *[""] * (len(heads) - len(row))], heads, places)
    except csv.Error as error:
        raise DataError("pictures.bad_table", where=f"{where}:{begin}") from error


def _delimiter(words: str, where: str) -> str:
    """What parts the cells: a tab in ``.tsv``, what follows a picture's name, or the commonest in the first line."""
    first = next((row for row in words.split("\n") if row.strip()), "")
    if where.lower().endswith(".tsv") and "\t" in first:
        return "\t"
    kinds = "|".join(suffix[1:] for suffix in (*SUFFIXES, *OTHER_KINDS))
    if named := re.match(rf"[^,;\t]+\.(?:{kinds})\"?[ ]*([,;\t])", first, re.IGNORECASE):
        return named[1]
    return max(",\t;", key=re.sub(r'"[^"]*"', "", first).count)


def _as_written(row: list[str], raw: Sequence[str], delimiter: str, where: str) -> list[str]:
    """``row``, or its words with their marks where what is quoted is not a whole cell ("Hello" on a sign).

    Raises:
        DataError: That is so of a row of several lines: its quotation mark was closed by the one that opens another.
    """
    if not any('"' in line for line in raw):
        return row
    try:
        return next(csv.reader([f"{line}\n" for line in raw], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if len(raw) > 1:
            raise DataError("pictures.open_quote", where=where) from error
        return next(csv.reader(raw, delimiter=delimiter, quoting=csv.QUOTE_NONE))


def _line(source: str, row: Sequence[str], heads: Sequence[str], places: tuple[int, int]) -> Line:
    file, caption = places
    others = tuple(head or f"#{i + 1}" for i, head in enumerate(heads) if i not in places)
    return Line(source, row[file].strip(), row[caption].strip(), (heads[file], heads[caption]), others)


def _places(heads: list[str]) -> tuple[int, int] | None:
    file = next((heads.index(head) for head in FILE_HEADS if head in heads), None)
    caption = next((heads.index(head) for head in CAPTION_HEADS if head in heads), None)
    return None if file is None or caption is None else (file, caption)


def _json_lines(words: str, where: str) -> Iterator[Line]:
    for number, row in enumerate(words.split("\n"), 1):
        if not row.strip():
            continue
        source = f"{where}:{number}"
        try:
            told = json.loads(row)
        except (ValueError, RecursionError) as error:
            raise DataError("pictures.bad_json", where=source) from error
        if not isinstance(told, Mapping):
            raise DataError("pictures.bad_json", where=source)
        heads, values = [str(head).lower() for head in told], list(told.values())
        places = _places(heads)
        if places is None:
            raise DataError("pictures.bad_heads", where=source, heads=", ".join(heads)[:120])
        if strange := [heads[at] for at in places if not isinstance(values[at], str)]:
            raise DataError("pictures.no_words", where=source, name=strange[0])
        yield _line(source, values, heads, places)
