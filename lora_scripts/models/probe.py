"""One pass of a picture model, the same for every way of loading it: what tells whether two of them are one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lora_scripts.models.diffusion import LATENT_CHANNELS, PictureBase
from lora_scripts.models.prompts import encode_captions


@dataclass(frozen=True, slots=True)
class Probe:
    """What is denoised: latents [1, C, H, W] with noise of ``level`` and a caption; ``sizes`` for XL."""

    noisy: Tensor
    level: int
    caption: str
    sizes: tuple[float, ...]


def noise_probe(base: PictureBase, caption: str) -> Probe:
    """Nothing but noise, of the size that the base was made for."""
    side = base.resolution // base.factor
    noise = torch.randn(1, LATENT_CHANNELS, side, side, generator=torch.Generator().manual_seed(0))
    return Probe(noise, 500, caption, (base.resolution, base.resolution, 0, 0, base.resolution, base.resolution))


@torch.no_grad()
def denoised(unet: Any, encoders: Mapping[str, Any], tokenizers: Mapping[str, Any], probe: Probe) -> Tensor:
    """What the U-Net makes of the probe [1, C, H, W], on the CPU, without dropout."""
    models = [unet, *encoders.values()]
    was = [model.training for model in models]
    for model in models:
        model.eval()
    words = encode_captions(encoders, tokenizers, [probe.caption])
    device, dtype = unet.device, next(unet.parameters()).dtype
    more: dict[str, Any] = {}
    if words.pooled is not None:
        sizes = torch.tensor([probe.sizes], device=device)
        more["added_cond_kwargs"] = {"text_embeds": words.pooled, "time_ids": sizes}
    levels = torch.tensor([probe.level], device=device)
    told = unet(probe.noisy.to(device, dtype), levels, words.states, **more, return_dict=False)[0]
    for model, training in zip(models, was, strict=True):
        model.train(training)
    return told.float().cpu()  # type: ignore[no-any-return]


def pass_of(pipeline: Any, probe: Probe) -> Tensor:
    """``denoised`` by the parts of a stock pipeline."""
    parts = trained_parts(pipeline)
    tokenizers = {
        name: getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in parts if name != "unet"
    }
    return denoised(parts["unet"], {n: p for n, p in parts.items() if n != "unet"}, tokenizers, probe)


def trained_parts(pipeline: Any) -> dict[str, Any]:
    """The parts of a stock pipeline that can carry an adapter."""
    names = ("unet", "text_encoder", "text_encoder_2")
    return {name: part for name in names if (part := getattr(pipeline, name, None)) is not None}
