"""What a request's model stands for: never the base where something else was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.errors import UsageError
from lora_scripts.serve.stacks import (
    LARGEST_WEIGHT,
    MOST_IN_A_STACK,
    Models,
    UnknownModel,
    check_kinds,
    checked,
    name_stack,
    resolve,
)


def models() -> Models:
    known = Models("base", {f"a{i}" for i in range(12)})
    name_stack(known, "mix", (("a0", 0.5), ("a1", -0.5)))
    return known


@pytest.mark.parametrize(
    ("model", "pairs"),
    [
        ("base", ()),
        ("a0", (("a0", 1.0),)),
        ("base:a0", (("a0", 1.0),)),
        ("mix", (("a0", 0.5), ("a1", -0.5))),
        ("base:mix", (("a0", 0.5), ("a1", -0.5))),
    ],
)
def test_a_name_stands_for_its_adapters(model: str, pairs: object) -> None:
    assert resolve(models(), model) == pairs


@pytest.mark.parametrize(
    "model", ["", "Base", "base ", "base:", "base:base", "base:base:a0", "a0:base", "A0", "a0/", "../a0", "other:a0"]
)
def test_what_is_not_known_is_not_the_base(model: str) -> None:
    with pytest.raises(UnknownModel):
        resolve(models(), model)


@given(st.text(max_size=12))
def test_no_other_word_is_the_base(word: str) -> None:
    known = models()
    if word == "base" or word.removeprefix("base:") in {*known.adapters, "mix"}:
        return
    with pytest.raises(UnknownModel):
        resolve(known, word)


def test_a_stack_of_the_requests_own_goes_with_the_base_only() -> None:
    assert resolve(models(), "base", [("a0", 2), ("a1", 0)]) == (("a0", 2.0),)
    for model in ("a0", "mix", "base:a0"):
        with pytest.raises(UsageError):
            resolve(models(), model, [("a0", 1.0)])


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(f"a{i}", 1.0) for i in range(MOST_IN_A_STACK + 1)],
        [("a0", 1.0), ("a0", 1.0)],
        [("a0", float("nan"))],
        [("a0", float("inf"))],
        [("a0", -LARGEST_WEIGHT - 0.1)],
    ],
)
def test_a_stack_that_is_none_is_refused(pairs: list[tuple[str, float]]) -> None:
    with pytest.raises(UsageError):
        checked(models(), pairs)
    with pytest.raises(UsageError):
        name_stack(models(), "new", pairs)


def test_a_stack_of_an_adapter_that_is_not_there_is_refused_also_later() -> None:
    known = models()
    with pytest.raises(UnknownModel):
        checked(known, [("a0", 1.0), ("nobody", 1.0)])
    known.adapters.discard("a1")  # type: ignore[attr-defined]
    with pytest.raises(UnknownModel):
        resolve(known, "mix")


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "x" * 65, "叠加", "a\n", "a:b", "base", "a0"])
def test_a_stack_has_a_name_of_its_own(name: str) -> None:
    known = models()
    with pytest.raises(UsageError):
        name_stack(known, name, (("a0", 1.0),))
    assert list(known.stacks) == ["mix"]


def test_a_stack_can_be_replaced() -> None:
    known = models()
    name_stack(known, "mix", (("a2", 1.0),))
    assert resolve(known, "mix") == (("a2", 1.0),)


def test_what_cannot_act_together_is_refused() -> None:
    kinds = {"l": "lora", "r": "rslora", "d": "dora", "e": "dora", "i": "ia3", "j": "ia3"}
    for pairs in ((("l", 1.0), ("r", 2.0)), (("d", 1.0), ("l", 0.5)), (("i", 0.5), ("j", 1.0)), ()):
        check_kinds(kinds, pairs)
    for pairs in ((("i", 1.0), ("l", 1.0)), (("d", 1.0), ("e", 1.0)), (("d", 0.5),), (("d", 0.5), ("l", 1.0))):
        with pytest.raises(UsageError):
            check_kinds(kinds, pairs)
