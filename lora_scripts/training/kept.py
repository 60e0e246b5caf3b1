"""Tensors that are computed once and kept: what the VAE makes of a picture, what text encoders make of a caption.

An entry's name is a hash over everything that it follows from, so another picture, base or size makes another entry.
Each is written aside and renamed, and its header holds the sha256 of its tensors: a cut or changed entry is made
again, never used.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lora_scripts.data.cache import open_home, prune
from lora_scripts.messages import text

SUFFIX = ".safetensors"
HELD_BYTES = 1 << 30  # of them in memory; what is beyond is read from the disk at each use
TOLD_SECONDS = 5.0
Entry = dict[str, Tensor]
Wanted = TypeVar("Wanted")


class Kept:
    """Entries by key, in memory and below ``home``; without ``home`` in memory alone."""

    def __init__(self, home: Path | None, say: Callable[[str], None]) -> None:
        self._home, self._say = home, say
        self._held: dict[str, Entry] = {}
        self._held_bytes = 0
        self._known: set[str] = set()
        self._writes = home is not None
        if home:
            self._on_disk(lambda: open_home(home))

    def fill(
        self,
        wanted: Mapping[str, Wanted],
        make: Callable[[Sequence[Wanted]], Sequence[Entry]],
        *,
        at_once: int,
        told: str,
    ) -> int:
        """Have an entry for each key of ``wanted``; how many had to be made.

        ``make`` makes those of several values, which come in order; ``told`` is the text that says how far it is.
        """
        missing = [key for key in wanted if key not in self._held and not self._find(key)]
        began = time.monotonic()
        for i in range(0, len(missing), at_once):
            some = missing[i : i + at_once]
            for key, entry in zip(some, make([wanted[key] for key in some]), strict=True):
                self._keep(key, {name: value.detach().cpu().contiguous() for name, value in entry.items()})
            if told and (time.monotonic() - began > TOLD_SECONDS or i + at_once >= len(missing)):
                began = time.monotonic()
                self._say(text(told, done=min(i + at_once, len(missing)), count=len(missing)))
        self._known.update(wanted)
        if missing and self._home and self._writes:
            prune(self._home, f"*{SUFFIX}", {self._path(key) for key in self._known}, self._say)
        return len(missing)

    def __getitem__(self, key: str) -> Entry:
        """An entry that ``fill`` has seen to."""
        return self._held[key] if key in self._held else _read(self._path(key))

    def __contains__(self, key: str) -> bool:
        """Whether ``fill`` has seen to it."""
        return key in self._known

    def _path(self, key: str) -> Path:
        assert self._home
        return self._home / f"{key}{SUFFIX}"

    def _find(self, key: str) -> bool:
        if not self._home or not (path := self._path(key)).is_file():
            return False
        try:
            entry = _read(path)
            os.utime(path)
        except (OSError, ValueError, SafetensorError):
            self._say(text("picture_run.cache_broken", path=path))
            return False
        self._hold(key, entry)
        return True

    def _keep(self, key: str, entry: Entry) -> None:
        if self._writes:
            self._on_disk(lambda: _write(self._path(key), entry))
        self._hold(key, entry)

    def _hold(self, key: str, entry: Entry) -> None:
        size = sum(value.nbytes for value in entry.values())
        if not self._writes or self._held_bytes + size <= HELD_BYTES:
            self._held[key] = entry
            self._held_bytes += size

    def _on_disk(self, work: Callable[[], None]) -> None:
        """Do ``work``; where the disk refuses, say so and keep what comes in memory alone."""
        try:
            work()
        except OSError as error:
            self._writes = False
            self._say(text("augment.cache_off", folder=self._home, reason=error.strerror or str(error)))


def _digest(entry: Mapping[str, Tensor]) -> str:
    seen = sha256()
    for name in sorted(entry):
        seen.update(name.encode())
        seen.update(entry[name].contiguous().view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()


def _write(path: Path, entry: Entry) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save(entry, metadata={"sha256": _digest(entry)}))
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(path: Path) -> Entry:
    with safe_open(path, "pt") as file:
        entry = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (file.metadata() or {}).get("sha256") != _digest(entry):
            raise ValueError(path)
    return entry
