"""Adapters on their rows of a batch, against the sum computed row by row in float64."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lora_scripts.serve.engine.parts import Directed, LowRank
from lora_scripts.serve.engine.segments import Layout, attach
from lora_scripts.serve.engine.weights import LoadedAdapter

INNER, OUTER = 12, 10


class Two(nn.Module):
    """Two layers that see the same rows."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(INNER, OUTER), nn.Linear(INNER, OUTER)


def model() -> Any:
    torch.manual_seed(0)
    return Two().requires_grad_(False)


def adapter(rank: int, layers: tuple[str, ...] = ("one", "other"), method: str = "lora") -> LoadedAdapter:
    parts: dict[str, Any] = {n: LowRank(torch.randn(INNER, rank), torch.randn(rank, OUTER)) for n in layers}
    if method == "dora":
        parts = {n: Directed(part, torch.rand(OUTER), None) for n, part in parts.items()}
    return LoadedAdapter("a", parts, "", method, rank, sum(part.nbytes for part in parts.values()))


def expected(layer: nn.Linear, name: str, x_TI: Tensor, adapted: Any) -> Tensor:
    y_TO = x_TI.double() @ layer.weight.double().t() + layer.bias.double()
    for first, count, pairs in adapted:
        rows = slice(first, first + count)
        for one, weight in pairs:
            if (part := one.parts.get(name)) is not None:
                y_TO[rows] += weight * (x_TI[rows].double() @ part.a_IR.double()) @ part.b_RO.double()
    return y_TO


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[tuple[int, tuple[str, ...]]], list[tuple[int, list[tuple[int, float]]]]]:
    """Adapters as (rank, layers), requests as (rows, [(adapter, weight)])."""
    layers = st.sampled_from([("one",), ("other",), ("one", "other")])
    adapters = draw(st.lists(st.tuples(st.integers(1, 5), layers), min_size=1, max_size=5))
    one = st.tuples(st.integers(0, len(adapters) - 1), st.sampled_from([1.0, 0.5, -2.0]))
    stack = st.lists(one, max_size=3, unique_by=lambda pair: pair[0])
    return adapters, draw(st.lists(st.tuples(st.integers(1, 40), stack), min_size=1, max_size=8))


@given(batches(), st.sampled_from([0, 1 << 30]))
@settings(max_examples=150)
def test_each_row_gets_its_own_adapters_and_no_others(batch: Any, spare_bytes: int) -> None:
    base, layout = (m := model()), attach(m)
    layout.spare_bytes = lambda: spare_bytes
    adapters = [adapter(rank, layers) for rank, layers in batch[0]]
    adapted, total = [], 0
    for rows, pairs in batch[1]:
        adapted.append((total, rows, [(adapters[i], weight) for i, weight in pairs]))
        total += rows
    x_TI = torch.randn(total, INNER)
    layout.arrange(adapted, total, x_TI)
    for name in ("one", "other"):
        layer = getattr(base, name)
        torch.testing.assert_close(layer(x_TI).double(), expected(layer, name, x_TI, adapted), rtol=1e-4, atol=1e-4)
    layout.clear()
    assert torch.equal(base.one(x_TI), nn.functional.linear(x_TI, base.one.weight, base.one.bias))


def of_rows(*adapters: Any) -> list[tuple[int, int, list[tuple[Any, float]]]]:
    """A row for each adapter."""
    return [(i, 1, [(one, 1.0)]) for i, one in enumerate(adapters)]


def test_adapters_in_flight_are_stacked_once_while_they_stay_the_same() -> None:
    layout, x_TI, adapters = Layout(), torch.randn(4, INNER), [adapter(2), adapter(3)]
    layout.arrange(of_rows(*adapters), 4, x_TI)
    first = layout.gathered
    layout.arrange(of_rows(*reversed(adapters)), 4, x_TI)
    assert first is not None and layout.gathered is not None and not layout.segments
    assert layout.gathered.factors is first.factors
    layout.arrange(of_rows(*adapters, adapter(1)), 4, x_TI)
    assert layout.gathered is not None and layout.gathered.factors is not first.factors


def test_an_adapter_that_goes_takes_the_stacked_copy_of_it_along() -> None:
    layout, x_TI, adapters = Layout(), torch.randn(4, INNER), [adapter(2), adapter(3)]
    layout.arrange(of_rows(*adapters), 4, x_TI)
    layout.clear()
    assert layout._gathering._factors
    del adapters[0]
    gc.collect()
    assert not layout._gathering._factors


@pytest.mark.parametrize("case", ["no room", "many rows", "one adapter", "dora"])
def test_what_cannot_be_stacked_acts_one_by_one(case: str) -> None:
    layout = Layout()
    adapters = [adapter(2), adapter(2, method="dora" if case == "dora" else "lora")]
    layout.spare_bytes = lambda: 0 if case == "no room" else 1 << 30
    total = 1000 if case == "many rows" else 4
    layout.arrange(of_rows(*adapters[: 1 if case == "one adapter" else 2]), total, torch.randn(total, INNER))
    assert layout.gathered is None and layout.segments


def test_the_stacked_copy_goes_when_loaded_adapters_need_the_room() -> None:
    layout, x_TI, room = Layout(), torch.randn(4, INNER), SimpleNamespace(left=1 << 20)
    layout.spare_bytes = lambda: room.left
    adapters = [adapter(2), adapter(3)]
    layout.arrange(of_rows(*adapters), 4, x_TI)
    assert layout.gathered is not None
    room.left = 10
    layout.arrange(of_rows(*adapters), 4, x_TI)
    assert layout.gathered is None and not layout._gathering._factors
