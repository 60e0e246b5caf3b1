"""Which layers of a U-Net and of its text encoders get an adapter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import nn

from lora_scripts.errors import ModelError

ATTENTION = {"to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj"}
MLP = ("ff.net", "mlp")
_LAYER = re.compile(r"\blayers\.(\d+)\.")
BLOCKS = ("attentions", "layers")  # where the U-Net and CLIP have their transformer blocks


def find_picture_targets(parts: Mapping[str, nn.Module], wanted: Sequence[str] | None) -> dict[str, list[str]]:
    """Full names of the layers to adapt, by part.

    Args:
        parts: ``unet``, and the text encoders that are trained.
        wanted: None or ``attention`` for all four projections of every attention, ``mlp``, ``all-linear`` for every
            linear layer of the transformer blocks; or ends of names, as ``to_q``, ``conv1``, ``proj_in``, which
            convolutions have too.

    Raises:
        ModelError: A name that no part has, or a part without any of them.
    """
    names = list(wanted or ("attention",))
    found = {part: _in_part(model, names) for part, model in parts.items()}
    if "text_encoder_2" in parts:  # XL reads the first encoder before its last layer, which so would learn nothing
        count = max(int(layer[1]) for name in found["text_encoder"] if (layer := _LAYER.search(name)))
        found["text_encoder"] = [name for name in found["text_encoder"] if f"layers.{count}." not in name]
    for name in names:
        if not any(_in_part(model, [name]) for model in parts.values()):
            raise ModelError("diffusion.no_targets", where="target_modules", names=name, part=", ".join(parts))
    for part, layers in found.items():
        if not layers:
            raise ModelError("diffusion.no_targets", where="target_modules", names=", ".join(names), part=part)
    return found


def _in_part(model: nn.Module, names: Sequence[str]) -> list[str]:
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    return [name for name, module in layers.items() if any(_meant(name, module, wish) for wish in names)]


def _meant(name: str, module: nn.Module, wish: str) -> bool:
    path = f".{name}"
    linear = isinstance(module, nn.Linear)
    if wish == "attention":
        return linear and any(path.endswith(f".{end}") for end in ATTENTION)
    if wish == "mlp":
        return linear and any(f".{place}." in path for place in MLP)
    if wish == "all-linear":
        return linear and any(f".{place}." in path for place in BLOCKS)
    return path.endswith(f".{wish}")
