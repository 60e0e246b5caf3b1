"""From config keys to the parts of a run: tokenizer and documents, model and adapter, plan."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from lora_scripts.adapters.inject import inject, trainable
from lora_scripts.assemble.records import Rendered, data_fingerprint, render_rows
from lora_scripts.assemble.survey import Rows, rows_of, survey_for
from lora_scripts.config import Config
from lora_scripts.errors import ModelError
from lora_scripts.messages import text
from lora_scripts.models.attention import FLAT, runs_flat
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.targets import find_targets
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)
from lora_scripts.training.allocator import keep_freed_memory
from lora_scripts.training.plan import Plan, Shape, make_plan
from lora_scripts.training.tasks import TextTask

SHAPING_KEYS = (
    "system_prompt", "max_seq_length", "too_long", "lora_rank", "lora_alpha", "lora_dropout",
    "target_modules", "batch_size", "gradient_accumulation_steps", "learning_rate", "lr_schedule", "warmup_ratio",
    "weight_decay", "max_grad_norm", "seed", "eval_ratio", "eval_data",
)  # fmt: skip
"""Keys that a resumed run must share with the run that wrote the checkpoint, beside base, data and template."""
NOTED_KEYS = ("epochs", "max_steps", "early_stopping_patience", "eval_steps", "gradient_checkpointing")
"""Keys that may differ on resume, which is said: they change how far the run goes, or how it is watched."""


@dataclass(slots=True)
class Inputs:
    """What is known before a model is loaded. ``replaced`` are notes on a device or precision other than wanted."""

    base: Path
    tokenizer: PreTrainedTokenizerBase
    rows: Rows
    rendered: Rendered
    device: str
    weights: torch.dtype
    autocast: torch.dtype | None
    fingerprints: dict[str, str]
    replaced: list[str]
    notes: list[str]


@dataclass(slots=True)
class Parts:
    """What the loop works with. ``attention`` is the model's own implementation, used to generate."""

    model: PeftModel
    base: PreTrainedModel
    task: TextTask
    plan: Plan
    attention: str
    notes: list[str]


def gather(config: Config) -> Inputs:
    """Read, check and render everything that needs no model.

    Raises:
        ModelError: The base cannot be used.
        DataError: The data are refused.
    """
    base = check_base(config.base_model)
    rows = rows_of(survey_for(config))
    tokenizer = load_tokenizer(base)
    rendered = render_rows(rows, tokenizer, config)
    device, notes = resolve_device(config.device)
    weights, autocast, more = resolve_precision(config.precision, device)
    shaping = {key: getattr(config, key) for key in SHAPING_KEYS}
    fingerprints = {
        "base": base_fingerprint(base),
        "data": data_fingerprint(rendered),
        "template": f"sha256:{sha256(rendered.form.template.encode()).hexdigest()}",
        **{f"config.{key}": repr(value) for key, value in shaping.items()},
        **{f"noted.{key}": repr(getattr(config, key)) for key in NOTED_KEYS},
        "noted.precision": str(weights),
    }
    replaced = [*notes, *more]
    found = [*replaced, *rendered.notes]
    return Inputs(base, tokenizer, rows, rendered, device, weights, autocast, fingerprints, replaced, found)


