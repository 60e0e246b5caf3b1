"""Picture records: each picture of a folder with its caption, from a table, from a text file beside it, or its name.

Every picture and every line of a table is accounted for in the ledger.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lora_scripts.data.ledger import Decision, Finding, Ledger
from lora_scripts.data.pictures.looks import Looks, look_at
from lora_scripts.data.pictures.opening import SUFFIXES, Unreadable, open_picture
from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError
from lora_scripts.messages import fix_for, text

OTHER_KINDS = (".svg", ".gif", ".tif", ".tiff", ".heic", ".avif", ".ico", ".psd")
SIDECARS = (".txt", ".caption")
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.tsv")
FILE_HEADS = ("filename", "file_name", "file", "image", "path", "文件名", "文件", "图片")
CAPTION_HEADS = ("prompt", "caption", "text", "description", "tags", "描述", "提示词", "标签", "文字")


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture and its caption. ``source`` is where the caption stands, ``digest`` the sha256 of the file."""

    path: Path
    caption: str
    source: str
    digest: str
    looks: Looks


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: which picture, in its own words, and what it says of it."""

    source: str
    name: str
    caption: str


def is_picture_folder(root: Path) -> bool:
    """Whether a folder holds pictures and nothing to read but their captions."""
    if not root.is_dir():
        return False
    files = [path for path in _files(root) if not path.name.startswith(".")]
    pictures = {path.with_suffix("") for path in files if path.suffix.lower() in SUFFIXES}
    others = [path for path in files if path.suffix.lower() not in (*SUFFIXES, *OTHER_KINDS, ".html")]
    return bool(pictures) and all(
        path.name in TABLES or (path.suffix.lower() in SIDECARS and path.with_suffix("") in pictures) for path in others
    )


def read_pictures(root: Path, ledger: Ledger, table: Path | None = None) -> list[PictureRecord]:
    """The pictures below ``root`` with their captions; ``table`` is read in place of one that lies in the folder.

    Raises:
        DataError: The table is none, or no picture is left.
    """
    if table is None:
        table = next((root / name for name in TABLES if (root / name).is_file()), None)
    lines = list(read_table(table)) if table else []
    if table:
        ledger.decisions.append(Decision(table.name, "-", "table", text("pictures.lines", count=len(lines))))
    paths = {path.relative_to(root).as_posix(): path for path in _files(root) if _is_picture(path)}
    said = _by_picture(lines, paths, root, ledger)
    records = []
    unnamed = []
    for name, path in paths.items():
        ledger.read += 1
        try:
            if path.suffix.lower() in OTHER_KINDS:
                raise Unreadable("picture_other_kind", kind=path.suffix)
            picture = open_picture(path)
        except Unreadable as error:
            ledger.leave_out(name, error.bin, str(error))
            continue
        for note in picture.notes:
            ledger.findings.append(Finding("info", "picture_changed", name, note))
        caption, source = _caption(name, path, said)
        if source == name:
            unnamed.append(name)
        ledger.kept += 1
        records.append(
            PictureRecord(path, caption, source, sha256(path.read_bytes()).hexdigest(), look_at(picture.image))
        )
    if unnamed:
        key = "pictures.by_name"
        ledger.findings.append(
            Finding("warning", "caption_from_name", unnamed[0], text(key, count=len(unnamed)), fix_for(key))
        )
    if not records:
        raise DataError("pictures.none_left", where=root, count=ledger.read)
    return records


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(p.startswith(".") for p in path.relative_to(root).parts)
        ):
            yield path


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *OTHER_KINDS)


def _by_picture(lines: list[Line], paths: Mapping[str, Path], root: Path, ledger: Ledger) -> dict[str, Line]:
    """The line of each picture; lines that name none are left out with the reason."""
    found: dict[str, Line] = {}
    stems: dict[str, list[str]] = {}
    for name in paths:
        stems.setdefault(Path(name).with_suffix("").as_posix(), []).append(name)
    for line in lines:
        name = line.name.replace("\\", "/").removeprefix("./")
        outside = Path(name).is_absolute() or ".." in Path(name).parts or re.match(r"[A-Za-z]:", name)
        alike = stems.get(name, []) if name not in paths else [name]
        if outside or not name or len(alike) != 1:
            reason = "line_outside" if outside else "line_unnamed" if not name else "line_without_picture"
            ledger.read += 1
            ledger.leave_out(line.source, reason, text(f"pictures.{reason}", name=name[:80]))
        elif alike[0] in found:
            ledger.read += 1
            ledger.leave_out(line.source, "line_again", text("pictures.line_again", first=found[alike[0]].source))
        else:
            found[alike[0]] = line
    return found


def _caption(name: str, path: Path, said: Mapping[str, Line]) -> tuple[str, str]:
    """The caption and where it stands; the file's own name where nobody says one."""
    if name in said and said[name].caption:
        return said[name].caption, said[name].source
    for suffix in SIDECARS:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            words = " ".join(decode(beside.read_bytes(), beside.name).text.split())
            if words:
                return words, f"{Path(name).with_suffix(suffix).as_posix()}:1"
    return " ".join(re.split(r"[_\-\s]+", Path(name).stem)).strip() or Path(name).stem, name


