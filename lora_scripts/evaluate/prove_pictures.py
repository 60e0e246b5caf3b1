"""The proof of a picture adapter: the file on the disk, loaded by stock diffusers into a fresh base, does what training
said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_scripts.adapters.picture_files import read_picture_adapter
from lora_scripts.adapters.pictures import PictureAdapter, merge_pictures, picture_adapter
from lora_scripts.evaluate.prove import Check, Proof, apart, untouched
from lora_scripts.models.prompts import encode_captions

LEAST_CHANGE = 1e-4  # of the largest value; a pass through the U-Net repeats to the last bit


@dataclass(frozen=True, slots=True)
class Probe:
    """What the proof denoises: latents [1, C, H, W] with noise of ``level`` and a caption; ``sizes`` for XL."""

    noisy: Tensor
    level: int
    caption: str
    sizes: tuple[float, ...]


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


def prove_pictures(
    folder: Path,
    load: Callable[[], Any],
    probe: Probe,
    ours: Tensor,
    trained: PictureAdapter,
    *,
    tolerance: float,
) -> Proof:
    """Check the adapter in ``folder``; ``ours`` is what the trained model made of ``probe``.

    ``tolerance`` is relative to the largest value: 1e-4 in float32. ``load`` gives a fresh stock pipeline.
    """
    pipeline = load()
    encoders = {n: getattr(pipeline, n) for n in ("text_encoder", "text_encoder_2") if getattr(pipeline, n, None)}
    tokenizers = {name: getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in encoders}
    parts = {"unet": pipeline.unet, **encoders}

    def pass_() -> Tensor:
        return denoised(pipeline.unet, encoders, tokenizers, probe)

    bare = pass_()
    pipeline.load_lora_weights(str(folder), adapter_name="default")
    bound, on = picture_adapter(parts).tensors, pass_()
    pipeline.unload_lora_weights()
    off = pass_()
    read = read_picture_adapter(folder)
    merge_pictures(parts, [("default", read, 1.0)])
    merged = pass_()
    differing = _differing(trained.tensors, bound)
    reread = _differing(trained.tensors, read.tensors)
    broken = sum(not torch.isfinite(value).all() for value in read.tensors.values())
    scale = max(1.0, float(ours.abs().max()))
    within, least = tolerance * scale, LEAST_CHANGE * scale
    checks = [
        Check("every_value_is_finite", not broken, broken, 0),
        Check("every_tensor_is_bound_by_stock_diffusers", not differing, differing, 0),
        Check("every_tensor_reads_back_the_same", not reread, reread, 0),
        untouched(trained.tensors),
        Check("stock_diffusers_denoises_as_ours", apart(on, ours) <= within, apart(on, ours), within),
        Check("adapter_on_differs_from_off_by_at_least", apart(on, off) >= least, apart(on, off), least),
        Check("adapter_off_equals_base", apart(off, bare) == 0, apart(off, bare), 0),
        Check("merged_equals_adapter", apart(merged, on) <= within, apart(merged, on), within),
    ]
    return Proof([c if math.isfinite(c.value) else Check(c.name, False, -1.0, c.bound) for c in checks], {})


def _differing(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> int:
    """How many tensors are missing, strange, or of other values."""
    return sum(
        name not in wanted or name not in found or not torch.equal(wanted[name].float(), found[name].float().cpu())
        for name in {*wanted, *found}
    )
