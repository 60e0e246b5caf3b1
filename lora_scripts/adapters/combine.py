"""Several LoRA adapters as one: the weighted sum of what they add, exact, and how much two of them overlap.

Shapes: A is r × in, B is out × r; an adapter adds scale · BA to a weight. A sum of such products is one product of the
stacked factors, B = [w₁s₁B₁ w₂s₂B₂ …] and A = [A₁; A₂; …], so no out × in matrix is ever made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor

from lora_scripts.adapters.files import LARGEST_RANK, parts_by_module, scaling_of
from lora_scripts.errors import ModelError

OVERLAP_WARNS = 0.1
"""From here on two adapters are told to overlap; adapters of different subjects stay far below (docs/routing.md)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a LoRA adapter adds to one module: ``scale`` · BA, with ``a`` [r, in] and ``b`` [out, r]."""

    a: Tensor
    b: Tensor
    scale: float


Layers = Mapping[str, Layer]
"""An adapter by full module name."""


def layers_of(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Layer]:
    """The layers of a LoRA or rsLoRA adapter as ``files.read_adapter`` gives it; of DoRA the BA part, of IA3 none."""
    found = {}
    for module, parts in parts_by_module(tensors).items():
        if "lora_A.weight" in parts:
            a = parts["lora_A.weight"]
            found[module] = Layer(a, parts["lora_B.weight"], scaling_of(config, module, a.shape[0]))
    return found


def combine(parts: Sequence[tuple[Layers, float]]) -> dict[str, Layer]:
    """The adapter whose scale · BA is Σ weight · scaleᵢ · BᵢAᵢ on every module; scale is 1, values are float32.

    Raises:
        ModelError: Two adapters have different widths on a module, or a module's ranks add up to more than
            ``LARGEST_RANK``.
    """
    combined = {}
    for module in sorted({module for layers, _ in parts for module in layers}):
        there = [(layers[module], weight) for layers, weight in parts if module in layers]
        if len({(layer.b.shape[0], layer.a.shape[1]) for layer, _ in there}) > 1:
            raise ModelError("combine.shapes", where=module)
        rank = sum(layer.a.shape[0] for layer, _ in there)
        if rank > LARGEST_RANK:
            raise ModelError("combine.rank_too_high", where=module, rank=rank, limit=LARGEST_RANK)
        a = torch.cat([layer.a.float() for layer, _ in there])
        b = torch.cat([(layer.b.double() * (layer.scale * weight)).float() for layer, weight in there], dim=1)
        combined[module] = Layer(a, b.contiguous(), 1.0)
    return combined


def as_peft(layers: Layers, *, base: str, fan_in_fan_out: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors under their PEFT names, and the content of adapter_config.json, of an adapter whose scales are all 1.

    alpha is the rank, so that a server that knows no ``alpha_pattern`` scales every module right as well; ``r`` is the
    largest rank, which servers reserve. ``base`` is the base's path as its servers name it.
    """
    ranks = {module: layer.a.shape[0] for module, layer in layers.items()}
    largest = max(ranks.values())
    other = {"^" + re.escape(module): rank for module, rank in ranks.items() if rank != largest}
    config = LoraConfig(
        r=largest,
        lora_alpha=largest,
        target_modules=sorted(layers),
        rank_pattern=other,
        alpha_pattern=other,
        fan_in_fan_out=fan_in_fan_out,
        base_model_name_or_path=base,
        task_type="CAUSAL_LM",
        inference_mode=True,
    ).to_dict()
    tensors = {}
    for module, layer in sorted(layers.items()):
        tensors[f"base_model.model.{module}.lora_A.weight"] = layer.a
        tensors[f"base_model.model.{module}.lora_B.weight"] = layer.b
    return tensors, {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}


def deviation(whole: Layers, parts: Sequence[tuple[Layers, float]]) -> float:
    """How far ``whole`` is from the weighted sum of ``parts``: the largest of any module, relative, by random probes.

    Both are applied to the same eight random vectors in float64; 0 of exact ones, about 1e-7 of float32.
    """
    random = torch.Generator().manual_seed(0)
    worst = 0.0
    for module in {*whole, *(module for layers, _ in parts for module in layers)}:
        there = [(layers[module], weight) for layers, weight in parts if module in layers]
        if module not in whole or not there:
            return math.inf
        probe = torch.randn(whole[module].a.shape[1], 8, generator=random, dtype=torch.float64)
        added = [weight * _applied(layer, probe) for layer, weight in there]
        apart = float((_applied(whole[module], probe) - sum(added)).norm())
        norm = sum(float(one.norm()) for one in added)
        worst = max(worst, apart / norm if norm else apart)
    return worst


def _applied(layer: Layer, probe: Tensor) -> Tensor:
    return layer.scale * (layer.b.double() @ (layer.a.double() @ probe))


def overlap(one: Layers, other: Layers) -> float:
    """How much two adapters change the same directions: |cos| of the angle between all their ΔW = scale · BA, 0 to 1.

    ⟨ΔW₁, ΔW₂⟩ / (‖ΔW₁‖ ‖ΔW₂‖), Frobenius, over all modules together: for inputs without a preferred direction it is the
    correlation of what the two add to the model. At 0 each does in a stack what it does alone; at 1 they say the same
    thing, which then counts twice, or with opposite weights not at all. Weights do not matter to it, nor the sign.
    Modules that only one of them has count in its norm. By r × r products: ⟨B₁A₁, B₂A₂⟩ = Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ).

    Raises:
        ModelError: The adapters have different widths on a module.
    """
    lengths = math.sqrt(_product(one, one) * _product(other, other))
    return min(1.0, abs(_product(one, other)) / lengths) if lengths else 0.0


def _product(one: Layers, other: Layers) -> float:
    total = 0.0
    for module in sorted(one.keys() & other.keys()):
        p, q = one[module], other[module]
        if (p.b.shape[0], p.a.shape[1]) != (q.b.shape[0], q.a.shape[1]):
            raise ModelError("combine.shapes", where=module)
        gram = (p.b.double().T @ q.b.double()) * (p.a.double() @ q.a.double().T)
        total += p.scale * q.scale * float(gram.sum())
    return total


def combined_card(record: Mapping[str, Any]) -> str:
    """The card (README.md) of a combined adapter, from its provenance.json. Markdown, front matter as on the hub."""
    parts = "\n".join(
        f"| {part['name']} | {part['weight']:g} | {part['method']}, rank {part['rank']} | `{part['weights_sha256']}` |"
        for part in record["combined_from"]
    )
    exact = "Nothing was trained or rounded away: on every module BA is the sum of weight × scale × BA."
    if shrunk := record.get("shrunk_from"):
        exact = f"Its rank was lowered afterwards, which changed BA by {shrunk['relative error']:.2%}."
    return f"""---
base_model: {record["base"]["path"]}
library_name: peft
tags: [lora, lora-scripts]
---

# {record["name"]}

The weighted sum of {len(record["combined_from"])} adapters for `{record["base"]["path"]}` as one LoRA of rank \
{record["config"]["lora_rank"]}, combined by lora-scripts {record["libraries"]["lora-scripts"]} on \
{record["made"][:10]}. {exact}

| adapter | weight | | sha256 of its weights |
|---|---|---|---|
{parts}

Load it as any PEFT adapter, at weight 1: the weights above are in B. `proof.json` holds what was checked.
"""