def read_table(table: Path) -> Iterator[Line]:
    """The lines of a CSV, TSV or JSONL table, with or without a header.

    Raises:
        DataError: It cannot be read as such, or does not say which picture and what of it.
    """
    if not table.is_file():
        raise DataError("pictures.no_folder", where=table)
    words = decode(table.read_bytes(), str(table)).text
    yield from _json_lines(words, table.name) if table.suffix.lower() == ".jsonl" else _cells(words, table.name)


def _cells(words: str, where: str) -> Iterator[Line]:
    head = words.split("\n", 1)[0]
    delimiter = max(",\t;", key=head.count)
    reader = csv.reader(io.StringIO(words), delimiter=delimiter)
    places: tuple[int, int] | None = None
    begin = 1
    try:
        for row in reader:
            first, begin = begin, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = _places([cell.strip().lower() for cell in row])
                if places is not None:
                    continue
                if len(row) < 2 or Path(row[0].strip()).suffix.lower() not in (*SUFFIXES, *OTHER_KINDS):
                    raise DataError("pictures.bad_heads", where=f"{where}:{first}", heads=", ".join(row)[:120])
                places = (0, 1)
            cells = [*row, *[""] * (max(places) + 1 - len(row))]
            caption = cells[places[1]]
            if delimiter == "," and places == (0, 1) and len(row) > 2:  # commas of tags that nobody quoted
                caption = ",".join(row[1:])
            yield Line(f"{where}:{first}", cells[places[0]].strip(), " ".join(caption.split()))
    except csv.Error as error:
        raise DataError("pictures.bad_table", where=f"{where}:{begin}") from error


def _places(heads: list[str]) -> tuple[int, int] | None:
    file = next((heads.index(head) for head in FILE_HEADS if head in heads), None)
    caption = next((heads.index(head) for head in CAPTION_HEADS if head in heads), None)
    return None if file is None or caption is None else (file, caption)


def _json_lines(words: str, where: str) -> Iterator[Line]:
    for number, row in enumerate(words.split("\n"), 1):
        if not row.strip():
            continue
        try:
            told = json.loads(row)
            heads = {str(key).lower(): value for key, value in told.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError("pictures.bad_json", where=f"{where}:{number}") from error
        places = _places(list(heads))
        values = list(heads.values())
        if places is None or not all(isinstance(values[at], str) for at in places):
            raise DataError("pictures.bad_heads", where=f"{where}:{number}", heads=", ".join(heads)[:120])
        yield Line(f"{where}:{number}", values[places[0]].strip(), " ".join(values[places[1]].split()))
