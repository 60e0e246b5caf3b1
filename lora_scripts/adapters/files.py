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
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
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

_TENSOR_NAME = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight$")


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
    raw = _in_order(save(dict(tensors), metadata={"format": "pt", HEADER_KEY: config}))
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


def _in_order(raw: bytes) -> bytes:
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
    """Config and tensors of an adapter, checked: finite, whole pairs, ranks that its config can mean.

    The config is the file beside the weights, else the weights' own header.

    Raises:
        ModelError: Unreadable, not LoRA, or tensors that do not fit together.
    """
    weights = find_weights(path)
    try:
        with safe_open(weights, "pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY, "")
        beside = weights.parent / CONFIG_FILE
        config = json.loads(beside.read_text(encoding="utf-8") if beside.exists() else header)
        tensors = load_file(weights)
    except (OSError, ValueError, SafetensorError) as e:
        raise ModelError("adapters.unreadable", where=weights, reason=str(e)[:160]) from e
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        raise ModelError("adapters.not_lora", where=weights, kind=kind)
    _check_tensors(weights, tensors)
    return config, tensors


def _check_tensors(weights: Path, tensors: Mapping[str, Tensor]) -> None:
    sides: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        matched = _TENSOR_NAME.match(name)
        if not matched:
            raise ModelError("adapters.keys_differ", where=weights, names=name)
        if not torch.isfinite(value).all():
            raise ModelError("adapters.not_finite", where=weights, names=name)
        sides.setdefault(matched["module"], {})[matched["side"]] = value
    for module, pair in sides.items():
        fits = len(pair) == 2 and pair["A"].shape[0] == pair["B"].shape[1] <= LARGEST_RANK
        if not fits:
            raise ModelError("adapters.keys_differ", where=weights, names=module)


def load_adapter(
    model: PreTrainedModel | PeftModel, file_or_dir: str | os.PathLike[str], *, weight: float = 1.0
) -> PeftModel:
    """``model`` with an adapter added at ``weight``; a further call stacks a further adapter on it.

    ``file_or_dir`` is the output folder or ``pytorch_lora_weights.safetensors`` itself, which stock peft
    refuses. Target modules are taken from the tensors' names: no pattern from a file is ever run.

    Raises:
        ModelError: The adapter cannot be read, or a tensor of it has no place in this model.
    """
    config, tensors = read_adapter(file_or_dir)
    modules = sorted({m["module"] for name in tensors if (m := _TENSOR_NAME.match(name))})
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    known = {name.replace(".base_layer", "") for name, _ in base.named_modules()}
    strangers = [m for m in modules if m not in known]
    if strangers:
        raise ModelError("adapters.no_place", where=file_or_dir, names=", ".join(strangers[:3]))
    config |= {"target_modules": modules, "inference_mode": True, "base_model_name_or_path": None}
    peft_config = LoraConfig.from_peft_type(**config)
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
