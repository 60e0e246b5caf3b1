"""Folders of things that were computed once: where they lie, what they are called, and what goes when they grow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from lora_scripts.messages import text

LIMIT_BYTES = 20 * 2**30
_LAYOUT = 1  # part of every key: entries of another layout are never looked at
_STALE_SECONDS = 3600  # a file aside that nobody wrote to for so long has lost its writer


def cache_folder() -> Path:
    """Where caches go: ``LORA_SCRIPTS_CACHE``, else ``lora-scripts`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get("LORA_SCRIPTS_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lora-scripts"


def cache_key(**parts: object) -> str:
    """sha256 in hexadecimal over ``parts`` as canonical JSON: equal parts, equal key, in whatever order.

    Raises:
        TypeError: A part is no JSON value.
    """
    told = json.dumps({"layout": _LAYOUT, "parts": parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def open_home(home: Path) -> None:
    """Make a cache's folder, for its owner alone, and remove what killed writers left aside.

    Raises:
        OSError: It cannot be made.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    for path in home.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def prune(
    home: Path, pattern: str, keep: Collection[Path], say: Callable[[str], None], limit_bytes: int = LIMIT_BYTES
) -> None:
    """Remove entries, the least recently used first, until the rest fits; never those of ``keep``."""
    entries: list[tuple[float, int, Path]] = []
    for path in home.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            entries.append(((found := path.stat()).st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in entries)
    removed = freed = 0
    for _, size, path in sorted(entries):
        if total - freed > limit_bytes and path not in keep:
            path.unlink(missing_ok=True)
            removed, freed = removed + 1, freed + size
    gib = limit_bytes / 2**30
    if removed:
        say(text("augment.cache_pruned", count=removed, freed=freed / 2**30, limit=gib, folder=home))
    if total - freed > limit_bytes:
        largest = next(iter(keep)) if len(keep) == 1 else home
        say(text("augment.cache_over", size=(total - freed) / 2**30, limit=gib, path=largest))
