"""Memory that runs out: smaller pieces, the same step; and numbers that are none: nothing of them is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from test_loop import Heard, _documents, _plan, _task

from lora_scripts.errors import TrainError
from lora_scripts.models.out_of_memory import is_out_of_memory
from lora_scripts.training.loop import fit
from lora_scripts.training.optim import make_optimizer
from lora_scripts.training.state import RunState, random_states
from lora_scripts.training.tasks import TextTask


def _limited(monkeypatch: pytest.MonkeyPatch, most: int, error: BaseException | None = None) -> list[int]:
    """A machine that holds ``most`` documents at once, and fails only after it has computed a part of the step."""
    sizes: list[int] = []
    whole = TextTask.loss_sum

    def loss_sum(self: TextTask, documents: Sequence[object]) -> torch.Tensor:
        sizes.append(len(documents))
        loss = whole(self, documents)  # type: ignore[arg-type]
        if len(documents) > most:
            torch.rand(7)
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return loss

    monkeypatch.setattr(TextTask, "loss_sum", loss_sum)
    return sizes


def _train(state: RunState, steps: int = 3, dropout: float = 0.0, size: int = 8) -> tuple[Heard, list[int]]:
    task, parameters = _task(dropout)
    torch.manual_seed(3)
    heard, halved = Heard(), []
    plan = _plan(_documents(), batch_size=size, max_steps=steps)
    optimizer = make_optimizer(parameters, weight_decay=0.0)
    fit(task, plan, state, optimizer, parameters, log=heard, save=lambda s: None, evaluate=None,
        halved=lambda s: halved.append(s.micro_batch))  # fmt: skip
    return heard, halved


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 12 bytes"),
    RuntimeError("CUDA error: out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_the_micro_batch_is_halved_and_the_step_stays_the_same(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = _train(RunState())
    sizes, state = _limited(monkeypatch, 2, error), RunState()
    cut, halved = _train(state)
    assert cut.losses == pytest.approx(whole.losses, rel=1e-6)
    assert halved == [4, 2]
    assert sizes == [8, 4, *[2] * 12]  # three steps of eight, and what failed at the first
    assert state.micro_batch == 2


def test_what_was_found_is_remembered_over_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, state = _limited(monkeypatch, 2), RunState()
    _train(state, steps=1)
    del sizes[:]
    _, halved = _train(RunState.from_json(state.to_json()), steps=2)
    assert (sizes, halved) == ([2, 2, 2, 2], [])


def test_dropout_of_a_step_that_is_done_again_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the micro-batch had had the smaller size from the start."""
    small, _ = _train(RunState(micro_batch=4), dropout=0.5)
    _limited(monkeypatch, 4)
    assert _train(RunState(), dropout=0.5)[0].losses == small.losses


def test_one_record_that_does_not_fit_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    _limited(monkeypatch, 0)
    with pytest.raises(TrainError, match=r"one record alone") as raised:
        _train(RunState())
    for key in ("gradient_checkpointing", "quantization", "max_seq_length"):
        assert key in raised.value.problems[0].fix


def test_another_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _limited(monkeypatch, 2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        _train(RunState())
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_step_that_fails_leaves_gradients_and_generators_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    task, parameters = _task(0.5)
    torch.manual_seed(3)
    before = random_states()["cpu"]
    monkeypatch.setattr(TextTask, "count", lambda self, records: 1)
    _limited(monkeypatch, 0)
    with pytest.raises(TrainError):
        fit(task, _plan(_documents()), RunState(), make_optimizer(parameters, weight_decay=0.0), parameters,
            log=Heard(), save=lambda s: None, evaluate=None)  # fmt: skip
    assert torch.equal(random_states()["cpu"], before)
    assert not any(p.grad.any() for p in parameters if p.grad is not None)
    assert all(p.grad is not None for p in parameters)


def test_validation_goes_on_with_half_the_batch_and_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = _task(0.5)
    whole, count = task.evaluate(_documents(), 8)
    sizes = _limited(monkeypatch, 3)
    told: list[int] = []
    total, again = task.evaluate(_documents(), 8, told.append)
    assert total == pytest.approx(whole, rel=1e-6)
    assert (again, told) == (count, [4, 2])
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    assert task.model.training


def test_validation_of_one_record_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = _task()
    _limited(monkeypatch, 0)
    with pytest.raises(TrainError, match="one record alone"):
        task.evaluate(_documents(), 4)
    assert task.model.training


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", ["loss", "gradient"])
def test_a_number_that_is_none_stops_before_the_weights_change(
    place: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, parameters = _task()
    before = [p.detach().clone() for p in parameters]
    backward = TextTask.backward

    def breaking(self: TextTask, micro_batch: Sequence[int], weight: float) -> float:
        loss = backward(self, micro_batch, weight)
        if place == "loss":
            return value
        assert parameters[2].grad is not None
        parameters[2].grad[0, 0] = value
        return loss

    monkeypatch.setattr(TextTask, "backward", breaking)
    saved: list[int] = []
    with pytest.raises(TrainError, match="step 1"):
        fit(task, _plan(_documents()), RunState(), make_optimizer(parameters, weight_decay=0.0), parameters,
            log=Heard(), save=lambda s: saved.append(s.step), evaluate=None)  # fmt: skip
    assert saved == []
    assert all(torch.equal(p, was) for p, was in zip(parameters, before, strict=True))
