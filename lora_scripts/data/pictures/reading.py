"""Picture records: each picture of a folder with its caption, from a table, from a text file beside it, or its name.

Every picture and every line of a table is accounted for in the ledger.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lora_scripts.data.ledger import Decision, Finding, Ledger
from lora_scripts.data.pictures.looks import Looks, look_at
from lora_scripts.data.pictures.metadata import COLUMNS, Line, matched, read_table
from lora_scripts.data.pictures.opening import (
    SUFFIXES,
    Unreadable,
    files_below,
    find_pictures,
    open_picture,
    passed_over,
)
from lora_scripts.data.reading.encodings import decode
from lora_scripts.data.reading.formats import FORMATS, OLD_FORMATS, PAGES, PAPERS
from lora_scripts.errors import DataError, Problem, problem
from lora_scripts.messages import fix_for, text

SIDECARS = (".txt", ".caption", ".TXT", ".CAPTION")
MOST_REASONS = 20
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.tsv")


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture and its caption. ``source`` is where the caption stands, ``digest`` the sha256 of the file."""

    path: Path
    caption: str
    source: str
    digest: str
    looks: Looks


def is_picture_folder(root: Path) -> bool:
    """Whether a folder holds pictures and nothing to read but their captions."""
    try:
        files = list(files_below(root)) if root.is_dir() else []
    except OSError:  # who reads texts says so
        return False
    pictures = {path.with_suffix("") for path in files if path.suffix.lower() in SUFFIXES}
    kinds = {*FORMATS, *OLD_FORMATS} - {*PAGES}  # pages beside pictures are contact sheets
    texts = [path for path in files if path.suffix.lower() in kinds and not _is_no_data(path)]
    return bool(pictures) and all(
        path.name.lower() in TABLES or (path.suffix in SIDECARS and path.with_suffix("") in pictures) for path in texts
    )


def _is_no_data(path: Path) -> bool:
    """What lies in folders of pictures and is neither picture nor caption; a table of `label` under another name."""
    if PAPERS.match(path.name):
        return True
    if path.suffix.lower() != ".csv":
        return False
    with path.open("rb") as file:
        return file.readline(64).decode("utf-8-sig", "replace").strip() == ",".join(COLUMNS)


def tables_in(folder: Path) -> list[Path]:
    """The tables of a folder of pictures, the one that is read first; capitals in their names do not matter."""
    there = folder.iterdir() if folder.is_dir() else ()
    lying = {path.name.lower(): path for path in there if path.name.lower() in TABLES and path.is_file()}
    return [lying[name] for name in TABLES if name in lying]


def read_pictures(root: Path, ledger: Ledger, table: Path | None = None) -> list[PictureRecord]:
    """The pictures below ``root`` with their captions; ``table`` is read in place of one that lies in the folder.

    Raises:
        DataError: There is no such folder, the table is none, or no picture is left, with the reason of each.
    """
    if not root.is_dir():
        raise DataError("pictures.no_folder", where=root)
    tables = tables_in(root)
    tables = [table, *(t for t in tables if t.resolve() != table.resolve())] if table else tables
    paths = find_pictures(root)
    said = _said(tables, paths, ledger)
    _tell_unread(root, paths, tables, ledger)
    records = []
    unnamed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:  # Pillow decodes outside Python's lock
        for (name, path), seen in zip(paths.items(), workers.map(_seen, paths.values()), strict=True):
            ledger.read += 1
            if isinstance(seen, Unreadable):
                ledger.leave_out(name, seen.bin, str(seen))
                continue
            notes, digest, looks = seen
            for note in notes:
                ledger.findings.append(Finding("info", "picture_changed", name, note))
            caption, source = caption_of_picture(name, path, said)
            unnamed += [name] if source == name else []
            ledger.kept += 1
            records.append(PictureRecord(path, caption, source, digest, looks))
    if unnamed:
        key = "pictures.by_name"
        ledger.findings.append(
            Finding("warning", "caption_from_name", unnamed[0], text(key, count=len(unnamed)), fix_for(key))
        )
    if not records:
        raise none_left(root, ledger)
    return records