def build(config: Config, inputs: Inputs) -> Parts:
    """Load the base, put the adapter in, choose the rows' layout, derive the plan."""
    if inputs.device == "cpu":
        keep_freed_memory()
    base = load_model(inputs.base, dtype=inputs.weights, device=inputs.device)
    _refuse_unknown_ids(base, inputs)
    attention = base.config._attn_implementation
    reason = runs_flat(base)
    notes = [text("run.padded", reason=reason)] if reason else []
    targets = find_targets(base, config.target_modules)
    model = inject(
        base,
        targets=targets,
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
    if config.gradient_checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    task = TextTask(
        base,
        inputs.rendered.training,
        flat=not reason,
        head=head,
        last_layer=last,
        pad_id=int(inputs.tokenizer.pad_token_id or 0),
        autocast=inputs.autocast,
    )
    shape = shape_of(base, sum(p.numel() for p in trainable(model)), inputs.weights.itemsize)
    plan = plan_of(config, inputs, shape, "padded" if reason else "flat")
    return Parts(model, base, task, plan, attention, notes)


def _refuse_unknown_ids(base: PreTrainedModel, inputs: Inputs) -> None:
    rows = base.get_input_embeddings().weight.shape[0]
    highest = max(max(d.input_ids) for d in chain(inputs.rendered.training, inputs.rendered.validation))
    if highest >= rows:
        raise ModelError("run.foreign_tokenizer", where=inputs.base, highest=highest, rows=rows)


def predict(config: Config, inputs: Inputs) -> Plan:
    """The plan without loading a weight: the model is laid out on the meta device."""
    settings = AutoConfig.from_pretrained(str(inputs.base), local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    sizes = [_features(base.get_submodule(name)) for name in find_targets(base, config.target_modules)]
    adapter = config.lora_rank * sum(inner + outer for inner, outer in sizes)
    shape = shape_of(base, adapter, inputs.weights.itemsize)
    return plan_of(config, inputs, shape, "flat")


def _features(module: nn.Module) -> tuple[int, int]:
    if isinstance(module, Conv1D):
        inner, outer = module.weight.shape
        return inner, outer
    sizes: Any = module
    return sizes.in_features, sizes.out_features


def shape_of(model: PreTrainedModel, adapter: int, bytes_per_parameter: int) -> Shape:
    """The sizes of a model that its memory depends on; ``adapter`` is the number of trained values."""
    config: Any = model.config.get_text_config()
    hidden = int(config.hidden_size)
    inner = getattr(config, "intermediate_size", None) or getattr(config, "ffn_hidden_size", None) or 4 * hidden
    return Shape(
        parameters=sum(p.numel() for p in model.parameters() if not p.requires_grad or p.is_meta) + adapter,
        trainable=adapter,
        bytes_per_parameter=bytes_per_parameter,
        layers=int(config.num_hidden_layers),
        hidden=hidden,
        inner=int(inner),
        vocabulary=int(model.get_input_embeddings().weight.shape[0]),
    )


def plan_of(config: Config, inputs: Inputs, shape: Shape, rows: str) -> Plan:
    """The plan of this config on these documents."""
    return make_plan(
        inputs.rendered.training,
        inputs.rendered.validation,
        shape,
        batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        epochs=config.epochs,
        max_steps=config.max_steps,
        warmup_ratio=config.warmup_ratio,
        eval_steps=config.eval_steps,
        save_steps=config.save_steps,
        log_steps=config.log_steps,
        gradient_checkpointing=config.gradient_checkpointing,
        learning_rate=config.learning_rate,
        lr_schedule=config.lr_schedule,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        early_stopping_patience=config.early_stopping_patience,
        save_total_limit=config.save_total_limit,
        seed=config.seed,
        device=inputs.device,
        precision={torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}[inputs.weights],
        rows=rows,
    )


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    share = plan.trainable_parameters / plan.total_parameters
    return [
        text("run.plan_data", records=plan.records, validation=plan.validation_records, tokens=plan.tokens,
             learned=plan.learned_tokens, longest=plan.longest_document),
        text("run.plan_steps", steps=plan.steps, per_step=plan.records_per_step, epochs=plan.epochs,
             rate=plan.learning_rate, schedule=plan.lr_schedule),
        text("run.plan_model", trainable=plan.trainable_parameters, total=plan.total_parameters, share=share * 100,
             device=plan.device, precision=plan.precision, rows=text(f"run.rows_{plan.rows}")),
        text("run.plan_memory", gib=plan.predicted_peak_bytes / 2**30),
    ]  # fmt: skip
