"""From config keys to the parts of a picture run: documents, U-Net and adapter, latents and words, plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from lora_scripts.adapters.inject import output_side, trainable
from lora_scripts.adapters.picture_files import WEIGHTS_FILE, adapter_bytes
from lora_scripts.adapters.pictures import PictureAdapter, inject_pictures, picture_adapter, restore_pictures
from lora_scripts.assemble.ahead import Hashed, hash_ahead
from lora_scripts.assemble.pictures.records import picture_rows
from lora_scripts.assemble.schedule import NOTED_KEYS, schedule_of
from lora_scripts.config import Config
from lora_scripts.data.cache import cache_folder
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.pictures.captions import CaptionRules, with_trigger
from lora_scripts.data.pictures.documents import PictureDocument, bucket_counts, order_numbers
from lora_scripts.messages import text
from lora_scripts.models.diffusion import (
    PictureBase,
    check_picture_base,
    load_picture_parts,
    load_tokenizers,
    noise_schedule,
    picture_fingerprint,
)
from lora_scripts.models.picture_targets import find_picture_targets
from lora_scripts.models.prompts import cut_captions
from lora_scripts.models.text import resolve_device, resolve_precision
from lora_scripts.training.allocator import keep_freed_memory
from lora_scripts.training.cards import forecast_line
from lora_scripts.training.kept import Kept
from lora_scripts.training.latents import Captions, Latents
from lora_scripts.training.optim import make_optimizer
from lora_scripts.training.picture_memory import forecast_pictures
from lora_scripts.training.pictures import Noising, PictureTask, Showing
from lora_scripts.training.plan import Plan, plan_of
from lora_scripts.training.room import available_bytes, begin_peak, checkpointing_line, wants_checkpointing

SHAPING_KEYS = (
    "task_type", "method", "lora_rank", "lora_alpha", "lora_dropout", "target_modules", "batch_size",
    "gradient_accumulation_steps", "learning_rate", "lora_plus_ratio", "lr_schedule", "warmup_ratio", "weight_decay",
    "max_grad_norm", "seed", "eval_ratio", "eval_data", "resolution", "random_crop", "flip", "trigger_word",
    "caption_dropout", "shuffle_tags", "keep_tags", "snr_gamma", "noise_offset", "train_text_encoder",
    "text_encoder_learning_rate", "repeats", "prior_images",
)  # fmt: skip
"""Keys that a resumed picture run must share with the run that wrote the checkpoint, beside base and pictures."""


@dataclass(slots=True)
class PictureInputs:
    """What is known before a model is loaded; see ``assemble.text.parts.Inputs``.

    ``prints`` are the fingerprints of the base's parts.
    """

    base: PictureBase
    tokenizers: Mapping[str, Any]
    training: Sequence[PictureDocument]
    validation: Sequence[PictureDocument]
    ledger: Ledger
    device: str
    weights: torch.dtype
    autocast: torch.dtype | None
    prints: dict[str, str]
    fingerprints: dict[str, str]
    identities: dict[str, NDArray[np.int64]]
    replaced: list[str]
    notes: list[str]


@dataclass(slots=True)
class OnDemand:
    """What is loaded where somebody asks, and let go where nobody will for a while."""

    load: Callable[[], Any]
    held: Any = None

    def __call__(self) -> Any:
        """It, loaded."""
        if self.held is None:
            self.held = self.load()
        return self.held

    def release(self) -> None:
        """Let go of it."""
        self.held = None


@dataclass(slots=True)
class PictureParts:
    """What the loop works with: ``model`` holds the parts that are trained.

    ``vae`` gives the VAE, which is loaded where somebody asks; ``held`` are the bytes that the process held before,
    ``base_samples`` what the base alone makes of the sample prompts.
    """

    model: nn.ModuleDict
    task: PictureTask
    plan: Plan
    captions: Captions
    vae: OnDemand
    notes: list[str]
    held: int
    base_samples: list[Image.Image] = field(default_factory=list)

    def adapter(self) -> PictureAdapter:
        """The adapter as it is, on the CPU."""
        return picture_adapter(dict(self.model.items()))

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors."""
        return self.adapter().tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put ``tensors`` back."""
        restore_pictures(dict(self.model.items()), tensors)

    def settings(self) -> str:
        """What the adapter is beside its tensors, by part, as JSON."""
        return json.dumps(self.adapter().configs, indent=1, sort_keys=True) + "\n"

    def ready_files(self) -> dict[str, bytes]:
        """What else a checkpoint needs to be used as an adapter: the file that pipelines load."""
        return {WEIGHTS_FILE: adapter_bytes(self.adapter())}


def gather(config: Config, hashed: Hashed | None = None) -> PictureInputs:
    """Read, check and lay out everything that needs no model.

    ``hashed`` are the fingerprints of the base's parts where their making has begun.

    Raises:
        ModelError: The base cannot be used.
        DataError: The pictures are refused.
    """
    base = check_picture_base(config.base_model)
    resolution = config.resolution or base.resolution
    rows = picture_rows(config, resolution, base.unit)
    tokenizers = load_tokenizers(base)
    device, notes = resolve_device(config.device)
    dtype, autocast, more = resolve_precision(config.precision, device)
    _note_cut_captions(config, rows.training, tokenizers, rows.ledger)
    prints = (hashed or hash_ahead(config)).result()
    shaping = {key: getattr(config, key) for key in SHAPING_KEYS}
    identities = {"training": _numbers(rows.training), "validation": _numbers(rows.validation)}
    shown = [_identity(d) for d in (*rows.training, *rows.validation)]
    fingerprints = {
        "base": picture_fingerprint(prints),
        "data": f"sha256:{sha256(''.join(shown).encode()).hexdigest()}",
        **{f"config.{key}": repr(value) for key, value in shaping.items()},
        **{f"noted.{key}": repr(getattr(config, key)) for key in NOTED_KEYS},
        "noted.precision": str(dtype),
        "noted.libraries": ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "peft")),
    }
    replaced = [*notes, *more]
    said = list(replaced)
    if config.resolution and config.resolution % base.unit:
        side = max(base.unit, config.resolution // base.unit * base.unit)
        said.append(text("picture_run.rounded", resolution=config.resolution, side=side, unit=base.unit))
    if config.random_crop:
        said.append(text("picture_run.crop_not_cached"))
    trigger = config.trigger_word or ""
    if without := [prompt for prompt in config.sample_prompts if trigger not in prompt]:
        said.append(text("picture_run.sample_without_trigger", trigger=trigger, prompt=without[0][:60]))
    return PictureInputs(
        base, tokenizers, rows.training, rows.validation, rows.ledger, device, dtype, autocast, prints, fingerprints,
        identities, replaced, said,
    )  # fmt: skip


def _identity(document: PictureDocument) -> str:
    told = repr((document.digest, document.caption, document.bucket, document.prior))
    return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _numbers(documents: Sequence[PictureDocument]) -> NDArray[np.int64]:
    return np.array([int(_identity(d)[:15], 16) for d in documents], np.int64)


def _note_cut_captions(
    config: Config, documents: Sequence[PictureDocument], tokenizers: Mapping[str, Any], ledger: Ledger
) -> None:
    own = {d.caption if d.prior else with_trigger(d.caption, config.trigger_word or ""): d for d in documents}
    for caption, unseen in cut_captions(tokenizers, list(own)):
        said = text("picture_run.caption_cut", unseen=unseen[:60])
        ledger.findings.append(Finding("warning", "caption_cut", own[caption].source, said))
    for prompt, unseen in cut_captions(tokenizers, config.sample_prompts):
        said = text("picture_run.prompt_cut", prompt=prompt[:40], unseen=unseen[:60])
        ledger.findings.append(Finding("warning", "prompt_cut", "sample_prompts", said))


def build(config: Config, inputs: PictureInputs, say: Callable[[str], None]) -> PictureParts:
    """Make latents and words, load the U-Net, put the adapter in, derive the plan."""
    if inputs.device == "cpu":
        keep_freed_memory()
    held = begin_peak(inputs.device)
    plan, checkpointing = plan_for(config, inputs)
    shown = _Shown(inputs, config, say)
    shown.fill(config)
    encoders = shown.captions.load() if config.train_text_encoder else {}
    parts = {**load_picture_parts(inputs.base, ["unet"], dtype=inputs.weights, device=inputs.device), **encoders}
    inject_pictures(
        parts,
        find_picture_targets(parts, config.target_modules),
        method=config.method,
        rank=config.lora_rank,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        seed=config.seed,
    )
    model = nn.ModuleDict(parts).train()
    if checkpointing:
        _checkpoint(parts)
    task = PictureTask(
        unet=parts["unet"],
        documents=inputs.training,
        moments=shown.latents.moments,
        words=shown.captions.words,
        noising=Noising(noise_schedule(inputs.base), config.snr_gamma, config.noise_offset),
        showing=Showing(rules_of(config), config.flip, config.random_crop),
        scaling=inputs.base.scaling,
        seed=config.seed,
        device=inputs.device,
        sized=inputs.base.kind == "sdxl",
        autocast=inputs.autocast,
        trained=list(encoders.values()),
    )
    notes = [checkpointing] if checkpointing and config.gradient_checkpointing == "auto" else []
    return PictureParts(model, task, plan, shown.captions, shown.vae, notes, held)


def rules_of(config: Config) -> CaptionRules:
    """What is done with captions."""
    return CaptionRules(config.trigger_word or "", config.caption_dropout, config.shuffle_tags, config.keep_tags)


class _Shown:
    """Latents and words of a run. VAE and text encoders are loaded at the first need."""

    def __init__(self, inputs: PictureInputs, config: Config, say: Callable[[str], None]) -> None:
        base, device, prints = inputs.base, inputs.device, inputs.prints
        self.vae = OnDemand(lambda: load_picture_parts(base, ["vae"], dtype=torch.float32, device=device)["vae"])
        self.encoders = OnDemand(lambda: load_picture_parts(base, base.encoders, dtype=inputs.weights, device=device))
        kept = Kept(cache_folder() / "latents" if config.cache_latents else None, say)
        self._inputs = inputs
        self.latents = Latents(self.vae, kept, prints["vae"], anew=config.random_crop)
        told = f"{[prints[name] for name in base.encoders]} {inputs.weights} {device.partition(':')[0]}"
        trained = config.train_text_encoder
        self.captions = Captions(self.encoders, inputs.tokenizers, kept, told, device, trained=trained)

    def fill(self, config: Config) -> None:
        """Make what is missing of what can be foreseen, and let go of what made it where it is not needed again."""
        documents = [*self._inputs.training, *self._inputs.validation]
        self.latents.fill(documents, flip=config.flip)
        trigger = config.trigger_word or ""
        said = {d.caption if d.prior else with_trigger(d.caption, trigger) for d in documents}
        self.captions.fill({*said, "", *config.sample_prompts})
        if not config.random_crop:
            self.vae.release()
        if not (config.train_text_encoder or config.shuffle_tags):
            self.encoders.release()


def _checkpoint(parts: Mapping[str, Any]) -> None:
    """Compute activations twice: diffusers' models and transformers' name it differently."""
    for name, part in parts.items():
        if name == "unet":
            part.enable_gradient_checkpointing()
        else:
            part.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def optimizer_of(config: Config, model: nn.ModuleDict) -> torch.optim.Optimizer:
    """The optimiser over what the adapter trains; the text encoders' part has a rate of its own."""
    ratio, decay = config.lora_plus_ratio or 1.0, config.weight_decay
    unet = model["unet"]
    optimizer = make_optimizer(trainable(unet), weight_decay=decay, faster=output_side(unet), ratio=ratio)
    own_rate = (config.text_encoder_learning_rate or config.learning_rate) / config.learning_rate
    for name in [name for name in model if name != "unet"]:
        encoder = model[name]
        other = make_optimizer(trainable(encoder), weight_decay=decay, faster=output_side(encoder), ratio=ratio)
        for group in other.param_groups:
            optimizer.add_param_group({**group, "rate_factor": group["rate_factor"] * own_rate})
    return optimizer


