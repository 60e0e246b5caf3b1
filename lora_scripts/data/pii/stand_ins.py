"""Pseudonyms for personal data: the same value gets the same stand-in under one key, and nobody can be behind it.

Every stand-in lies where no real value can (county 9999, mobile prefix 100, domain example.invalid, plate letter I …),
keeps the format, and carries a right check digit where there is one. A stand-in is therefore known by its looks, and
a second pass leaves it alone.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import date, timedelta

from lora_scripts.data.pii.numbers import credit_code_check, identity_check, luhn
from lora_scripts.data.pii.plain import plain_view

_PROVINCES_WORDS = """
11 12 13 14 21 22 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 61 62 63
"""
_PROVINCES = _PROVINCES_WORDS.split()
_PLATE_HEADS = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_STEMS = "甲乙丙戊己庚壬癸"
_BRANCHES = "子丑寅卯辰巳午未酉戌亥"
_PLAIN_PHONE = "100[0-9]{8}"
_SHAPES: dict[str, re.Pattern[str]] = {
    kind: re.compile(shape)
    for kind, shape in {
        "id_card": "[0-9]{2}9999[0-9]{8}(?:[0-9]|[0-9]{3}[0-9X])",
        "phone": _PLAIN_PHONE,
        "email": "USER[0-9A-F]{8}@EXAMPLEINVALID",
        "bank_card": "629999[0-9]{10,13}",
        "passport": "[EH]O[0-9]{7}",
        "permit": "[EH]O[0-9]{7}",
        "uscc": "91[0-9]{2}9999[0-9]{9}[0-9A-Z]",
        "medical_no": "ZZ[0-9]{6,18}",
        "wechat": rf"WX_ZZ[0-9A-F]{{8}}|{_PLAIN_PHONE}",
        "qq": _PLAIN_PHONE,
        "ip": "1981[89][0-9]{2,6}|2001:DB8:.*",
        "mac": "02:?00:?00.*",
        "address": ".*无名省无名市无名路.*",
    }.items()
}


def bare_value(kind: str, value: str) -> str:
    """``value`` without what people write differently: width, case, spaces, signs between digits, country code."""
    plain = plain_view(value)[0]
    if kind == "email":
        plain = re.sub(r"#| at | ?艾特 ?| ?[(\[](?:at|艾特)[)\]] ?", "@", plain, flags=re.IGNORECASE)
        plain = re.sub(r" dot |点|[(\[](?:dot|点)[)\]]", "", plain, flags=re.IGNORECASE)
    signs = r"[\s.\-()·（）/_,、|~*]" if kind == "phone" else r"[\s.。\-()·（）]"
    bare = re.sub(signs, "", plain).upper()
    return re.sub(r"^(?:\+|00)?86(?=1[0-9]{10}$)", "", bare) if kind in ("phone", "wechat") else bare


def is_stand_in(kind: str, value: str) -> bool:
    """Whether ``value`` is one of ours."""
    shape = _SHAPES.get(kind)
    return shape is not None and shape.fullmatch(bare_value(kind, value)) is not None


def stand_in(kind: str, value: str, key: str) -> str | None:
    """The stand-in for ``value`` under ``key``; None for a type that has none (amount)."""
    make = _MAKERS.get(kind)
    if make is None:
        return None
    bare = bare_value(kind, value)
    digest = hmac.new(key.encode("utf-8", "surrogatepass"), f"{kind}:{bare}".encode("utf-8", "surrogatepass"), "sha256")
    return make(int.from_bytes(digest.digest(), "big"), bare)


def _digits(number: int, count: int) -> str:
    return str(number % 10**count).zfill(count)


def _identity(number: int, bare: str) -> str:
    born = date(1930, 1, 1) + timedelta(days=number // 10**6 % 26_000)
    head = _PROVINCES[number % len(_PROVINCES)] + "9999"
    if len(bare) == 15:
        return head + born.strftime("%y%m%d") + _digits(number // 10**12, 3)
    first = head + born.strftime("%Y%m%d") + _digits(number // 10**12, 3)
    return first + identity_check(first)


def _card(number: int, bare: str) -> str:
    length = len(bare) if 16 <= len(bare) <= 19 else 16
    first = "629999" + _digits(number, length - 7)
    return next(first + last for last in "0123456789" if luhn(first + last))


def _credit_code(number: int, bare: str) -> str:
    first = "91" + _PROVINCES[number % len(_PROVINCES)] + "9999" + _digits(number // 100, 9)
    return first + credit_code_check(first)


def _plate(number: int, bare: str) -> str:
    energy = "D" if len(bare) == 8 else ""
    return _PLATE_HEADS[number % len(_PLATE_HEADS)] + "I" + energy + _digits(number // 100, 5)


def _name(number: int, bare: str) -> str:
    signs = []
    for series in (_STEMS, _BRANCHES) * 2:
        number, index = divmod(number, len(series))
        signs.append(series[index])
    return "化名" + "".join(signs)


def _ip(number: int, bare: str) -> str:
    if ":" in bare:
        return f"2001:db8:{number % 65536:x}:{number // 65536 % 65536:x}::1"
    return f"198.{18 + number % 2}.{number // 2 % 256}.{number // 512 % 256}"


def _mac(number: int, bare: str) -> str:
    digits = f"{number % 256**3:06x}"
    return f"02:00:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"


_MAKERS: dict[str, Callable[[int, str], str]] = {
    "id_card": _identity,
    "phone": lambda number, bare: "100" + _digits(number, 8),
    "landline": lambda number, bare: "010-0" + _digits(number, 7),
    "email": lambda number, bare: f"user{number % 2**32:08x}@example.invalid",
    "bank_card": _card,
    "passport": lambda number, bare: "EO" + _digits(number, 7),
    "permit": lambda number, bare: "HO" + _digits(number, 7),
    "plate": _plate,
    "uscc": _credit_code,
    "case_no": lambda number, bare: f"（2000）无9999民初{number % 10**6}号",
    "medical_no": lambda number, bare: "ZZ" + _digits(number, max(6, min(len(bare) - 2, 16))),
    "wechat": lambda number, bare: f"wx_zz{number % 2**32:08x}",
    "qq": lambda number, bare: "0" + _digits(number, 8),
    "ip": _ip,
    "mac": _mac,
    "name": _name,
    "address": lambda number, bare: f"无名省无名市无名路{number % 9999 + 1}号",
}
