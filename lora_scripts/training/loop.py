"""The loop: optimiser steps from where the state stands to the end of the plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import Parameter

from lora_scripts.errors import Interrupted, TrainError
from lora_scripts.training.optim import rate_at
from lora_scripts.training.plan import Plan
from lora_scripts.training.state import RunState
from lora_scripts.training.tasks import Task


class Log(Protocol):
    """Where the loop tells what it does."""

    def step(self, state: RunState, *, loss: float, rate: float, norm: float, tokens: int, seconds: float) -> None:
        """One optimiser step is done."""
        ...

    def evaluation(self, state: RunState, loss: float, *, best: bool) -> None:
        """A validation loss was measured."""
        ...


def fit(
    task: Task,
    plan: Plan,
    state: RunState,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Parameter],
    *,
    log: Log,
    save: Callable[[RunState], None],
    evaluate: Callable[[], float] | None,
    stop_wanted: Callable[[], bool] = lambda: False,
) -> None:
    """Take optimiser steps from ``state.step`` to ``plan.steps``, or until validation stops getting better.

    A step's loss is one sum over all its micro-batches divided by one count of learned tokens, never a mean of
    means, so it does not depend on how the records were cut into micro-batches
    (tests/training/test_loop.py::test_cutting_a_step_changes_nothing).

    Raises:
        TrainError: Loss or gradient is not finite; names the step.
        Interrupted: ``stop_wanted`` said so; the state was saved first.
    """
    if evaluate and state.last_eval_step < state.step == 0:
        loss = evaluate()
        state.see(loss)
        log.evaluation(state, loss, best=False)
    patience = plan.early_stopping_patience or float("inf")
    while state.step < plan.steps and state.evaluations_without_gain < patience:
        began = time.perf_counter()
        micro_batches = plan.micro_batches(state.step)
        count = sum(task.count(m) for m in micro_batches)
        loss = sum(task.backward(m, 1 / count) for m in micro_batches)
        if task.loss_scale != 1:
            torch._foreach_div_([p.grad for p in parameters if p.grad is not None], task.loss_scale)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm or float("inf")))
        if not (norm < float("inf") and loss < float("inf")):
            raise TrainError("train.not_finite", step=state.step + 1, loss=loss, norm=norm)
        rate = rate_at(
            state.step,
            peak=plan.learning_rate,
            schedule=plan.lr_schedule,
            steps=plan.steps,
            warmup_steps=plan.warmup_steps,
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        state.step += 1
        tokens = sum(task.tokens(m) for m in micro_batches)
        state.tokens += tokens
        log.step(state, loss=loss, rate=rate, norm=norm, tokens=tokens, seconds=time.perf_counter() - began)

        last = state.step == plan.steps
        best = False
        if evaluate and (last or state.step % plan.eval_steps == 0):
            loss = evaluate()
            best = state.see(loss)
            log.evaluation(state, loss, best=best)
        early = state.evaluations_without_gain >= patience
        stop = stop_wanted() and not last and not early
        if best or last or early or stop or state.step % plan.save_steps == 0:
            save(state)
        if stop:
            raise Interrupted("train.interrupted", step=state.step)
