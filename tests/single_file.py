"""A Stable Diffusion 1.x pipeline in the names of the original code, as single .safetensors files have them.

https://github.com/CompVis/stable-diffusion: ldm/modules/diffusionmodules/{openaimodel,model}.py
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
UNET = {
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def single_file(pipe: Any) -> dict[str, Tensor]:
    """All weights of a pipeline with two layers a block."""
    attends = {i for i, block in enumerate(pipe.unet.up_blocks) if hasattr(block, "attentions")}
    found = {f"model.diffusion_model.{_unet(name, attends)}": value for name, value in pipe.unet.state_dict().items()}
    last = len(pipe.vae.decoder.up_blocks) - 1
    for name, value in pipe.vae.state_dict().items():
        new = _vae(name, last)
        conv = ".attn_1." in new and new.endswith("weight") and value.dim() == 2
        found[f"first_stage_model.{new}"] = value[:, :, None, None] if conv else value
    for name, value in pipe.text_encoder.state_dict().items():
        short = name.removeprefix("text_model.")
        found[f"cond_stage_model.transformer.text_model.{short}"] = value
    return {name: value.contiguous() for name, value in found.items()}


def _parted(name: str) -> tuple[str, str]:
    module, _, kind = name.rpartition(".")
    return module, kind


def _inner(rest: str, names: dict[str, str]) -> str:
    module, kind = _parted(rest)
    return f"{names.get(module, module)}.{kind}"


def _unet(name: str, attends: set[int]) -> str:
    module, kind = _parted(name)
    if module in UNET:
        return f"{UNET[module]}.{kind}"
    if block := BLOCK.match(name):
        way, i, what, j, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
        first = "input_blocks" if way == "down" else "output_blocks"
        if what == "downsamplers":
            return f"{first}.{3 * i + 3}.0.op.{_parted(rest)[1]}"
        if what == "upsamplers":
            return f"{first}.{3 * i + 2}.{2 if i in attends else 1}.conv.{_parted(rest)[1]}"
        number = 3 * i + j + (1 if way == "down" else 0)
        return f"{first}.{number}.{0 if what == 'resnets' else 1}.{_inner(rest, RESNET)}"
    middle = MIDDLE.match(name)
    assert middle, name
    place = 1 if middle[1] == "attentions" else 2 * int(middle[2])
    return f"middle_block.{place}.{_inner(middle[3], RESNET)}"


def _vae(name: str, last: int) -> str:
    side, _, rest = name.partition(".")
    if side in ("quant_conv", "post_quant_conv"):
        return name
    names = {"conv_shortcut": "nin_shortcut"}
    if block := BLOCK.match(rest):
        i = last - int(block[2]) if block[1] == "up" else int(block[2])
        if block[3] == "resnets":
            return f"{side}.{block[1]}.{i}.block.{block[4]}.{_inner(block[5], names)}"
        return f"{side}.{block[1]}.{i}.{block[3].removesuffix('rs')}.conv.{_parted(block[5])[1]}"
    if middle := MIDDLE.match(rest):
        if middle[1] == "attentions":
            return f"{side}.mid.attn_1.{_inner(middle[3], VAE_ATTENTION)}"
        return f"{side}.mid.block_{int(middle[2]) + 1}.{_inner(middle[3], names)}"
    return f"{side}.{rest.replace('conv_norm_out', 'norm_out')}"
