"""A sweep goes on where it stopped, ends what is worse, and its best config trains to the loss that it promised."""

import json
import sqlite3

import optuna
import pytest
import yaml
from calling import pairs, write_rows

from lora_scripts.assemble.text import sweep as room
from lora_scripts.assemble.text.parts import gather
from lora_scripts.assemble.text.sweep import sweep, sweep_lines
from lora_scripts.assemble.text.trial import trial
from lora_scripts.config import load_config
from lora_scripts.errors import Interrupted, TrainError, UsageError

QUICK = {
    "max_steps": None, "epochs": 2, "eval_steps": 1, "batch_size": 8, "gradient_accumulation_steps": 1,
    "target_modules": None, "sample_questions": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    """The plot takes as long as the rest; one test looks at it."""
    if "ranks_its_trials" not in request.node.name:
        monkeypatch.setattr(room, "draw", lambda tried, path: None)


@pytest.fixture
def loaded(config):
    return load_config(config(**QUICK))


def nothing(line: str) -> None:
    pass


def shown(result):
    """What was tried, without the seconds."""
    return [(t.number, t.state, t.loss, t.epoch, t.settings) for t in result.tried]


def fail_in_trial(monkeypatch, number, error):
    """The ``number``-th training from now on raises ``error``."""
    calls = []

    def failing(*words, **more):
        calls.append(1)
        if len(calls) == number:
            raise error
        return trial(*words, **more)

    monkeypatch.setattr(room, "train_in_memory", failing)


def test_a_sweep_ranks_its_trials_and_its_best_config_keeps_the_promise(loaded, tmp_path):
    said = []
    result = sweep(loaded, trials=3, folder=tmp_path / "s", say=said.append)
    assert len(result.tried) == 3
    losses = [t.loss for t in result.tried if t.state == "complete"]
    assert losses == sorted(losses)
    first = next(t for t in result.tried if t.number == 0)
    assert first.settings["lora_rank"] == 4 and first.settings["learning_rate"] == 1e-2, "its own settings come first"
    assert first.settings["epochs"] == 2 and first.settings["target_modules"] is None
    assert all(t.settings["lora_alpha"] == 2 * t.settings["lora_rank"] for t in result.tried)

    kept = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert kept["best"] == result.best == json.loads(json.dumps(result.best))
    assert [t["loss"] for t in kept["trials"]] == [t.loss for t in result.tried]
    assert (tmp_path / "s" / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    best = load_config(tmp_path / "s" / "best.yaml").config
    assert trial(best, gather(best)).best_loss == result.tried[0].loss

    lines = sweep_lines(result)
    assert f"{losses[0]:.4f}" in lines[1]
    keys = yaml.safe_load("\n".join(lines[lines.index("best settings, as lines for the config:") + 1 : -1]))
    assert keys["lora_rank"] == result.best["lora_rank"] and keys["epochs"] == result.best["epochs"]
    assert sum("trial " in line for line in said) == 3 and not any("optuna" in line for line in said)


def test_a_sweep_that_was_killed_goes_on_as_if_it_had_not_been(loaded, tmp_path, monkeypatch):
    whole = sweep(loaded, trials=3, folder=tmp_path / "whole", say=nothing)
    with monkeypatch.context() as patch:
        fail_in_trial(patch, 2, SystemExit(9))
        with pytest.raises(SystemExit):
            sweep(loaded, trials=3, folder=tmp_path / "s", say=nothing)
    with sqlite3.connect(tmp_path / "s" / "sweep.db") as store:
        assert store.execute("select state from trials order by number").fetchall()[1] == ("RUNNING",)
    again = sweep(loaded, trials=3, folder=tmp_path / "s", say=nothing)
    assert [row[1:] for row in shown(again)] == [row[1:] for row in shown(whole)]
    with sqlite3.connect(tmp_path / "s" / "sweep.db") as store:
        states = [s for (s,) in store.execute("select state from trials order by number")]
    assert states[1] == "FAIL" and len(states) == 4
    trained = []
    monkeypatch.setattr(room, "train_in_memory", lambda *a, **k: trained.append(1))
    assert shown(sweep(loaded, trials=3, folder=tmp_path / "s", say=nothing)) == shown(again)
    assert trained == []


def test_ctrl_c_ends_with_what_is_there(loaded, tmp_path, monkeypatch):
    said = []
    fail_in_trial(monkeypatch, 2, KeyboardInterrupt())
    result = sweep(loaded, trials=4, folder=tmp_path / "s", say=said.append)
    assert result.interrupted and len(result.tried) == 1 and (tmp_path / "s" / "best.yaml").exists()
    assert any("the same command goes on" in line for line in said)
    fail_in_trial(monkeypatch, 1, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        sweep(loaded, trials=4, folder=tmp_path / "none", say=nothing)
    (own,) = sweep(loaded, trials=1, folder=tmp_path / "none", say=nothing).tried
    assert own.number == 1 and own.settings["learning_rate"] == 1e-2, "the trial that was broken off comes again"


def test_a_trial_that_fails_does_not_end_the_sweep(loaded, tmp_path, monkeypatch):
    fail_in_trial(monkeypatch, 2, TrainError("train.not_finite", step=3, loss=1.0, norm=float("inf")))
    result = sweep(loaded, trials=3, folder=tmp_path / "s", say=nothing)
    assert [t.state for t in result.tried].count("failed") == 1 and len(result.tried) == 3
    assert "step 3" in result.tried[-1].reason and "failed: step 3" in "\n".join(sweep_lines(result))


@pytest.mark.slow
def test_a_trial_worse_than_the_median_is_given_up(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_NEVER_PRUNED", 1)
    monkeypatch.setattr(optuna.samplers, "TPESampler", lambda **k: optuna.samplers.RandomSampler(seed=k.get("seed")))
    steps = []

    def watched(config, inputs, on_evaluation):
        done = trial(config, inputs, on_evaluation=on_evaluation)
        steps.append((done.steps, done.stopped))
        return done

    monkeypatch.setattr(room, "train_in_memory", watched)
    result = sweep(loaded, trials=5, folder=tmp_path / "s", say=nothing)
    given_up = [t for t in result.tried if t.state == "given_up"]
    assert given_up and sum(stopped for _, stopped in steps) == len(given_up)
    best = result.tried[0].loss
    assert all(t.loss > best for t in given_up)
    assert "given up" in "\n".join(sweep_lines(result))


def test_other_data_or_settings_in_the_same_folder_are_refused(config, loaded, tmp_path, other_base):
    sweep(loaded, trials=1, folder=tmp_path / "s", say=nothing)
    rows = write_rows(tmp_path / "more" / "train.txt", pairs()[:-1]).parent
    for changed, name in (
        ({"train_data_dir": str(rows)}, "data"),
        ({"base_model": str(other_base)}, "base"),
        ({"learning_rate": 2e-3}, "learning_rate"),
    ):
        other = load_config(config(**QUICK | changed))
        with pytest.raises(UsageError) as refused:
            sweep(other, trials=1, folder=tmp_path / "s", say=nothing)
        assert f"what differs: {name}" in str(refused.value)
    with pytest.raises(UsageError) as refused:
        sweep(load_config(config(**QUICK | {"eval_ratio": 0.0})), trials=1, say=nothing)
    assert "holds no record out" in str(refused.value)


def test_a_broken_store_is_told_in_words(loaded, tmp_path):
    (tmp_path / "s?%").mkdir()
    (tmp_path / "s?%" / "sweep.db").write_bytes(b"no database" * 999)
    with pytest.raises(UsageError) as refused:
        sweep(loaded, trials=1, folder=tmp_path / "s?%", say=nothing)
    assert "not a database" in str(refused.value)
