"""The numbers of a run, derived once from settings, documents and machine, printed before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict, Unpack

from lora_scripts.data.layout import micro_batches, step_records, steps_for
from lora_scripts.data.render import Document
from lora_scripts.training.memory import Forecast, Shape, Way, Work, forecast, work_of

RECORDS_LOOKED_AT = 50_000
"""For the largest micro-batch of a run: in so many records of its shuffled order."""


class Schedule(TypedDict):
    """What a config says of a run, whatever it learns. ``epochs`` rule where ``max_steps`` is None."""

    batch_size: int
    gradient_accumulation_steps: int
    epochs: float
    max_steps: int | None
    warmup_ratio: float
    eval_steps: int | None
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. Counts in records and steps; ``learning_rate`` is the peak.

    ``rows`` says how records go through the model together, ``content`` what they hold, in numbers; ``unit`` is what
    speed is stated in. ``grouped`` keeps records of one of ``lengths`` together.
    """

    records: int
    validation_records: int
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
    work: Work | None
    content: Mapping[str, object]
    unit: str
    grouped: bool
    lengths: tuple[int, ...]

    def micro_batches(self, step: int) -> list[list[int]]:
        """The records of one step, cut into micro-batches."""
        groups = self.lengths if self.grouped else ()
        records = step_records(self.records, self.records_per_step, self.seed, step, groups, self.batch_size)
        return micro_batches(records, self.lengths, self.batch_size)

    def epoch_at(self, step: int) -> float:
        """Epochs done after ``step`` steps."""
        return step * self.records_per_step / self.records

    def to_json(self) -> dict[str, object]:
        """All numbers but the single lengths."""
        left_out = ("lengths", "content", "grouped")
        return {**self.content, **{k: v for k, v in asdict(self).items() if k not in left_out}}


def make_plan(
    documents: Sequence[Document],
    validation: Sequence[Document],
    shape: Shape,
    *,
    rows: str,
    gradient_checkpointing: bool,
    questions: int = 0,
    quantization: str = "none",
    dropout: float = 0.0,
    file_bytes: int = 0,
    whole_logits: bool = False,
    **schedule: Unpack[Schedule],
) -> Plan:
    """Derive the plan of a run on texts. Without ``eval_steps`` validation comes once an epoch.

    ``questions`` of the validation records are answered; what follows it is explained at ``memory.Way``.
    """
    per_step, steps = steps_of(len(documents), schedule)
    lengths = tuple(len(d.input_ids) for d in documents)
    learned = [sum(d.loss_mask) for d in documents]
    batch, seed = schedule["batch_size"], schedule["seed"]
    looked_at = range(min(steps, max(1, RECORDS_LOOKED_AT // per_step)))
    work = work_of(
        lengths,
        learned,
        (m for s in looked_at for m in micro_batches(step_records(len(lengths), per_step, seed, s), lengths, batch)),
        [(len(d.input_ids), sum(d.loss_mask)) for d in validation],
        batch_size=batch,
        rows=rows,
        questions=questions,
    )
    way = Way(schedule["device"], gradient_checkpointing, quantization, dropout, file_bytes, whole_logits)
    content = {"tokens": sum(lengths), "learned_tokens": sum(learned), "longest_document": max(lengths)}
    return plan_of(
        lengths, len(validation), forecast(shape, work, way), rows=rows, unit="tokens", content=content, work=work,
        parameters=(shape.trainable, shape.parameters), **schedule,
    )  # fmt: skip


def steps_of(records: int, schedule: Schedule) -> tuple[int, int]:
    """Records of a step, and how many steps there are."""
    per_step = schedule["batch_size"] * schedule["gradient_accumulation_steps"]
    return per_step, schedule["max_steps"] or steps_for(records, per_step, schedule["epochs"])


def plan_of(
    lengths: tuple[int, ...],
    validation_records: int,
    memory: Forecast,
    *,
    rows: str,
    unit: str,
    content: Mapping[str, object],
    parameters: tuple[int, int],
    work: Work | None = None,
    grouped: bool = False,
    **schedule: Unpack[Schedule],
) -> Plan:
    """The plan of records of these lengths; ``parameters`` are those that are trained, and all."""
    per_step, steps = steps_of(len(lengths), schedule)
    asked = ("gradient_accumulation_steps", "epochs", "max_steps", "warmup_ratio", "eval_steps")
    return Plan(
        records=len(lengths),
        validation_records=validation_records,
        records_per_step=per_step,
        steps=steps,
        epochs=steps * per_step / len(lengths),
        warmup_steps=int(steps * schedule["warmup_ratio"]),
        eval_steps=schedule["eval_steps"] or max(1, round(len(lengths) / per_step)),
        rows=rows,
        trainable_parameters=parameters[0],
        total_parameters=parameters[1],
        predicted_peak_bytes=memory.peak,
        forecast=memory,
        work=work,
        content=content,
        unit=unit,
        grouped=grouped,
        lengths=lengths,
        **{name: value for name, value in schedule.items() if name not in asked},  # type: ignore[arg-type]
    )