def none_left(root: Path, ledger: Ledger) -> DataError:
    """That no picture is left, with the first reasons why."""
    each = [Problem(entry.note or text(f"data.reason.{entry.reason}"), entry.source) for entry in ledger.left_out]
    more = len(each) - MOST_REASONS
    rest = [Problem(text("pictures.more_reasons", count=more))] if more > 0 else []
    return DataError([*each[:MOST_REASONS], *rest, problem("pictures.none_left", str(root), count=ledger.read)])


def _tell_unread(root: Path, paths: Mapping[str, Path], tables: list[Path], ledger: Ledger) -> None:
    """Say which files are neither pictures nor words about one, and what was not entered."""
    read = {*paths.values(), *(beside for path in paths.values() if (beside := _beside(path)))}
    taken = {table.resolve() for table in tables}
    others = [path for path in files_below(root) if path not in read and path.suffix.lower() != ".html"]
    unread = [path for path in others if path.resolve() not in taken]
    for severity, key, found in (
        ("warning", "unread", [path.relative_to(root).as_posix() for path in unread]),
        ("info", "passed_over", passed_over(root)),
    ):
        if found:
            said = text(f"pictures.{key}", count=len(found), names=", ".join(found[:3]))
            ledger.findings.append(Finding(severity, key, found[0], said, fix_for(f"pictures.{key}")))


def _seen(path: Path) -> tuple[tuple[str, ...], str, Looks] | Unreadable:
    """What was changed to open a picture, the sha256 of its file, its looks; or why it cannot be used."""
    try:
        picture = open_picture(path)
        return picture.notes, sha256(path.read_bytes()).hexdigest(), look_at(picture.image)
    except Unreadable as error:
        return error


def _said(tables: list[Path], paths: Mapping[str, Path], ledger: Ledger) -> dict[str, Line]:
    """The line of each picture in the first of the tables; what else there is goes into the ledger."""
    if not tables:
        return {}
    table = read_table(tables[0])
    detail = f"{text('pictures.lines', count=len(table.lines))}, {table.columns}"
    ledger.decisions.append(Decision(tables[0].name, table.encoding, "table", detail))
    for other in tables[1:]:
        key = "pictures.second_table"
        ledger.findings.append(
            Finding("warning", "second_table", other.name, text(key, read=tables[0].name), fix_for(key))
        )
    found, astray = matched(table.lines, paths)
    for one in astray:
        ledger.read += 1
        ledger.leave_out(
            one.line.source, one.bin, text(f"pictures.{one.bin}", name=one.line.name[:80], first=one.first)
        )
    if unused := [name for name, line in found.items() if line.caption and _beside(paths[name])]:
        said = text("pictures.beside_unused", count=len(unused), read=tables[0].name)
        ledger.findings.append(Finding("warning", "beside_unused", unused[0], said))
    return found


def _beside(path: Path) -> Path | None:
    """The file beside a picture that holds its caption; of several the first with words."""
    there = [file for suffix in SIDECARS if (file := path.with_suffix(suffix)).is_file()]
    return next((file for file in there if _words_in(file)), there[0] if there else None)


def _words_in(beside: Path) -> str:
    return " ".join(decode(beside.read_bytes(), beside.name).text.split())


def caption_of_picture(name: str, path: Path, said: Mapping[str, Line]) -> tuple[str, str]:
    """The caption and where it stands; the file's own name where nobody says one."""
    if name in said and said[name].caption:
        return " ".join(said[name].caption.split()), said[name].source
    if (beside := _beside(path)) and (words := _words_in(beside)):
        return words, f"{Path(name).with_suffix(beside.suffix).as_posix()}:1"
    return " ".join(re.split(r"[_\-\s]+", Path(name).stem)).strip() or Path(name).stem, name
