"""Pictures drawn from captions, by diffusers' stock pipelines.

Each picture has noise of its own, made from its seed on the CPU: it is the same whatever is drawn beside it, and
whatever the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from torch import nn

from lora_scripts.errors import TrainError
from lora_scripts.models.diffusion import PictureBase, pipeline_of
from lora_scripts.models.out_of_memory import in_batches
from lora_scripts.models.prompts import Words

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Strokes:
    """How a picture is drawn: ``steps`` of the scheduler, ``guidance`` (1 is none), ``size`` in pixels."""

    steps: int = 20
    guidance: float = 5.0
    size: tuple[int, int] | None = None


@torch.no_grad()
def draw(
    base: PictureBase, parts: Mapping[str, Any], words: Words, unwanted: Words, seeds: Sequence[int], strokes: Strokes
) -> list[Image.Image]:
    """A picture for each caption of ``words``, away from ``unwanted``, which is one caption.

    ``AT_ONCE`` are drawn together, and fewer where memory runs out. ``parts`` are U-Net and VAE; they are put into
    eval mode for it.

    Raises:
        TrainError: One picture alone does not fit, or a picture is of values that are not finite.
    """
    pipeline = pipeline_of(base, parts)
    width, height = strokes.size or (base.resolution, base.resolution)
    vae = parts["vae"]

    def some_of(begin: int, end: int) -> list[Image.Image]:
        told = {
            "prompt_embeds": words.states[begin:end],
            "negative_prompt_embeds": unwanted.states.expand(end - begin, -1, -1),
        }
        if words.pooled is not None and unwanted.pooled is not None:
            told["pooled_prompt_embeds"] = words.pooled[begin:end]
            told["negative_pooled_prompt_embeds"] = unwanted.pooled.expand(end - begin, -1)
        latents = pipeline(
            **told,
            width=width,
            height=height,
            num_inference_steps=strokes.steps,
            guidance_scale=strokes.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[begin:end]],
            output_type="latent",
        ).images
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
        if not torch.isfinite(pixels).all():
            raise TrainError("picture_run.not_finite")
        found: list[Image.Image] = pipeline.image_processor.postprocess(pixels, output_type="pil")
        return found

    with _evaluating(parts.values()):
        drawn = in_batches(len(seeds), AT_ONCE, some_of, lambda size: None)
    return [picture for some in drawn for picture in some]


@contextmanager
def _evaluating(models: Iterable[Any]) -> Iterator[None]:
    was = {model: model.training for model in models}
    try:
        for model in was:
            model.eval()
        yield
    finally:
        for model, training in was.items():
            model.train(training)


@contextmanager
def without_adapter(models: Sequence[nn.Module]) -> Iterator[None]:
    """The base alone."""
    layers = [m for model in models for m in model.modules() if isinstance(m, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
