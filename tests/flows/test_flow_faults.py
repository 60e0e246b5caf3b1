"""What can go wrong in the middle of a run: full disk, numbers that are none, a second run, signals, a failed proof."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import (
    SETTINGS,
    Said,
    command,
    contents,
    digest,
    metrics,
    pairs,
    process,
    refused,
    write_config,
    write_rows,
)
from safetensors.torch import load_file, save_file

import lora_scripts.assemble.text.finish as finish_room
from lora_scripts.training.checkpoint import fault_of
from lora_scripts.training.run_dir import held
from lora_scripts.training.tasks import TextTask

MakeConfig = Callable[..., Path]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk(patch: pytest.MonkeyPatch, pattern: str) -> None:
    """Writing a file whose path matches ``pattern`` leaves half of it and fails as a full disk does."""
    write_bytes, write_text = Path.write_bytes, Path.write_text

    def bytes_(self: Path, data: bytes) -> int:
        if re.search(pattern, str(self)):
            write_bytes(self, data[: len(data) // 2])
            raise FULL
        return write_bytes(self, data)

    def text_(self: Path, data: str, **how: Any) -> int:
        if re.search(pattern, str(self)):
            write_text(self, data[: len(data) // 2], **how)
            raise FULL
        return write_text(self, data, **how)

    patch.setattr(Path, "write_bytes", bytes_)
    patch.setattr(Path, "write_text", text_)


def resumes_to(finished: Path, file: Path) -> None:
    """With room again the same command comes to the end of the unbroken run."""
    said = command("train", file, "resume_from_checkpoint=auto")
    assert said.code == 0, said.words
    assert digest(Path("out/adapter_model.safetensors")) == digest(finished / "adapter_model.safetensors")
    assert metrics(Path("out")) == metrics(finished)


@pytest.mark.parametrize("moment", ["write", "manifest", "fsync"])
def test_a_full_disk_at_a_checkpoint_keeps_the_older_ones_whole(
    moment: str, config: MakeConfig, finished: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        if moment == "fsync":
            fsync, calls = os.fsync, iter(range(1000))

            def failing(handle: int) -> None:
                if next(calls) >= 12:  # a checkpoint takes eight
                    raise FULL
                fsync(handle)

            patch.setattr(os, "fsync", failing)
        else:
            name = {"write": "optimizer", "manifest": "manifest"}[moment]
            fill_disk(patch, rf"\.tmp-checkpoint-4/{name}")
        said = command("train", config())
    refused(said, 1, "checkpoint-4", "could not be written", "No space left on device", "resume_from_checkpoint=auto")
    assert fault_of(Path("out/checkpoint-2")) == ""
    assert not Path("out/checkpoint-4").exists()
    assert not list(Path("out").glob(".tmp-*"))
    assert not Path("out/adapter_model.safetensors").exists()
    resumes_to(finished[0], config())


@pytest.mark.parametrize("name", ["adapter_model", "eval.json", "proof.json", "README.md"])
def test_a_full_disk_at_the_end_leaves_no_half_file_and_the_run_can_go_on(
    name: str, config: MakeConfig, finished: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, rf"out/\.?{re.escape(name)}")
        said = command("train", config())
    refused(said, 1, "out", "No space left on device", "resume_from_checkpoint=auto")
    assert not list(Path("out").glob(".*.new"))
    assert fault_of(Path("out/checkpoint-8")) == ""
    assert not Path("out/proof.json").exists()
    resumes_to(finished[0], config())


def test_a_full_disk_at_the_start_is_one_message(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, r"out/run\.yaml")
    refused(command("train", config()), 1, "out", "No space left on device")


def test_a_checkpoint_that_fails_is_told_even_where_the_log_fails_too(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk refuses loss.png as well; the message must still be the one about the checkpoint."""
    from matplotlib.figure import Figure

    def refuse(*_: object, **__: object) -> None:
        raise FULL

    fill_disk(monkeypatch, r"\.tmp-checkpoint-2/")
    monkeypatch.setattr(Figure, "savefig", refuse)
    refused(command("train", config(eval_ratio=0)), 1, "checkpoint-2", "could not be written")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_no_adapter_is_left(
    value: float, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward, calls = TextTask.backward, iter(range(1000))

    def breaking(self: TextTask, micro_batch: Any, weight: float) -> float:
        loss = backward(self, micro_batch, weight)
        return value if next(calls) == 6 else loss  # two micro-batches a step: the fourth step

    monkeypatch.setattr(TextTask, "backward", breaking)
    said = command("train", config())
    refused(said, 1, "step 4", "not a finite number", "learning_rate")
    assert not list(Path("out").glob("*.safetensors"))
    assert [p.name for p in Path("out").glob("checkpoint-*")] == ["checkpoint-2"]
    assert not Path("out/proof.json").exists()


def test_a_gradient_that_is_no_number_stops_the_run(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    backward = TextTask.backward

    def breaking(self: TextTask, micro_batch: Any, weight: float) -> float:
        loss = backward(self, micro_batch, weight)
        next(p for p in self.model.parameters() if p.grad is not None).grad[0, 0] = float("nan")
        return loss

    monkeypatch.setattr(TextTask, "backward", breaking)
    refused(command("train", config()), 1, "step 1", "not a finite number")
    assert not list(Path("out").rglob("*.safetensors"))


def _zeroed(tensors: dict[str, torch.Tensor]) -> None:
    next(v for name, v in tensors.items() if "lora_B" in name).zero_()


def _altered(tensors: dict[str, torch.Tensor]) -> None:
    next(v for name, v in tensors.items() if "lora_B" in name).mul_(1.5)


def _renamed(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name.replace("layers.0", "layers.7")] = tensors.pop(name)


def _broken(tensors: dict[str, torch.Tensor]) -> None:
    next(iter(tensors.values()))[0, 0] = float("nan")


@pytest.mark.parametrize(
    ("harm", "check"),
    [
        (_zeroed, "no_tensor_is_all_zero"),
        (_altered, "stock_peft_logits_equal_ours"),
        (_renamed, "every_tensor_is_bound_by_stock_peft"),
        (_broken, "every_value_is_finite"),
    ],
)
def test_an_adapter_that_does_not_do_what_training_did_is_not_proven(
    harm: Callable[[dict[str, torch.Tensor]], None], check: str, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_adapter = finish_room.write_adapter

    def harming(folder: Path, tensors: Any, settings: str) -> None:
        write_adapter(folder, tensors, settings)
        written = load_file(folder / "adapter_model.safetensors")
        harm(written)
        for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors"):
            (folder / name).unlink()
            save_file(written, folder / name, metadata={"format": "pt"})

    monkeypatch.setattr(finish_room, "write_adapter", harming)
    said = command("train", config(max_steps=2, eval_ratio=0))
    refused(said, 1, "not proven", check, "do not use it", "proof.json")
    proof = json.loads(Path("out/proof.json").read_text())
    assert proof["ok"] is False
    assert check in [c["name"] for c in proof["checks"] if not c["ok"]]
    refused(command("train", config(max_steps=2, eval_ratio=0)), 2, "unfinished")


def test_a_run_that_learned_nothing_is_not_proven(config: MakeConfig) -> None:
    said = command("train", config(max_steps=1, eval_ratio=0, learning_rate=1e-9))
    refused(said, 1, "adapter_on_differs", "raise learning_rate")


def test_two_runs_on_one_folder_do_not_mix(config: MakeConfig) -> None:
    Path("out").mkdir()
    with held(Path("out")):
        for words in ((), ("overwrite=true",), ("resume_from_checkpoint=auto",)):
            refused(command("train", config(), *words), 2, "another run is at work", "output_dir")
    assert list(contents(Path("out"))) == [".lock"]
    assert command("train", config(max_steps=1, eval_ratio=0)).code == 0


# processes of their own


def start(file: Path, *words: str) -> subprocess.Popen[str]:
    """The command as a process, in a session of its own so that a signal hits it alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LORA_SCRIPTS_LANG": "en"}
    return subprocess.Popen(
        process("train", file, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment,
    )  # fmt: skip


def wait_for(there: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    """Wait until something is there, as long as the process lives."""
    began = time.monotonic()
    while not there():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() - began < 120
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_kill_9_loses_only_what_came_after_one(config: MakeConfig) -> None:
    """One long run: interrupted, killed, then brought to its end, against the same run unbroken."""
    long = {"max_steps": 120, "eval_ratio": 0, "save_steps": 20, "save_total_limit": 0}
    file = config(resume_from_checkpoint="auto", **long)
    running = start(file)
    wait_for(Path("out/checkpoint-20/manifest.json").exists, running)
    running.send_signal(signal.SIGINT)
    _out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "Traceback" not in err and "resume_from_checkpoint=auto" in err
    step = int(re.search(r"stopped at step (\d+)", err)[1])
    assert step < 120, "the run was over before the signal"
    assert fault_of(Path(f"out/checkpoint-{step}")) == ""

    following = step // 20 * 20 + 20
    running = start(file)
    wait_for(Path(f"out/checkpoint-{following}/manifest.json").exists, running)
    running.kill()
    running.communicate()
    broken = [p.name for p in Path("out").glob("checkpoint-*") if fault_of(p)]
    assert broken == []
    assert not Path("out/proof.json").exists()

    said = command("train", file)
    assert said.code == 0, said.words
    unbroken = command("train", config(output_dir="unbroken", **long))
    assert unbroken.code == 0, unbroken.words
    assert digest(Path("out/adapter_model.safetensors")) == digest(Path("unbroken/adapter_model.safetensors"))
    assert contents(Path("out/checkpoint-120")) == contents(Path("unbroken/checkpoint-120"))
    assert metrics(Path("out")) == metrics(Path("unbroken"))


@pytest.mark.slow
def test_many_kills_at_any_moment_never_break_a_checkpoint(config: MakeConfig) -> None:
    import random

    draw = random.Random(1)
    long = {"max_steps": 300, "save_steps": 1, "save_total_limit": 2, "eval_ratio": 0}
    file = config(resume_from_checkpoint="auto", **long)
    for _ in range(12):
        running = start(file)
        before = max((int(p.name[11:]) for p in Path("out").glob("checkpoint-*")), default=0)
        wait_for(lambda: any(int(p.name[11:]) > before for p in Path("out").glob("checkpoint-*")), running)  # noqa: B023
        time.sleep(draw.random() * 0.3)
        running.kill()
        running.communicate()
        assert [p.name for p in Path("out").glob("checkpoint-*") if fault_of(p)] == []
    said = command("train", file)
    assert said.code == 0, said.words
    assert command("train", config(output_dir="unbroken", **long)).code == 0
    assert digest(Path("out/adapter_model.safetensors")) == digest(Path("unbroken/adapter_model.safetensors"))
    assert metrics(Path("out")) == metrics(Path("unbroken"))


@pytest.mark.slow
def test_the_wheel_trains_outside_the_checkout(project_root: Path, base: Path, tmp_path: Path) -> None:
    """Built and unpacked as pip does it; the libraries come from this environment, the package from the wheel only."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", str(wheels), str(project_root)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    site = tmp_path / "site"
    target = ["--target", str(site), str(next(wheels.glob("*.whl")))]
    subprocess.run([*pip, "install", "--no-deps", *target], capture_output=True, check=True)
    assert (site / "bin" / "lora-scripts").exists()
    assert (site / "lora_scripts" / "py.typed").exists()
    rows = write_rows(tmp_path / "rows" / "a.txt", pairs()).parent
    paths = {"train_data_dir": str(rows), "base_model": str(base), "output_dir": str(tmp_path / "out")}
    file = write_config(tmp_path / "c.yaml", paths | SETTINGS | {"max_steps": 2})
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import lora_scripts; print(lora_scripts.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(site)
    ended = subprocess.run(
        [sys.executable, str(site / "bin" / "lora-scripts"), "train", str(file)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "out" / "proof.json").read_text())["ok"]
    assert shutil.which("lora-scripts", path=str(site / "bin"))
