"""`desensitize`: a copy of files without personal data."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from lora_scripts.assemble.screen import PSEUDONYM_KEY
from lora_scripts.data.pii.copies import desensitize_files
from lora_scripts.data.pii.desensitize import Counts
from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES
from lora_scripts.messages import text


def desensitize_copy(source: Path, target: Path, *, mode: str, types: str | None) -> Counts:
    """Write a copy of ``source`` without personal data; ``types`` are names with commas, or ``all``.

    Without a key in the environment the pseudonyms are good for this copy alone, since nobody knows its key.

    Raises:
        LoraScriptsError: What cannot be done.
    """
    wanted = DEFAULT_TYPES if types is None else PII_TYPES if types == "all" else tuple(types.split(","))
    key = os.environ.get(PSEUDONYM_KEY) or secrets.token_hex()
    return desensitize_files(source, target, mode=mode, types=[name.strip() for name in wanted], key=key)


def account_lines(counts: Counts, mode: str) -> list[str]:
    """How much was found of which type, and remarks; never a value."""
    lines = [
        text("cli.found_type", type=kind, count=counts.by_type[kind]) for kind in PII_TYPES if kind in counts.by_type
    ]
    lines += [f"{f.where}: {f.text}" if f.where else f.text for f in counts.findings]
    if mode == "pseudonym" and not os.environ.get(PSEUDONYM_KEY):
        lines.append(text("cli.random_key"))
    return lines or [text("cli.found_nothing")]
