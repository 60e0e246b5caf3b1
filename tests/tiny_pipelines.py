"""Stable Diffusion pipelines of random weights, small enough to draw with in a test: SD 1.5's shape and SDXL's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lora_scripts.adapters.pictures import PictureAdapter, apply_pictures, assemble_adapter, inject_pictures

CLIP = Path(__file__).parents[1] / "models" / "tiny-clip"
PARTS = {"sd": ("unet", "text_encoder"), "sdxl": ("unet", "text_encoder", "text_encoder_2")}


def tiny_pipeline(kind: str) -> DiffusionPipeline:
    """A pipeline with every kind of layer of the real one, ``kind`` "sd" or "sdxl"; always the same weights."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(CLIP)
    shared = {
        "vae": AutoencoderKL(
            block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, sample_size=16,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "scheduler": DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        "tokenizer": tokenizer,
    }  # fmt: skip
    if kind == "sd":
        pipe: DiffusionPipeline = StableDiffusionPipeline(
            **shared, unet=_unet_of_sd(), text_encoder=_text(CLIPTextModel, tokenizer), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
    else:
        pipe = StableDiffusionXLPipeline(
            **shared, unet=_unet_of_sdxl(), text_encoder=_text(CLIPTextModel, tokenizer), tokenizer_2=tokenizer,
            text_encoder_2=_text(CLIPTextModelWithProjection, tokenizer), add_watermarker=False,
        )  # fmt: skip
    for part in PARTS[kind]:
        getattr(pipe, part).eval()
    pipe.vae.eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _unet_of_sd() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=2, cross_attention_dim=32, norm_num_groups=8,
        attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def _unet_of_sdxl() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 32, 64), layers_per_block=2, cross_attention_dim=64, norm_num_groups=8,
        attention_head_dim=(2, 2, 4), use_linear_projection=True, transformer_layers_per_block=(1, 1, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=80,
    )  # fmt: skip


def _text(of: type[nn.Module], tokenizer: CLIPTokenizer) -> nn.Module:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length, projection_dim=32, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return of(config)


def parts_of(pipe: DiffusionPipeline) -> dict[str, nn.Module]:
    """The parts that adapters are put on, by name."""
    return {name: getattr(pipe, name) for name in PARTS["sdxl"] if getattr(pipe, name, None) is not None}


def names_of(part: nn.Module) -> list[str]:
    """Full names of all linear and convolution layers."""
    return [name for name, module in part.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def picture(pipe: DiffusionPipeline) -> Tensor:
    """What the pipeline draws, 16 × 16 × 3 in 0 … 1, from one noise: two steps with guidance."""
    drawn = pipe(
        "a red circle", height=16, width=16, num_inference_steps=2, guidance_scale=3.0, output_type="pt",
        generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    return drawn.images[0]


def put_on(
    pipe: DiffusionPipeline, method: str = "lora", *, alpha: float = 6.0, dropout: float = 0.0, only: str = ""
) -> dict[str, nn.Module]:
    """An adapter of rank 4 on all layers with ``only`` in their names, moved away from the identity; the parts."""
    parts = parts_of(pipe)
    targets = {part: [name for name in names_of(model) if only in name] for part, model in parts.items()}
    inject_pictures(parts, targets, method=method, rank=4, alpha=alpha, dropout=dropout, seed=1)
    noise = torch.Generator().manual_seed(3)
    for model in parts.values():
        for value in model.parameters():
            if value.requires_grad:
                scale = value.abs().mean() if value.dim() in (1, 4) and 1 in value.shape[:1] else 1
                value.data += 0.05 * scale * torch.randn(value.shape, generator=noise)
        model.eval()
    return parts


def mixed_adapter(pipe: DiffusionPipeline, seed: int = 5, *, only: str = "", **settings: Any) -> PictureAdapter:
    """A rank and an alpha of its own for each layer that has ``only`` in its name."""
    noise, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    tensors, alphas = {}, {}
    for part, model in parts_of(pipe).items():
        for name in names_of(model):
            if only in name:
                weight, rank = model.get_submodule(name).weight, rng.choice((1, 2, 4, 7))
                ones = (1,) * (weight.dim() - 2)
                tensors[f"{part}.{name}.lora_A.weight"] = torch.randn((rank, *weight.shape[1:]), generator=noise) / 10
                tensors[f"{part}.{name}.lora_B.weight"] = torch.randn((len(weight), rank, *ones), generator=noise) / 10
                alphas[f"{part}.{name}"] = rng.choice((0.5, 1, 2, 3, 8))
    return assemble_adapter("", tensors, alphas, **settings)


def drawn_with(kind: str, *adapters: tuple[str, PictureAdapter, float]) -> Tensor:
    """What a fresh pipeline draws with these adapters on."""
    pipe = tiny_pipeline(kind)
    apply_pictures(parts_of(pipe), adapters)
    return picture(pipe)


def drawn_by_diffusers(kind: str, path: Path) -> Tensor:
    """What a fresh pipeline draws when diffusers itself has read the file."""
    pipe = tiny_pipeline(kind)
    pipe.load_lora_weights(path)
    return picture(pipe)
