"""Schedules against torch's and transformers' own, and the optimiser's way into a file and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from lora_scripts.training.optim import SCHEDULES, make_optimizer, optimizer_tensors, rate_at, restore_optimizer


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 200), st.floats(0, 0.5))
def test_a_rate_is_never_negative_and_never_above_its_peak(schedule: str, steps: int, share: float) -> None:
    warmup = int(steps * share)
    rates = [rate_at(s, peak=1.0, schedule=schedule, steps=steps, warmup_steps=warmup) for s in range(steps)]
    assert all(0 <= r <= 1 for r in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert rates[0] > 0


THEIRS = {"cosine": get_cosine_schedule_with_warmup, "linear": get_linear_schedule_with_warmup}


@pytest.mark.parametrize("schedule", THEIRS)
def test_after_the_warm_up_rates_are_those_of_transformers(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    reference = THEIRS[schedule](optimizer, num_warmup_steps=4, num_training_steps=20)
    for step in range(20):
        ours = rate_at(step, peak=0.3, schedule=schedule, steps=20, warmup_steps=4)
        if step >= 4:
            assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_a_restored_optimizer_takes_the_same_steps() -> None:
    def steps(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, count: int) -> None:
        for i in range(count):
            parameter.grad = torch.sin(parameter.detach() * (i + 1))
            optimizer.param_groups[0]["lr"] = 0.1
            optimizer.step()

    first = torch.nn.Parameter(torch.arange(6.0))
    whole = make_optimizer([first], weight_decay=0.01)
    steps(whole, first, 3)
    second = torch.nn.Parameter(first.detach().clone())
    again = make_optimizer([second], weight_decay=0.01)
    restore_optimizer(again, optimizer_tensors(whole))
    steps(whole, first, 3)
    steps(again, second, 3)
    assert torch.equal(first, second)


def test_lora_plus_takes_the_steps_that_two_rates_give() -> None:
    a, b, c = (torch.nn.Parameter(torch.arange(6.0) + i) for i in range(3))
    twins = [torch.nn.Parameter(p.detach().clone()) for p in (a, b, c)]
    ours = make_optimizer([a, b, c], weight_decay=0.01, faster=[b], ratio=16.0)
    theirs = torch.optim.AdamW(
        [{"params": [twins[0], twins[2]], "lr": 1e-2}, {"params": [twins[1]], "lr": 16e-2}], weight_decay=0.01
    )
    for i in range(4):
        for p in (a, b, c, *twins):
            p.grad = torch.sin(p.detach() * (i + 1))
        for group in ours.param_groups:
            group["lr"] = 1e-2 * group["rate_factor"]
        ours.step()
        theirs.step()
        if i == 1:  # a checkpoint in between
            tensors = optimizer_tensors(ours)
            ours = make_optimizer([a, b, c], weight_decay=0.01, faster=[b], ratio=16.0)
            restore_optimizer(ours, tensors)
            assert [group["rate_factor"] for group in ours.param_groups] == [1, 16]
    for p, twin in zip((a, b, c), twins, strict=True):
        assert torch.allclose(p, twin, rtol=1e-6)


def test_without_lora_plus_there_is_one_group_in_the_order_given() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    for optimizer in (
        make_optimizer(parameters, weight_decay=0.0),
        make_optimizer(parameters, weight_decay=0.0, faster=parameters[:1]),
    ):
        (group,) = optimizer.param_groups
        assert group["rate_factor"] == 1
        assert [id(p) for p in group["params"]] == [id(p) for p in parameters]
