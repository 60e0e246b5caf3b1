"""The memory of a picture run, predicted before a weight is loaded.

What autograd keeps for the backward pass is not counted from sizes, as for texts, but seen: the U-Net runs once
without values (torch's meta device) on a batch of the largest bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lora_scripts.adapters.pictures import inject_pictures
from lora_scripts.data.pictures.buckets import Size
from lora_scripts.models.diffusion import LATENT_CHANNELS, PictureBase, empty_parts, parameters_of
from lora_scripts.models.picture_targets import find_picture_targets
from lora_scripts.training.memory import ADAMW_BYTES, CARD_WORKSPACE, LIBRARIES, Forecast

SPREAD = 1.3
"""Resident memory for a byte that tensors of a step take on a CPU: an estimate, between those that were measured for
texts (training/memory.py). A run prints the forecast beside what it took."""
DECODER_BYTES_A_PIXEL = 4 * 512 * 4
"""What the VAE holds for each pixel that it decodes: a few of its widest layers, in float32; an estimate."""


class _Fused(torch.autograd.Function):
    """Attention as fused kernels do it, which keep queries, keys, values and output, but no matrix of weights."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output


class _FusedAttention(TorchFunctionMode):
    """The meta device has no fused attention of its own; this stands in for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _Fused.apply(*args[:3])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def saved_bytes(model: nn.Module, work: Callable[[], Any]) -> int:
    """What ``work``, a forward pass of ``model``, keeps for the backward pass, beside the parameters."""
    own = {value.untyped_storage()._cdata for value in model.parameters()}
    held: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        place = value.untyped_storage()._cdata
        if place not in own:
            held.setdefault(place, value)
        return value

    with _FusedAttention(), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        result = work()
    del result
    return sum(value.untyped_storage().nbytes() for value in held.values())


def forecast_pictures(
    base: PictureBase,
    largest: Size,
    *,
    batch_size: int,
    tokens: int,
    targets: Sequence[str] | None,
    method: str,
    rank: int,
    dropout: float,
    encoders: bool,
    checkpointing: bool,
    device: str,
    width: int,
) -> tuple[Forecast, tuple[int, int]]:
    """Bytes of each phase; parameters that are trained, and all.

    Args:
        base: The picture base.
        largest: The largest bucket, in pixels.
        batch_size: Pictures of a micro-batch.
        tokens: Of a caption, padding included.
        targets: See ``models.picture_targets``.
        method: Of the adapter, as ``rank`` and ``dropout``.
        encoders: Whether the text encoders are trained too.
        checkpointing: Whether activations are computed twice.
        device: Where it computes.
        width: Bytes of a value of the frozen base, and of the computation.
    """
    with torch.device("meta"):
        parts = empty_parts(base, ["unet", *(base.encoders if encoders else ())])
        found = find_picture_targets(parts, targets)
        inject_pictures(parts, found, method=method, rank=rank, alpha=rank, dropout=dropout, seed=0)
        unet = parts["unet"].train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        kept = saved_bytes(unet, lambda: _pass(base, unet, largest, batch_size, tokens))
        for name in base.encoders if encoders else ():
            encoder, ids = parts[name].train(), torch.zeros(batch_size, tokens, dtype=torch.long)
            kept += saved_bytes(encoder, partial(encoder, ids))
    trained = sum(p.numel() for part in parts.values() for p in part.parameters() if p.requires_grad)
    sizes = parameters_of(base)
    inside = sum(sizes.get(name, 0) for name in parts) * width
    drawing = sum(size * (4 if name == "vae" else width) for name, size in sizes.items()) - inside
    drawing += largest[0] * largest[1] * DECODER_BYTES_A_PIXEL
    adapter = trained * (ADAMW_BYTES + (2 if width == 2 else 0))
    card = device.startswith("cuda")
    phases = {
        "train": adapter + int(kept * width / 4 * (1 if card else SPREAD)),
        "answer": adapter + drawing,
        "prove": drawing,
    }
    if card:
        phases = {name: inside + CARD_WORKSPACE + size for name, size in phases.items()}
    else:
        phases["load"] = sum(file.stat().st_size for file in base.files["unet"])
        phases = {name: inside + LIBRARIES[name] + size for name, size in phases.items()}
    return Forecast(inside, phases), (trained, sum(sizes.values()) + trained)


def _pass(base: PictureBase, unet: Any, largest: Size, count: int, tokens: int) -> Any:
    """The U-Net on ``count`` pictures of one size, without values."""
    width, height = (side // base.factor for side in largest)
    settings = unet.config
    more: dict[str, Any] = {}
    if base.kind == "sdxl":
        pooled = settings.projection_class_embeddings_input_dim - 6 * settings.addition_time_embed_dim
        more["added_cond_kwargs"] = {"text_embeds": torch.empty(count, pooled), "time_ids": torch.empty(count, 6)}
    latents, states = torch.empty(count, LATENT_CHANNELS, height, width), settings.cross_attention_dim
    return unet(latents, torch.empty(count), torch.empty(count, tokens, states), **more)
