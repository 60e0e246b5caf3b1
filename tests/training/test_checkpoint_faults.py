"""Every moment of a save, failed once: by a full disk, by a short write, by the end of the process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from broken_disk import Disk, Killed

from lora_scripts.errors import TrainError
from lora_scripts.training.checkpoint import (
    PREFIX,
    TEMPORARY,
    checkpoints,
    fault_of,
    newest_whole,
    point,
    prune,
    step_of,
    sweep,
    write_checkpoint,
)
from lora_scripts.training.run_dir import OURS, drop_halves

BEST = 1


def save(run_dir: Path, step: int, keep: int = 1) -> Path:
    """A save as a run makes it: the checkpoint, where the pointers point, and what is one too many goes."""
    tensors = {
        "adapter_model.safetensors": {"a": torch.arange(40.0) + step},
        "optimizer.safetensors": {"m": torch.arange(80.0) * step, "n": torch.ones(3)},
        "random.safetensors": {"cpu": torch.arange(50, dtype=torch.uint8)},
    }
    path = write_checkpoint(run_dir, step, tensors, {"state.json": json.dumps({"step": step}), "settings.json": "{}"})
    point(run_dir, "last", path)
    if step == BEST:
        point(run_dir, "best", path)
    prune(run_dir, keep, {BEST, step})
    return path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): str(p.readlink()) if p.is_symlink() else hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() or p.is_symlink()
    }


def half_a_run(run_dir: Path) -> Path:
    """The best checkpoint 1 and the newest 2, as one checkpoint too many is about to go."""
    save(run_dir, 1)
    save(run_dir, 2)
    return run_dir


def moments(run_dir: Path, step: int = 3) -> list[tuple[str, str]]:
    """All that a save asks of the disk."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(run_dir).attach(patch)
        save(run_dir, step)
    return disk.asked


def all_whole(run_dir: Path, least: int) -> None:
    """No checkpoint is half under its own name, none older than ``least`` is the newest, the best is there."""
    assert {p.name: fault_of(p) for p in checkpoints(run_dir) if fault_of(p)} == {}
    newest, skipped = newest_whole(run_dir)
    assert newest is not None
    assert step_of(newest) >= least
    assert skipped == []
    assert fault_of(run_dir / f"{PREFIX}{BEST}") == ""


def start_again(run_dir: Path) -> None:
    """What the next start does first; nothing half is left."""
    sweep(run_dir)
    drop_halves(run_dir)
    assert [p.name for p in run_dir.iterdir() if p.name.startswith(".")] == []


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """What a save asks of the disk, and what it leaves."""
    run_dir = half_a_run(tmp_path_factory.mktemp("unbroken"))
    return moments(run_dir), contents(run_dir)


def test_what_is_failed_below_is_all_that_a_save_asks_for(
    unbroken: tuple[list[tuple[str, str]], dict[str, str]],
) -> None:
    """Folder, five files and a manifest opened, written and flushed, folder, rename, parent, pointer, one gone."""
    kinds = [what for what, _ in unbroken[0]]
    assert {k: kinds.count(k) for k in kinds} == {
        "mkdir": 1, "open": 6, "write": 6, "flush": 8, "rename": 2, "symlink": 1, "replace": 1,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["once", "for good", "killed", "read-only"])
def test_a_save_that_fails_at_any_moment_harms_nothing_and_can_be_done_again(
    how: str, unbroken: tuple[list[tuple[str, str]], dict[str, str]], in_memory: Path
) -> None:
    asked, left = unbroken
    error: int | type[BaseException] = {"killed": Killed, "read-only": errno.EROFS}.get(how, errno.ENOSPC)
    for number, (what, path) in enumerate(asked):
        run_dir = half_a_run(in_memory / str(number))
        raised: BaseException | None = None
        with pytest.MonkeyPatch.context() as patch:
            Disk(run_dir, number, for_good=how in ("for good", "read-only"), error=error).attach(patch)
            try:
                save(run_dir, 3)
            except (TrainError, OSError, Killed) as e:
                raised = e
        pointer = Path(path).name in (".last.new", "last")
        assert raised or (pointer and how != "killed"), (number, what, path)
        if isinstance(raised, TrainError):
            assert os.strerror(errno.EROFS if how == "read-only" else errno.ENOSPC) in str(raised)
            assert not list(run_dir.glob(f"{TEMPORARY}3"))
        all_whole(run_dir, least=2)
        start_again(run_dir)
        save(run_dir, 3)
        assert contents(run_dir) == left, (number, what, path)


