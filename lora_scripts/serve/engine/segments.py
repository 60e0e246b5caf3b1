"""Adapters that act on some rows of a batch only.

The tokens of several requests lie end to end in one batch. Each linear layer of the base computes all rows at once;
then each adapter adds its part to the rows of its requests alone. So one batch mixes any adapters and stacks, and none
of them is ever merged or switched. Shapes: T rows of the batch, I inner and O outer features, R rank.

The order inside a stack does not matter for LoRA: every adapter reads the layer's input. DoRA rescales the base's
output and comes first, IA3 multiplies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lora_scripts.serve.engine.gathered import Gathered, Gathering
from lora_scripts.serve.engine.parts import InnerFactors, Rows, Scattered, picked

FEW_ROWS = 128  # in a batch of so few, a product of all rows is cheaper than picking some and putting them back

SPARE_BYTES = 1 << 30  # where nobody says what may be taken

LONG_RUN = 16  # rows of a prompt lie together: a slice of so many needs no picking


Adapted = tuple[int, int, Sequence[tuple[Any, float]]]
"""A request in a batch: its first row, its rows, and its (adapter, weight) pairs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows on which one adapter acts with one weight; ``parts`` by full module name."""

    rows: Rows
    parts: Mapping[str, Any]
    weight: float


class Layout:
    """What acts on the rows of the batch that goes through the model now; nothing for the base alone.

    ``rows_seen``, where set, notes how many rows came to each module, which ``unfit_modules`` uses. ``spare_bytes``
    tells what adapters that are stacked for speed may take beside those that are loaded.
    """

    def __init__(self) -> None:
        self.segments: Sequence[Segment] = ()
        self.gathered: Gathered | None = None
        self.rows_seen: dict[str, int] | None = None
        self.spare_bytes: Callable[[], int] = lambda: SPARE_BYTES
        self._gathering = Gathering()

    def clear(self) -> None:
        """Nothing acts."""
        self.segments, self.gathered = (), None

    def arrange(self, adapted: Sequence[Adapted], total: int, like: Tensor) -> None:
        """Let adapters act on a batch of ``total`` rows. Values are of the dtype and on the device of ``like``.

        Rows of one adapter and weight go together. Inside a request DoRA comes before the others.
        """
        self.clear()
        together: dict[tuple[int, float], tuple[Any, list[tuple[int, int]]]] = {}
        for first, count, pairs in adapted:
            for adapter, weight in pairs:
                together.setdefault((id(adapter), weight), (adapter, []))[1].append((first, count))
        if together and total <= FEW_ROWS:
            groups = [
                (adapter, weight, [row for begin, count in spans for row in range(begin, begin + count)])
                for (_, weight), (adapter, spans) in together.items()
            ]
            self.gathered = self._gathering.gather(groups, total, self.spare_bytes(), like)
        if self.gathered is None:
            ordered = sorted(together.items(), key=lambda entry: not entry[1][0].comes_first)
            self.segments = [
                Segment(rows, adapter.parts, weight)
                for (_, weight), (adapter, spans) in ordered
                for rows in _rows(spans, total, like)
            ]


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
    if layout.gathered is not None:
        adapted: Tensor = forward(x)
        layout.gathered.act(name, x.reshape(-1, x.shape[-1]), adapted.view(-1, adapted.shape[-1]))
        return adapted
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
