"""What is wrong with a value, in plain words: pydantic's findings turned into problems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lora_scripts.config.aliases import ALIASES, SWITCHES
from lora_scripts.config.schema import Config
from lora_scripts.config.values import DEVICES, PII_TYPE_NAMES, AnswerRules
from lora_scripts.config.yaml_lines import Entry, scalar
from lora_scripts.errors import Problem, problem
from lora_scripts.messages import text

CLIENT_KEYS = ("key", "sha256", "adapters", "requests_per_minute", "tokens_per_minute", "concurrent_requests")
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_BOUND = {"Ge": ("ge", "{} ≤ "), "Gt": ("gt", "{} < "), "Le": ("le", " ≤ {}"), "Lt": ("lt", " < {}")}


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like ``name``, empty where none is near; an alias stands for its key."""
    found = get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=0.7)
    return ALIASES.get(found[0], found[0]) if found else ""


def shown(value: object) -> str:
    """A value as the user would write it, shortened."""
    spelt = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    spelt = " ".join(spelt.split())
    return spelt if len(spelt) <= 60 else spelt[:57] + "…"


def plain_type(key: FieldInfo) -> Any:
    """The type of a key without ``| None`` and without its annotations."""
    kind = key.annotation
    for _ in range(3):
        if type(None) in get_args(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        kind = getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind
    return kind


def kind_of(key: FieldInfo) -> str:
    """The type of a key in words."""
    kind = plain_type(key)
    names = {int: "whole", float: "number", bool: "bool", tuple: "list", dict: "mapping", AnswerRules: "mapping"}
    return text(f"config.{names.get(get_origin(kind) or kind, 'text')}")


def choices_of(key: FieldInfo) -> tuple[str, ...]:
    """The values of a key that has only some, else nothing."""
    kind = plain_type(key)
    return tuple(map(shown, get_args(kind))) if get_origin(kind) is Literal else ()


def range_of(key: FieldInfo) -> str:
    """The bounds of a number, as in ``0 < x ≤ 1``; empty where it has none."""
    low = high = ""
    for rule in _rules(key):
        name, shape = _BOUND.get(type(rule).__name__, ("", ""))
        if name:
            side = shape.format(f"{getattr(rule, name):,}".replace(",", " "))
            low, high = (side, high) if shape.startswith("{}") else (low, side)
    return f"{low}x{high}" if low or high else ""


def _rules(key: FieldInfo) -> list[Any]:
    inner = [part for part in get_args(key.annotation) if hasattr(part, "__metadata__")]
    return [*key.metadata, *(rule for part in inner for rule in part.__metadata__)]


def explain(
    error: ValidationError, entries: Mapping[str, Entry], name: str, model: type[BaseModel] = Config
) -> list[Problem]:
    """One problem for each finding, at the line of its key; a missing key is reported at the file ``name``."""
    told: dict[tuple[str, ...], Problem] = {}
    for finding in error.errors(include_url=False):
        path = tuple(str(part) for part in finding["loc"] if part != "[key]")
        told.setdefault(path, _explain(finding, path, entries, name, model))
    return list(told.values())


def _explain(
    finding: ErrorDetails, path: tuple[str, ...], entries: Mapping[str, Entry], name: str, model: type[BaseModel]
) -> Problem:
    key, kind = path[0], finding["type"]
    if kind == "missing":
        return problem("config.missing", where=name, name=key)
    entry = entries[key]
    where = entry.lines.get(path[:2], entry.where) if len(path) > 1 else entry.where
    written = entry.key
    if kind == "extra_forbidden" and len(path) > 1:
        choices = ", ".join(AnswerRules.__annotations__ if key == "answer_rules" else CLIENT_KEYS)
        return problem("config.inner_key", where, name=written, inner=path[-1], choices=choices)
    if kind == "extra_forbidden":
        near = nearest(key, [*model.model_fields, *((*ALIASES, *SWITCHES) if model is Config else ())])
        if near:
            return problem("config.unknown_near", where, name=written, near=near)
        return problem("config.unknown", where, name=written)
    if "[key]" in finding["loc"]:
        known = re.findall(r"'([^']*)'", str(finding.get("ctx", {}).get("expected", "")))
        return problem("config.inner_key", where, name=written, inner=path[1], choices=", ".join(known))
    written = ".".join([written, *(part for part in path[1:] if not part.isdigit())])
    return _value_problem(finding, where, written, model.model_fields[key], inner=len(path) > 1)


def _value_problem(finding: ErrorDetails, where: str, written: str, key: FieldInfo, inner: bool) -> Problem:
    kind, context, value = finding["type"], finding.get("ctx", {}), shown(finding["input"])
    if kind in ("literal_error", "not_a_choice"):
        return _not_a_choice(where, written, value, choices_of(key) or _item_choices(context) or DEVICES)
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"):
        bound = next((f"{sign} {context[name]}" for name, sign in _SIGNS.items() if name in context), "")
        return problem("config.out_of_range", where, name=written, value=value, range=range_of(key) or bound)
    if kind in ("string_too_short", "too_short"):
        return problem("config.empty_value", where, name=written)
    if kind == "bad_pattern":
        return problem("config.bad_pattern", where, name=written, **context)
    wanted = text("config.whole" if kind == "int_type" else "config.text") if inner else kind_of(key)
    if kind in ("int_type", "float_type") and isinstance(finding["input"], str):
        if isinstance(scalar(finding["input"]), int | float):
            return problem("config.quoted", where, name=written, value=value, kind=wanted)
        value = f'"{value}"'
    return problem("config.wrong_type", where, name=written, value=value, kind=wanted)


def _item_choices(context: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that an item of a list may have."""
    return tuple(re.findall(r"'([^']*)'", str(context.get("expected", ""))))


def _not_a_choice(where: str, written: str, value: str, choices: tuple[str, ...]) -> Problem:
    chinese = PII_TYPE_NAMES if set(choices) == set(PII_TYPE_NAMES) else {}
    listed = ", ".join(f"{choice} {chinese[choice][0]}" if chinese else choice for choice in choices)
    close = get_close_matches(value.lower(), choices, n=1, cutoff=0.7)
    if close:
        return problem("config.choice_near", where, name=written, value=value, near=close[0], choices=listed)
    return problem("config.choice", where, name=written, value=value, choices=listed)