@pytest.mark.parametrize("error", [errno.ENOSPC, Killed])
def test_saving_a_step_again_never_loses_the_one_that_is_there(
    error: int | type[BaseException], in_memory: Path
) -> None:
    """A rank that dies has the last whole step saved once more; that one may be the only checkpoint."""
    asked = moments(half_a_run(in_memory / "count"), step=2)
    lost = []
    for number, (what, path) in enumerate(asked):
        run_dir = half_a_run(in_memory / str(number))
        with pytest.MonkeyPatch.context() as patch:
            Disk(run_dir, number, error=error).attach(patch)
            with suppress(TrainError, OSError, Killed):
                save(run_dir, 2)
        start_again(run_dir)
        newest, _ = newest_whole(run_dir)
        if newest is None or step_of(newest) < 2:
            lost.append((number, what, path))
    assert lost == []


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, so that a flush to the disk takes no time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def saving_child(run_dir: Path, first: int) -> int:
    """A process that does nothing but save, step after step; its id."""
    child = os.fork()
    if child:
        return child
    try:
        sweep(run_dir)
        for step in range(first, first + 10_000):
            save(run_dir, step)
    finally:
        os._exit(1)


def kills(run_dir: Path, count: int, seed: int) -> Iterator[str]:
    """Kill a process that saves, again and again; yields what each kill left lying about.

    Three of four are aimed inside the writing of a checkpoint, the others at any moment.
    """
    draw, began = random.Random(seed), time.monotonic()
    for step in (3, 4, 5):
        save(run_dir, step)
    known, takes = 5, (time.monotonic() - began) / 3
    for _ in range(count):
        child = saving_child(run_dir, known + 1)
        goal, until = known + draw.randint(1, 3), time.monotonic() + 20
        while max(map(step_of, run_dir.iterdir())) < goal:
            assert time.monotonic() < until
        aimed = draw.random() < 0.75
        while aimed and not any(run_dir.glob(f"{TEMPORARY}[0-9]*")):
            assert time.monotonic() < until
        time.sleep(draw.random() * takes * (0.5 if aimed else 1))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        orphans = [p.name for p in run_dir.glob(f"{TEMPORARY}*")]
        all_whole(run_dir, least=goal)
        known = step_of(checkpoints(run_dir)[0])
        pruning = any("gone-" in name for name in orphans)
        yield "pruning" if pruning else "saving" if orphans else "between"
    start_again(run_dir)


def count_kills(run_dir: Path, count: int, seed: int) -> dict[str, int]:
    found = list(kills(half_a_run(run_dir), count, seed))
    return {what: found.count(what) for what in ("saving", "pruning", "between")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_killed_save_leaves_the_newest_whole_checkpoint_and_the_best(in_memory: Path) -> None:
    found = count_kills(in_memory, 10, seed=1)
    assert found["saving"] + found["pruning"] >= 4, found


@pytest.mark.slow
def test_five_hundred_killed_saves_leave_the_newest_whole_checkpoint_and_the_best(tmp_path: Path) -> None:
    began = time.monotonic()
    found = count_kills(tmp_path, 500, seed=2)
    print(f"\nkills of a process that saves: {found} in {time.monotonic() - began:.0f} s")
    assert found["saving"] >= 250, found
    assert found["pruning"] >= 5, found


def test_the_newest_is_found_by_step_whatever_the_clock_said(in_memory: Path) -> None:
    for step in (9, 10, 100):
        save(in_memory, step, keep=9)
    for times in ([3e9, 2e9, 1e9], [1e9, 1e9, 1e9], [-5.0, 0.0, -7.0]):
        for path, seconds in zip(sorted(checkpoints(in_memory), key=step_of), times, strict=True):
            for file in [path, *path.iterdir()]:
                os.utime(file, (seconds, seconds))
        newest, _ = newest_whole(in_memory)
        assert newest is not None
        assert newest.name == "checkpoint-100"
    assert prune(in_memory, 1, {9}) == ["checkpoint-10"]
    assert OURS  # what drop_halves looks for is not empty
