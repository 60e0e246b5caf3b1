"""Text as the word lists see it: letters without case, accents and look-alikes, simplified Chinese, nothing between.

Every character is folded by itself, whatever stands around it, so a text that comes in pieces folds like a whole one.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

MARK = "█"  # stands in for each character that a rule masked
BARRIER = "\0"  # a character of the view that is in no word

APOSTROPHES = "'’‘ʼ＇"
# The strokes are Chinese characters, but what people write between others: 赌丶博.
_STROKES = "丶丨丿亅乀乁ー"
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by category, blank to the eye
_LEET = str.maketrans("013457", "oleast")
# NFKD leaves the radicals of simplified characters alone.
_RADICALS = dict(
    zip(
        "⺁⺌⺎⺕⺗⺝⺟⺠⺨⺩⺪⺬⺭⺮⺼⻁⻄⻅⻆⻉⻋⻒⻓⻔⻗⻘⻙⻚⻛⻜⻝⻟⻠⻢⻣⻤⻥⻦⻨⻩⻬⻮⻰⻳",
        "厂小兀彐心月母民犬王疋示示竹肉虎西见角贝车镸长门雨青韦页风飞食食食马骨鬼鱼鸟麦黄齐齿龙龟",
        strict=True,
    )
)


class Sign(NamedTuple):
    """One character of the view.

    ``folded`` is what is compared, ``at`` the place of its character in the text, ``gap`` what was to be seen between
    it and the sign before, ``digit`` the figure that was written, else empty.
    """

    folded: str
    at: int
    gap: str
    digit: str


class _Folds(dict[int, str]):
    """Code point → folded characters, filled as they occur; empty for what is seen through."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold(chr(code))
        return folded


FOLDS: dict[int, str] = _Folds()


@cache
def _simplified() -> dict[str, str]:
    from opencc import OpenCC  # its dictionary is read from disk

    chars = "".join(map(chr, (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), *range(0x20000, 0x2A6E0))))
    pairs = zip(chars, OpenCC("t2s").convert("\n".join(chars)).split("\n"), strict=True)
    table = {before: after for before, after in pairs if before != after and len(after) == 1}
    return {before: table.get(after, after) for before, after in table.items()}  # 薴 is 苧, and that is 苎


@cache
def _look_alikes() -> dict[str, str]:
    """Letters of other scripts that look like a Latin one, by Unicode's list of confusables."""
    from confusable_homoglyphs.confusables import confusables_data

    found: dict[str, str] = {}
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for entry in confusables_data.get(letter, ()):
            other = entry["c"]
            if len(other) == 1 and not other.isascii() and not _is_han(other) and unicodedata.category(other)[0] == "L":
                found.setdefault(other, letter.lower())
    return found


def _is_han(char: str) -> bool:
    return "\u2e80" <= char <= "\u9fff" or char >= "\U00020000"


def _fold(char: str) -> str:
    code = ord(char)
    if 0x1F150 <= code <= 0x1F189:  # letters in dark circles and squares
        return _fold(chr(ord("a") + (code - 0x1F150) % 32)) if (code - 0x1F150) % 32 < 26 else ""
    if 0x1F1E6 <= code <= 0x1F1FF:  # the letters that flags are made of
        return _fold(chr(ord("a") + code - 0x1F1E6))
    alike = _look_alikes()
    folded = ""
    for part in unicodedata.normalize("NFKD", _RADICALS.get(char, char)):
        if unicodedata.category(part)[0] not in "LN" or part in _STROKES or part in _FILLERS:
            continue
        digit = unicodedata.digit(part, None)
        plain = str(digit) if digit is not None else alike.get(part) or _simplified().get(part, part)
        folded += "".join(alike.get(letter, letter) for letter in plain.casefold())
    return folded.translate(_LEET).replace("i", "l")


@cache
def digit_of(char: str) -> str:
    """The figure that ``char`` shows, else nothing."""
    value = unicodedata.digit(unicodedata.normalize("NFKC", char)[:1], None)
    return "" if value is None else str(value)


@cache
def is_unseen(char: str) -> bool:
    """Whether a character that folds to nothing takes no place: an accent, a zero width, a control, a filler."""
    return (unicodedata.category(char)[0] in "MC" and char not in "\n\r\t") or char in _FILLERS


def is_latin(folded: str) -> bool:
    """Whether a character of the view is a Latin letter or a figure; words of these end where none follows."""
    return folded.isascii() and folded.isalnum()


def view(text: str) -> str:
    """All of ``text`` folded."""
    return text.translate(FOLDS)


def spelled(word: str) -> str:
    """A listed word folded, but with its figures as they are: where a list says 3, an E is no disguise of it."""
    return "".join(digit_of(char) * len(FOLDS[ord(char)]) or FOLDS[ord(char)] for char in word)
