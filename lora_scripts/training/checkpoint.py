"""Checkpoints that are whole or absent.

A checkpoint is written into a temporary folder beside its place, every file flushed to the disk, a manifest
with the sha256 of each file last; then the folder is renamed and its parent flushed. A kill at any moment
leaves the older checkpoints as they were and at most one temporary folder, which the next start sweeps away.
No pickle: tensors are safetensors, all else JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from lora_scripts.errors import TrainError

PREFIX = "checkpoint-"
TEMPORARY = ".tmp-checkpoint-"
MANIFEST = "manifest.json"
STATE_FILE, OPTIMIZER_FILE, RANDOM_FILE = "state.json", "optimizer.safetensors", "random.safetensors"
IDENTITIES_FILE = "documents.safetensors"  # what tells the documents of this run, for a later one with more of them


@dataclass(frozen=True, slots=True)
class Skipped:
    """A checkpoint that was not taken, and why."""

    path: Path
    reason: str


def sha256_of(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _manifest(files: Mapping[str, str]) -> str:
    body = json.dumps({"files": dict(sorted(files.items()))}, sort_keys=True)
    return json.dumps({**json.loads(body), "sha256": hashlib.sha256(body.encode()).hexdigest()}, indent=1)


def write_checkpoint(
    run_dir: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    texts: Mapping[str, str],
    ready: Mapping[str, bytes] | None = None,
) -> Path:
    """Write ``checkpoint-<step>`` whole: ``tensors`` (safetensors), ``texts`` and ``ready`` files, by file name.

    Raises:
        TrainError: The disk is full or the folder cannot be written; nothing half-made stays.
    """
    place, temporary = run_dir / f"{PREFIX}{step}", run_dir / f"{TEMPORARY}{step}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        contents = {name: save({k: v.contiguous() for k, v in group.items()}) for name, group in tensors.items()}
        contents |= {name: text.encode() for name, text in texts.items()} | dict(ready or {})
        for name, raw in contents.items():
            (temporary / name).write_bytes(raw)
            _flush(temporary / name)
        digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in contents.items()}
        (temporary / MANIFEST).write_text(_manifest(digests), encoding="utf-8")
        _flush(temporary / MANIFEST)
        _flush(temporary)
        _put(temporary, place)
        _flush(run_dir)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainError("train.cannot_save", where=place, reason=e.strerror or str(e)) from e
    return place


def _put(fresh: Path, place: Path) -> None:
    """Rename ``fresh`` to ``place``; one that is there gives way, and comes back where that fails (see ``sweep``)."""
    aside = _aside(place)
    if place.exists():
        shutil.rmtree(aside, ignore_errors=True)
        place.rename(aside)
    try:
        fresh.rename(place)
    except OSError:
        if aside.exists():
            aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{TEMPORARY}old-{checkpoint.name.removeprefix(PREFIX)}")


def _remove(checkpoint: Path) -> None:
    """Take a checkpoint away under a temporary name first, so that a kill leaves no half one under its own."""
    going = checkpoint.with_name(f"{TEMPORARY}gone-{checkpoint.name.removeprefix(PREFIX)}")
    shutil.rmtree(going, ignore_errors=True)
    checkpoint.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def fault_of(checkpoint: Path) -> str:
    """What is wrong with a checkpoint folder, empty where it is whole."""
    try:
        written = (checkpoint / MANIFEST).read_text(encoding="utf-8")
        files = json.loads(written)["files"]
        if written != _manifest(files):
            return f"{MANIFEST} was changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"no readable {MANIFEST}"
    for name, digest in files.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != digest:
            return f"{name} does not match its sha256"
    return ""


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name, -1 where there is none."""
    number = checkpoint.name.removeprefix(PREFIX)
    return int(number) if checkpoint.name.startswith(PREFIX) and number.isdigit() else -1


def checkpoints(run_dir: Path) -> list[Path]:
    """All checkpoint folders, newest step first; not yet checked."""
    found = [p for p in run_dir.glob(f"{PREFIX}*") if p.is_dir() and not p.is_symlink() and step_of(p) >= 0]
    return sorted(found, key=step_of, reverse=True)


def newest_whole(run_dir: Path) -> tuple[Path | None, list[Skipped]]:
    """The newest checkpoint that is whole, and the newer ones that are not."""
    skipped: list[Skipped] = []
    for path in checkpoints(run_dir):
        fault = fault_of(path)
        if not fault:
            return path, skipped
        skipped.append(Skipped(path, fault))
    return None, skipped


def read_tensors(checkpoint: Path, name: str) -> dict[str, Tensor]:
    """The tensors of one file of a checkpoint."""
    return load_file(checkpoint / name)


def sweep(run_dir: Path) -> list[str]:
    """Remove what a killed save left behind; returns the names removed.

    A checkpoint that was giving way to a new one of its step when the process died is put back.
    """
    for path in run_dir.glob(f"{TEMPORARY}old-*"):
        place = run_dir / f"{PREFIX}{path.name.removeprefix(f'{TEMPORARY}old-')}"
        if not place.exists() and not fault_of(path):
            path.rename(place)
    orphans = [p for p in run_dir.glob(f"{TEMPORARY}*") if p.is_dir()]
    for path in orphans:
        shutil.rmtree(path, ignore_errors=True)
    return [p.name for p in orphans]


def prune(run_dir: Path, keep: int, protect: Iterable[int]) -> list[str]:
    """Remove the oldest checkpoints beyond ``keep``, never those of the steps in ``protect``."""
    guarded = set(protect)
    removed = [p for p in checkpoints(run_dir)[keep:] if step_of(p) not in guarded]
    for path in removed:
        _remove(path)
    return [p.name for p in removed]


def point(run_dir: Path, name: str, target: Path) -> None:
    """Make ``run_dir/name`` a symbolic link to a checkpoint, where the file system has such links."""
    link, fresh = run_dir / name, run_dir / f".{name}.new"
    with contextlib.suppress(OSError):
        fresh.unlink(missing_ok=True)
        try:
            fresh.symlink_to(target.name)
            fresh.replace(link)
        finally:
            fresh.unlink(missing_ok=True)
