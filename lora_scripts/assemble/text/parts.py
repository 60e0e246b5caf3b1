"""From config keys to the parts of a run: tokenizer and documents, model and adapter, plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from lora_scripts.adapters.files import adapter_tensors, config_text, restore_adapter
from lora_scripts.adapters.inject import inject, output_side, trainable
from lora_scripts.assemble.ahead import Hashed, hash_ahead
from lora_scripts.assemble.schedule import NOTED_KEYS, schedule_of
from lora_scripts.assemble.text.records import Rendered, identities, render_rows
from lora_scripts.assemble.text.survey import Rows, rows_of, survey_for
from lora_scripts.config import Config
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.render import Document
from lora_scripts.data.report import sample_lines
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.evaluate.rules import read_rules
from lora_scripts.messages import text
from lora_scripts.models.attention import FLAT, runs_flat
from lora_scripts.models.base_size import parameters_in
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.quantize import check_quantization
from lora_scripts.models.targets import find_targets, in_mlp
from lora_scripts.models.text import (
    check_base,
    is_bare,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)
from lora_scripts.training.allocator import keep_freed_memory
from lora_scripts.training.cards import card_lines, cards, forecast_line
from lora_scripts.training.memory import Shape, Way, shape_of
from lora_scripts.training.optim import make_optimizer
from lora_scripts.training.plan import Plan, make_plan
from lora_scripts.training.preference import PreferenceTask
from lora_scripts.training.room import available_bytes, begin_peak, checkpointing_line, wants_checkpointing
from lora_scripts.training.tasks import TextTask

SHAPING_KEYS = (
    "system_prompt", "max_seq_length", "too_long", "task_type", "preference_beta", "method", "quantization",
    "lora_rank", "lora_alpha", "lora_dropout", "target_modules", "batch_size", "gradient_accumulation_steps",
    "learning_rate", "lora_plus_ratio", "lr_schedule", "warmup_ratio", "weight_decay", "max_grad_norm", "seed",
    "eval_ratio", "eval_data",
)  # fmt: skip
"""Keys that a resumed run must share with the run that wrote the checkpoint, beside base, data and template."""
QUESTIONS_ASKED = 30
"""Held-out questions that base and adapter answer at the end, at most."""


@dataclass(slots=True)
class Inputs:
    """What is known before a model is loaded.

    ``identities`` tell the documents of each side in later runs, ``replaced`` are notes on a device or precision other
    than wanted.
    """

    base: Path
    tokenizer: PreTrainedTokenizerBase
    rows: Rows
    rendered: Rendered
    device: str
    weights: torch.dtype
    autocast: torch.dtype | None
    fingerprints: dict[str, str]
    identities: dict[str, NDArray[np.int64]]
    replaced: list[str]
    notes: list[str]

    @property
    def ledger(self) -> Ledger:
        """The account of the records."""
        return self.rows.ledger

    @property
    def training(self) -> Sequence[Document]:
        """What is learned."""
        return self.rendered.training

    @property
    def validation(self) -> Sequence[Document]:
        """What is measured."""
        return self.rendered.validation


@dataclass(slots=True)
class Parts:
    """What the loop works with.

    ``attention`` is the model's own implementation, used to generate, ``held`` the bytes that the process held before.
    """

    model: PeftModel
    base: PreTrainedModel
    task: TextTask | PreferenceTask
    plan: Plan
    attention: str
    notes: list[str]
    held: int

    def tensors(self) -> dict[str, Tensor]:
        """The adapter as it is, on the CPU."""
        return adapter_tensors(self.model)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put ``tensors`` back."""
        restore_adapter(self.model, tensors)

    def settings(self) -> str:
        """What the adapter is beside its tensors: the content of adapter_config.json."""
        return config_text(self.model)

    def ready_files(self) -> dict[str, bytes]:
        """What else a checkpoint needs to be used as an adapter: nothing."""
        return {}


