"""The names of kohya-ss/sd-scripts, which AUTOMATIC1111 and ComfyUI read, to and from those of diffusers.

``lora_unet_<module with _ for .>.lora_down.weight``, ``.lora_up.weight``, ``.alpha``, and ``.dora_scale`` as LyCORIS
writes it. SD 1.x has diffusers' module names, SDXL's U-Net those of the original code (SGM). Layout and metadata as in
https://github.com/kohya-ss/sd-scripts (networks/lora.py, library/sdxl_model_util.py) and
https://github.com/Stability-AI/ModelSpec.

``.dora_scale`` is one magnitude per output, [out, 1] or [out, 1, 1, 1]: LyCORIS's ``wd_on_output``, the axis of the
DoRA paper and of peft. ComfyUI reads that axis but divides by the norm of the base's weight alone, and AUTOMATIC1111
by norms over the other axis, so both draw something else; LyCORIS itself draws the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from lora_scripts.adapters.pictures import MAGNITUDE, A, B, PictureAdapter, alpha_of, assemble_adapter, layers_of
from lora_scripts.errors import ModelError

PREFIXES = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
_PREFIX_OF = {
    "sd": {"unet": "lora_unet_", "text_encoder": "lora_te_"},
    "sdxl": {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
}
_CROSS_ATTENTION_DIM_OF_2 = 1024
_PIECES = {"lora_down.weight": A, "lora_up.weight": B, "dora_scale": MAGNITUDE}
_OTHER_KINDS = {
    "hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT", "lora_mid": "LoCon (CP)", "diff": "full", "w_norm": "norm",
    "b_norm": "norm", "a1.": "GLoRA", "b1.": "GLoRA", "on_input": "IA3", "bias_": "LoCon (sparse bias)",
}  # fmt: skip

MODULE = re.compile(
    r"conv_in|conv_out|(?:time|add)_embedding\.linear_[12]|(?:(?:down|up)_blocks\.\d+|mid_block)\.(?:"
    r"attentions\.\d+\.(?:proj_in|proj_out|transformer_blocks\.\d+\.(?:"
    r"attn[12]\.(?:to_[qkv]|to_out\.0)|ff\.net\.(?:0\.proj|2)))"
    r"|resnets\.\d+\.(?:conv[12]|conv_shortcut|time_emb_proj)|(?:down|up)samplers\.0\.conv)"
)
"""The linear and convolution layers of the U-Nets of SD 1.x, SD 2.x and SDXL."""
TEXT_MODULE = re.compile(
    r"text_model\.encoder\.layers\.\d+\.(?:self_attn\.(?:[qkv]_proj|out_proj)|mlp\.fc[12])|text_projection"
)
_WORDS = re.compile(
    "down_blocks|up_blocks|mid_block|transformer_blocks|time_embedding|add_embedding|linear_[12]|conv_in|conv_out"
    "|conv_shortcut|time_emb_proj|proj_in|proj_out|to_[qkv]|to_out|text_model|text_projection|self_attn|[qkv]_proj"
    r"|out_proj|[a-z]+\d*|\d+"
)
_RESNET = {
    "conv1": "in_layers_2",
    "conv2": "out_layers_3",
    "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}


def _sgm_blocks() -> dict[str, str]:
    """Beginnings of diffusers' names and what they are in the original code of SDXL: two layers a block, three up."""
    pairs = {
        "conv_in": "input_blocks_0_0",
        "conv_out": "out_2",
        "time_embedding_linear_1": "time_embed_0",
        "time_embedding_linear_2": "time_embed_2",
        "add_embedding_linear_1": "label_emb_0_0",
        "add_embedding_linear_2": "label_emb_0_2",
        "mid_block_resnets_0_": "middle_block_0_",
        "mid_block_attentions_0_": "middle_block_1_",
        "mid_block_resnets_1_": "middle_block_2_",
    }
    for block in range(4):
        pairs[f"down_blocks_{block}_downsamplers_0_conv"] = f"input_blocks_{3 * block + 3}_0_op"
        pairs[f"up_blocks_{block}_upsamplers_0_conv"] = f"output_blocks_{3 * block + 2}_2_conv"
        for layer in range(3):
            for place, kind in enumerate(("resnets", "attentions")):
                pairs[f"up_blocks_{block}_{kind}_{layer}_"] = f"output_blocks_{3 * block + layer}_{place}_"
                if layer < 2:
                    pairs[f"down_blocks_{block}_{kind}_{layer}_"] = f"input_blocks_{3 * block + layer + 1}_{place}_"
    return pairs


