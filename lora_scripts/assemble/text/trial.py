"""A training run in memory, to compare settings: nothing is written, the best adapter stays as tensors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lora_scripts.adapters.files import restore_adapter
from lora_scripts.adapters.inject import trainable
from lora_scripts.assemble.kinds import trained_tensors
from lora_scripts.assemble.text.parts import Inputs, Parts, build, optimizer_of
from lora_scripts.config import Config
from lora_scripts.data.render import Document
from lora_scripts.errors import Interrupted
from lora_scripts.messages import text
from lora_scripts.training.loop import fit
from lora_scripts.training.plan import Plan
from lora_scripts.training.state import RunState
from lora_scripts.training.tasks import mean_loss

log = logging.getLogger(__name__)
OnEvaluation = Callable[[int, float, float | None], bool]


@dataclass(frozen=True, slots=True)
class Seen:
    """One evaluation. Losses in nats a learned token; ``train_loss`` is the mean of the steps since the one before."""

    step: int
    epoch: float
    train_loss: float | None
    loss: float


@dataclass(slots=True)
class Trial:
    """What a run in memory came to.

    Attributes:
        losses: Every evaluation, the base's own first.
        first_loss: The base's loss; ``None`` here and below where there is nothing to validate on.
        best_loss: The lowest one after a step, ``best_step`` where it was seen.
        steps: Steps taken; ``stopped`` says that ``on_evaluation`` ended them.
        seconds: Training and evaluations, without loading the base.
        tokens_per_second: Over the training steps alone.
        tensors: The best adapter, the last one where there is no best, on the CPU.
        parts: What was trained; its adapter is the last one until ``take_best``.
    """

    losses: list[Seen]
    first_loss: float | None
    best_loss: float | None
    best_step: int
    steps: int
    stopped: bool
    seconds: float
    tokens_per_second: float
    tensors: dict[str, Tensor]
    parts: Parts


def trial(
    config: Config,
    inputs: Inputs,
    *,
    training: Sequence[Document] | None = None,
    validation: Sequence[Document] | None = None,
    on_evaluation: OnEvaluation | None = None,
    say: Callable[[str], None] = log.warning,
) -> Trial:
    """Train as ``train_run`` would, step for step, and write nothing.

    Args:
        config: The settings of this trial; those that shape the data must be the ones of ``inputs``.
        inputs: ``gather(config)``, which many trials may share.
        training: Documents in place of the gathered ones.
        validation: Likewise; an empty list validates nothing.
        on_evaluation: Called with step, validation loss and mean training loss; True ends the trial.
        say: Told where memory ran out and a step went on in smaller pieces.

    Raises:
        TrainError: Loss, gradient or adapter is not finite.
        ModelError: The base cannot be used.
    """
    rendered = inputs.rendered
    training = rendered.training if training is None else training
    held_out = rendered.validation if validation is None else validation
    inputs = replace(inputs, rendered=replace(rendered, training=training, validation=held_out))
    parts = build(config, inputs)
    parameters = trainable(parts.model)
    optimizer = optimizer_of(config, parts.model)
    torch.manual_seed(config.seed)
    state, notes = RunState(), _Notes(parts.plan, on_evaluation)
    kept: dict[str, Tensor] = {}

    def keep(at: RunState) -> None:
        if at.best_step in (0, at.step):  # the best so far, or there is no best
            kept.update({name: value.clone() for name, value in trained_tensors(parts, at.step).items()})

    began = time.perf_counter()
    with suppress(Interrupted):
        fit(
            parts.task,
            parts.plan,
            state,
            optimizer,
            parameters,
            log=notes,
            save=keep,
            evaluate=(lambda: mean_loss(parts.task, held_out, config.batch_size)) if held_out else None,
            stop_wanted=lambda: notes.stopped,
            halved=lambda at: say(text("train.halved", step=at.step + 1, size=at.micro_batch)),
        )
    return Trial(
        losses=notes.losses,
        first_loss=state.first_loss,
        best_loss=state.best_loss,
        best_step=state.best_step,
        steps=state.step,
        stopped=notes.stopped,
        seconds=time.perf_counter() - began,
        tokens_per_second=state.tokens / notes.seconds,
        tensors=kept,
        parts=parts,
    )


def take_best(done: Trial) -> Parts:
    """The parts of ``done`` with its best adapter in the model, ready to answer."""
    restore_adapter(done.parts.model, done.tensors)
    return done.parts


@dataclass(slots=True)
class _Notes:
    """The loop's log, kept in memory."""

    plan: Plan
    on_evaluation: OnEvaluation | None
    losses: list[Seen] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0
    since: list[float] = field(default_factory=list)

    def step(self, state: RunState, *, loss: float, rate: float, norm: float, tokens: int, seconds: float) -> None:
        self.seconds += seconds
        self.since.append(loss)

    def evaluation(self, state: RunState, loss: float, *, best: bool) -> None:
        train_loss = sum(self.since) / len(self.since) if self.since else None
        self.since.clear()
        self.losses.append(Seen(state.step, self.plan.epoch_at(state.step), train_loss, loss))
        if self.on_evaluation:
            self.stopped = self.on_evaluation(state.step, loss, train_loss)
