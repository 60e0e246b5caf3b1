"""How much of its rank an adapter uses, and the same adapter at a lower rank.

Shapes: A is r × in, B is out × r; what the adapter adds to a weight is scaling · BA. The dense product (out × in)
is never made: with QR of B and of Aᵀ its singular values are those of a product of r × r.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from torch import Tensor

ENERGY = 0.99  # share of the squared singular values that ``ModuleRank.holding`` asks for

_PAIR = re.compile(r"^(?P<prefix>(?:base_model\.model\.)?)(?P<module>.+)\.lora_A(?P<rest>(?:\.\w+)?\.weight)$")


@dataclass(frozen=True, slots=True)
class ModuleRank:
    """One module's adapter.

    Attributes:
        rank: The r that was trained.
        effective: exp of the entropy of the singular values as shares of their sum (Roy and Vetterli 2007, "The
            effective rank"): between 1 and ``rank``; 0 where the adapter is all zeros.
        holding: How many singular values hold 99 % of the squared Frobenius norm.
        norm: Frobenius norm of scaling · BA.
    """

    rank: int
    effective: float
    holding: int
    norm: float


@dataclass(frozen=True, slots=True)
class Shrunk:
    """An adapter at a lower rank.

    ``errors`` holds for each module ‖BA − its shrunk BA‖ / ‖BA‖ (Frobenius), ``ranks`` the rank that it has now.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    errors: dict[str, float]
    ranks: dict[str, int]


def effective_ranks(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, ModuleRank]:
    """What every module of an adapter uses of its rank, by module name; nothing for a method without A and B.

    ``tensors`` have their PEFT names, ``config`` is the content of adapter_config.json. Of DoRA it is the BA part.
    """
    found = {}
    for module, name_a, name_b in _pairs(tensors):
        rank = tensors[name_a].shape[0]
        values = _factors(tensors[name_a], tensors[name_b])[1]
        norm = abs(_scaling(config, module, rank)) * float(values.norm())
        found[module] = ModuleRank(rank, _effective(values), _holding(values, ENERGY), norm)
    return found


def shrink(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, rank: int | None = None, energy: float = 1.0
) -> Shrunk:
    """The adapter whose every BA is the nearest of lower rank in Frobenius norm (Eckart and Young 1936).

    Each module keeps its scaling, so that a server that knows no ``rank_pattern`` is right as well. DoRA's
    magnitudes stay as they are; modules that are small enough already stay bit for bit.

    Args:
        tensors: The adapter under its PEFT names.
        config: The content of its adapter_config.json.
        rank: The highest rank that a module keeps.
        energy: Each module keeps the fewest singular values that hold this share of its squared norm, above 0;
            1 sets no limit.
    """
    fresh, errors, ranks, alphas = dict(tensors), {}, {}, {}
    for module, name_a, name_b in _pairs(tensors):
        a, b = tensors[name_a], tensors[name_b]
        left, values, right = _factors(a, b)
        kept = min(rank or a.shape[0], a.shape[0])
        if energy < 1:
            kept = min(kept, max(1, _holding(values, energy)))
        norm = float(values.norm())
        errors[module] = float(values[kept:].norm()) / norm if norm and kept < a.shape[0] else 0.0
        if kept < a.shape[0]:
            root = values[:kept].sqrt()  # half of each singular value on either side
            fresh[name_a] = (root[:, None] * right[:kept]).reshape(kept, *a.shape[1:]).to(a.dtype).contiguous()
            fresh[name_b] = (left[:, :kept] * root).reshape(b.shape[0], kept, *b.shape[2:]).to(b.dtype).contiguous()
        ranks[module] = kept
        alphas[module] = _scaling(config, module, a.shape[0]) * _divisor(config, kept)
    return Shrunk(fresh, _config(config, ranks, alphas), errors, ranks)


def _config(config: Mapping[str, Any], ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    """``config`` with these ranks and alphas: those of the largest module for all, a pattern for each other one."""
    if not ranks:
        return dict(config)
    largest = max(ranks, key=lambda module: ranks[module])
    r, alpha = ranks[largest], alphas[largest]
    patterns: dict[str, Any] = {
        "rank_pattern": {_anchored(m): n for m, n in ranks.items() if n != r},
        "alpha_pattern": {_anchored(m): value for m, value in alphas.items() if not math.isclose(value, alpha)},
    }
    return {**config, "r": r, "lora_alpha": alpha, **patterns}


def _anchored(module: str) -> str:
    """A module's full name as a key of peft's patterns, which are regular expressions tried at the end of names."""
    return "^" + module.replace(".", r"\.")


def _pairs(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str]]:
    """Module name, name of A, name of B."""
    for name in tensors:
        matched = _PAIR.match(name)
        if matched:
            module, rest = matched["module"], matched["rest"]
            yield module, name, f"{matched['prefix']}{module}.lora_B{rest}"


def _factors(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """BA as left · diag(values) · right in float64, values falling; a convolution counts as a flat matrix."""
    q_b, r_b = torch.linalg.qr(b.flatten(1).double())
    q_a, r_a = torch.linalg.qr(a.flatten(1).double().T)
    left, values, right = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    return q_b @ left, values, right @ q_a.T


def _effective(values: Tensor) -> float:
    total = float(values.sum())
    if not total:
        return 0.0
    shares = values / total
    return math.exp(float(-torch.xlogy(shares, shares).sum()))


def _holding(values: Tensor, energy: float) -> int:
    """The fewest of the falling ``values`` whose squares make up ``energy`` of all squares; 0 of zeros."""
    squares = values.square().cumsum(0)
    return int((squares < energy * squares[-1]).sum()) + 1 if squares[-1] else 0


def _divisor(config: Mapping[str, Any], rank: int) -> float:
    """What alpha is divided by: the rank, its root for rsLoRA (Kalajdzievski 2023)."""
    return math.sqrt(rank) if config.get("use_rslora") else rank


def _scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    pattern: Mapping[str, float] = config.get("alpha_pattern") or {}
    alpha = pattern.get(get_pattern_key(pattern.keys(), module), config["lora_alpha"])
    return float(alpha) / _divisor(config, rank)
