"""What the values of keys are: the types of the schema, and how other spellings of a value are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

DEVICES = ("auto", "cpu", "cuda", "cuda:0")
DEVICE = r"^(auto|cpu|cuda(:[0-9]{1,3})?)$"


def _whole(value: object) -> object:
    """``3.0`` is the whole number 3, as in files of other tools."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _written(value: object) -> object:
    """Inside ``answer_rules`` values come as written, a number too."""
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else _whole(value)


def _listed(value: object) -> object:
    """``a, b`` and ``[a, b]`` are the same list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, Sequence) else value


def _single(value: object) -> object:
    """One text is a list of one; it is not cut at commas, because a sentence may hold some."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, Sequence) else value


def _role_names(value: object) -> object:
    return {role: _single(names) for role, names in value.items()} if isinstance(value, Mapping) else value


def _device(value: str) -> str:
    if not re.fullmatch(DEVICE, value):
        raise PydanticCustomError("not_a_choice", "not a device")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise PydanticCustomError("bad_pattern", "not a pattern", {"value": value, "reason": str(error)}) from None
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, StringConstraints(min_length=1)]
_ONE_OR_MORE = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
Names = Annotated[tuple[Text, ...], BeforeValidator(_listed), _ONE_OR_MORE]
Sentences = Annotated[tuple[Text, ...], BeforeValidator(_single), _ONE_OR_MORE]
PiiType = Literal[
    "id_card", "phone", "landline", "email", "bank_card", "passport", "permit", "plate", "uscc", "case_no",
    "medical_no", "wechat", "qq", "ip", "mac", "amount", "name", "address",
]  # fmt: skip
PiiTypes = Annotated[tuple[PiiType, ...], BeforeValidator(_listed), _ONE_OR_MORE]
Roles = Annotated[dict[Literal["user", "assistant", "system"], Sentences], BeforeValidator(_role_names)]
Pattern = Annotated[Text, AfterValidator(_pattern)]
Device = Annotated[Text, AfterValidator(_device), Field(json_schema_extra={"pattern": DEVICE})]


class AnswerRules(TypedDict, total=False):
    """What a good answer looks like."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    opening: Pattern
    disclaimer: Text
    forbidden: Sentences
    min_length: Annotated[int, BeforeValidator(_written), Field(ge=0)]
    max_length: Annotated[int, BeforeValidator(_written), Field(ge=1)]
    statutes: Text
