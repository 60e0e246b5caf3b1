"""A run that was stopped goes on as if it had not been: the same bytes in the adapter, the optimiser, the log."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Killed, Said, command, contents, digest, metrics, pairs, refused, write_rows

import lora_scripts.assemble.run as run_room
from lora_scripts.training import loop
from lora_scripts.training.tasks import TextTask

MakeConfig = Callable[..., Path]


def at_step(patch: pytest.MonkeyPatch, step: int, act: Callable[[], None]) -> None:
    """Do something in the middle of step ``step`` (from 1): its gradient is there, its weights are not."""
    rate_at = loop.rate_at

    def acting(done: int, **settings: object) -> float:
        if done + 1 == step:
            act()
        return rate_at(done, **settings)

    patch.setattr(loop, "rate_at", acting)


def kill() -> None:
    raise Killed


def killed_at(step: int, *words: object) -> None:
    """Run the command, which ends like a killed process in the middle of ``step``."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, kill)
        with pytest.raises(Killed):
            command("train", *words)


def killed_after_training(*words: object) -> None:
    """Run the command, which ends like a killed process between its last step and its files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_room, "finish", lambda *a: kill())
        with pytest.raises(Killed):
            command("train", *words)


def stopped_at(step: int, *words: object, by: signal.Signals = signal.SIGINT) -> Said:
    """Run the command, which gets a signal in the middle of ``step``."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(by))
        return command("train", *words)


def ever_worse(patch: pytest.MonkeyPatch) -> None:
    """Validation losses 1, 2, 3 …: after the base's, the first is the best."""
    losses = itertools.count(1)
    patch.setattr(TextTask, "evaluate", lambda *a: (float(next(losses)), 1))


def same_as_unbroken(run_dir: Path, finished: Path) -> None:
    """Adapter, last checkpoint and log are those of the unbroken run, byte for byte."""
    for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_config.json"):
        assert digest(run_dir / name) == digest(finished / name)
    assert contents(run_dir / "checkpoint-8") == contents(finished / "checkpoint-8")
    assert metrics(run_dir) == metrics(finished)
    assert json.loads((run_dir / "proof.json").read_text())["ok"]
    assert not list(run_dir.glob(".tmp-*"))


@pytest.mark.parametrize("step", [1, 3, 4, 7])
def test_a_stopped_run_goes_on_bit_for_bit(step: int, config: MakeConfig, finished: tuple[Path, Said]) -> None:
    """Dropout 0.1, two micro-batches a step."""
    said = stopped_at(step, config())
    refused(said, 1, f"stopped at step {step}", "resume_from_checkpoint=auto")
    assert (Path("out") / f"checkpoint-{step}" / "manifest.json").exists()
    assert not Path("out/adapter_model.safetensors").exists()
    said = command("train", config(), "resume_from_checkpoint=auto")
    assert said.code == 0, said.words
    assert f"checkpoint-{step}" in said.err
    same_as_unbroken(Path("out"), finished[0])


