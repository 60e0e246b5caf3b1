"""The numbers of a run, derived once from settings, documents and machine, printed before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lora_scripts.data.layout import micro_batches, step_records, steps_for
from lora_scripts.data.render import Document
from lora_scripts.training.memory import Forecast, Shape, Way, Work, forecast, work_of

RECORDS_LOOKED_AT = 50_000
"""For the largest micro-batch of a run: in so many records of its shuffled order."""


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
    forecast: Forecast
    work: Work
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
    questions: int = 0,
    quantization: str = "none",
    dropout: float = 0.0,
    file_bytes: int = 0,
    whole_logits: bool = False,
) -> Plan:
    """Derive the plan. Without ``eval_steps`` validation comes once an epoch; without ``max_steps`` epochs rule.

    ``questions`` of the validation records are answered; what follows it is explained at ``memory.Way``.
    """
    per_step = batch_size * gradient_accumulation_steps
    steps = max_steps or steps_for(len(documents), per_step, epochs)
    lengths = tuple(len(d.input_ids) for d in documents)
    learned = [sum(d.loss_mask) for d in documents]
    looked_at = range(min(steps, max(1, RECORDS_LOOKED_AT // per_step)))
    work = work_of(
        lengths,
        learned,
        (
            m
            for s in looked_at
            for m in micro_batches(step_records(len(lengths), per_step, seed, s), lengths, batch_size)
        ),
        [(len(d.input_ids), sum(d.loss_mask)) for d in validation],
        batch_size=batch_size,
        rows=rows,
        questions=questions,
    )
    way = Way(device, gradient_checkpointing, quantization, dropout, file_bytes, whole_logits)
    found = forecast(shape, work, way)
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
        predicted_peak_bytes=found.peak,
        forecast=found,
        work=work,
        lengths=lengths,
    )
