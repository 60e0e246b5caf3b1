"""A copy of a file or folder without personal data: same format, encoding, line ends, quoting, indentation.

Text is changed where it stands and nowhere else; strings of JSON are read with their escapes, cells of a table with
the name of their column. A kind of file that is not known here is refused before anything is written; the copy is
written beside its target and renamed, so that no half-done folder looks done.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lora_scripts.data.ledger import Finding
from lora_scripts.data.pii.desensitize import ASCII_MARKS, Counts, check_mode
from lora_scripts.data.pii.file_kinds import WRITERS
from lora_scripts.data.pii.file_pass import FileHit, Pass, safe_text
from lora_scripts.data.pii.find import DEFAULT_TYPES, check_types
from lora_scripts.data.pii.reads_alike import reading_of, reads_worse
from lora_scripts.errors import DataError, Problem, UsageError, problem
from lora_scripts.messages import fix_for, text


def desensitize_files(
    source: Path | str,
    target: Path | str,
    *,
    mode: str = "mask",
    types: Iterable[str] | None = DEFAULT_TYPES,
    key: str = "",
    hits: list[FileHit] | None = None,
) -> Counts:
    """Write a copy of a file or folder without personal data of ``types``, and read it back.

    In mode ``drop`` lines (.jsonl, .ndjson, .log), rows (.csv, .tsv, .xlsx, .parquet, .arrow, tables of .docx), objects
    (.json) or paragraphs between blank lines (.txt, .md) that hold any are left out.

    Args:
        source: A file or folder.
        target: Must not exist yet.
        mode: ``mask``, ``pseudonym`` or ``drop``.
        types: Some of ``PII_TYPES``; None is all.
        key: For pseudonyms.
        hits: Gets what was found, with the values; for a person who approves them.

    Returns:
        Counts by type with places, and remarks (file names with personal data, hidden files).

    Raises:
        ConfigError: An unknown mode or type, or no key.
        UsageError: No source, a target that exists or cannot be written.
        DataError: Files that cannot be done, or whose copy would read worse than they do (fewer records, other turns),
            all named; nothing is written.
    """
    check_mode(mode, key)
    wanted = check_types(types)
    source, target = Path(source), Path(target)
    counts = Counts()
    files = _files(source, target, counts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=target.parent))
        try:
            _write_all(files, aside / "copy", counts, mode, wanted, key, [] if hits is None else hits)
            if os.path.lexists(target):
                raise UsageError("desensitize.target_exists", where=target)
            (aside / "copy").rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise UsageError("desensitize.not_writable", where=target, why=error.strerror or str(error)) from None
    return counts


def _files(source: Path, target: Path, counts: Counts) -> list[tuple[Path, Path]]:
    """``(file, path inside the copy)``; everything that would be refused is refused here, at once."""
    if not source.exists():
        raise UsageError("desensitize.source_missing", where=source)
    if os.path.lexists(target):
        raise UsageError("desensitize.target_exists", where=target)
    if source.is_file():
        pairs = [(source, Path())]
    else:
        if target.resolve().is_relative_to(source.resolve()):
            raise UsageError("desensitize.target_inside", where=target)
        found = sorted(path for path in source.rglob("*") if path.is_symlink() or not path.is_dir())
        pairs = [(path, path.relative_to(source)) for path in found]
        shown = [pair for pair in pairs if not any(part.startswith(".") for part in pair[1].parts)]
        if len(shown) < len(pairs):
            remark = text("desensitize.finding.hidden_files", count=len(pairs) - len(shown))
            counts.findings.append(Finding("info", "hidden_files", "", remark))
        pairs = shown
    problems: list[Problem] = []
    for path, _ in pairs:
        if path.is_symlink() and path != source:
            problems.append(problem("desensitize.link_refused", where=_safe_name(path)))
        elif path.suffix.lower() not in WRITERS or not path.is_file():
            kind, known = path.suffix.lower() or path.name[:20], " ".join(WRITERS)
            problems.append(
                problem("desensitize.kind_refused", where=_safe_name(path), kind=safe_text(kind), known=known)
            )
    if problems:
        raise DataError(problems)
    if not pairs:
        raise DataError("desensitize.nothing_to_do", where=source)
    return pairs


def _write_all(
    files: list[tuple[Path, Path]],
    copy: Path,
    counts: Counts,
    mode: str,
    types: frozenset[str],
    key: str,
    hits: list[FileHit],
) -> None:
    problems: list[Problem] = []
    for path, inside in files:
        name = safe_text(inside.as_posix() if inside.parts else path.name)
        job = Pass(mode, types, key, name)
        # The copy of a single file has no name yet; reading goes by the suffix.
        written = copy / inside if inside.parts else copy.with_suffix(path.suffix)
        try:
            content = WRITERS[path.suffix.lower()](path, job)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_bytes(content)
            _check_reading(path, written, job)
        except DataError as error:
            problems += error.problems
            continue
        if not inside.parts:
            written.rename(copy)
        for kind, where, _ in job.hits:
            counts.add(kind, where)
        hits += job.hits
        _warn_of_name(inside.as_posix() if inside.parts else path.name, name, counts)
        if job.marks is ASCII_MARKS:
            job.remark("warning", "plain_marks")
        counts.findings += job.findings
    if problems:
        raise DataError(problems)


def _check_reading(path: Path, written: Path, job: Pass) -> None:
    """Refuse a copy that reads worse than its source."""
    if not job.hits:
        return
    source = reading_of(path)
    if source is None:  # a file of no records, or one that reading refuses
        return
    dropped = job.mode == "drop"
    if numbers := reads_worse(source, reading_of(written), dropped=dropped):
        there, left = numbers.split("/")
        raise DataError("desensitize.reads_worse", where=job.file, there=there, left=left)


def _safe_name(path: Path) -> str:
    return safe_text(str(path))


def _warn_of_name(name: str, shown: str, counts: Counts) -> None:
    if name != shown:
        remark = text("desensitize.finding.file_name")
        counts.findings.append(Finding("warning", "file_name", shown, remark, fix_for("desensitize.finding.file_name")))
