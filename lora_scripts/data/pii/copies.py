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
from lora_scripts.data.pii.file_kinds import WRITERS, Pass, safe_text
from lora_scripts.data.pii.find import DEFAULT_TYPES, check_types
from lora_scripts.errors import DataError, Problem, UsageError, problem
from lora_scripts.messages import fix_for, text


def desensitize_files(
    source: Path | str,
    target: Path | str,
    *,
    mode: str = "mask",
    types: Iterable[str] | None = DEFAULT_TYPES,
    key: str = "",
) -> Counts:
    """Write a copy of a file or folder without personal data of ``types``.

    In mode ``drop`` lines (.jsonl, .log), rows (.csv, .tsv, .xlsx), objects (.json) or paragraphs between blank lines
    (.txt, .md) that hold any are left out.

    Args:
        source: A file or folder.
        target: Must not exist yet.
        mode: ``mask``, ``pseudonym`` or ``drop``.
        types: Some of ``PII_TYPES``; None is all.
        key: For pseudonyms.

    Returns:
        Counts by type with places, and remarks (file names with personal data, hidden files).

    Raises:
        ConfigError: An unknown mode or type, or no key.
        UsageError: No source, a target that exists or cannot be written.
        DataError: Files that cannot be done, all named; nothing is written.
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
            _write_all(files, aside / "copy", counts, mode, wanted, key)
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
    files: list[tuple[Path, Path]], copy: Path, counts: Counts, mode: str, types: frozenset[str], key: str
) -> None:
    problems: list[Problem] = []
    for path, inside in files:
        name = safe_text(inside.as_posix() if inside.parts else path.name)
        job = Pass(mode, types, key, name)
        try:
            content = WRITERS[path.suffix.lower()](path, job)
        except DataError as error:
            problems += error.problems
            continue
        (copy / inside).parent.mkdir(parents=True, exist_ok=True)
        (copy / inside).write_bytes(content)
        for kind, where in job.hits:
            counts.add(kind, where)
        _warn_of_name(inside.as_posix() if inside.parts else path.name, name, counts)
        if job.marks is ASCII_MARKS:
            key_of = "desensitize.finding.plain_marks"
            counts.findings.append(Finding("warning", "plain_marks", name, text(key_of), fix_for(key_of)))
        if path.suffix.lower() == ".xlsx":
            counts.findings.append(Finding("info", "sheet_parts", name, text("desensitize.finding.sheet_parts")))
    if problems:
        raise DataError(problems)


def _safe_name(path: Path) -> str:
    return safe_text(str(path))


def _warn_of_name(name: str, shown: str, counts: Counts) -> None:
    if name != shown:
        remark = text("desensitize.finding.file_name")
        counts.findings.append(Finding("warning", "file_name", shown, remark, fix_for("desensitize.finding.file_name")))
