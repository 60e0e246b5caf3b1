"""Commands in processes of their own that start at once: forked from one that has imported all and computed nothing."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import matplotlib.figure  # noqa: F401
import pytest
import torch.utils.tensorboard  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401
from calling import SETTINGS, contents, digest, metrics, write_config
from safetensors.torch import load_file

import lora_scripts.assemble.run  # noqa: F401
from lora_scripts.cli import main
from lora_scripts.training.checkpoint import PREFIX, TEMPORARY, checkpoints, fault_of, newest_whole, step_of
from lora_scripts.training.run_dir import is_finished

SAID = "said.txt"
LONG = {"max_steps": 60, "save_steps": 1, "eval_steps": 12, "log_steps": 1}
AUTO = ("train", "config.yaml", "resume_from_checkpoint=auto")
Circumstance = Callable[[], Callable[[], None] | None]
"""What is done in the process before the command; it may give back what is done after it."""
NEW_NAMESPACE, PRIVATE = 0x00020000, 0x00044000  # CLONE_NEWNS, MS_REC | MS_PRIVATE


def server() -> Any:
    """The process that forks for us; one thread, as the bits of a sum depend on how many add it up."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked"])
    here = os.pathsep.join(path for path in sys.path if path)  # where it does not know of this file, it imports nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", here)
        forkserver.ensure_running()
    return context


def begin(folder: Path, *words: object, under: Circumstance | None = None) -> BaseProcess:
    """Start ``lora-scripts WORDS`` in ``folder``, after ``under`` was done in the process; what it says: ``said``."""
    (folder / SAID).unlink(missing_ok=True)
    process: BaseProcess = server().Process(target=_command, args=(folder, [str(w) for w in words], under))
    process.start()
    return process


def to_its_end(folder: Path, *words: object, under: Circumstance | None = None) -> tuple[int | None, str]:
    """Run the command in ``folder``; its exit code and what it said."""
    process = begin(folder, *words, under=under)
    process.join(180)
    assert process.exitcode is not None, said(folder)
    return process.exitcode, said(folder)


def said(folder: Path) -> str:
    """What the command in ``folder`` said last, both streams."""
    return (folder / SAID).read_text(encoding="utf-8", errors="replace") if (folder / SAID).exists() else ""


def _command(folder: Path, words: list[str], under: Circumstance | None) -> None:
    os.chdir(folder)
    os.environ["LORA_SCRIPTS_LANG"] = "en"
    told = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.close(told)
    for name, number in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
    after = under() if under else None
    try:
        main(words)
    finally:
        if after:
            after()


def wait_until(there: Callable[[], bool], process: BaseProcess, seconds: float = 120) -> bool:
    """Wait until something is there; False where the process ends before."""
    until = time.monotonic() + seconds
    while not there():
        if process.exitcode is not None:
            return False
        assert time.monotonic() < until
        time.sleep(0.0002)
    return True


@contextmanager
def places(base: Path, rows: Path) -> Iterator[Callable[..., Path]]:
    """Makes working directories with a config in them; in memory, where a flush to the disk takes no time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:

        def make(name: str, **changed: Any) -> Path:
            place = Path(folder) / name
            place.mkdir()
            paths = {"train_data_dir": str(rows), "base_model": str(base), "output_dir": "out"}
            write_config(place / "config.yaml", paths | SETTINGS | changed)
            return place

        yield make


# circumstances


def largest_file(size: int) -> Circumstance:
    """No file can become larger than ``size`` bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


def disk_of(kib: int, folder: Path, keep: Path) -> Circumstance:
    """``folder`` is a disk of that size, seen by the process alone; what is on it in the end is copied to ``keep``."""
    return partial(_small_disk, kib, folder, keep)


def _small_disk(kib: int, folder: Path, keep: Path) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    mount = [b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={kib}k".encode()]
    for call in (
        lambda: libc.unshare(NEW_NAMESPACE),
        lambda: libc.mount(b"none", b"/", None, PRIVATE, None),
        lambda: libc.mount(*mount),
    ):
        if call():
            os._exit(77)
    if keep.exists():
        shutil.copytree(keep, folder, symlinks=True, dirs_exist_ok=True)

    def carry_out() -> None:
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(folder, keep, symlinks=True)

    return carry_out


def without_privileges() -> None:
    """A process of root that may not write where permissions forbid it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        os._exit(77)


def stream_closed(number: int) -> Circumstance:
    """Standard output (1) or error (2) is closed, as by ``>&-``."""
    return partial(_close, number)


def _close(number: int) -> None:
    os.close(number)
    setattr(sys, {1: "stdout", 2: "stderr"}[number], None)


def reader_gone(*numbers: int) -> Circumstance:
    """Nobody reads these streams any more, as after ``| head -1``."""
    return partial(_lose_reader, numbers)


def _lose_reader(numbers: tuple[int, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for number in numbers:
        os.dup2(writing, number)


# what lies in a folder


def end_of(folder: Path, unbroken: Path) -> None:
    """The run in ``folder`` came to the end of the unbroken one, byte for byte, and left nothing half."""
    run_dir, other = folder / "out", unbroken / "out"
    for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_config.json", "eval.json"):
        assert digest(run_dir / name) == digest(other / name), name
    newest = checkpoints(other)[0].name
    assert contents(run_dir / newest) == contents(other / newest)
    assert metrics(run_dir) == metrics(other)
    assert is_finished(run_dir)
    assert (run_dir / "best").resolve().name == (other / "best").resolve().name
    assert [p.name for p in run_dir.iterdir() if p.name.startswith(".") and p.name != ".lock"] == []


def newest_step(run_dir: Path) -> int:
    """The step of the newest checkpoint that is whole, 0 where there is none; all are, and the best is there."""
    assert {p.name: fault_of(p) for p in checkpoints(run_dir) if fault_of(p)} == {}
    newest, _ = newest_whole(run_dir)
    if newest is None:
        return 0
    best = json.loads((newest / "state.json").read_text(encoding="utf-8"))["best_step"]
    assert not best or fault_of(run_dir / f"{PREFIX}{best}") == ""
    return step_of(newest)


def orphans(run_dir: Path) -> list[str]:
    """What a killed save left."""
    return [p.name for p in run_dir.glob(f"{TEMPORARY}*")]


def latest_seen(run_dir: Path) -> int:
    """The newest step that has a folder, whole or not; -1 where none has."""
    with suppress(FileNotFoundError):
        return max(map(step_of, run_dir.iterdir()), default=-1)
    return -1


def not_finite(folder: Path) -> list[str]:
    """Files below ``folder`` that hold a number that is none: tensors, and lines of JSON."""
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.safetensors")
        if any(v.is_floating_point() and not v.isfinite().all() for v in load_file(path).values())
    ]
    for path in folder.rglob("*.json*"):
        words = path.read_text(encoding="utf-8")
        for line in words.splitlines() if path.suffix == ".jsonl" else [words]:
            json.loads(line, parse_constant=lambda word, name=path.name: found.append(f"{name}: {word}"))  # type: ignore[misc]
    return found


def seen(run_dir: Path, begin: str) -> bool:
    """Whether something whose name begins so lies in ``run_dir``."""
    with suppress(FileNotFoundError):
        return any(path.name.startswith(begin) for path in run_dir.iterdir())
    return False