_TO_SGM = _sgm_blocks()
_FROM_SGM = {theirs: ours for ours, theirs in _TO_SGM.items()}
_FROM_RESNET = {theirs: ours for ours, theirs in _RESNET.items()}


def _renamed(name: str, beginnings: Mapping[str, str], layers: Mapping[str, str]) -> str | None:
    for beginning, other in beginnings.items():
        if name == beginning or (beginning.endswith("_") and name.startswith(beginning)):
            rest = name.removeprefix(beginning)
            return other + layers.get(rest, rest)
    return None


def long_name(part: str, module: str) -> str:
    """A module's name as files have it: transformers 5 drops the "text_model." of CLIP, other tools know it."""
    return f"text_model.{module}" if part != "unet" and module.startswith("encoder.") else module


def short_name(part: str, module: str) -> str:
    """A module's name from a file, as the model has it: only CLIPTextModel, the first encoder, drops the prefix."""
    return module.removeprefix("text_model.") if part == "text_encoder" else long_name(part, module)


def _kohya_name(kind: str, part: str, module: str) -> str:
    name: str | None = long_name(part, module).replace(".", "_")
    if kind == "sdxl" and part == "unet":
        name = _renamed(str(name), _TO_SGM, _RESNET)
    if name is None or part not in _PREFIX_OF[kind]:
        raise ModelError("picture_adapters.no_kohya_name", names=f"{part}.{module}", kind=kind)
    return _PREFIX_OF[kind][part] + name


