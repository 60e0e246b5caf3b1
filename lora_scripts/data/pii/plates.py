"""Detectors for number plates (GA 36-2018; those of the army and the armed police as seen on the road)."""

from __future__ import annotations

import re

from lora_scripts.data.pii.plain import Found, after, before

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SIGN = "[A-HJ-NP-Z0-9]"
_PLATE = re.compile(
    rf"(?:[{PROVINCES}] ?[A-HJ-Z][ ·.\-]{{0,2}}"
    rf"(?P<tail>{_SIGN}{{4}}(?:[挂学警港澳领试超]|{_SIGN}?临(?!时)|应急|{_SIGN}{{1,2}}(?![挂学警港澳领]))"
    rf"|{_SIGN}(?: {_SIGN}){{4,5}}|临[0-9]{{4,5}})"
    rf"|使[ ·]?[0-9]{{3}}[ ·]?[0-9]{{3}}|[{PROVINCES}] ?[A-HJ-Z] ?[0-9]{{4}}使"
    rf"|WJ ?[0-9]{{2}} ?[\-·] ?[0-9]{{4,5}}|WJ ?[{PROVINCES}]? ?[·\-]?[0-9A-Z][0-9]{{3,4}}[A-Z0-9]?|[0-9]{{6}}使)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# Of the army: two letters since 2013, a character for the region before; GJB rules, as seen on the road.
_ARMY_PLATE = re.compile(r"[A-Z][ ·.\-]?[0-9]{5}(?![A-Za-z0-9])")
_ARMY_HEAD = re.compile("军[A-Z]·$|[军海空北沈兰济南广成临] ?$|(?<![A-Za-z0-9])[VKHBSLJNGCEOD]$")
_CAR_NEAR = re.compile("(?<![火列])车(?![间次床])|牌|军|追尾|肇事|撞")


def _plate(match: re.Match[str]) -> Found | None:
    tail = match["tail"]
    if tail is None:
        if match[0][0] in "使0123456789" and not re.search("车|牌", before(match, 12) + after(match, 8)):
            return None
        return match.start(), match.end(), "plate", 78
    digits = sum(sign.isdigit() for sign in tail)
    bare = tail.replace(" ", "")
    if digits < 2 or (bare.isdigit() and _is_measured(match)):
        return None
    if " " in tail and not re.search("车|牌", before(match, 12) + after(match, 8)):
        return None
    if len(bare) == 6 and not bare.isascii():
        return match.start(), match.end(), "plate", 80
    if len(bare) == 6 and not re.fullmatch(r"[A-Z][A-Z0-9][0-9]{4}|[0-9]{5}[A-Z]", bare.upper()):
        return None
    return match.start(), match.end(), "plate", 80


def _is_measured(match: re.Match[str]) -> bool:
    return bool(re.match(r"(?:\.[0-9]|[万亿]?(?:元|吨|股|米|公里|人))", after(match, 3)))


def _army_plate(match: re.Match[str]) -> Found | None:
    head = _ARMY_HEAD.search(before(match, 3))
    if (
        head is None
        or _GOODS_AHEAD.search(before(match, 16)[: -len(head[0])])
        or (head[0][0] != "军" and not _CAR_NEAR.search(before(match, 12) + after(match, 8)))
    ):
        return None
    return match.start() - len(head[0]), match.end(), "plate", 77


# Behind these stands a number of goods.
_GOODS_AHEAD = re.compile(
    r"(?:型号|批号|批次|编号|货号|料号|料|物料|零件|件号|序列|产品|色号|SKU|代码|版本)[ .:=是为#\"'(\-]{0,4}$"
)

PLATE_DETECTORS = (
    ("plate", _PLATE, _plate),
    ("plate", _ARMY_PLATE, _army_plate),
)
