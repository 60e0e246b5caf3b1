"""Files to records: one reader per shape, chosen by suffix and content; a file or a folder of mixed files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from lora_scripts.data.clean import clean, finding, places
from lora_scripts.data.ledger import Decision, Ledger
from lora_scripts.data.reading.columnar import read_arrow, read_parquet
from lora_scripts.data.reading.objects import read_objects
from lora_scripts.data.reading.office import read_document, read_pdf
from lora_scripts.data.reading.running_text import read_html, read_markdown, read_running_text
from lora_scripts.data.reading.sources import Source, open_source
from lora_scripts.data.reading.spreadsheets import read_workbook
from lora_scripts.data.reading.tables import read_table
from lora_scripts.data.records import Draft, Parsed, Record
from lora_scripts.errors import AmbiguousDataError, DataError, Problem

Roles = Mapping[str, str | Sequence[str]] | None
Names = Mapping[str, str | Sequence[str]] | None
TextReader = Callable[[Source, Roles, Names], Parsed | None]
Reader = Callable[[Path, str, Roles, Names], Parsed | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the records to train on, and the account of everything else."""

    records: list[Record]
    ledger: Ledger


def _any_text(source: Source, roles: Roles, columns: Names) -> Parsed | None:
    """A text file may hold JSON, a transcript, a table with a plain header, or questions and answers without names."""
    if found := read_objects(source, columns, roles, sure=False):
        return found
    return read_running_text(source, roles, columns)


def _of_text(read: TextReader) -> Reader:
    """The reader of a file whose text ``read`` takes."""

    def reader(path: Path, where: str, roles: Roles, columns: Names) -> Parsed | None:
        source = open_source(path, where)
        parsed = read(source, roles, columns)
        if parsed:
            parsed.encoding = source.encoding
            parsed.remarks[:0] = source.remarks
        return parsed

    return reader


_text = _of_text(_any_text)
_table = _of_text(lambda source, roles, columns: read_table(source, columns, roles))
_json = _of_text(lambda source, roles, columns: read_objects(source, columns, roles))

# Suffix → reader. A reader gets (path, its name, roles, columns) and answers None where it sees no pair.
FORMATS: dict[str, Reader] = {
    ".txt": _text,
    ".text": _text,
    ".log": _text,
    ".md": _of_text(read_markdown),
    ".markdown": _of_text(read_markdown),
    ".html": _of_text(read_html),
    ".htm": _of_text(read_html),
    ".csv": _table,
    ".tsv": _table,
    ".tab": _table,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
    ".xlsx": read_workbook,
    ".xlsm": read_workbook,
    ".docx": lambda path, where, roles, columns: read_document(path, where, roles, columns, _any_text),
    ".pdf": lambda path, where, roles, columns: read_pdf(path, where, roles, columns, _any_text),
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}
_PATIENCE = 1000  # records without a rejected answer after which a file is no preference data
PAGES = (".md", ".markdown", ".html", ".htm")  # a README among them is about the data
OLD_FORMATS = (".xls", ".doc", ".et", ".wps", ".rtf", ".odt", ".ods")
# Papers that lie beside data and hold none.
PAPERS = re.compile(
    r"(?:readme|licen[cs]e|source|notice|changelog|manifest|dataset_info|dataset_dict|state|data_report|copying|authors)(?![^\W_])",
    re.IGNORECASE,
)


def read_records(path: str | Path, *, roles: Roles = None, columns: Names = None, preference: bool = False) -> Reading:
    """Read a file, or every file of a folder that holds records, and clean what was read.

    Every input record is in ``records`` or in a bin of ``ledger.left_out``; how each file was read is in
    ``ledger.decisions``; files of other kinds are named in ``ledger.findings``.

    Args:
        path: A file, or a folder (all its folders, in sorted order; hidden ones are passed over).
        roles: Speakers' names by role, ``{"user": ["用户"], "assistant": ["律师"]}``, where they are not seen.
        columns: Column or key names, ``{"question": "咨询内容", "answer": "律师答复"}``; also system, input, history,
            rejected.
        preference: Wanted are two answers to each question, a chosen one and a rejected one (``Record.rejected``), and
            nothing else; otherwise such data are refused.

    Raises:
        DataError: Nothing there, nothing to read, or a file that cannot be read for certain. All such files of a
            folder are named at once.
    """
    ledger = Ledger()
    records = list(clean(iter_drafts(path, roles, columns, ledger, preference=preference), ledger))
    if not records:
        raise nothing_left(Path(path), ledger)
    return Reading(records, ledger)


