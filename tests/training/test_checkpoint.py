"""Checkpoints: whole or absent, and found out when they were changed."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from lora_scripts.errors import TrainError
from lora_scripts.training.checkpoint import (
    TEMPORARY,
    fault_of,
    newest_whole,
    point,
    prune,
    read_tensors,
    step_of,
    sweep,
    write_checkpoint,
)


def _write(run_dir: Path, step: int) -> Path:
    tensors = {"weights.safetensors": {"a": torch.arange(5.0) + step}, "random.safetensors": {"cpu": torch.ones(9)}}
    return write_checkpoint(run_dir, step, tensors, {"state.json": json.dumps({"step": step})})


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = _write(tmp_path, 7)
    assert (path.name, step_of(path), fault_of(path)) == ("checkpoint-7", 7, "")
    assert torch.equal(read_tensors(path, "weights.safetensors")["a"], torch.arange(5.0) + 7)


@pytest.mark.parametrize("name", ["weights.safetensors", "random.safetensors", "state.json", "manifest.json"])
def test_a_flipped_bit_a_cut_and_a_missing_file_are_seen(tmp_path: Path, name: str) -> None:
    _write(tmp_path, 1)
    path = _write(tmp_path, 2)
    raw = (path / name).read_bytes()
    for broken in (raw[:-1], b"", bytes(b ^ (4 if i == len(raw) // 2 else 0) for i, b in enumerate(raw)), None):
        (path / name).unlink() if broken is None else (path / name).write_bytes(broken)
        assert name in fault_of(path)
        whole, skipped = newest_whole(tmp_path)
        assert whole is not None
        assert (whole.name, [s.path.name for s in skipped]) == ("checkpoint-1", ["checkpoint-2"])


def test_a_full_disk_leaves_older_checkpoints_and_no_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 1)
    real, calls = os.fsync, [0]
    for failing in range(6):
        calls[0] = 0

        def full(handle: int, failing: int = failing) -> None:
            calls[0] += 1
            if calls[0] > failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        monkeypatch.setattr(os, "fsync", full)
        if failing < 5:
            with pytest.raises(TrainError, match="No space left"):
                _write(tmp_path, 2)
            assert not list(tmp_path.glob(f"{TEMPORARY}*"))
            assert newest_whole(tmp_path)[0] == tmp_path / "checkpoint-1"
    monkeypatch.setattr(os, "fsync", real)
    assert fault_of(_write(tmp_path, 2)) == ""


def test_what_a_killed_save_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}5").mkdir()
    (tmp_path / f"{TEMPORARY}5/half").write_text("x")
    _write(tmp_path, 4)
    assert sweep(tmp_path) == [f"{TEMPORARY}5"]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-4"]


def test_pruning_keeps_the_newest_and_the_protected(tmp_path: Path) -> None:
    for step in (2, 10, 4, 6, 8):
        _write(tmp_path, step)
    assert prune(tmp_path, 2, {4}) == ["checkpoint-6", "checkpoint-2"]
    assert sorted(step_of(p) for p in tmp_path.iterdir()) == [4, 8, 10]


def test_a_pointer_moves_to_the_new_checkpoint(tmp_path: Path) -> None:
    for step in (1, 2):
        point(tmp_path, "last", _write(tmp_path, step))
    assert (tmp_path / "last").resolve().name == "checkpoint-2"
    assert newest_whole(tmp_path)[0] == tmp_path / "checkpoint-2"


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (tmp_path / "checkpoint-3/stray").write_text("x")
    assert not (_write(tmp_path, 3) / "stray").exists()