@pytest.mark.parametrize("step", [2, 4, 6, 8])
def test_a_killed_run_goes_on_from_the_last_checkpoint_bit_for_bit(
    step: int, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    killed_at(step, config())
    said = command("train", config(), "resume_from_checkpoint=auto")
    assert said.code == 0, said.words
    assert ("starts fresh" if step == 2 else f"checkpoint-{step - 2}") in said.err
    same_as_unbroken(Path("out"), finished[0])


def test_a_run_that_is_stopped_again_and_again_comes_to_the_same_end(
    config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    file = config(resume_from_checkpoint="auto")
    for step, by in ((2, signal.SIGTERM), (3, signal.SIGHUP), (7, signal.SIGINT)):
        refused(stopped_at(step, file, by=by), 1, f"stopped at step {step}")
    assert command("train", file).code == 0
    same_as_unbroken(Path("out"), finished[0])


def test_a_signal_is_ours_only_while_training(config: MakeConfig) -> None:
    before = signal.getsignal(signal.SIGINT)
    stopped_at(1, config(eval_ratio=0))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_killed_before_its_proof_is_finished_by_resuming(config: MakeConfig, finished: tuple[Path, Said]) -> None:
    killed_after_training(config())
    assert command("train", config(), "resume_from_checkpoint=auto").code == 0
    same_as_unbroken(Path("out"), finished[0])


def test_ctrl_c_after_the_last_step_says_how_to_go_on(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_room, "finish", interrupt)
    refused(command("train", config(max_steps=1, eval_ratio=0)), 1, "resume_from_checkpoint=auto")
    assert Path("out/checkpoint-1/manifest.json").exists()


def test_a_run_that_stopped_early_is_not_trained_further_by_resuming(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ever_worse(monkeypatch)
    file = config(early_stopping_patience=2, eval_steps=1)
    killed_after_training(file)
    before, lines = contents(Path("out/last").resolve()), metrics(Path("out"))
    assert lines[-1]["step"] == 3
    assert command("train", file, "resume_from_checkpoint=auto").code == 0
    assert metrics(Path("out")) == lines
    assert contents(Path("out/last").resolve()) == before


def test_auto_with_nothing_to_resume_starts_fresh_and_says_so(config: MakeConfig, finished: tuple[Path, Said]) -> None:
    said = command("train", config(resume_from_checkpoint="auto"))
    assert said.code == 0, said.words
    assert "no checkpoint yet, so the run starts fresh" in said.err
    same_as_unbroken(Path("out"), finished[0])


def test_auto_on_a_finished_run_says_so_and_changes_nothing(run_copy: Path, config: MakeConfig) -> None:
    before = contents(run_copy)
    said = command("train", config(resume_from_checkpoint="auto", answer_rules={"opening": "依据《[^》]+》"}))
    assert said.code == 0
    assert "finished already" in said.words
    assert contents(run_copy) == before


def test_auto_with_other_settings_does_not_pass_off_the_finished_run_as_theirs(
    run_copy: Path, config: MakeConfig
) -> None:
    before = contents(run_copy)
    refused(command("train", config(lora_rank=2), "resume_from_checkpoint=auto"), 2, "lora_rank", "overwrite=true")
    assert contents(run_copy) == before


def test_an_unfinished_run_is_offered_for_resuming(config: MakeConfig) -> None:
    stopped_at(3, config(), "eval_ratio=0")
    before = contents(Path("out"))
    said = command("train", config(), "eval_ratio=0")
    refused(said, 2, "unfinished run", "resume_from_checkpoint=auto", "overwrite=true")
    assert contents(Path("out")) == before
    said = command("train", config(max_steps=1), "eval_ratio=0", "overwrite=true")
    assert said.code == 0, said.words
    assert sorted(p.name for p in Path("out").glob("checkpoint-*")) == ["checkpoint-1"]


@pytest.fixture
def half(config: MakeConfig, tmp_path: Path) -> Path:
    """An unfinished run with checkpoints 2 and 3."""
    stopped_at(3, config())
    return tmp_path / "out"


def test_resuming_with_other_data_base_or_settings_names_what_differs(
    half: Path, config: MakeConfig, other_base: Path, tmp_path: Path
) -> None:
    before = contents(half)
    write_rows(tmp_path / "rows/a.txt", pairs(0, 20))
    changes: dict[str, dict[str, object]] = {
        "data": {"train_data_dir": "rows"},
        "base": {"base_model": str(other_base)},
        "template": {"base_model": str(_with_another_template(config, tmp_path))},
        "lora_rank": {"lora_rank": 8},
        "learning_rate": {"learning_rate": 0.5},
        "seed": {"seed": 7},
        "batch_size": {"batch_size": 1},
    }
    for name, changed in changes.items():
        said = command("train", config(resume_from_checkpoint="auto", **changed))
        refused(said, 2, "checkpoint-3", "differs in", name)
    assert contents(half) == before


def _with_another_template(config: MakeConfig, tmp_path: Path) -> Path:
    import yaml

    base = Path(yaml.safe_load(config().read_text())["base_model"])
    folder = Path(shutil.copytree(base, tmp_path / "templated"))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("'] }}\n", "'] }}:\n", 1))
    return folder


def test_a_broken_checkpoint_is_passed_over_and_named(
    half: Path, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    weights = half / "checkpoint-3" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    looked = command("train", config(), "resume_from_checkpoint=auto", "--dry-run")
    said = command("train", config(), "resume_from_checkpoint=auto")
    for told in (looked, said):
        assert told.code == 0, told.words
        assert "checkpoint-3 is not whole" in told.err and "sha256" in told.err
        assert "checkpoint-2 (resume)" in told.err
    same_as_unbroken(half, finished[0])


def test_a_named_checkpoint_is_taken(half: Path, config: MakeConfig, finished: tuple[Path, Said]) -> None:
    said = command("train", config(), "resume_from_checkpoint=out/checkpoint-2")
    assert said.code == 0, said.words
    assert "out/checkpoint-2 (resume)" in said.err
    same_as_unbroken(half, finished[0])


def test_a_named_checkpoint_goes_on_in_another_folder(
    half: Path, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    before = contents(half)
    said = command("train", config(output_dir="new"), "resume_from_checkpoint=out/checkpoint-2")
    assert said.code == 0, said.words
    assert digest(Path("new/adapter_model.safetensors")) == digest(finished[0] / "adapter_model.safetensors")
    assert contents(half) == before


def test_a_named_checkpoint_that_is_not_there_or_broken_is_told(half: Path, config: MakeConfig) -> None:
    before = contents(half)
    refused(command("train", config(output_dir="new"), "resume_from_checkpoint=out/checkpoint-9"), 2, "checkpoint-9")
    (half / "checkpoint-2" / "optimizer.safetensors").unlink()
    said = command("train", config(output_dir="new"), "resume_from_checkpoint=out/checkpoint-2")
    refused(said, 2, "optimizer.safetensors is missing", "auto")
    assert contents(half).keys() == before.keys() - {"checkpoint-2/optimizer.safetensors"}


def test_resuming_where_the_best_checkpoint_is_gone_is_told_and_does_not_fail_at_the_end(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ever_worse(monkeypatch)
    file = config(eval_steps=1, save_steps=1, max_steps=4)
    killed_at(4, file)
    assert Path("out/best").resolve().name == "checkpoint-1"
    shutil.rmtree("out/checkpoint-1")
    said = command("train", file, "resume_from_checkpoint=auto")
    assert said.code == 0, said.words
    assert "checkpoint-1, the best so far, is gone" in said.err
    assert Path("out/best").resolve().name == "checkpoint-4"


def test_going_on_in_another_folder_takes_the_best_checkpoint_along(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ever_worse(monkeypatch)
    changed = {"eval_steps": 1, "save_steps": 1, "max_steps": 4}
    killed_at(4, config(**changed))
    said = command("train", config(output_dir="new", **changed), "resume_from_checkpoint=out/checkpoint-3")
    assert said.code == 0, said.words
    assert contents(Path("new/checkpoint-1")) == contents(Path("out/checkpoint-1"))
    assert "adapter of step 1 (of 4) is taken" in said.err


def test_overwriting_from_a_named_checkpoint_does_not_remove_it_first(
    run_copy: Path, config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    said = command("train", config(), "overwrite=true", "resume_from_checkpoint=out/checkpoint-4")
    assert said.code == 0, said.words
    same_as_unbroken(run_copy, finished[0])


def test_a_dry_run_on_a_finished_run_says_what_a_run_would(run_copy: Path, config: MakeConfig) -> None:
    before = contents(run_copy)
    refused(command("train", config(), "--dry-run"), 2, "finished run", "overwrite=true")
    said = command(
        "train", config(answer_rules={"opening": "依据《[^》]+》"}), "resume_from_checkpoint=auto", "--dry-run"
    )
    assert (said.code, "finished already" in said.words) == (0, True)
    assert contents(run_copy) == before
