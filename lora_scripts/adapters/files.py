"""Adapter files: the PEFT folder that others load, and loading one from a folder or a single file.

``pytorch_lora_weights.safetensors`` is the same bytes as ``adapter_model.safetensors``; the header of both
carries the adapter config, so that either is enough to load the adapter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedModel

from lora_scripts.errors import ModelError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
LINKED_FILE = "pytorch_lora_weights.safetensors"
HEADER_KEY = "adapter_config"
LARGEST_RANK = 4096
OF_PICTURES = (
    "unet.", "text_encoder.", "text_encoder_2.", "lora_unet_", "lora_te", "base_model.model.down_blocks.",
    "base_model.model.mid_block.", "base_model.model.up_blocks.", "base_model.model.text_model.",
    "base_model.model.encoder.layers.",
)  # fmt: skip
"""What names of tensors begin with in adapters of Stable Diffusion models, which are read by ``picture_files``."""

_TENSOR_NAME = re.compile(
    r"^base_model\.model\.(?P<module>.+)\.(?P<part>lora_[AB]\.weight|lora_magnitude_vector|ia3_l)$"
)
_A, _B, _MAGNITUDE, _FACTORS = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "ia3_l"
_MORE_THAN_LAYERS = (
    "modules_to_save", "lora_bias", "trainable_token_indices", "target_parameters", "layer_replication",
    "alora_invocation_tokens", "arrow_config", "velora_config", "monteclora_config", "kasa_config", "use_qalora",
    "use_bdlora",
)  # fmt: skip
"""Keys of adapter_config.json that change the model elsewhere than in its layers' A, B, magnitudes and factors."""
_STARTS_THAT_KEEP_THE_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
_PLAIN_NAME = re.compile(r"[\w.-]+")

Modules = Mapping[str, Mapping[str, Tensor]]
"""An adapter's tensors by full module name, then by part."""


def adapter_tensors(model: PeftModel) -> dict[str, Tensor]:
    """The adapter's tensors on the CPU under their PEFT names, in a fixed order."""
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)  # "auto" would ask the network
    return {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}


def restore_adapter(model: PeftModel, tensors: Mapping[str, Tensor]) -> None:
    """Put ``adapter_tensors`` back into the model that they came from.

    Raises:
        ModelError: Names differ.
    """
    result = set_peft_model_state_dict(model, dict(tensors))
    missing = set(adapter_tensors(model)) - set(tensors)
    if result.unexpected_keys or missing:
        raise ModelError("adapters.keys_differ", names=", ".join(sorted({*result.unexpected_keys, *missing})[:3]))


def config_text(model: PeftModel) -> str:
    """The content of adapter_config.json, the same for the same adapter."""
    values = model.peft_config["default"].to_dict() | {"inference_mode": True}
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in values.items()}
    plain["target_modules"] = sorted(plain["target_modules"])
    return json.dumps(plain, indent=2, sort_keys=True, default=str) + "\n"


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], config: str) -> None:
    """Write the PEFT folder: config, weights, and the same weights under their second name.

    Raises:
        ModelError: A value is not finite; nothing is written.
    """
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise ModelError("adapters.not_finite", where=folder, names=", ".join(broken[:3]))
    raw = in_order(save(dict(tensors), metadata={"format": "pt", HEADER_KEY: config}))
    for name, content in ((CONFIG_FILE, config.encode()), (WEIGHTS_FILE, raw)):
        fresh = folder / f".{name}.new"
        fresh.write_bytes(content)
        fresh.replace(folder / name)
    linked = folder / LINKED_FILE
    linked.unlink(missing_ok=True)
    try:
        os.link(folder / WEIGHTS_FILE, linked)
    except OSError:
        shutil.copyfile(folder / WEIGHTS_FILE, linked)


