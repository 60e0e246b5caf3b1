"""The numbers of a run, derived once from settings, documents and machine, printed before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lora_scripts.data.layout import micro_batches, step_records, steps_for
from lora_scripts.data.render import Document


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. Counts in records, tokens, steps; ``learning_rate`` is the peak."""

    records: int
    validation_records: int
    tokens: int
    learned_tokens: int
    longest_document: int
    batch_size: int
    records_per_step: int
    steps: int
    epochs: float
    warmup_steps: int
    eval_steps: int
    save_steps: int
    log_steps: int
    learning_rate: float
    lr_schedule: str
    weight_decay: float
    max_grad_norm: float
    early_stopping_patience: int | None
    save_total_limit: int
    seed: int
    device: str
    precision: str
    rows: str
    trainable_parameters: int
    total_parameters: int
    predicted_peak_bytes: int
    lengths: tuple[int, ...]

    def micro_batches(self, step: int) -> list[list[int]]:
        """The records of one step, cut into micro-batches."""
        records = step_records(self.records, self.records_per_step, self.seed, step)
        return micro_batches(records, self.lengths, self.batch_size)

    def epoch_at(self, step: int) -> float:
        """Epochs done after ``step`` steps."""
        return step * self.records_per_step / self.records

    def to_json(self) -> dict[str, object]:
        """All numbers but the single lengths."""
        return {k: v for k, v in asdict(self).items() if k != "lengths"}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model that its memory depends on."""

    parameters: int
    trainable: int
    bytes_per_parameter: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int


def predicted_peak_bytes(shape: Shape, batch_tokens: int, batch_learned: int, *, checkpointing: bool) -> int:
    """Estimate of the peak: weights, adapter with AdamW, activations of one micro-batch, its logits.

    A transformer layer keeps about 14 hidden-wide and 3 inner-wide float32 rows a token for its backward pass,
    with checkpointing one hidden-wide row; the head keeps three float32 copies of the learned logits.
    """
    weights = shape.parameters * shape.bytes_per_parameter
    adapter = shape.trainable * 4 * 4
    row = shape.hidden if checkpointing else 14 * shape.hidden + 3 * shape.inner
    activations = batch_tokens * shape.layers * row * 4
    return weights + adapter + activations + 3 * batch_learned * shape.vocabulary * 4


def make_plan(
    documents: Sequence[Document],
    validation: Sequence[Document],
    shape: Shape,
    *,
    batch_size: int,
    gradient_accumulation_steps: int,
    epochs: float,
    max_steps: int | None,
    warmup_ratio: float,
    eval_steps: int | None,
    save_steps: int,
    log_steps: int,
    gradient_checkpointing: bool,
    learning_rate: float,
    lr_schedule: str,
    weight_decay: float,
    max_grad_norm: float,
    early_stopping_patience: int | None,
    save_total_limit: int,
    seed: int,
    device: str,
    precision: str,
    rows: str,
) -> Plan:
    """Derive the plan. Without ``eval_steps`` validation comes once an epoch; without ``max_steps`` epochs rule."""
    per_step = batch_size * gradient_accumulation_steps
    steps = max_steps or steps_for(len(documents), per_step, epochs)
    lengths = tuple(len(d.input_ids) for d in documents)
    learned = [sum(d.loss_mask) for d in documents]
    peak = predicted_peak_bytes(
        shape,
        sum(sorted(lengths)[-batch_size:]),
        sum(sorted(learned)[-batch_size:]),
        checkpointing=gradient_checkpointing,
    )
    return Plan(
        records=len(documents),
        validation_records=len(validation),
        tokens=sum(lengths),
        learned_tokens=sum(learned),
        longest_document=max(lengths),
        batch_size=batch_size,
        records_per_step=per_step,
        steps=steps,
        epochs=steps * per_step / len(documents),
        warmup_steps=int(steps * warmup_ratio),
        eval_steps=eval_steps or max(1, round(len(documents) / per_step)),
        save_steps=save_steps,
        log_steps=log_steps,
        learning_rate=learning_rate,
        lr_schedule=lr_schedule,
        weight_decay=weight_decay,
        max_grad_norm=max_grad_norm,
        early_stopping_patience=early_stopping_patience,
        save_total_limit=save_total_limit,
        seed=seed,
        device=device,
        precision=precision,
        rows=rows,
        trainable_parameters=shape.trainable,
        total_parameters=shape.parameters,
        predicted_peak_bytes=peak,
        lengths=lengths,
    )
