"""Detector for Chinese postal addresses: a chain of places that ends in a house number. Best effort, on request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_scripts.data.pii.plain import Found

_PLACES = "自治区|自治州|特别行政区|开发区|高新区|新区|街道|社区|省|市|区|县|旗|州|盟|镇|乡|村"
_STREETS = (
    "大道|大街|胡同|公路|小区|花园|家园|公寓|大厦|广场|新村|国际|中心|路|街|巷|弄|里|道|庄|屯|苑|园|城|府|湾|坊|庭|居"
    "|寨|桥"
)
_HOUSES = "号楼|号院|单元|号|栋|幢|座|室|层|楼|户|房|组|队"
_HOUSE_UNITS = frozenset(_HOUSES.split("|"))
_BEFORE_NUMBER_WORDS = "大道 大街 胡同 公路 路 街 巷 弄 道 号楼 号院 单元 号 栋 幢 座 楼 层"
_BEFORE_NUMBER = frozenset(_BEFORE_NUMBER_WORDS.split())
_OTHER_WORDS = re.compile("[的了是我你他在和与到从有这那要]")
_SEGMENT = re.compile(
    rf"[ \-]{{0,2}}(?P<head>[一-鿿A-Za-z0-9#]{{1,10}}?)(?P<unit>{_PLACES}|{_STREETS}"
    rf"|(?<=[0-9A-Za-z#一二三四五六七八九十百零〇甲乙丙丁附])(?:{_HOUSES}))"
)
_BUILDING = re.compile(r"(?P<head>[一-鿿A-Za-z0-9]{1,10}?)(?P<unit>大厦|小区|花园|家园|公寓|广场|中心|国际|苑|城)")
_NUMBER = re.compile(
    r"(?:[0-9]{1,5}(?:[\-#][0-9A-Za-z]{1,5})?[A-Za-z]?|[A-Za-z][0-9]{0,4}"
    r"|[一二三四五六七八九十百零〇甲乙丙丁东西南北]{1,5}|附[0-9]{1,3})$"
)
_LEAD = re.compile(
    r".*(?:在|于|到|至|住|址|是|为|寄往|寄|送|往|从|来自|籍贯|户籍|所地|地点|位置|系|我家|家里|家|房屋|房子"
    r"|购买了|购买|租了|的)(?=[一-鿿]{1,})"
)
_PROVINCE = re.compile(
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川"
    "|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|广州|深圳|杭州|南京|成都|武汉|西安|苏州"
    "|长沙|青岛|大连|厦门|宁波|郑州|济南|合肥|福州|昆明|哈尔滨|沈阳"
)
_TAIL = re.compile(r"[ ]?(?:[0-9]{1,5}(?:-[0-9]{1,5}){0,3}[A-Za-z]?(?:室|号|房|户)?)(?![0-9元年月日.:%])")
_LABEL = re.compile(
    r"(?:地址|住址|住所|住所地|家住|现住|居住地|户籍地|户籍所在地|籍贯|住在|居住在|address)[是为在 :]{0,3}$",
    re.IGNORECASE,
)


def find_addresses(text: str) -> Iterator[Found]:
    """Addresses in plain text."""
    position = 0
    while segment := _SEGMENT.search(text, position):
        chain = [segment]
        while following := _next(text, chain[-1]):
            chain.append(following)
        position = chain[-1].end()
        while chain and chain[-1]["unit"] in _HOUSE_UNITS and not _NUMBER.search(chain[-1]["head"]):
            chain.pop()
        if chain:
            found = _address(text, chain)
            if found:
                yield found


def _next(text: str, last: re.Match[str]) -> re.Match[str] | None:
    """The segment that goes on with the address: behind a house number only a building or a part of the house."""
    following = _SEGMENT.match(text, last.end())
    if last["unit"] in _HOUSE_UNITS and not (following and _is_house(following)):
        following = _BUILDING.match(text, last.end())
    return None if following is None or _OTHER_WORDS.search(following["head"]) else following


def _is_house(segment: re.Match[str]) -> bool:
    return segment["unit"] in _HOUSE_UNITS and _NUMBER.search(segment["head"]) is not None


def _address(text: str, chain: list[re.Match[str]]) -> Found | None:
    streets, places = (frozenset(units.split("|")) for units in (_STREETS, _PLACES))
    start, head_cut = _start(text, chain[0])
    units = [segment["unit"] for segment in chain]
    labelled = bool(_LABEL.search(text, max(0, start - 12), start))
    numbered = any(_is_house(segment) for segment in chain)
    street = any(unit in streets for unit in units)
    area = sum(unit in places for unit in units) + bool(_PROVINCE.match(text, start))
    end = chain[-1].end()
    if units[-1] in _BEFORE_NUMBER and (tail := _TAIL.match(text, end)):
        end, numbered = tail.end(), True
    if (numbered and (street or area)) or (labelled and area + street >= 2):
        # "3号楼" of a number alone, or "第12号令" behind a road, is no address.
        if end - start < 5 or not head_cut or not (street or labelled or _PROVINCE.match(text, start)):
            return None
        return start, end, "address", 50
    return None


def _start(text: str, first: re.Match[str]) -> tuple[int, bool]:
    """Where the address begins inside its first segment, and whether anything is left of its name."""
    start, end = first.start("head"), first.end("head")
    head = text[start:end]
    if known := _PROVINCE.search(head):
        return start + known.start(), True
    if lead := _LEAD.match(head):
        start += lead.end()
    return start, start < end
