"""Text as the detectors of personal data see it: full-width, odd and Chinese digits as ASCII, nothing invisible.

Every change but the removal of invisible characters keeps the length, so offsets need a map only where something
was removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache

# What a detector finds in plain text: start, end, type, certainty (0-100; the more certain one wins an overlap).
Found = tuple[int, int, str, int]

_UNSEEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u0300-\u036f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f"
)
# Behind a digit: its emoji form and the frame of a key around it; they go with it.
KEYCAP = ("\ufe0f", "\u20e3")
_INVISIBLE = re.compile(f"[{_UNSEEN}]")
_VISIBLE_RUN = re.compile(f"[^{_UNSEEN}]+")

# Ranges in which NFKC makes one ASCII character of one character: full-width, circled, mathematical, superscript.
_COMPATIBLE = (
    (0xA0, 0xFF),
    (0x0660, 0x0669),
    (0x06F0, 0x06F9),
    (0x2000, 0x214F),
    (0x2460, 0x24FF),
    (0x2776, 0x2793),
    (0x3000, 0x3000),
    (0xFE50, 0xFE6F),
    (0xFF00, 0xFFEF),
    (0x1D400, 0x1D7FF),
)
_BY_HAND = {
    **dict.fromkeys("‐‑‒–—―−﹣－ー", "-"),
    **dict.fromkeys("〔【〖﹝［", "("),
    **dict.fromkeys("〕】〗﹞］", ")"),
    **dict.fromkeys("•・･∙‧", "·"),
    **dict.fromkeys("×Х✕✖", "X"),
    "︰": ":",
    "￥": "¥",
    "∶": ":",
}
_DIGITS = dict(zip("零〇○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖两洞拐勾", "00012345678911234567892079", strict=True))
_CHINESE = "".join(_DIGITS)
_NUMBER_IN_WORDS = re.compile(rf"[{_CHINESE}0-9](?:[ .\-]{{0,2}}[{_CHINESE}0-9]){{6,}}")
_LONG_NUMBER = re.compile(
    rf"(?P<front>[{_CHINESE}]{{0,2}}[ .\-]{{0,2}})(?P<number>[0-9](?:[ .\-]{{0,2}}[0-9]){{10,18}})"
    rf"(?P<back>[ .\-]{{0,2}}[{_CHINESE}]{{0,2}})"
)
_WORD = re.compile(f"[{_CHINESE}]")
_TO_DIGITS = str.maketrans(_DIGITS)


@cache
def _table() -> dict[int, str]:
    table: dict[int, str] = {}
    for low, high in _COMPATIBLE:
        for code in range(low, high + 1):
            char = chr(code)
            plain = unicodedata.normalize("NFKC", char)
            digit = unicodedata.decimal(char, None)
            if digit is not None:
                table[code] = str(digit)
            elif len(plain) == 1 and plain.isascii():
                table[code] = plain
            elif 0x2776 <= code <= 0x277E:
                table[code] = str(code - 0x2775)
    return table | {ord(char): plain for char, plain in _BY_HAND.items()}


def plain_view(text: str) -> tuple[str, Sequence[int] | None]:
    """``text`` for the detectors, and where each of its characters stands in ``text`` (None: at the same place)."""
    plain = text if text.isascii() else text.translate(_table())
    places: list[int] | None = None
    if _INVISIBLE.search(plain):
        places = [i for run in _VISIBLE_RUN.finditer(plain) for i in range(run.start(), run.end())]
        plain = _INVISIBLE.sub("", plain)
    if not plain.isascii():
        plain = _NUMBER_IN_WORDS.sub(_digits_for_words, plain)
    return plain, places


def _digits_for_words(run: re.Match[str]) -> str:
    """A number said digit by digit (一三八〇〇…) in digits; the 一 of a word behind a mobile number stays a word."""
    words = run[0]
    if not _WORD.search(words):
        return words
    # A long number in figures between words such as 一共 is no part of them.
    if long := _LONG_NUMBER.fullmatch(words):
        return long["front"] + long["number"] + long["back"]
    number = words.translate(_TO_DIGITS)
    mobile = re.match(r"(?:\+?86[ .\-]{0,2})?1(?:[ .\-]{0,2}[0-9]){10}", number)
    if mobile and mobile[0].lstrip("86 .-")[1:2] in set("3456789") and len(number) - mobile.end() in (1, 2):
        return mobile[0] + words[mobile.end() :]
    return number


def scan(pattern: re.Pattern[str], text: str, judge: Callable[[re.Match[str]], Found | None]) -> Iterator[Found]:
    """What ``judge`` makes of the matches of ``pattern``; a refused match does not hide one that begins inside it."""
    match = pattern.search(text)
    while match:
        found = judge(match)
        if found:
            yield found
        match = pattern.search(text, max(found[1], match.start() + 1) if found else match.start() + 1)


def before(match: re.Match[str], length: int = 16) -> str:
    """The characters in front of a match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: re.Match[str], length: int = 12) -> str:
    """The characters behind a match."""
    return match.string[match.end() : match.end() + length]
