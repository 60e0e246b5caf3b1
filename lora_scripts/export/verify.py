"""Is it the same model? The adapter's own answers against those of what was exported.

The reference is the adapter on its base, asked greedily; what was exported is asked the same, and its logits are
compared at every token of the reference answers. Shapes: T answer tokens, V vocabulary.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import GenerationConfig

from lora_scripts.adapters.files import load_adapter
from lora_scripts.export.source import Source
from lora_scripts.messages import text
from lora_scripts.models.text import load_model

MOST_QUESTIONS = 6
ANSWER_TOKENS = 32
TOLERANCES = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest difference of a logit relative to the largest logit, by the dtype that weights are stored or multiplied in.

Eight roundings of that dtype (2⁻¹¹ for float16, 2⁻⁸ for bfloat16); for float32 it is the order of summation, as in
proof.json. Measured: up to two roundings on pretrained bases, up to four on random ones; below 4e-6 in float32.
"""
Q8_TOLERANCE = 4e-2
"""The same for weights in q8_0: 8 bits with a scale for 32 values, rounded by up to 1/254 of the largest of them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing verified or not: ``value`` against ``bound`` (what is told by the name)."""

    name: str
    ok: bool
    value: float
    bound: float


@dataclass(frozen=True, slots=True)
class Reference:
    """The adapter's answers: token ids, the logits [T, V] that they were chosen from (float32, on the CPU).

    ``effect`` is how far the adapter itself moves a logit of the base, at most; ``scale`` the largest logit;
    ``scalings`` what peft multiplies BA of each module by.
    """

    prompts: tuple[tuple[int, ...], ...]
    stop_ids: list[int]
    tokens: list[list[int]]
    logits: list[Tensor]
    effect: float
    scale: float
    scalings: dict[str, float]


def reference_of(source: Source) -> Reference:
    """Ask the adapter on its unquantised base.

    Raises:
        ModelError: One of them cannot be loaded, or they do not belong together.
    """
    base = load_model(source.base, dtype=source.dtype, device=source.device)
    adapted = load_adapter(base, source.adapter)
    stops = sorted(set(source.form.stop_ids))
    tokens, logits = _answers(adapted.get_base_model(), source.prompts, stops)
    with adapted.disable_adapter():
        bare = [logits_at(adapted, p, t) for p, t in zip(source.prompts, tokens, strict=True)]
    effect = max(float((a - b).abs().max()) for a, b in zip(logits, bare, strict=True))
    scale = max(1.0, *(float(each.abs().max()) for each in logits))
    layers = adapted.get_base_model().named_modules()
    scalings = {name: float(layer.scaling["default"]) for name, layer in layers if isinstance(layer, LoraLayer)}
    del base, adapted, layers
    free_memory()
    return Reference(source.prompts, stops, tokens, logits, effect, scale, scalings)


def free_memory() -> None:
    """Let go of a model before the next one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def compare(reference: Reference, model: Any, tolerance: float) -> tuple[list[Check], list[str]]:
    """Checks of ``model`` against the reference, and notes; ``tolerance`` is relative to the largest logit.

    Two words that are nearer to each other than both models' rounding may change places: there an answer parts
    without a fault, it is compared up to there, and a note says so.
    """
    bound = tolerance * reference.scale
    largest, parted, near, compared = 0.0, 0, 0, 0
    answers, _ = _answers(model, reference.prompts, reference.stop_ids)
    for prompt, tokens, logits, own in zip(reference.prompts, reference.tokens, reference.logits, answers, strict=True):
        largest = max(largest, _apart(logits_at(model, prompt, tokens), logits))
        place = next((i for i, (a, b) in enumerate(zip(own, tokens, strict=False)) if a != b), None)
        if place is None:
            parted += own != tokens
            compared += len(tokens)
            continue
        first, second = torch.topk(logits[place], 2).values.tolist()
        close = first - second <= 2 * bound
        near, parted, compared = near + close, parted + (not close), compared + place
    checks = [
        Check("answers_that_differ", parted == 0, parted, 0),
        Check("largest_difference_of_a_logit", largest <= bound, largest, bound),
    ]
    total = sum(map(len, reference.tokens))
    notes = [text("export.compared", questions=len(reference.tokens), compared=compared, total=total)]
    if near:
        notes.append(text("export.near_ties", count=near, bound=2 * bound))
    if reference.effect <= bound:
        notes.append(text("export.faint", effect=reference.effect, bound=bound))
    return checks, notes


def _apart(a: Tensor, b: Tensor) -> float:
    """Largest difference; infinite where a value is not a number."""
    largest = (a - b).abs().max()
    return float(largest) if torch.isfinite(largest) else float("inf")


@torch.no_grad()
def logits_at(model: Any, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """Logits [T, V] from which each of ``tokens`` behind ``prompt`` is chosen; float32, on the CPU."""
    ids = torch.tensor([[*prompt, *tokens[:-1]]], device=model.device)
    return model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :].float().cpu()  # type: ignore[no-any-return]


@torch.no_grad()
def _answers(model: Any, prompts: Sequence[Sequence[int]], stops: list[int]) -> tuple[list[list[int]], list[Tensor]]:
    """The greedy answers, their stop token included, and the logits [T, V] of each; all prompts in one batch."""
    settings = GenerationConfig(
        max_new_tokens=ANSWER_TOKENS, do_sample=False, eos_token_id=stops, pad_token_id=stops[0], use_cache=True,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    longest = max(map(len, prompts))
    ids = torch.tensor([[stops[0]] * (longest - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    tokens = []
    for row in out.sequences[:, longest:].tolist():
        end = next((i + 1 for i, token in enumerate(row) if token in stops), len(row))
        tokens.append(row[:end])
    logits = [torch.stack([step[i].float().cpu() for step in out.logits[: len(row)]]) for i, row in enumerate(tokens)]
    return tokens, logits


def tolerance_for(*dtypes: torch.dtype) -> float:
    """The bound that follows from the coarsest of the dtypes that weights are stored and multiplied in."""
    return max(TOLERANCES[dtype] for dtype in dtypes)
