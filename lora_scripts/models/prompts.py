"""Captions as the text encoders of a picture base tell them to its U-Net.

Shapes: N captions, L tokens, D features, P features of the whole caption (XL only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Words:
    """What the U-Net is told: ``states`` [N, L, D], and of XL ``pooled`` [N, P]."""

    states: Tensor
    pooled: Tensor | None = None


def encode_captions(encoders: Mapping[str, Any], tokenizers: Mapping[str, Any], captions: Sequence[str]) -> Words:
    """The states of ``captions``, as the stock pipelines make them; with gradients where the encoders have some.

    Stable Diffusion 1.x takes the last states; XL the last but one of both encoders, side by side, and the second's
    projection of the whole (Podell et al. 2023, arXiv:2307.01952).
    """
    outputs = []
    for name, encoder in encoders.items():
        ids = tokenizers[name](
            list(captions),
            padding="max_length",
            max_length=tokenizers[name].model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        outputs.append(encoder(ids.to(encoder.device), output_hidden_states=len(encoders) > 1))
    if len(outputs) == 1:
        return Words(outputs[0].last_hidden_state)
    return Words(torch.cat([out.hidden_states[-2] for out in outputs], -1), outputs[-1].text_embeds)


def cut_captions(tokenizers: Mapping[str, Any], captions: Sequence[str]) -> list[tuple[str, str]]:
    """Captions that are longer than an encoder reads, each with the part that it does not see."""
    tokenizer = min(tokenizers.values(), key=lambda t: t.model_max_length)
    room = tokenizer.model_max_length - 2
    found = []
    for caption in dict.fromkeys(captions):
        ids = tokenizer(caption, add_special_tokens=False, verbose=False).input_ids
        if len(ids) > room:
            found.append((caption, str(tokenizer.decode(ids[room:])).strip("\ufffd ")))
    return found
