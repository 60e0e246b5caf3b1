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
PII_TYPE_NAMES: dict[str, tuple[str, ...]] = {
    "id_card": ("身份证", "身份证号", "身份证号码", "证件号", "居民身份证"),
    "phone": ("手机号", "手机", "手机号码", "电话", "电话号码", "移动电话"),
    "landline": ("座机", "固定电话", "固话", "座机号"),
    "email": ("邮箱", "电子邮箱", "邮件", "电子邮件", "邮箱地址", "e-mail", "mail"),
    "bank_card": ("银行卡", "银行卡号", "卡号", "银行账号"),
    "passport": ("护照", "护照号", "护照号码"),
    "permit": ("通行证", "通行证号", "港澳通行证", "回乡证", "台胞证"),
    "plate": ("车牌", "车牌号", "号牌", "车牌号码"),
    "uscc": ("统一社会信用代码", "信用代码", "社会信用代码"),
    "case_no": ("案号", "案件号"),
    "medical_no": ("病历号", "病案号", "就诊号", "住院号", "门诊号"),
    "wechat": ("微信", "微信号"),
    "qq": ("QQ号", "QQ号码", "扣扣"),
    "ip": ("IP地址",),
    "mac": ("MAC地址", "物理地址"),
    "amount": ("金额", "钱款", "数额"),
    "name": ("姓名", "人名", "名字"),
    "address": ("地址", "住址", "通讯地址"),
}
"""Type of personal data → the names that people write for it in Chinese, the shortest usual one first."""
_PII_TYPES_BY_NAME = {name.lower(): kind for kind, names in PII_TYPE_NAMES.items() for name in (kind, *names)}


def pii_type_of(name: str) -> str:
    """The type of personal data that ``name`` means (``身份证`` → ``id_card``); ``name`` itself where it is none."""
    return _PII_TYPES_BY_NAME.get(re.sub(r"\s", "", name).lower(), name)


def pii_type_list(names: str) -> tuple[str, ...]:
    """The types in a text with commas or ideographic commas (``身份证，phone``)."""
    return tuple(pii_type_of(part.strip()) for part in re.split("[,，、;；]", names) if part.strip())


def _pii_types(value: object) -> object:
    if isinstance(value, str):
        return pii_type_list(value)
    if isinstance(value, Sequence):
        return tuple(pii_type_of(part) if isinstance(part, str) else part for part in value)
    return value


PiiTypes = Annotated[tuple[PiiType, ...], BeforeValidator(_pii_types), _ONE_OR_MORE]
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