def gather(config: Config, hashed: Hashed | None = None, *, weights: bool = True) -> Inputs:
    """Read, check and render everything that needs no model.

    Without ``weights`` a base folder may hold none: a plan needs its config.json and tokenizer only. ``hashed`` is the
    base's fingerprint where its making has begun.

    Raises:
        ModelError: The base cannot be used.
        DataError: The data are refused.
    """
    if config.draws:  # a run goes by kinds.gather; what else asks is for texts alone
        raise UsageError("picture_run.texts_only", where="task_type")
    base = Path(config.base_model).expanduser()
    bare = not weights and is_bare(base)
    if not bare:
        check_base(config.base_model)
    read_rules(config.house_rules)  # what is wrong with them is told before training
    survey = survey_for(config)
    survey.finder.base_parameters = parameters_in(base)
    rows = rows_of(survey)
    tokenizer = load_tokenizer(base)
    rendered = render_rows(rows, tokenizer, config)
    device, notes = resolve_device(config.device)
    dtype, autocast, more = resolve_precision(config.precision, device)
    packed = [] if bare else check_quantization(base, config.quantization, device)
    fingerprint, numbers = identities(rendered)
    shaping = {key: getattr(config, key) for key in SHAPING_KEYS}
    fingerprints = {
        "base": "none" if bare else (hashed or hash_ahead(config)).result()["base"],
        "data": fingerprint,
        "template": f"sha256:{sha256(rendered.form.template.encode()).hexdigest()}",
        **{f"config.{key}": repr(value) for key, value in shaping.items()},
        **{f"noted.{key}": repr(getattr(config, key)) for key in NOTED_KEYS},
        "noted.precision": str(dtype),
        "noted.libraries": ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft")),
    }
    replaced = [*notes, *more]
    found = [
        *sample_lines(rows.ledger),
        *replaced,
        *packed,
        *rendered.notes,
        *([text("run.no_weights", base=base)] if bare else []),
    ]
    return Inputs(base, tokenizer, rows, rendered, device, dtype, autocast, fingerprints, numbers, replaced, found)


def build(config: Config, inputs: Inputs) -> Parts:
    """Load the base, put the adapter in, choose the rows' layout, derive the plan."""
    if inputs.device == "cpu":
        keep_freed_memory()
    held = begin_peak(inputs.device)
    base = load_model(inputs.base, dtype=inputs.weights, device=inputs.device, quantization=config.quantization)
    _refuse_unknown_ids(base, inputs)
    attention = base.config._attn_implementation
    reason = runs_flat(base)
    notes = [text("run.padded", reason=reason)] if reason else []
    targets = find_targets(base, config.target_modules)
    shape = _shape(config, base, inputs, targets)
    model = inject(
        base,
        method=config.method,
        targets=targets,
        feedforward=in_mlp(targets),
        rank=config.lora_rank,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        base=config.base_model,
        seed=config.seed,
    )
    model.train()
    head = frozen_head(base)
    last = None if reason else last_layer(base)
    if not reason:
        base.set_attn_implementation(FLAT)
    plan, checkpointing = plan_of(config, inputs, shape, "padded" if reason else "flat", head is None, loaded=True)
    if checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if config.gradient_checkpointing == "auto":
            notes.append(checkpointing)
    task = TextTask(
        base,
        inputs.rendered.training,
        flat=not reason,
        head=head,
        last_layer=last,
        pad_id=int(inputs.tokenizer.pad_token_id or 0),
        autocast=inputs.autocast,
    )
    return Parts(model, base, task_of(config, model, task), plan, attention, notes, held)


def task_of(config: Config, model: PeftModel, task: TextTask) -> TextTask | PreferenceTask:
    """What ``task_type`` teaches, on the documents of ``task``."""
    return PreferenceTask(model, task, beta=config.preference_beta) if config.task_type == "preference" else task


