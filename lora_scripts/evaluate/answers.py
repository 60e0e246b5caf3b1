"""Answers of a model to prompts, in batches, without sampling."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from lora_scripts.messages import text
from lora_scripts.models.attention import attention_of
from lora_scripts.models.out_of_memory import in_batches

log = logging.getLogger(__name__)


@torch.no_grad()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    attention: str,
    stop_ids: Sequence[int],
    max_new_tokens: int = 128,
    batch_size: int = 16,
) -> list[str]:
    """The most likely continuation of each prompt (token ids), up to a stop id or ``max_new_tokens``.

    ``attention`` is an implementation that keeps a cache; the model has its own again afterwards. Prompts of
    like length share a batch, padded on the left; results come in the order of ``prompts``. Where memory runs out,
    fewer are answered at once, which is said.

    Raises:
        TrainError: One prompt alone does not fit.
    """
    stops = sorted(set(stop_ids))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else stops[0]
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stops, pad_token_id=pad, use_cache=True
    )
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    was_training = model.training
    model.eval()

    def some(begin: int, end: int) -> None:
        chosen = order[begin:end]
        longest = max(len(prompts[i]) for i in chosen)
        rows = [[pad] * (longest - len(prompts[i])) + list(prompts[i]) for i in chosen]
        mask = [[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen]
        out = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=settings,
        )
        for i, ids in zip(chosen, out[:, longest:].tolist(), strict=True):
            end_at = next((n for n, token in enumerate(ids) if token in stops), len(ids))
            answers[i] = tokenizer.decode(ids[:end_at], skip_special_tokens=True).strip()

    try:
        with attention_of(model, attention):
            in_batches(len(order), batch_size, some, lambda size: log.warning(text("evaluate.halved", size=size)))
    finally:
        model.train(was_training)
    return answers
