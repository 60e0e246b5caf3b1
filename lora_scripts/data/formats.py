"""Files to records: one reader per shape, chosen by suffix and content; a file or a folder of mixed files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.data.clean import clean, finding, places
from lora_scripts.data.encodings import Decoded, decode
from lora_scripts.data.ledger import Decision, Ledger
from lora_scripts.data.objects import read_objects
from lora_scripts.data.paragraphs import read_paragraphs
from lora_scripts.data.records import Draft, Parsed, Record
from lora_scripts.data.tables import read_table
from lora_scripts.data.transcript import read_transcript, unmarked_speakers
from lora_scripts.errors import DataError, Problem

Roles = Mapping[str, str | Sequence[str]] | None
Names = Mapping[str, str | Sequence[str]] | None
Reader = Callable[[str, str, Roles, Names], Parsed | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the records to train on, and the account of everything else."""

    records: list[Record]
    ledger: Ledger


def _json(text: str, where: str, roles: Roles, columns: Names) -> Parsed | None:
    return read_objects(text, where, columns, roles)


def _table(text: str, where: str, roles: Roles, columns: Names) -> Parsed | None:
    return read_table(text, where, columns)


def _any_text(text: str, where: str, roles: Roles, columns: Names) -> Parsed | None:
    """A text file may hold JSON, a transcript, a table with a plain header, or blocks of question and answer."""
    return (
        read_objects(text, where, columns, roles, sure=False)
        or read_transcript(text, where, roles)
        or read_table(text, where, columns, sure=columns is not None)
        or _no_speakers(text, where)
        or read_paragraphs(text)
    )


def _no_speakers(text: str, where: str) -> Parsed | None:
    names = unmarked_speakers(text)
    if names:
        raise DataError("data.no_colon", where=where, user=names[0], assistant=names[1])
    return None


# Suffix → reader. A reader gets (text, file name, roles, columns) and answers None where it sees no pair.
FORMATS: dict[str, Reader] = {
    ".txt": _any_text,
    ".text": _any_text,
    ".log": _any_text,
    ".csv": _table,
    ".tsv": _table,
    ".tab": _table,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
}
# Papers that lie beside data and hold none.
_PAPERS = re.compile(
    r"(?:readme|licen[cs]e|source|notice|changelog|manifest|dataset_info|data_report|copying|authors)\b", re.IGNORECASE
)


def read_records(path: str | Path, *, roles: Roles = None, columns: Names = None) -> Reading:
    """Read a file, or every file of a folder that holds records, and clean what was read.

    Every input record is in ``records`` or in a bin of ``ledger.left_out``; how each file was read is in
    ``ledger.decisions``; files of other kinds are named in ``ledger.findings``.

    Args:
        path: A file, or a folder (all its folders, in sorted order; hidden ones are passed over).
        roles: Speakers' names by role, ``{"user": ["用户"], "assistant": ["律师"]}``, where they are not seen.
        columns: Column or key names, ``{"question": "咨询内容", "answer": "律师答复"}``; also system, input, history.

    Raises:
        DataError: Nothing there, nothing to read, or a file that cannot be read for certain. All such files of a
            folder are named at once.
    """
    root = Path(path)
    if not root.exists():
        raise DataError("data.missing", where=root)
    ledger = Ledger()
    files = _files(root, ledger) if root.is_dir() else [root]
    drafts: list[tuple[str, Draft]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            drafts += _read_file(file, roles, columns, ledger)
        except DataError as error:
            if root.is_dir() and _PAPERS.match(file.name):
                ledger.findings.append(finding("info", "paper_not_read", str(file), why=error.problems[0].text))
            else:
                problems += error.problems
    if problems:
        raise DataError(problems)
    if not ledger.decisions:
        raise DataError("data.empty_folder", where=root, kinds=" ".join(FORMATS))
    records = clean(drafts, ledger)
    if not records:
        raise _nothing_left(root, ledger)
    return Reading(records, ledger)


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
        elif path.suffix.lower() not in FORMATS:
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


def _read_file(path: Path, roles: Roles, columns: Names, ledger: Ledger) -> list[tuple[str, Draft]]:
    where = str(path)
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xls", ".docx", ".doc", ".pdf"):
        raise DataError("data.not_yet", where=where, suffix=suffix)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError("data.cannot_open", where=where, error=error.strerror or error) from None
    if not data.strip():
        raise DataError("data.empty_file", where=where)
    decoded = decode(data, where)
    del data
    if not decoded.text.strip():
        raise DataError("data.empty_file", where=where)
    parsed = FORMATS.get(suffix, _any_text)(decoded.text, where, roles, columns)
    if parsed is None or not parsed.drafts:
        raise DataError("data.no_pairs", where=where)
    _account(where, decoded, parsed, ledger)
    return [(where, draft) for draft in parsed.drafts]


def _account(where: str, decoded: Decoded, parsed: Parsed, ledger: Ledger) -> None:
    ledger.decisions.append(Decision(where, decoded.encoding, parsed.format, parsed.detail))
    if decoded.guessed:
        ledger.findings.append(finding("warning", "guessed_encoding", where, encoding=decoded.encoding))
    if (broken := decoded.text.count("\ufffd")) and (at := decoded.text.find("\ufffd")) >= 0:
        line = decoded.text.count("\n", 0, at) + 1
        ledger.findings.append(finding("warning", "replacement_characters", f"{where}:{line}", count=broken))
    for severity, kind, line, values in parsed.remarks:
        ledger.findings.append(finding(severity, kind, f"{where}:{line}", **values))


def _nothing_left(root: Path, ledger: Ledger) -> DataError:
    reasons = ledger.reasons()
    first = ledger.left_out[0].source
    if set(reasons) <= {"empty_answer", "orphan_question", "placeholder_answer"}:
        return DataError("data.no_answers", where=first, count=ledger.read)
    listed = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
    return DataError("data.nothing_left", where=root, count=ledger.read, reasons=listed, first=first)
