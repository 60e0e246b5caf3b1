"""Attention over flat rows: documents laid end to end, each attending to itself only.

One function, registered in transformers' attention interface, serves every architecture that uses the
interface. The borders of the documents travel as the keyword ``flat`` through ``model(...)``. Shapes: T tokens
of the flat row, H query heads, K key/value heads, D head width.

Honoured: grouped-query heads, ``scaling``, ``softcap`` (Gemma 2), ``sliding_window``. What the function cannot
honour (attention sinks, position biases, padding masks) raises, and ``runs_flat`` then chooses padded rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

FLAT = "lora_scripts_flat"


@dataclass(frozen=True, slots=True)
class FlatRow:
    """Lengths of the documents in one flat row, and their borders as int32 [N+1] on the row's device."""

    lengths: tuple[int, ...]
    borders: Tensor

    @classmethod
    def of(cls, lengths: list[int], device: torch.device | str) -> FlatRow:
        """The row that holds documents of these lengths, in this order."""
        borders = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return cls(tuple(lengths), borders.to(device))


def _window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """[length, length], True where a token may look: itself and the ``window - 1`` tokens before it."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (distance >= 0) & (distance < window)


def _capped_attention(
    query: Tensor, key: Tensor, value: Tensor, scale: float, cap: float, window: int | None
) -> Tensor:
    """Attention with tanh-capped scores (Gemma 2, section 2.2); one document, all [1, H, L, D]."""
    scores = cap * torch.tanh(query @ key.transpose(2, 3) * (scale / cap))
    length = query.shape[2]
    scores = scores.masked_fill(~_window_mask(length, window or length, query.device), float("-inf"))
    return torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype) @ value


def _document_attention(
    query: Tensor, key: Tensor, value: Tensor, scale: float, cap: float | None, window: int | None
) -> Tensor:
    length = query.shape[2]
    window = window if window and window < length else None
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1 and (cap or not query.is_cuda):
        # on a CPU faster than grouped heads inside the kernel
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    if cap:
        return _capped_attention(query, key, value, scale, cap, window)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=_window_mask(length, window, query.device) if window else None,
        is_causal=window is None,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def flat_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    flat: FlatRow | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention of query [1, H, T, D] on key and value [1, K, T, D]; returns [1, T, H, D].

    Raises:
        NotImplementedError: The call asks for something that flat rows do not honour.
    """
    if flat is None:
        raise NotImplementedError("flat attention was called without its borders")
    if dropout or attention_mask is not None or any(more.get(k) is not None for k in ("s_aux", "position_bias")):
        raise NotImplementedError("attention dropout, masks, sinks and position biases are not for flat rows")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if query.is_cuda and not softcap and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        longest = max(flat.lengths)
        query_THD, key_TKD, value_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
        out: Tensor = varlen_attn(  # type: ignore[assignment]  # a pair only where return_aux asks for one
            query_THD,
            key_TKD,
            value_TKD,
            flat.borders,
            flat.borders,
            longest,
            longest,
            scale=scale,
            window_size=(sliding_window - 1 if sliding_window else -1, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out[None], None
    documents = zip(*(torch.split(x, list(flat.lengths), dim=2) for x in (query, key, value)), strict=True)
    outs = [_document_attention(q, k, v, scale, softcap, sliding_window) for q, k, v in documents]
    return torch.cat(outs, dim=2).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(FLAT, flat_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(FLAT, lambda *_args, **_more: None)


@contextmanager
def attention_of(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """The model with another attention implementation inside the block."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@torch.no_grad()
def runs_flat(model: PreTrainedModel) -> str:
    """Whether flat rows give what padded rows give in this model: empty if so, else why not.

    Two short documents go through the model both ways; logits must agree to 2e-3 of their range, in half precision
    to 3e-2. So an architecture that ignores the attention interface is found by what it computes, not by its name.
    """
    device, vocab = model.device, model.get_input_embeddings().weight.shape[0]
    lengths = [5, 9]
    ids = [torch.arange(n, device=device) * 7 % max(vocab - 1, 1) for n in lengths]
    was_training = model.training
    model.eval()
    try:
        alone = torch.cat([model(input_ids=x[None], use_cache=False).logits[0].float() for x in ids])
        positions = torch.cat([torch.arange(n, device=device) for n in lengths])[None]
        with attention_of(model, FLAT):
            if model.config._attn_implementation != FLAT:
                return "its attention cannot be exchanged"
            row = FlatRow.of(lengths, device)
            flat = model(input_ids=torch.cat(ids)[None], position_ids=positions, flat=row, use_cache=False)
    except (NotImplementedError, TypeError, ValueError, RuntimeError) as e:
        return f"{type(e).__name__}: {str(e)[:120]}"
    finally:
        model.train(was_training)
    worst = float((flat.logits[0].float() - alone).abs().max() / alone.abs().max().clamp_min(1e-6))
    tolerance = 2e-3 if model.dtype == torch.float32 else 3e-2
    return "" if worst <= tolerance else f"flat and padded logits differ by {worst:.1e} of their range"
