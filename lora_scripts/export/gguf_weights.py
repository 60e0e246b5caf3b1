"""Weights and shape of a model as GGUF, as llama.cpp wants them.

Two things are stored otherwise than in transformers: Llama's q and k have their rows in the order of the older rotary
code, and Gemma's norms hold 1 + weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lora_scripts.errors import ModelError, UsageError
from lora_scripts.messages import text

if TYPE_CHECKING:
    from gguf import GGUFWriter, TensorNameMap
    from transformers import PreTrainedModel

DTYPES = ("f16", "f32", "q8_0")
BLOCK = 32  # values that share a scale in q8_0
GEMMA_PERIOD = 6  # llama.cpp takes every sixth layer of Gemma 3 for one that sees everything


@dataclass(frozen=True, slots=True)
class Architecture:
    """One of llama.cpp's: its name there, whether q and k are permuted, what is added to norm weights."""

    name: str
    permuted: bool = False
    norm_shift: float = 0.0


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", permuted=True),
    "Qwen2ForCausalLM": Architecture("qwen2"),
    "Qwen3ForCausalLM": Architecture("qwen3"),
    "Gemma3ForCausalLM": Architecture("gemma3", norm_shift=1.0),
}


def architecture_of(base: Path) -> Architecture:
    """The architecture of a base folder, refused where GGUF cannot hold it.

    Raises:
        ModelError: It is none of ``ARCHITECTURES``, or one with rotary or attention settings that llama.cpp does not
            have for it.
    """
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    name = str((config.get("architectures") or ["?"])[0])
    if name not in ARCHITECTURES:
        raise ModelError("export.gguf_architecture", where=base, architecture=name, names=", ".join(ARCHITECTURES))
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    if reason := _reason_against(whole, ARCHITECTURES[name]):
        raise ModelError("export.gguf_shape", where=base, architecture=name, reason=reason)
    return ARCHITECTURES[name]


def _reason_against(config: Any, architecture: Architecture) -> str:
    """The setting that llama.cpp has no word for; empty where there is none."""
    kinds = {str(part.get("rope_type", "default")) for part in _ropes(config).values()}
    allowed = {"default", "llama3", "linear"} if architecture.permuted else {"default"}
    if kinds - allowed:
        return f"rope_type {', '.join(sorted(kinds - allowed))}"
    if any(part.get("partial_rotary_factor", 1) != 1 for part in _ropes(config).values()):
        return "partial_rotary_factor"
    layers = list(getattr(config, "layer_types", None) or [])
    if architecture.norm_shift:
        period = [f"{'full' if (i + 1) % GEMMA_PERIOD == 0 else 'sliding'}_attention" for i in range(len(layers))]
        if layers != period:
            return "layer_types"
        if config.query_pre_attn_scalar != config.head_dim or config.attn_logit_softcapping:
            return "query_pre_attn_scalar, attn_logit_softcapping"
        if _ropes(config)["sliding_attention"]["rope_theta"] != 10_000:
            return "rope_theta"
    elif "sliding_attention" in layers:
        return "sliding_window"
    if config.hidden_size % config.num_attention_heads and not getattr(config, "head_dim", None):
        return "hidden_size"
    return "mlp_bias" if getattr(config, "mlp_bias", False) else ""


def _ropes(config: Any) -> dict[str, dict[str, Any]]:
    """Rotary settings by kind of layer; one kind is called ``full_attention``."""
    found = config.rope_parameters
    return found if "rope_theta" not in found else {"full_attention": found}


def add_shape(writer: GGUFWriter, config: Any, architecture: Architecture, name: str) -> None:
    """Write the sizes and settings of a model; lengths in tokens, widths in values."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(head)
    ropes = _ropes(config)
    writer.add_rope_freq_base(ropes["full_attention"]["rope_theta"])
    if architecture.norm_shift:
        writer.add_sliding_window(config.sliding_window)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)


def names_of(architecture: Architecture, layers: int) -> TensorNameMap:
    """llama.cpp's names by those of transformers."""
    import gguf

    number = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture.name)
    return gguf.get_tensor_name_map(number, layers)


def permuted(weight: Tensor, heads: int) -> Tensor:
    """Rows of q or k from the order of transformers (halves) to that of GGUF (pairs); for any number of columns."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermuted(weight: Tensor, heads: int) -> Tensor:
    """What ``permuted`` made, undone."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def heads_in(name: str, config: Any, architecture: Architecture) -> int:
    """Heads whose rows of the tensor or module ``name`` are permuted; 0 for others."""
    if not architecture.permuted:
        return 0
    found = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return next((int(heads) for part, heads in found.items() if part in name.split(".")), 0)


def add_weights(writer: GGUFWriter, model: PreTrainedModel, architecture: Architecture, dtype: str) -> list[str]:
    """Write all tensors of ``model``: vectors in f32, matrices in ``dtype``; notes on what is stored otherwise.

    Raises:
        ModelError: A value does not fit, or a tensor has no name in GGUF.
    """
    config: Any = model.config
    names = names_of(architecture, config.num_hidden_layers)
    tied = config.tie_word_embeddings
    wide = 0
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ModelError("export.gguf_shape", where=name, architecture=architecture.name, reason=name)
        value = tensor.detach().float()
        if heads := heads_in(name, config, architecture):
            value = permuted(value, heads)
        if name.endswith("norm.weight"):
            value = value + architecture.norm_shift
        wide += add_tensor(writer, target, value, dtype)
    if (factors := _rotary_factors(model, architecture)) is not None:
        add_tensor(writer, "rope_freqs.weight", factors, "f32")
    return [text("export.kept_wide", count=wide, block=BLOCK)] if wide else []


def add_tensor(writer: GGUFWriter, name: str, value: Tensor, dtype: str) -> bool:
    """Write one float32 tensor; True where its rows do not divide into blocks and it stays in f16.

    Raises:
        ModelError: A value does not fit into f16.
    """
    import gguf
    import numpy as np

    array = value.contiguous().numpy()
    if array.ndim < 2 or dtype == "f32":
        writer.add_tensor(name, array)
        return False
    wide = dtype == "q8_0" and array.shape[-1] % BLOCK != 0
    if dtype == "q8_0" and not wide:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
        return False
    if np.abs(array).max(initial=0) > torch.finfo(torch.float16).max:
        raise ModelError("export.gguf_range", where=name, name=name, dtype="f16")
    writer.add_tensor(name, array.astype(np.float16))
    return wide


def _rotary_factors(model: Any, architecture: Architecture) -> Tensor | None:
    """What Llama divides the rotary frequencies by, [head / 2]; None where they are the plain ones."""
    rope = _ropes(model.config)["full_attention"]
    if not architecture.permuted or rope.get("rope_type", "default") == "default":
        return None
    scaled: Tensor = model.model.rotary_emb.inv_freq.float().cpu()
    exponents = torch.arange(0, 2 * len(scaled), 2, dtype=torch.float32) / (2 * len(scaled))
    return torch.pow(float(rope["rope_theta"]), -exponents) / scaled


def check_dtype(dtype: str) -> None:
    """Raises UsageError where ``dtype`` is none of ``DTYPES``."""
    if dtype not in DTYPES:
        raise UsageError("export.unknown_dtype", where="--dtype", dtype=dtype, names=", ".join(DTYPES))


FillIn = Callable[["GGUFWriter"], None]


def write_file(file: Path, architecture: str, fill_in: FillIn) -> None:
    """One GGUF file whose metadata and tensors ``fill_in`` adds."""
    import gguf

    writer = gguf.GGUFWriter(file, architecture, use_temp_file=True)
    try:
        fill_in(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