def predict(config: Config, inputs: PictureInputs) -> tuple[Plan, list[str]]:
    """The plan without loading a weight, and what is to be said about it."""
    plan, checkpointing = plan_for(config, inputs)
    return plan, [checkpointing] if checkpointing and config.gradient_checkpointing == "auto" else []


def plan_for(config: Config, inputs: PictureInputs) -> tuple[Plan, str]:
    """The plan of this config, and why gradient checkpointing is on; empty where it is off."""
    if config.gradient_checkpointing != "auto":
        return _plan(config, inputs, config.gradient_checkpointing), "on" if config.gradient_checkpointing else ""
    plan, free = _plan(config, inputs, False), available_bytes(inputs.device)
    if not wants_checkpointing(plan.predicted_peak_bytes, free):
        return plan, ""
    return _plan(config, inputs, True), checkpointing_line(plan.predicted_peak_bytes, free)


def _plan(config: Config, inputs: PictureInputs, checkpointing: bool) -> Plan:
    shown = [*inputs.training, *inputs.validation]
    largest = max((d.bucket for d in shown), key=lambda b: b[0] * b[1])
    memory, parameters = forecast_pictures(
        inputs.base,
        largest,
        batch_size=config.batch_size,
        tokens=min(tokenizer.model_max_length for tokenizer in inputs.tokenizers.values()),
        targets=config.target_modules,
        method=config.method,
        rank=config.lora_rank,
        dropout=config.lora_dropout,
        encoders=config.train_text_encoder,
        checkpointing=checkpointing,
        device=inputs.device,
        width=inputs.weights.itemsize,
    )
    content = {
        "pictures": len({d.digest for d in inputs.training if not d.prior}),
        "prior_pictures": sum(d.prior for d in inputs.training),
        "largest_picture": list(largest),
        "buckets": bucket_counts(inputs.training),
    }
    return plan_of(
        order_numbers(inputs.training), len(inputs.validation), memory, rows="buckets", unit="pictures",
        content=content, parameters=parameters, grouped=True,
        **schedule_of(config, inputs.device, inputs.weights),
    )  # fmt: skip


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    share = plan.trainable_parameters / plan.total_parameters
    buckets = cast(Mapping[str, int], plan.content["buckets"])
    sizes = ", ".join(f"{size} ({count})" for size, count in buckets.items())
    prior = plan.content["prior_pictures"]
    more = text("picture_run.plan_prior", count=prior) if prior else ""
    return [
        text("picture_run.plan_data", records=plan.records, pictures=plan.content["pictures"], more=more,
             validation=plan.validation_records, sizes=sizes),
        text("run.plan_steps", steps=plan.steps, per_step=plan.records_per_step, epochs=plan.epochs,
             rate=plan.learning_rate, schedule=plan.lr_schedule),
        text("run.plan_model", trainable=plan.trainable_parameters, total=plan.total_parameters, share=share * 100,
             device=plan.device, precision=plan.precision, rows=text("picture_run.rows_buckets")),
        forecast_line(plan.forecast),
    ]  # fmt: skip
