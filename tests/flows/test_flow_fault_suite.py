"""Faults through the command: flipped bits, numbers that are none, memory that runs out, a clock that goes back."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from calling import Said, command, digest, metrics, refused
from test_flow_resume import same_as_unbroken, stopped_at
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import GenerationMixin

from lora_scripts.training.checkpoint import (
    MANIFEST,
    checkpoints,
    fault_of,
    newest_whole,
)
from lora_scripts.training.tasks import TextTask

MakeConfig = Callable[..., Path]


# bits, cuts, losses of files

FLIPS, CUTS = 100, 20


def harms(raw: bytes, draw: random.Random, flips: int, cuts: int) -> Iterator[bytes | None]:
    """The file with one bit flipped, at ``flips`` places; cut at ``cuts`` lengths, 0 and one less among them; gone."""
    for _ in range(flips):
        place, broken = draw.randrange(len(raw) * 8), bytearray(raw)
        broken[place // 8] ^= 1 << place % 8
        yield bytes(broken)
    for length in [0, len(raw) - 1, *(draw.randrange(len(raw)) for _ in range(cuts - 2))]:
        yield raw[:length]
    yield None


def count_seen(run_dir: Path, seed: int, flips: int, cuts: int) -> dict[str, int]:
    """Harm every file of the newest checkpoint in every way; how often it was seen, named, and passed over."""
    newest, older, *_ = checkpoints(run_dir)
    seen: dict[str, int] = {}
    for file in sorted(newest.iterdir()):
        raw, draw = file.read_bytes(), random.Random(f"{seed} {file.name}")
        for broken in harms(raw, draw, flips, cuts):
            file.unlink()
            if broken is not None:
                file.write_bytes(broken)
            whole, skipped = newest_whole(run_dir)
            named = [file.name in passed.reason for passed in skipped if passed.path == newest]
            seen[file.name] = seen.get(file.name, 0) + (whole == older and named == [True])
        file.write_bytes(raw)
    assert fault_of(newest) == ""
    return seen


def test_every_flipped_bit_cut_and_lost_file_of_a_checkpoint_is_seen(run_copy: Path) -> None:
    shutil.rmtree("out/best", ignore_errors=True)
    seen = count_seen(run_copy, 1, FLIPS, CUTS)
    assert set(seen) >= {"adapter_model.safetensors", "optimizer.safetensors", "random.safetensors", MANIFEST}
    assert seen == dict.fromkeys(seen, FLIPS + CUTS + 1)


@pytest.mark.slow
def test_a_thousand_flipped_bits_of_each_file_are_seen(run_copy: Path) -> None:
    began = time.monotonic()
    seen = count_seen(run_copy, 2, 1000, 200)
    print(f"\nflips 1000, cuts 200, deletion for each of {sorted(seen)}: {sum(seen.values())} seen, "
          f"{1201 * len(seen) - sum(seen.values())} not, {time.monotonic() - began:.0f} s")  # fmt: skip
    assert seen == dict.fromkeys(seen, 1201)


# numbers that are none

PLACES = ("loss", "gradient", "weight", "momentum", "variance", "validation")


def poison(patch: pytest.MonkeyPatch, place: str, value: float, step: int) -> Callable[[], None]:
    """Put ``value`` into one element at ``step`` (from 1); gives back what undoes it."""
    backward, evaluate, calls = TextTask.backward, TextTask.evaluate, {"steps": 0, "passes": 0}

    def passing(self: TextTask, micro_batch: Sequence[int], weight: float) -> float:
        loss = backward(self, micro_batch, weight)
        calls["passes"] += 1
        if calls["passes"] == 2 * step and place == "gradient":
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            grads[-1].view(-1)[-1] = value
        return value if calls["passes"] == 2 * step and place == "loss" else loss

    def measuring(self: TextTask, *given: Any) -> tuple[float, int]:
        total, count = evaluate(self, *given)
        return (value if calls["steps"] == step and place == "validation" else total), count

    def stepped(optimizer: torch.optim.Optimizer, *_: object) -> None:
        calls["steps"] += 1
        parameter = optimizer.param_groups[0]["params"][-1]
        held = {"momentum": "exp_avg", "variance": "exp_avg_sq"}.get(place)
        if calls["steps"] == step and (held or place == "weight"):
            where = optimizer.state[parameter][held] if held else parameter.data
            where.view(-1)[-1] = value

    patch.setattr(TextTask, "backward", passing)
    patch.setattr(TextTask, "evaluate", measuring)
    return register_optimizer_step_post_hook(stepped).remove


def poisoned(config: MakeConfig, place: str, value: float, step: int) -> Said:
    """A run with such a number in it; every number on the disk is one afterwards, and without it the run goes on."""
    with pytest.MonkeyPatch.context() as patch:
        heal = poison(patch, place, value, step)
        try:
            said = command("train", config())
        finally:
            heal()
    assert forked.not_finite(Path("out")) == []
    return said


@pytest.mark.parametrize(("place", "value", "step"), [("variance", "inf", 4)])
def test_a_number_that_is_none_ends_the_run_and_reaches_no_file(
    place: str, value: str, step: int, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    said = poisoned(config, place, float(value), step)
    refused(said, 1, "step", "finite")
    assert re.search(rf"step ({step}|{step + 1})\b", said.err), said.err
    assert command("train", config(), "resume_from_checkpoint=auto").code == 0
    same_as_unbroken(Path("out"), finished[0])


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 4])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", PLACES)
def test_such_a_number_at_any_place_ends_the_run_and_reaches_no_file(
    place: str, value: str, step: int, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    if place == "validation" and step == 3:
        pytest.skip("nothing is validated at step 3")
    test_a_number_that_is_none_ends_the_run_and_reaches_no_file(place, value, step, config, finished)


# memory that runs out


@pytest.mark.slow
def test_memory_that_runs_out_changes_no_loss_and_is_told(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In training and in validation."""
    keys = {"batch_size": 4, "max_steps": 2, "eval_steps": 1, "lora_dropout": 0.0, "save_steps": 10}
    assert command("train", config(**keys)).code == 0
    losses = TextTask.token_losses

    def token_losses(self: TextTask, documents: Sequence[Any]) -> torch.Tensor:
        if len(documents) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return losses(self, documents)

    monkeypatch.setattr(TextTask, "token_losses", token_losses)
    said = command("train", config(output_dir="small", **keys))
    assert said.code == 0, said.words
    for begin in ("step 1", "validation"):
        for size in (2, 1):
            assert said.err.count(f"{begin}: memory ran out; {size} records at once") == 1, said.err
    for key, count in (("loss", 2), ("eval_loss", 3)):
        whole, cut = ([m[key] for m in metrics(Path(folder)) if key in m] for folder in ("out", "small"))
        assert len(whole) == count
        assert cut == pytest.approx(whole, rel=1e-6)


@pytest.mark.slow
def test_memory_that_runs_out_while_it_answers_changes_no_answer(
    config: MakeConfig, finished: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = GenerationMixin.generate

    def limited(self: Any, *given: Any, **how: Any) -> Any:
        if len(how["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return generate(self, *given, **how)

    monkeypatch.setattr(GenerationMixin, "generate", limited)
    said = command("train", config())
    assert said.code == 0, said.words
    assert digest(Path("out/adapter_model.safetensors")) == digest(finished[0] / "adapter_model.safetensors")


# the clock


def test_a_clock_that_goes_back_changes_nothing(
    config: MakeConfig, finished: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(5, config())
    now = time.time()
    for number, path in enumerate(checkpoints(Path("out"))):
        for file in [path, *path.iterdir()]:
            os.utime(file, (now + number * 1e6, now + number * 1e6))
    ticks = iter(range(10**9))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1e6 - next(ticks))
        said = command("train", config(), "resume_from_checkpoint=auto")
    assert said.code == 0, said.words
    assert "checkpoint-5 (resume)" in said.err
    same_as_unbroken(Path("out"), finished[0])
