"""Several picture adapters as one that does the same, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lora_scripts.adapters.pictures import A, B, PictureAdapter, alpha_of, assemble_adapter, layers_of
from lora_scripts.errors import ModelError


def combine_pictures(adapters: Sequence[tuple[str, PictureAdapter, float]]) -> PictureAdapter:
    """One adapter whose BA of every layer is Σ weight × scale × BA: ranks add up, alpha is the rank.

    One adapter at weight 1 stays as it is.

    Raises:
        ModelError: DoRA, which rescales the whole weight: it has no sum.
    """
    if len(adapters) == 1 and adapters[0][2] == 1:
        return adapters[0][1]
    downs: dict[str, list[Tensor]] = {}
    ups: dict[str, list[Tensor]] = {}
    for name, adapter, weight in adapters:
        if any(config["use_dora"] for config in adapter.configs.values()):
            raise ModelError("picture_adapters.dora_alone", where=name, weight=weight)
        for (part, module), pieces in layers_of(adapter).items():
            config, rank = adapter.configs[part], pieces[A].shape[0]
            scale = alpha_of(config, module) / (rank**0.5 if config["use_rslora"] else rank)
            layer = f"{part}.{module}"
            downs.setdefault(layer, []).append(pieces[A].float())
            ups.setdefault(layer, []).append(pieces[B].float() * (weight * scale))
    tensors = {f"{layer}.{A}": torch.cat(found, 0) for layer, found in downs.items()}
    tensors |= {f"{layer}.{B}": torch.cat(found, 1) for layer, found in ups.items()}
    return assemble_adapter(", ".join(name for name, _, _ in adapters), tensors, {})