def iter_drafts(
    path: str | Path, roles: Roles, columns: Names, ledger: Ledger, *, preference: bool = False
) -> Iterator[tuple[str, Draft]]:
    """The drafts of a file or folder with the name of their file, before cleaning.

    They are read as they are taken: memory does not grow with the size of JSONL, CSV, Parquet, Arrow and text
    files. ``ledger.decisions`` and ``ledger.findings`` are complete when the iterator has ended.

    Args:
        path: As for ``read_records``.
        roles: As for ``read_records``.
        columns: As for ``read_records``.
        ledger: Is filled with how each file was read, and with findings about files.
        preference: As for ``read_records``.

    Raises:
        DataError: As ``read_records``, at the end, when every file has been looked at.
    """
    root = Path(path)
    if not root.exists():
        raise DataError("data.missing", where=root)
    problems: list[Problem] = []
    unclear: AmbiguousDataError | None = None
    for file in _files(root, ledger) if root.is_dir() else [root]:
        try:
            yield from _read_file(file, roles, columns, ledger, preference)
        except DataError as error:
            if root.is_dir() and PAPERS.match(file.name):
                ledger.findings.append(finding("info", "paper_not_read", str(file), why=error.problems[0].text))
            else:
                problems += error.problems
                if isinstance(error, AmbiguousDataError):
                    unclear = unclear or error
    if unclear:
        raise AmbiguousDataError(problems, unclear.alternatives)
    if problems:
        raise DataError(problems)
    if not ledger.decisions:
        raise DataError("data.empty_folder", where=root, kinds=" ".join(FORMATS))


def _files(folder: Path, ledger: Ledger) -> list[Path]:
    """The files of ``folder`` that we read; what else lies there becomes findings."""
    files: list[Path] = []
    other: list[str] = []
    hidden = 0
    for path in sorted(folder.rglob("*")):
        if any(part.startswith((".", "~$")) or part == "__MACOSX" for part in path.relative_to(folder).parts):
            hidden += path.is_file()
        elif not path.is_file():
            continue
        elif path.suffix.lower() not in FORMATS or (path.suffix.lower() in PAGES and PAPERS.match(path.name)):
            other.append(str(path))
        elif path.stat().st_size == 0:
            ledger.findings.append(finding("warning", "empty_file", str(path)))
        else:
            files.append(path)
    if other:
        ledger.findings.append(finding("warning", "not_read", other[0], count=len(other), places=places(other)))
    if hidden:
        ledger.findings.append(finding("info", "hidden", str(folder), count=hidden))
    return files


def _read_file(
    path: Path, roles: Roles, columns: Names, ledger: Ledger, preference: bool
) -> Iterator[tuple[str, Draft]]:
    where = str(path)
    suffix = path.suffix.lower()
    if suffix in OLD_FORMATS:
        raise DataError("data.not_yet", where=where, suffix=suffix)
    try:
        if not path.stat().st_size:
            raise DataError("data.empty_file", where=where)
        parsed = FORMATS.get(suffix, _text)(path, where, roles, columns)
        drafts = _of_kind(parsed.drafts if parsed else (), where, preference)
        first = next(drafts, None)
        if parsed is None or first is None:
            raise DataError("data.no_pairs", where=where)
        yield where + first.part, first
        for draft in drafts:
            yield where + draft.part, draft
    except OSError as error:
        raise DataError("data.cannot_open", where=where, error=error.strerror or error) from None
    ledger.units.update(parsed.units)
    ledger.decisions.append(Decision(where, parsed.encoding, parsed.format, parsed.detail))
    for severity, kind, line, values in parsed.remarks:
        place = f"{where}:{line}" if line else where
        ledger.findings.append(finding(severity, kind, place, **values))


def _of_kind(drafts: Iterable[Draft], where: str, preference: bool) -> Iterator[Draft]:
    """The drafts of a file, where they are of the kind that is wanted; among preference data, others are left out.

    Raises:
        DataError: Preference data that are not wanted; or, where they are, none among the first records.
    """
    if not preference:
        for draft in drafts:
            if draft.rejected is not None:
                raise DataError("preference.unwanted", where=f"{where}{draft.part}:{draft.place}")
            yield draft
        return
    drafts = iter(drafts)
    head: list[Draft] = []
    for draft in islice(drafts, _PATIENCE):
        head.append(draft)
        if draft.rejected is not None:
            break
    if all(draft.rejected is None for draft in head) and any(draft.turns for draft in head):
        raise DataError("preference.none_there", where=f"{where}{head[0].part}:{head[0].place}", count=len(head))
    for draft in chain(head, drafts):
        ordinary = draft.rejected is None and not draft.reason
        yield replace(draft, turns=(), reason="not_a_preference") if ordinary else draft


def nothing_left(root: Path, ledger: Ledger) -> DataError:
    """The error for data of which no record is left, by what happened to them."""
    reasons = ledger.reasons()
    first = ledger.left_out[0].source
    if set(reasons) <= {"empty_answer", "orphan_question", "placeholder_answer"}:
        return DataError("data.no_answers", where=first, count=ledger.read)
    listed = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
    return DataError("data.nothing_left", where=root, count=ledger.read, reasons=listed, first=first)
