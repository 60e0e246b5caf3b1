"""Which adapters a request asks for: by ``model``, by a named stack, or by its ``adapters`` field.

A stack is an exact weighted sum of what its adapters add. Weights may be negative; ranks may differ.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from lora_scripts.errors import UsageError
from lora_scripts.serve.store import NAME

MOST_IN_A_STACK = 8
LARGEST_WEIGHT = 16.0

Pairs = tuple[tuple[str, float], ...]
"""(adapter, weight)."""


class UnknownModel(Exception):
    """No base, adapter or stack of that name."""


@dataclass(slots=True)
class Models:
    """What a client can ask for as ``model``: the base, an adapter of the store, a named stack."""

    base: str
    adapters: Container[str]
    stacks: dict[str, Pairs] = field(default_factory=dict)


def resolve(models: Models, model: str, pairs: Sequence[tuple[str, float]] | None = None) -> Pairs:
    """(adapter, weight) pairs for a request; empty is the base alone.

    ``model`` is the base, an adapter, ``base:adapter`` or a named stack. ``pairs``, the request's own stack, goes with
    the base only.

    Raises:
        UnknownModel: There is no such model or adapter; never the base instead.
        UsageError: The stack is none.
    """
    name = model.removeprefix(f"{models.base}:") if model.startswith(f"{models.base}:") else model
    if pairs is not None:
        if model != models.base:
            raise UsageError("serve.stack_needs_base", model=model, base=models.base)
        return checked(models, pairs)
    if model == models.base:
        return ()
    if name in models.stacks:
        return checked(models, models.stacks[name])
    if name in models.adapters:
        return ((name, 1.0),)
    raise UnknownModel(model)


def checked(models: Models, pairs: Sequence[tuple[str, float]]) -> Pairs:
    """The pairs, if each adapter is there and the weights are finite; weights of 0 are left out.

    Raises:
        UnknownModel: One is not there.
        UsageError: Too many, twice the same, or a weight that is none.
    """
    names = [name for name, _ in pairs]
    if not 0 < len(pairs) <= MOST_IN_A_STACK:
        raise UsageError("serve.stack_size", count=len(pairs), most=MOST_IN_A_STACK)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError("serve.stack_twice", names=", ".join(twice))
    for name, weight in pairs:
        if not math.isfinite(weight) or abs(weight) > LARGEST_WEIGHT:
            raise UsageError("serve.stack_weight", name=name[:64], weight=weight, most=LARGEST_WEIGHT)
        if name not in models.adapters:
            raise UnknownModel(name)
    return tuple((name, float(weight)) for name, weight in pairs if weight)


def name_stack(models: Models, name: str, pairs: Sequence[tuple[str, float]]) -> None:
    """Make a named stack, or replace the one of that name.

    Raises:
        UnknownModel, UsageError: As ``checked``, or the name is taken or none.
    """
    if not NAME.fullmatch(name) or name in (".", ".."):
        raise UsageError("serve.bad_name", name=name[:80])
    if name == models.base or name in models.adapters:
        raise UsageError("serve.name_taken", name=name)
    checked(models, pairs)
    models.stacks[name] = tuple(pairs)


def check_kinds(methods: Mapping[str, str], pairs: Pairs) -> None:
    """Adapters that can act together: DoRA alone counts whole, and IA3 goes with IA3 only. ``methods`` by name.

    Raises:
        UsageError: They cannot.
    """
    kinds = {methods[name] for name, _ in pairs}
    if "ia3" in kinds and len(kinds) > 1:
        raise UsageError("adapters.mixed", kinds=", ".join(sorted(kinds)))
    dora = [(name, weight) for name, weight in pairs if methods[name] == "dora"]
    if len(dora) > 1:
        raise UsageError("serve.two_doras", names=", ".join(name for name, _ in dora))
    if dora and dora[0][1] != 1:
        raise UsageError("adapters.dora_weight", where=dora[0][0], weight=dora[0][1])
