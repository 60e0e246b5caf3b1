"""The head of a language model: the product that turns hidden states into logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Head:
    """A frozen head: logits = cap · tanh((hidden @ weightᵀ + bias) / cap), without a cap the product alone.

    The cap is Gemma 2's (section 2.2). ``weight`` is [V, D], ``bias`` [V] or None.
    """

    weight: Tensor
    bias: Tensor | None
    cap: float | None


@torch.no_grad()
def frozen_head(model: PreTrainedModel) -> Head | None:
    """The head, where it is frozen and the model's logits are what it makes of the last hidden states; else None.

    Found by computing both on five tokens, so that an architecture that scales its logits, or that does anything
    else between the two, is never taught by another loss than its own.
    """
    layer, decoder = model.get_output_embeddings(), model.base_model
    if type(layer) is not nn.Linear or layer.weight.requires_grad or decoder is model:
        return None
    head = Head(layer.weight, layer.bias, getattr(model.config.get_text_config(), "final_logit_softcapping", None))
    ids = torch.arange(5, device=model.device)[None] % layer.weight.shape[0]
    was_training = model.training
    model.eval()
    try:
        hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
        logits = model(input_ids=ids, use_cache=False).logits.float()
    finally:
        model.train(was_training)
    ours = nn.functional.linear(hidden, head.weight, head.bias).float()
    if head.cap:
        ours = head.cap * torch.tanh(ours / head.cap)
    tolerance = 1e-5 if model.dtype == torch.float32 else 1e-2
    return head if torch.allclose(ours, logits, rtol=tolerance, atol=tolerance * float(logits.abs().max())) else None