def to_kohya(
    adapter: PictureAdapter, *, kind: str, metadata: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header metadata of a kohya file, for ``kind`` "sd" (1.x, 2.x) or "sdxl".

    Tensors are the adapter's own. alpha is such that alpha / rank is the true scale, of rsLoRA too. ``metadata`` is
    kept and completed; what the tensors say wins.

    Raises:
        ModelError: A module without a name there.
    """
    tensors: dict[str, Tensor] = {}
    ranks, alphas = set(), set()
    for (part, module), pieces in layers_of(adapter).items():
        name, config, rank = _kohya_name(kind, part, module), adapter.configs[part], pieces[A].shape[0]
        alpha = alpha_of(config, module) * (rank**0.5 if config["use_rslora"] else 1)
        tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"] = pieces[A], pieces[B]
        tensors[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
        if MAGNITUDE in pieces:
            ones = (1,) * (pieces[A].dim() - 1)
            tensors[f"{name}.dora_scale"] = pieces[MAGNITUDE].reshape(-1, *ones)
        ranks.add(rank)
        alphas.add(alpha)
    dora = any(config["use_dora"] for config in adapter.configs.values())
    arguments = {"algo": "lora", "dora_wd": "True", "wd_on_output": "True"} if dora else {}
    arguments |= {"conv_dim": str(max(ranks))} if any(value.dim() == 4 for value in adapter.tensors.values()) else {}
    names = {
        "ss_network_module": "lycoris.kohya" if dora else "networks.lora",
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alphas.pop():g}" if len(alphas) == 1 else "Dynamic",
        "ss_network_args": json.dumps(arguments, sort_keys=True),
    }
    return dict(sorted(tensors.items())), {"modelspec.title": "LoRA", **metadata, **names}


def base_metadata(kind: str, *, cross_attention_dim: int, prediction: str, resolution: int) -> dict[str, str]:
    """What a kohya file says of the base by which programs choose the adapters to offer.

    ``cross_attention_dim``, the width of what the U-Net reads of each token, tells 2.x among ``kind`` "sd".
    Source: ModelSpec 1.0.0; kohya's ``library/sai_model_spec.py`` and ``get_model_version_str_for_sd1_sd2``.
    """
    v = prediction == "v_prediction"
    two = kind == "sd" and cross_attention_dim == _CROSS_ATTENTION_DIM_OF_2
    if kind == "sdxl":
        version, architecture = "sdxl_base_v1-0", "stable-diffusion-xl-v1-base"
    elif two:
        version, architecture = ("sd_v2_v", "stable-diffusion-v2-768-v") if v else ("sd_v2", "stable-diffusion-v2-512")
    else:
        version, architecture = "sd_v1_v" if v else "sd_v1", "stable-diffusion-v1"
    return {
        "ss_base_model_version": version,
        "ss_v2": str(two),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "diffusers"
        if kind == "sd"
        else "https://github.com/Stability-AI/generative-models",
        "modelspec.prediction_type": "v" if v else "epsilon",
        "modelspec.resolution": f"{resolution}x{resolution}",
    }


def is_kohya(names: Collection[str]) -> bool:
    """Whether these are a kohya file's tensors."""
    return any(name.startswith(tuple(PREFIXES)) for name in names)


def from_kohya(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    modules: Mapping[str, Collection[str]] | None,
    where: object = "",
) -> PictureAdapter:
    """The adapter of a kohya file; an alpha that is absent or 0 is the rank, as there.

    ``modules`` are the full names of each part's layers; without them the names are read by the grammar of SD 1.x and
    SDXL. Either way every tensor finds its place.

    Raises:
        ModelError: Tensors of another kind (LoHa, LoKr …) or of no layer, two for one place, DoRA over the inputs, or
            what ``assemble_adapter`` refuses.
    """
    known = {
        (part, long_name(part, module).replace(".", "_")): module for part in modules or {} for module in modules[part]
    } if modules is not None else None  # fmt: skip
    found: dict[str, Tensor] = {}
    alphas: dict[str, float | None] = {}
    for key in sorted(tensors):
        name, _, piece = key.partition(".")
        if kind := next((kind for mark, kind in _OTHER_KINDS.items() if piece.startswith(mark)), None):
            raise ModelError("picture_adapters.other_kind", where=where, kind=kind)
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None or piece not in (*_PIECES, "alpha"):
            trainer = metadata.get("ss_network_module", "")
            raise ModelError("picture_adapters.stray", where=where, names=f"{key} {trainer}".strip())
        layer = _layer(PREFIXES[prefix], name.removeprefix(prefix), known)
        if layer is None:
            raise ModelError("picture_adapters.unknown_layer", where=where, names=name)
        target = f"{layer}.{_PIECES.get(piece, piece)}"
        if target in found or (piece == "alpha" and layer in alphas):
            raise ModelError("picture_adapters.twice", where=where, names=layer)
        if piece == "alpha":
            alphas[layer] = one_number(where, layer, tensors[key]) or None
        else:
            found[target] = tensors[key] if piece != "dora_scale" else _magnitude(where, layer, tensors[key])
    return assemble_adapter(where, found, alphas)


def _layer(part: str, name: str, known: Mapping[tuple[str, str], str] | None) -> str | None:
    """ "<part>.<module>" of a kohya name without its prefix; None where there is no such layer."""
    if part == "unet":
        name = _renamed(name, _FROM_SGM, _FROM_RESNET) or name
    if known is not None:
        module = known.get((part, name))
        return f"{part}.{module}" if module else None
    module = ".".join(_WORDS.findall(name))
    grammar = MODULE if part == "unet" else TEXT_MODULE
    if not grammar.fullmatch(module) or module.replace(".", "_") != name:
        return None
    return f"{part}.{short_name(part, module)}"


def _magnitude(where: object, layer: str, value: Tensor) -> Tensor:
    """``dora_scale`` as peft holds it: [out, 1] → [out], [out, 1, 1, 1] → [1, out, 1, 1]."""
    if value.dim() not in (2, 4) or value.shape[1:].numel() != 1:
        raise ModelError("picture_adapters.dora_axis", where=where, names=layer)
    return value.reshape(-1) if value.dim() == 2 else value.reshape(1, -1, 1, 1)


def one_number(where: object, layer: str, value: Tensor) -> float:
    """alpha from its tensor.

    Raises:
        ModelError: Not one finite number.
    """
    if value.numel() != 1 or not torch.isfinite(value).all():
        raise ModelError("picture_adapters.alpha", where=where, names=layer)
    return float(value.item())
