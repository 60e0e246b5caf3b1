"""Adapters that act on some rows of a batch only.

The tokens of several requests lie end to end in one batch. Each linear layer of the base computes all rows at once;
then each adapter adds its part to the rows of its requests alone. So one batch mixes any adapters and stacks, and none
of them is ever merged, switched or copied. Shapes: T rows of the batch, I inner and O outer features, R rank.

The order inside a stack does not matter for LoRA: every adapter reads the layer's input. DoRA rescales the base's
output and comes first, IA3 multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

FEW_ROWS = 128  # in a batch of so few, a product of all rows is cheaper than picking some and putting them back

LONG_RUN = 16  # rows of a prompt lie together: a slice of so many needs no picking


@dataclass(frozen=True, slots=True)
class Scattered:
    """Rows of a batch that do not lie together: their int64 indices, and for a small batch how often each row of it is
    among them, [T, 1]."""

    indices: Tensor
    times_T1: Tensor | None


Rows = slice | Scattered
"""Rows of a batch."""


def picked(rows: Rows) -> slice | Tensor:
    """What selects the rows of a tensor."""
    return rows if isinstance(rows, slice) else rows.indices


class Part(Protocol):
    """What an adapter does to one layer."""

    nbytes: int

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Change ``rows`` of the layer's output in place."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """LoRA: adds ``weight`` · x A B to the rows, the scale folded into B. ``a_IR`` [I, R] and ``b_RO`` [R, O]."""

    a_IR: Tensor
    b_RO: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return self.a_IR.nbytes + self.b_RO.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Add the product of these rows."""
        if isinstance(rows, slice):
            y_TO[rows].addmm_(x_TI[rows] @ self.a_IR, self.b_RO, alpha=weight)
        elif rows.times_T1 is not None:
            y_TO.addmm_((x_TI @ self.a_IR).mul_(rows.times_T1), self.b_RO, alpha=weight)
        else:
            y_TO.index_add_(0, rows.indices, (x_TI[rows.indices] @ self.a_IR) @ self.b_RO, alpha=weight)


@dataclass(frozen=True, slots=True)
class Directed:
    """DoRA (Liu et al. 2024): the weight of length ``m`` in the direction of W + sBA, by rows of the weight.

    ``magnitude_O`` is m / ‖W + sBA‖, computed once where the adapter is loaded; the base's bias is not rescaled.
    """

    low_rank: LowRank
    magnitude_O: Tensor
    bias_O: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.low_rank.nbytes + self.magnitude_O.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Rescale these rows; ``weight`` is 1."""
        at = picked(rows)
        y = y_TO[at].clone()
        y += (x_TI[at] @ self.low_rank.a_IR) @ self.low_rank.b_RO
        if self.bias_O is not None:
            y = (y - self.bias_O) * self.magnitude_O + self.bias_O
        else:
            y *= self.magnitude_O
        y_TO[at] = y


@dataclass(frozen=True, slots=True)
class Factors:
    """IA3: one factor for each outer feature."""

    factors_O: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.factors_O.nbytes

    def act(self, x_TI: Tensor, y_TO: Tensor, rows: Rows, weight: float) -> None:
        """Multiply these rows by 1 + ``weight`` · (factor - 1)."""
        at = picked(rows)
        y_TO[at] = y_TO[at] * (1 + weight * (self.factors_O - 1))


@dataclass(frozen=True, slots=True)
class InnerFactors:
    """IA3 of a feed-forward layer: one factor for each inner feature, before the layer."""

    factors_I: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its own tensors."""
        return self.factors_I.nbytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows on which one adapter acts with one weight; ``parts`` by full module name."""

    rows: Rows
    parts: Mapping[str, Any]
    weight: float


@dataclass(slots=True, eq=False)
class Layout:
    """What acts on the rows of the batch that goes through the model now; empty for the base alone.

    ``rows_seen``, where set, notes how many rows came to each module, which ``modules_by_row`` uses.
    """

    segments: Sequence[Segment] = ()
    rows_seen: dict[str, int] | None = field(default=None)


def attach(model: PreTrainedModel) -> Layout:
    """Let segments act on every linear layer of ``model``. Without segments a layer is called as before."""
    layout = Layout()
    for name, module in model.named_modules():
        if is_linear(module):
            module.forward = partial(_forward, layout, name, module.forward)
    return layout


def is_linear(module: nn.Module) -> bool:
    """Whether an adapter can act on this module: a linear layer, quantised ones and GPT-2's among them."""
    return isinstance(module, nn.Linear | Conv1D)


