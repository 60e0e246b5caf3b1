"""Identity cards of Hong Kong and Taiwan by their check digits.

Sources: the check digit of the Hong Kong identity card (Registration of Persons, weights 9 to 1, modulo 11); that of
the national identification card of Taiwan (a letter as two digits, weights 1, 9 to 1, modulo 10).
"""

from __future__ import annotations

import re

from lora_scripts.data.pii.plain import Found, after, before

HONG_KONG = re.compile(
    r"(?P<letters>[A-Z](?<![A-Za-z0-9\-_].)[A-Z]?) ?(?P<number>[0-9]{6}) ?(?P<check>\([0-9A]\)|[0-9A])(?![0-9A-Za-z])",
    re.IGNORECASE,
)
TAIWAN = re.compile(r"[A-Z](?<![A-Za-z0-9\-_].)[1289][0-9]{8}(?![0-9A-Za-z])", re.IGNORECASE)
_TAIWAN_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # in the order of their codes, 10 to 35
_HONG_KONG_NEAR = re.compile("身份证|身分證|身份證|香港|HKID|identity card|I\\.?D\\.? card", re.IGNORECASE)
_TAIWAN_NEAR = re.compile(
    "身份证|身分证|身分證|身份證|证号|證號|证件|證件|台湾|台灣|臺灣|台胞|国民|國民|统一编号|統一編號|national id",
    re.IGNORECASE,
)
_NOT_A_CARD = re.compile(
    "(?:型号|色号|货号|料号|料|物料|零件号?|件号|批号|编号|编码|代码|版本|订单号?|单号|序列号?|SKU|SN|No\\.?|产品|设备|合同)"
    "[ .:#=是为(\\-]{0,3}$",
    re.IGNORECASE,
)


def hong_kong_card(match: re.Match[str]) -> Found | None:
    """A123456(7); without brackets a word in front must say what it is, since a passport may look like it."""
    letters, check = match["letters"].upper(), match["check"].upper().strip("()")
    values = [36] * (2 - len(letters)) + [ord(sign) - 55 for sign in letters] + [int(sign) for sign in match["number"]]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    if (total + (10 if check == "A" else int(check))) % 11:
        return None
    front = before(match, 24)
    near = bool(_HONG_KONG_NEAR.search(front) or _HONG_KONG_NEAR.search(after(match)))
    if re.match("号(?!码)", after(match, 2)):
        return None
    if not near and ("(" not in match["check"] or _NOT_A_CARD.search(front)):
        return None
    return match.start(), match.end(), "id_card", 96


def taiwan_card(match: re.Match[str]) -> Found | None:
    """A123456789, where a word near it says that it is one: product numbers look like it."""
    number = match[0].upper()
    code = _TAIWAN_LETTERS.index(number[0]) + 10
    digits = [code // 10, code % 10, *map(int, number[1:])]
    if sum(digit * weight for digit, weight in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10:
        return None
    front = before(match, 24)
    if (_NOT_A_CARD.search(front) and "统一" not in front and "統一" not in front) or not (
        _TAIWAN_NEAR.search(front) or _TAIWAN_NEAR.search(after(match))
    ):
        return None
    return match.start(), match.end(), "id_card", 94
