"""Greedy answers of stock transformers that no processor would give otherwise."""

from __future__ import annotations

from typing import Any

import torch

SURE = 1e-4
"""How far the likeliest token's logit has to be above the next one's: far more than processors differ, or than our sums
differ from those of merged weights."""


def greedy(model: Any, prompt: list[int], count: int, **settings: Any) -> tuple[list[int], int]:
    """The tokens that ``model.generate`` gives, and how many of them come before the first that is not sure."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        out = model.eval().generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False,
            output_logits=True, return_dict_in_generate=True, **settings,
        )  # fmt: skip
    best = [logits[0].topk(2).values.tolist() for logits in out.logits]
    doubts = [n for n, (first, second) in enumerate(best) if first - second <= SURE]
    return out.sequences[0, len(prompt) :].tolist(), doubts[0] if doubts else len(best)


def sure_tokens(model: Any, prompt: list[int], count: int, **settings: Any) -> list[int]:
    """Those tokens; a model and a prompt whose answer hangs on the last bits are no fixture."""
    tokens, sure = greedy(model, prompt, count, **settings)
    assert sure == len(tokens), f"token {sure} hangs on the processor: take another prompt or other random weights"
    return tokens