def optimizer_of(config: Config, model: PeftModel) -> torch.optim.Optimizer:
    """The optimiser of a run over what its adapter trains."""
    return make_optimizer(
        trainable(model),
        weight_decay=config.weight_decay,
        faster=output_side(model),
        ratio=config.lora_plus_ratio or 1.0,
    )


def _refuse_unknown_ids(base: PreTrainedModel, inputs: Inputs) -> None:
    rows = base.get_input_embeddings().weight.shape[0]
    highest = max(max(d.input_ids) for d in chain(inputs.rendered.training, inputs.rendered.validation))
    if highest >= rows:
        raise ModelError("run.foreign_tokenizer", where=inputs.base, highest=highest, rows=rows)


def predict(config: Config, inputs: Inputs) -> tuple[Plan, list[str]]:
    """The plan without loading a weight, and which cards would hold it: the model is laid out on the meta device."""
    settings = AutoConfig.from_pretrained(str(inputs.base), local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    shape = _shape(config, base, inputs, find_targets(base, config.target_modules))
    plan, checkpointing = plan_of(config, inputs, shape, "flat")
    assert plan.work
    way = Way(inputs.device, bool(checkpointing), config.quantization, config.lora_dropout)
    fits = cards(
        shape, plan.work, way, accumulation=config.gradient_accumulation_steps, half=config.precision != "fp32"
    )
    auto = [checkpointing] if checkpointing and config.gradient_checkpointing == "auto" else []
    return plan, [*auto, *card_lines(fits)]


def _shape(config: Config, base: PreTrainedModel, inputs: Inputs, targets: list[str]) -> Shape:
    return shape_of(
        base, targets, rank=config.lora_rank, method=config.method, bytes_per_parameter=inputs.weights.itemsize
    )


def plan_of(
    config: Config, inputs: Inputs, shape: Shape, rows: str, whole_logits: bool = False, *, loaded: bool = False
) -> tuple[Plan, str]:
    """The plan of this config on these documents, and why gradient checkpointing is on; empty where it is off.

    ``loaded`` says that the base's weights have taken their memory already.
    """
    whole = partial(_plan, config, inputs, shape, rows, whole_logits)
    if config.gradient_checkpointing != "auto":
        return whole(config.gradient_checkpointing), "on" if config.gradient_checkpointing else ""
    plan, free = whole(False), available_bytes(inputs.device)
    need = plan.predicted_peak_bytes - (plan.forecast.weights if loaded else 0)
    if not wants_checkpointing(need, free):
        return plan, ""
    return whole(True), checkpointing_line(need, free)


def _plan(
    config: Config, inputs: Inputs, shape: Shape, rows: str, whole_logits: bool, gradient_checkpointing: bool
) -> Plan:
    return make_plan(
        inputs.rendered.training,
        inputs.rendered.validation,
        shape,
        gradient_checkpointing=gradient_checkpointing,
        rows=rows,
        questions=min(QUESTIONS_ASKED, len(inputs.rendered.questions)),
        quantization=config.quantization,
        dropout=0.0 if config.method == "ia3" else config.lora_dropout,
        file_bytes=sum(file.stat().st_size for file in inputs.base.glob("*.safetensors")),
        whole_logits=whole_logits,
        **schedule_of(config, inputs.device, inputs.weights),
    )


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    share = plan.trainable_parameters / plan.total_parameters
    return [
        text("run.plan_data", records=plan.records, validation=plan.validation_records, tokens=plan.content["tokens"],
             learned=plan.content["learned_tokens"], longest=plan.content["longest_document"]),
        text("run.plan_steps", steps=plan.steps, per_step=plan.records_per_step, epochs=plan.epochs,
             rate=plan.learning_rate, schedule=plan.lr_schedule),
        text("run.plan_model", trainable=plan.trainable_parameters, total=plan.total_parameters, share=share * 100,
             device=plan.device, precision=plan.precision, rows=text(f"run.rows_{plan.rows}")),
        forecast_line(plan.forecast),
    ]  # fmt: skip
