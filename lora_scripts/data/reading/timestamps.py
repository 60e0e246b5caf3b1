"""Dates and times as people and chat programs write them."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?:{'|'.join(map(str.capitalize, _MONTHS))})[a-z]*\.?"
_FULL_DATE = (
    rf"(?:\d{{1,2}}[-/ ]{_MONTH}[-/ ,]{{1,2}}\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}|"
    r"\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}\s?日?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}月\d{1,2}日)"
    r"(?:\s*[(（]?(?:星期|周)[一二三四五六日天][)）]?)?"
)
_HALF = r"(?:上午|下午|晚上|凌晨|中午|早上|傍晚)"
_CLOCK = (
    rf"(?:{_HALF}?\s?\d{{1,2}}[:：]\d{{2}}(?:[:：]\d{{2}})?(?:\s?[AaPp]\.?[Mm]\.?)?"
    r"|(?:\d{1,2}(?:时|小时))?\d{1,2}分\d{1,2}秒)"
)
STAMP = rf"(?:(?P<date>{_FULL_DATE}|\d{{1,2}}[-/.]\d{{1,2}})[\sT,，]*)?(?P<clock>{_CLOCK})"
# A line with a date and nothing else but ornaments.
DATE_LINE = re.compile(rf"[\W_]*(?:日期\s*[:：]\s*)?(?P<date>{_FULL_DATE})[\sT,，]*(?P<clock>{_CLOCK})?[\W_]*")


def day_number(raw: str) -> int:
    """A day as a number; of ``3/4/24`` the first is the day where it can be."""
    parts = [int(part) for part in re.findall(r"\d+", raw)]
    if named := re.search(r"[A-Za-z]{3}", raw):
        day, year, month = *parts[:2], 1 + _MONTHS.index(named[0].lower())
    elif len(parts) == 2:
        year, month, day = 2000, *parts
    elif parts[0] > 31:
        year, month, day = parts
    else:
        day, month, year = parts
        if month > 12:
            day, month = month, day
    try:
        return date(year + 2000 * (year < 100), month, day).toordinal()
    except ValueError:
        return 0


def minutes_of_day(raw: str) -> int:
    """Minutes since midnight."""
    hour, minute = (int(part) for part in re.findall(r"\d+", raw)[:2])
    if "秒" in raw and "时" not in raw:  # minutes and seconds of a recording
        return hour
    late = re.search(r"下午|晚上|傍晚|[Pp]\.?[Mm]", raw) or ("中午" in raw and hour < 3)
    if late and hour < 12:
        hour += 12
    return (hour * 60 + minute) % 1440
