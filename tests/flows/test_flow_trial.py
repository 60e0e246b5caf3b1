"""A trial trains as the command does, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from calling import Said, contents, metrics

from lora_scripts.adapters.files import WEIGHTS_FILE, adapter_tensors
from lora_scripts.assemble.text.parts import Inputs, gather
from lora_scripts.assemble.text.trial import take_best, trial
from lora_scripts.config import Config, load_config
from lora_scripts.data.render import Document
from lora_scripts.errors import TrainError
from lora_scripts.training.checkpoint import read_tensors


@pytest.fixture
def settings(finished: tuple[Path, Said]) -> tuple[Config, Inputs]:
    config = load_config(finished[0] / "run.yaml").config
    return config, gather(config)


def test_losses_and_adapter_are_those_of_the_command(finished, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = contents(finished[0])
    done = trial(*settings)
    told = [(line["step"], line["eval_loss"]) for line in metrics(finished[0]) if "eval_loss" in line]
    assert [seen.step for seen in done.losses] == [step for step, _ in told]
    assert [seen.loss for seen in done.losses] == pytest.approx([loss for _, loss in told])
    assert done.steps == 8 and done.best_step == 8 and done.first_loss == done.losses[0].loss
    written = read_tensors(finished[0] / "best", WEIGHTS_FILE)
    assert written.keys() == done.tensors.keys()
    assert all(torch.equal(written[name], done.tensors[name]) for name in written)
    assert contents(finished[0]) == before and not list(tmp_path.iterdir())


def test_train_loss_is_the_mean_of_the_steps_since_the_last_evaluation(finished, settings):
    steps = {line["step"]: line["loss"] for line in metrics(finished[0]) if "loss" in line}
    seen = trial(*settings).losses
    assert seen[0].train_loss is None
    assert seen[1].train_loss == pytest.approx(sum(steps[n] for n in range(1, 5)) / 4)
    assert seen[2].train_loss == pytest.approx(sum(steps[n] for n in range(5, 9)) / 4)


def test_the_best_adapter_is_kept_when_later_ones_are_worse(settings):
    config, inputs = settings
    backwards = [Document(d.input_ids[::-1], d.loss_mask) for d in inputs.rendered.validation]
    often = config.model_copy(update={"learning_rate": 0.1, "eval_steps": 2, "max_steps": 20})
    done = trial(often, inputs, validation=backwards)
    assert 0 < done.best_step < done.steps
    last = adapter_tensors(done.parts.model)
    assert any(not torch.equal(last[name], done.tensors[name]) for name in last)
    parts = take_best(done)
    total, count = parts.task.evaluate(backwards, config.batch_size)
    assert total / count == pytest.approx(done.best_loss, rel=1e-6)


def test_the_caller_may_end_it_at_an_evaluation(settings):
    told: list[int] = []

    def enough(step: int, loss: float, train_loss: float | None) -> bool:
        told.append(step)
        return step == 4

    done = trial(*settings, on_evaluation=enough)
    assert done.stopped and done.steps == 4 and told == [0, 4]


def test_other_documents_may_train_and_validate(settings):
    config, inputs = settings
    documents = list(inputs.rendered.training)
    done = trial(config, inputs, training=documents[:6], validation=documents[6:9])
    assert done.parts.plan.records == 6 and done.parts.plan.validation_records == 3
    total, count = done.parts.task.evaluate(documents[6:9], config.batch_size)
    assert total / count == pytest.approx(done.losses[-1].loss, rel=1e-6)


def test_without_validation_the_last_adapter_is_kept(settings):
    config, inputs = settings
    done = trial(config.model_copy(update={"max_steps": 3}), inputs, validation=[])
    assert done.losses == [] and done.best_loss is None and done.steps == 3
    last = adapter_tensors(done.parts.model)
    assert all(torch.equal(last[name], done.tensors[name]) for name in last)


def test_a_run_that_blows_up_says_so(settings):
    config, inputs = settings
    with pytest.raises(TrainError, match="step"):
        trial(config.model_copy(update={"learning_rate": 1.0, "lora_alpha": 1e38}), inputs)
