"""The loop: optimiser steps from where the state stands to the end of the plan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import Parameter

from lora_scripts.data.layout import micro_batches
from lora_scripts.errors import Interrupted, TrainError
from lora_scripts.models.out_of_memory import halving
from lora_scripts.training.optim import rate_at
from lora_scripts.training.parallel import ALONE, Figures, LostRankError, Ranks
from lora_scripts.training.plan import Plan
from lora_scripts.training.state import RunState, random_states, restore_random
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
    halved: Callable[[RunState], None] = lambda state: None,
    ranks: Ranks = ALONE,
) -> None:
    """Take optimiser steps from ``state.step`` to ``plan.steps``, or until validation stops getting better.

    A step's loss is one sum over all its micro-batches divided by one count of learned tokens, never a mean of
    means, so it does not depend on how the records were cut into micro-batches, nor on how many ranks share them
    (tests/training/test_loop.py::test_cutting_a_step_changes_nothing). Where memory runs out, the micro-batch is
    halved, never the step; ``halved`` hears of it.

    Raises:
        TrainError: Loss or gradient is not finite, and names the step; or one record alone does not fit.
        LostRankError: A rank is gone; the state of the last whole step was saved.
        Interrupted: ``stop_wanted`` said so, on any rank; the state was saved first.
    """
    # before the first pass: gradients made in it would each split a freed block that the next layer could have used
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    if evaluate and state.last_eval_step < state.step == 0:
        loss = _measured(evaluate, state)
        state.see(loss)
        log.evaluation(state, loss, best=False)
    patience = plan.early_stopping_patience or float("inf")
    while state.step < plan.steps and state.evaluations_without_gain < patience and not state.stopped:
        began = time.perf_counter()
        records = [i for m in plan.micro_batches(state.step) for i in m]
        try:
            loss, stops = _gradients(task, plan, state, records, parameters, stop_wanted, halved, ranks)
        except LostRankError:
            if state.step:
                save(state)
            raise
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm or float("inf")))
        if not (math.isfinite(norm) and math.isfinite(loss)):
            raise TrainError("train.not_finite", step=state.step + 1, loss=loss, norm=norm)
        rate = rate_at(
            state.step,
            peak=plan.learning_rate,
            schedule=plan.lr_schedule,
            steps=plan.steps,
            warmup_steps=plan.warmup_steps,
        )
        for group in optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        state.step += 1
        tokens = task.tokens(records)
        state.tokens += tokens
        log.step(state, loss=loss, rate=rate, norm=norm, tokens=tokens, seconds=time.perf_counter() - began)

        last = state.step == plan.steps
        best = False
        if evaluate and (last or state.step % plan.eval_steps == 0):
            loss = _measured(evaluate, state)
            best = state.see(loss)
            log.evaluation(state, loss, best=best)
            state.stopped = bool(ranks.first_says(b"stop" if state.stopped else b""))
        early = state.evaluations_without_gain >= patience or state.stopped
        wanted = stops > 0 if ranks.size > 1 else stop_wanted()
        stop = wanted and not last and not early
        if best or last or early or stop or state.step % plan.save_steps == 0:
            save(state)
        if stop:
            raise Interrupted("train.interrupted", step=state.step)


def _measured(evaluate: Callable[[], float], state: RunState) -> float:
    loss = evaluate()
    if not math.isfinite(loss):
        raise TrainError("train.not_finite_validation", step=state.step, loss=loss)
    return loss


def _gradients(
    task: Task,
    plan: Plan,
    state: RunState,
    records: Sequence[int],
    parameters: Sequence[Parameter],
    stop_wanted: Callable[[], bool],
    halved: Callable[[RunState], None],
    ranks: Ranks,
) -> tuple[float, float]:
    """Put the gradient of one step into the parameters; its loss, and how many ranks are asked to stop.

    Where it fails, gradients and random generators are as before the step.
    """
    count = task.count(records)
    task.begin(state.step)
    ranks.seed_step(plan.seed, state.step)
    random = random_states()
    shares = ranks.shares(records, plan.lengths)
    mine = shares[ranks.rank]

    def undo() -> None:
        torch._foreach_zero_([p.grad for p in parameters if p.grad is not None])
        restore_random(random)

    def smaller(size: int) -> None:
        undo()
        task.begin(state.step)
        state.micro_batch = size
        halved(state)

    def backward(size: int) -> Figures:
        cut = micro_batches(mine, plan.lengths, size)
        loss = sum(task.backward(m, 1 / count) for m in cut)
        if ranks.sharded:  # every pass gathers layers from all ranks, so all must make the same number of passes
            for _ in range(max(-(-len(share) // size) for share in shares) - len(cut)):
                task.backward(records[:1], 0.0)
        return loss, float(stop_wanted())

    def work() -> Figures:
        size = state.micro_batch or plan.batch_size
        if ranks.sharded:
            return backward(size)
        return halving(backward, max(1, min(size, len(mine))), again=smaller)

    try:
        loss, stops = ranks.sums(work, 2)
        ranks.sum_gradients(parameters)
    except BaseException:
        undo()
        raise
    if task.loss_scale != 1:
        torch._foreach_div_([p.grad for p in parameters if p.grad is not None], task.loss_scale)
    return loss, stops
