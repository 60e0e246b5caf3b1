"""The LoRA adapters of a small batch side by side, so that a layer adds all of them by two products.

While answers are written, a batch has one row for each request, and an adapter few rows. Product by product the time
goes into their number, not their size: with four adapters on all layers of a 0.5B model this took a tenth of a step.
Stacked along a new axis they take one batched product each for A and B. The stacked copy is kept as long as the same
adapters are in flight and alive. Shapes: N adapters, M rows of each, T rows of the batch, I inner and O outer features,
R the largest rank.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lora_scripts.serve.engine.parts import LowRank

ROWS = 64  # so many rows may be there for an even shape alone, since few cost what one does

Group = tuple[Any, float, Sequence[int]]
"""An adapter, its weight, and the rows that it acts on."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Low-rank parts of several adapters for their rows of one batch.

    ``factors`` has A [N, I, R] and B [N, R, O] by module. ``rows_L`` are the L = N · M rows in order of the adapters;
    ``weights_NM1`` is 0 where a row stands there for the shape alone.
    """

    factors: dict[str, tuple[Tensor, Tensor]]
    rows_L: Tensor
    weights_NM1: Tensor

    def act(self, name: str, x_TI: Tensor, y_TO: Tensor) -> None:
        """Add every adapter's product to its rows of ``y_TO``."""
        if name not in self.factors:
            return
        a_NIR, b_NRO = self.factors[name]
        count, most, _ = self.weights_NM1.shape
        x_NMI = x_TI.index_select(0, self.rows_L).view(count, most, -1)
        h_NMR = torch.bmm(x_NMI, a_NIR).mul_(self.weights_NM1)
        y_TO.index_add_(0, self.rows_L, torch.bmm(h_NMR, b_NRO).view(self.rows_L.numel(), -1))


class Gathering:
    """Stacks adapters, and keeps the last set of them that it stacked."""

    def __init__(self) -> None:
        self._key: tuple[int, ...] = ()
        self._nbytes = 0
        self._alive: list[weakref.ref[Any]] = []
        self._factors: dict[str, tuple[Tensor, Tensor]] = {}

    def drop(self, _: object = None) -> None:
        """Let go of the stacked tensors, as when one of their adapters goes out of memory."""
        self._key, self._nbytes, self._alive, self._factors = (), 0, [], {}

    def gather(self, groups: Sequence[Group], total: int, spare_bytes: int, like: Tensor) -> Gathered | None:
        """The groups of a batch of ``total`` rows as one; None where that would not pay or not fit.

        ``spare_bytes`` is what the stacked tensors may take; ``like`` has the batch's dtype and device.
        """
        most = max(len(rows) for _, _, rows in groups)
        if len(groups) < 2 or len(groups) * most > max(ROWS, 2 * total):
            return None
        if not all(adapter.is_low_rank for adapter, _, _ in groups):
            return None
        groups = sorted(groups, key=lambda group: id(group[0]))
        adapters = [adapter for adapter, _, _ in groups]
        key = tuple(id(adapter) for adapter in adapters)
        if key != self._key:
            self.drop()
            self._key, self._nbytes = key, _nbytes(adapters)
            self._alive = [weakref.ref(adapter, self.drop) for adapter in adapters]
        if self._nbytes > spare_bytes:
            self._factors = {}
            return None
        factors = self._factors or _stack(adapters)  # held here, since another thread may let go of the last set now
        self._factors = factors
        rows = [row for _, _, of_one in groups for row in [*of_one, *[of_one[0]] * (most - len(of_one))]]
        weights = [weight * (m < len(of_one)) for _, weight, of_one in groups for m in range(most)]
        return Gathered(
            factors,
            torch.tensor(rows, device=like.device),
            torch.tensor(weights, dtype=like.dtype, device=like.device).view(len(groups), most, 1),
        )


def _by_module(adapters: Sequence[Any]) -> Iterator[tuple[str, list[LowRank | None], LowRank, int]]:
    """Each module: every adapter's part of it, one that is there, and the largest rank."""
    for name in dict.fromkeys(name for adapter in adapters for name in adapter.parts):
        parts = [adapter.parts.get(name) for adapter in adapters]
        there = [part for part in parts if part is not None]
        yield name, parts, there[0], max(part.a_IR.shape[1] for part in there)


def _nbytes(adapters: Sequence[Any]) -> int:
    """Bytes of the stacked tensors."""
    return sum(
        len(parts) * rank * (one.a_IR.shape[0] + one.b_RO.shape[1]) * one.a_IR.element_size()
        for _, parts, one, rank in _by_module(adapters)
    )


def _stack(adapters: Sequence[Any]) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of all adapters by module; zeros where one has no part, or a smaller rank."""
    stacked = {}
    for name, parts, one, rank in _by_module(adapters):
        a_NIR = one.a_IR.new_zeros(len(parts), one.a_IR.shape[0], rank)
        b_NRO = one.b_RO.new_zeros(len(parts), rank, one.b_RO.shape[1])
        for i, part in enumerate(parts):
            if part is not None:
                a_NIR[i, :, : part.a_IR.shape[1]] = part.a_IR
                b_NRO[i, : part.b_RO.shape[0]] = part.b_RO
        stacked[name] = a_NIR, b_NRO
    return stacked
