"""The optimiser and its rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,
}


def rate_at(step: int, *, peak: float, schedule: str, steps: int, warmup_steps: int) -> float:
    """Learning rate of step ``step`` (from 0): a linear warm-up to ``peak``, then the schedule down to zero."""
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    return peak * SCHEDULES[schedule]((step - warmup_steps) / max(1, steps - warmup_steps))


def make_optimizer(
    parameters: Iterable[Parameter], *, weight_decay: float, faster: Iterable[Parameter] = (), ratio: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) in one fused call; its rate is set before each step.

    A group's rate is the step's rate times its ``rate_factor``: ``ratio`` for those of ``parameters`` that are in
    ``faster``, 1 for the others (LoRA+, Hayou et al. 2024, arXiv:2402.12354).
    """
    chosen = {id(p) for p in faster} if ratio != 1 else set()
    sides: tuple[list[Parameter], list[Parameter]] = ([], [])
    for parameter in parameters:
        sides[id(parameter) in chosen].append(parameter)
    groups = [{"params": side, "rate_factor": f} for side, f in zip(sides, (1.0, ratio), strict=True) if side]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=weight_decay, fused=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors named ``index.key``."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": torch.as_tensor(value).cpu() for i, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put ``optimizer_tensors`` back; the optimiser keeps copies."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        whole["state"].setdefault(int(index), {})[key] = value.clone()
    optimizer.load_state_dict(whole)