def in_order(raw: bytes) -> bytes:
    """A safetensors file with its header in one order: the library writes metadata in another one each time."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # the tensors begin at a multiple of eight
    return len(written).to_bytes(8, "little") + written + raw[8 + length :]


def find_weights(path: str | os.PathLike[str]) -> Path:
    """The weight file of an adapter given as a folder or as the file itself.

    Raises:
        ModelError: There is no adapter.
    """
    place = Path(path)
    if place.is_file() and place.suffix == ".safetensors":
        return place
    for name in (WEIGHTS_FILE, LINKED_FILE):
        if (place / name).is_file():
            return place / name
    key = "adapters.pickle" if (place / "adapter_model.bin").exists() else "adapters.none_here"
    raise ModelError(key, where=place)


def read_adapter(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of an adapter, checked: finite, whole, of ranks that its config names.

    The config is the file beside the weights, else the weights' own header.

    Raises:
        ModelError: Unreadable, of a kind that is not LoRA, rsLoRA, DoRA or IA3, one that changes more than layers, or
            tensors that do not fit together.
    """
    weights = find_weights(path)
    try:
        with safe_open(weights, "pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY, "")
            if any(name.startswith(OF_PICTURES) for name in file.keys()):  # noqa: SIM118
                raise ModelError("adapters.of_pictures", where=weights)
        beside = weights.parent / CONFIG_FILE
        config = json.loads(beside.read_text(encoding="utf-8") if beside.exists() else header)
        tensors = load_file(weights)
    except (OSError, ValueError, SafetensorError) as e:
        raise ModelError("adapters.unreadable", where=weights, reason=str(e)[:160]) from e
    kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
    if kind not in ("LORA", "IA3"):
        raise ModelError("adapters.other_kind", where=weights, kind=kind)
    check_config(weights, config)
    _check_tensors(weights, config, tensors)
    return config, tensors


def check_config(weights: Path, config: Mapping[str, Any]) -> None:
    """Refuse what a config can mean beside its tensors, rather than load half of it."""
    more = [key for key in _MORE_THAN_LAYERS if config.get(key)]
    more += ["bias"] if config.get("bias", "none") != "none" else []
    if more:
        raise ModelError("adapters.more_than_layers", where=weights, names=", ".join(more))
    if config["peft_type"] == "IA3":
        return
    start = config.get("init_lora_weights", True)
    if start not in _STARTS_THAT_KEEP_THE_BASE:
        raise ModelError("adapters.changed_base", where=weights, start=start)
    patterns = [config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")]
    numbers = [config.get("r"), config.get("lora_alpha")]
    for pattern in patterns:
        numbers += pattern.values() if isinstance(pattern, dict) else [None]
    if not all(isinstance(number, int | float) and abs(number) < float("inf") for number in numbers):
        raise ModelError("adapters.unreadable", where=weights, reason="r, lora_alpha, rank_pattern, alpha_pattern")
    for key in patterns[1]:
        if not _PLAIN_NAME.fullmatch(plain_key(key)):
            raise ModelError("adapters.pattern", where=weights, pattern=key)


def plain_key(key: str) -> str:
    """A key of ``alpha_pattern`` without the anchor and the escaped dots that full names are written with."""
    return key.removeprefix("^").replace(r"\.", ".")


def parts_by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors under their PEFT names as full module name → part (``lora_A.weight``, ``ia3_l`` …) → tensor."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if matched := _TENSOR_NAME.match(name):
            modules.setdefault(matched["module"], {})[matched["part"]] = value
    return modules


def _check_tensors(weights: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    for name, value in tensors.items():
        if not _TENSOR_NAME.match(name):
            raise ModelError("adapters.keys_differ", where=weights, names=name)
        if not torch.isfinite(value).all():
            raise ModelError("adapters.not_finite", where=weights, names=name)
    modules = parts_by_module(tensors)
    lora = config["peft_type"] == "LORA"
    ranks = {config["r"], *(config.get("rank_pattern") or {}).values()} if lora else set()
    for module, parts in modules.items():
        if not _fit_together(config, parts):
            raise ModelError("adapters.keys_differ", where=weights, names=module)
        if lora and parts[_A].shape[0] not in ranks:
            raise ModelError("adapters.other_rank", where=weights, names=module, rank=parts[_A].shape[0])
    if not modules:
        raise ModelError("adapters.keys_differ", where=weights, names="-")


def _fit_together(config: Mapping[str, Any], parts: Mapping[str, Tensor]) -> bool:
    if config["peft_type"] == "IA3":
        return set(parts) == {_FACTORS} and parts[_FACTORS].dim() == 2 and 1 in parts[_FACTORS].shape
    if set(parts) != ({_A, _B, _MAGNITUDE} if config.get("use_dora") else {_A, _B}):
        return False
    a, b = parts[_A], parts[_B]
    pair = a.dim() == b.dim() == 2 and a.shape[0] == b.shape[1] <= LARGEST_RANK
    return pair and (_MAGNITUDE not in parts or parts[_MAGNITUDE].shape == b.shape[:1])


def load_adapter(
    model: PreTrainedModel | PeftModel, file_or_dir: str | os.PathLike[str], *, weight: float = 1.0
) -> PeftModel:
    """``model`` with an adapter added at ``weight``; a further call stacks a further adapter on it.

    ``file_or_dir`` is the output folder or ``pytorch_lora_weights.safetensors`` itself, which stock peft
    refuses. Target modules and ranks are taken from the tensors: no pattern from a file is ever run.

    LoRA and rsLoRA add ``weight`` times their product to the output. IA3 multiplies it by 1 + ``weight`` × (factor -
    1); a stack of IA3 multiplies by each. DoRA rescales the whole weight, so it has no other ``weight`` than 1, and
    is the first of a stack only.

    Raises:
        ModelError: The adapter cannot be read, has no place in this model, or cannot be weighed or stacked so.
    """
    config, tensors = read_adapter(file_or_dir)
    modules = parts_by_module(tensors)
    _check_stack(model, config, weight, file_or_dir)
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    known = {name.replace(".base_layer", "") for name, _ in base.named_modules()}
    strangers = [m for m in sorted(modules) if m not in known]
    if strangers:
        raise ModelError("adapters.no_place", where=file_or_dir, names=", ".join(strangers[:3]))
    if config["peft_type"] == "IA3":
        peft_config = _ia3_config(config, modules)
        if weight != 1:
            tensors = {key: 1 + weight * (value - 1) for key, value in tensors.items()}
    else:
        peft_config = _lora_config(config, modules)
    if isinstance(model, PeftModel):
        name = f"stack_{len(model.peft_config)}"
        model.add_adapter(name, peft_config)
    else:
        name = "default"
        model = get_peft_model(model, peft_config, adapter_name=name)
    try:
        result = set_peft_model_state_dict(model, tensors, adapter_name=name)
    except RuntimeError as e:
        raise ModelError("adapters.no_place", where=file_or_dir, names=str(e)[:160]) from e
    if result.unexpected_keys:
        raise ModelError("adapters.keys_differ", where=file_or_dir, names=", ".join(result.unexpected_keys[:3]))
    for module in model.modules():
        if isinstance(module, LoraLayer) and name in module.scaling:
            module.scaling[name] *= weight
    model.base_model.set_adapter(list(model.peft_config), inference_mode=True)
    return model.eval()


def _check_stack(
    model: PreTrainedModel | PeftModel, config: Mapping[str, Any], weight: float, where: str | os.PathLike[str]
) -> None:
    if config.get("use_dora") and weight != 1:
        raise ModelError("adapters.dora_weight", where=where, weight=weight)
    if not isinstance(model, PeftModel):
        return
    kinds = {str(held.peft_type.value) for held in model.peft_config.values()}
    if kinds != {config["peft_type"]}:
        raise ModelError("adapters.mixed", where=where, kinds=", ".join(sorted({*kinds, config["peft_type"]})))
    if config.get("use_dora"):
        raise ModelError("adapters.dora_not_first", where=where)


def _lora_config(config: Mapping[str, Any], modules: Modules) -> PeftConfig:
    """What the file says, told to peft by full names: it reads keys of the two patterns as regular expressions."""
    rank, alpha = int(config["r"]), config["lora_alpha"]
    ranks = {module: parts[_A].shape[0] for module, parts in modules.items()}
    alphas = {module: _alpha(config, module) for module in modules}
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=sorted(modules),
        rank_pattern={re.escape(module): r for module, r in ranks.items() if r != rank},
        alpha_pattern={re.escape(module): a for module, a in alphas.items() if a != alpha},
        use_rslora=bool(config.get("use_rslora")),
        use_dora=bool(config.get("use_dora")),
        fan_in_fan_out=bool(config.get("fan_in_fan_out")),
        task_type="CAUSAL_LM",
        inference_mode=True,
    )


def scaling_of(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What BA is multiplied by in one module: alpha / r, of rsLoRA alpha / √r."""
    alpha = _alpha(config, module)
    return float(alpha / rank**0.5) if config.get("use_rslora") else alpha / rank


def _alpha(config: Mapping[str, Any], module: str) -> float:
    """alpha of one module, by the first key of ``alpha_pattern`` that is its name or the end of its name."""
    for key, alpha in (config.get("alpha_pattern") or {}).items():
        name = plain_key(key)
        if module == name or (module.endswith("." + name) and not key.startswith("^")):
            return float(alpha)
    return float(config["lora_alpha"])


def _ia3_config(config: Mapping[str, Any], modules: Modules) -> PeftConfig:
    """A row of factors scales what goes into a module, a column what comes out of it."""
    return IA3Config(
        target_modules=sorted(modules),
        feedforward_modules=sorted(module for module, parts in modules.items() if parts[_FACTORS].shape[0] == 1),
        fan_in_fan_out=bool(config.get("fan_in_fan_out")),
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
