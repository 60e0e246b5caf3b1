"""What counts as the same model: near ties, values that are no numbers, adapters too faint to tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lora_scripts.export import verify
from lora_scripts.export.verify import Reference, compare, tolerance_for


def reference(logits: torch.Tensor, effect: float = 5.0) -> Reference:
    tokens = logits.argmax(-1).tolist()
    return Reference(((1, 2),), [0], [tokens], [logits], effect, float(logits.abs().max()), {})


def compared(own: list[int], theirs: torch.Tensor, mine: Reference, tolerance: float, monkeypatch: Any) -> Any:
    monkeypatch.setattr(verify, "_answers", lambda model, prompts, stops: ([own], [theirs]))
    monkeypatch.setattr(verify, "logits_at", lambda model, prompt, tokens: theirs)
    checks, notes = compare(mine, SimpleNamespace(), tolerance)
    return {check.name: check.ok for check in checks}, notes


LOGITS = torch.tensor([[0.0, 10.0, 1.0], [0.0, 3.0, 3.001], [9.0, 0.0, 0.0]])


def test_the_same_logits_and_words_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    checks, notes = compared([1, 2, 0], LOGITS, reference(LOGITS), 1e-3, monkeypatch)
    assert all(checks.values())
    assert notes == ["1 questions, 3 of 3 answer tokens compared one by one"]


def test_an_answer_may_part_where_two_words_are_nearer_than_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    checks, notes = compared([1, 1, 2], LOGITS, reference(LOGITS), 1e-3, monkeypatch)
    assert all(checks.values())
    assert "1 of 3 answer tokens" in notes[0] and "1 answers part" in notes[1]


@pytest.mark.parametrize("own", [[2, 2, 0], [1, 2], [1, 2, 0, 1]])
def test_an_answer_that_parts_or_stops_elsewhere_fails(own: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    checks, _ = compared(own, LOGITS, reference(LOGITS), 1e-3, monkeypatch)
    assert checks == {"answers_that_differ": False, "largest_difference_of_a_logit": True}


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_a_logit_beyond_the_bound_or_no_number_fails(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = LOGITS.clone()
    theirs[2, 2] += value
    checks, _ = compared([1, 2, 0], theirs, reference(LOGITS), 1e-3, monkeypatch)
    assert checks["largest_difference_of_a_logit"] is False


def test_an_adapter_that_the_bound_would_hide_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _, notes = compared([1, 2, 0], LOGITS, reference(LOGITS, effect=0.001), 1e-3, monkeypatch)
    assert "cannot tell the export from the bare base" in notes[-1]


def test_the_coarsest_dtype_sets_the_bound() -> None:
    assert tolerance_for(torch.float32) < tolerance_for(torch.float16) < tolerance_for(torch.bfloat16)
    assert tolerance_for(torch.bfloat16, torch.float32) == tolerance_for(torch.bfloat16)