def _forward(layout: Layout, name: str, forward: Any, x: Tensor) -> Tensor:
    if not layout.segments:
        if layout.rows_seen is not None:
            layout.rows_seen[name] = x.numel() // x.shape[-1]
        y: Tensor = forward(x)
        return y
    x_TI = x.reshape(-1, x.shape[-1])
    acting = [(part, s) for s in layout.segments if (part := s.parts.get(name)) is not None]
    inner = [(part, s) for part, s in acting if isinstance(part, InnerFactors)]
    if inner:
        x_TI = x_TI.clone()
        for part, segment in inner:
            at = picked(segment.rows)
            x_TI[at] = x_TI[at] * (1 + segment.weight * (part.factors_I - 1))
        x = x_TI.view_as(x)
    y = forward(x)
    y_TO = y.view(-1, y.shape[-1])
    for part, segment in acting:
        if not isinstance(part, InnerFactors):
            part.act(x_TI, y_TO, segment.rows, segment.weight)
    return y


def segments_of(
    adapted: Sequence[tuple[int, int, Sequence[tuple[Any, float]]]], total: int, like: Tensor
) -> list[Segment]:
    """The segments of a batch of ``total`` rows from its requests: (first row, rows, (adapter, weight) pairs) each.

    Values are of the dtype and on the device of ``like``. Rows of one adapter and weight go together. Inside a request
    DoRA and IA3 keep their place; they come before LoRA.
    """
    together: dict[tuple[int, float], tuple[Any, list[tuple[int, int]]]] = {}
    for first, count, pairs in adapted:
        for adapter, weight in pairs:
            together.setdefault((id(adapter), weight), (adapter, []))[1].append((first, count))
    ordered = sorted(together.items(), key=lambda entry: not entry[1][0].comes_first)
    return [
        Segment(rows, adapter.parts, weight)
        for (_, weight), (adapter, spans) in ordered
        for rows in _rows(spans, total, like)
    ]


def _rows(spans: Sequence[tuple[int, int]], total: int, like: Tensor) -> list[Rows]:
    """Spans of rows as slices where they are long, together where they are many and short."""
    runs: list[slice] = []
    for begin, count in spans:
        if runs and runs[-1].stop == begin:
            runs[-1] = slice(runs[-1].start, begin + count)
        else:
            runs.append(slice(begin, begin + count))
    if len(runs) == 1 or sum(count for _, count in spans) >= LONG_RUN * len(runs):
        return list(runs)
    indices = torch.cat([torch.arange(b, b + n) for b, n in spans])
    times = torch.bincount(indices, minlength=total)[:, None].to(like) if total <= FEW_ROWS else None
    return [Scattered(indices.to(like.device), times)]


@torch.no_grad()
def unfit_modules(model: PreTrainedModel, layout: Layout) -> frozenset[str]:
    """Linear modules that do not see every token of a batch once, in order; no segment can act on them.

    Asked of the model by what it computes: experts see some of the tokens, the head only those whose logits are kept.
    """
    count = 7
    ids = torch.arange(count, device=model.device)[None] % model.get_input_embeddings().weight.shape[0]
    layout.rows_seen = {}
    try:
        model(input_ids=ids, use_cache=False, logits_to_keep=1)
        seen = layout.rows_seen
    finally:
        layout.rows_seen = None
    names = [name for name, module in model.named_modules() if is_linear(module)]
    return frozenset(name for name in names if seen.get(name) != count)
