"""`desensitize`: a copy of files without personal data."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from lora_scripts.assemble.screen import PSEUDONYM_KEY
from lora_scripts.config.values import pii_type_list
from lora_scripts.data.pii.copies import desensitize_files
from lora_scripts.data.pii.desensitize import Counts
from lora_scripts.data.pii.file_pass import FileHit
from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES
from lora_scripts.errors import UsageError
from lora_scripts.messages import text


def desensitize_copy(
    source: Path, target: Path, *, mode: str, types: str | None, list_path: Path | None = None
) -> Counts:
    """Write a copy of ``source`` without personal data.

    Args:
        source: A file or folder.
        target: Must not exist yet.
        mode: ``mask``, ``pseudonym`` or ``drop``. Without a key in the environment the pseudonyms are good for this
            copy alone, since nobody knows its key.
        types: Names of types with commas, Chinese ones too, or ``all``.
        list_path: A new file that gets what was found, with the values, readable by its owner only.

    Raises:
        LoraScriptsError: What cannot be done.
    """
    wanted = DEFAULT_TYPES if types is None else PII_TYPES if types in ("all", "全部") else pii_type_list(types)
    if list_path is not None:
        _check_list_path(list_path, source, target)
    hits: list[FileHit] = []
    key = os.environ.get(PSEUDONYM_KEY) or secrets.token_hex()
    counts = desensitize_files(source, target, mode=mode, types=wanted, key=key, hits=hits)
    if list_path is not None:
        _write_list(list_path, hits)
    return counts


def _check_list_path(list_path: Path, source: Path, target: Path) -> None:
    if os.path.lexists(list_path):
        raise UsageError("desensitize.list_exists", where=list_path)
    place = list_path.resolve()
    if any(place.is_relative_to(data.resolve()) for data in (source, target)):
        raise UsageError("desensitize.list_inside", where=list_path)


def _write_list(path: Path, hits: Sequence[FileHit]) -> None:
    """A table of type, place and value, by type; the one file that holds values, so nobody else may read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["type", "name", "place", "value"])
            for kind in PII_TYPES:
                name = text(f"report.pii.{kind}")
                rows.writerows([kind, name, place, value] for found, place, value in hits if found == kind)
    except OSError as error:
        raise UsageError("desensitize.not_writable", where=path, why=error.strerror or str(error)) from None


def account_lines(counts: Counts, mode: str) -> list[str]:
    """How much was found of which type, and remarks; never a value."""
    lines = [
        text("cli.found_type", type=kind, count=counts.by_type[kind]) for kind in PII_TYPES if kind in counts.by_type
    ]
    lines += [f"{f.where}: {f.text}" if f.where else f.text for f in counts.findings]
    if mode == "pseudonym" and not os.environ.get(PSEUDONYM_KEY):
        lines.append(text("cli.random_key"))
    return lines or [text("cli.found_nothing")]
