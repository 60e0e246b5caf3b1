"""Signs and counts that a file sets in front of its questions or answers (``①``, ``■``, ``→``, quotes): no words.

A mark is taken off where it stands on nearly all texts of one side; on some of them it belongs to the text.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence

from lora_scripts.data.reading.labels import match_number

_FEWEST = 3
_NEARLY_ALL = 0.9
# A circled number, or up to two signs that are neither brackets nor quotes nor money nor arithmetic.
_NO_SIGNS = re.escape("\"'“”‘’（）()《》【】[]<「」『』$￥¥€%+=.。,，…~～/\\|&@")
_SIGN = re.compile(
    rf"\s*(?:(?P<arrow>[=\-]{{1,3}}>)|(?P<circled>[①-⑳❶-❿㊀-㊉])|(?P<sign>[^\w\s{_NO_SIGNS}]{{1,2}}))\s*(?=\S)"
)
# A number in front of a sign that ends no sentence: ``3→``.
_COUNTED = re.compile(r"\s*\d{1,4}\s*(?:[→|｜»]|[=\-]{1,2}>|[-–—])\s*(?=[^\d\s])")
_QUOTED = re.compile(r"\s*(?:“(?P<curly>[^“”\n]*)”|\"(?P<double>(?:[^\"\\\n]|\\.)*)\"|'(?P<single>(?:[^'\n]|'')*)')\s*")
_TAG_LINE = re.compile(r"\s*(?:</?[a-z_][\w:.\-]*(?:\s[^<>]*)?/?>\s*|<[?!][^<>]*>\s*)+", re.IGNORECASE)


def without_common_marks(texts: Sequence[str], numbers: bool = True) -> tuple[list[str], str]:
    """``texts`` without the mark that nearly all of them begin with, and that mark (``①`` for circled numbers).

    ``numbers``: numbers (``1.``, ``（二）``) are such marks too. The mark is empty where there is none.
    """
    found = [_mark(text, numbers) for text in texts]
    shapes = Counter(shape for shape, _ in found if shape)
    shape, count = shapes.most_common(1)[0] if shapes else ("", 0)
    if count < max(_FEWEST, _NEARLY_ALL * len(texts)):
        return list(texts), ""
    return [text[end:] if one == shape else text for text, (one, end) in zip(texts, found, strict=True)], shape


def sign_of(line: str) -> str:
    """The sign that a line begins with; empty where it begins with words or a number."""
    return _mark(line, numbers=False)[0]


def _mark(text: str, numbers: bool) -> tuple[str, int]:
    """The shape of what a text begins with, and where its words begin."""
    if sign := _SIGN.match(text):
        return "①" if sign["circled"] else sign["arrow"] or sign["sign"], sign.end()
    number = (match_number(text) or _COUNTED.match(text)) if numbers else None
    return ("1", number.end()) if number else ("", 0)


def without_quotes(texts: Sequence[str]) -> tuple[list[str], bool]:
    """``texts`` without the quotes that stand around nearly all of them, as in YAML; True where there are such."""
    quoted = [_QUOTED.fullmatch(text) for text in texts]
    if sum(map(bool, quoted)) < max(_FEWEST, _NEARLY_ALL * len(texts)):
        return list(texts), False
    return [_unquoted(one) if one else text for text, one in zip(texts, quoted, strict=True)], True


def _unquoted(found: re.Match[str]) -> str:
    if found["curly"] is not None:
        return found["curly"]
    if found["double"] is None:
        return found["single"].replace("''", "'")
    breaks = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda escaped: breaks.get(escaped[1], escaped[1]), found["double"])


def close_tag(body: Sequence[str], name: str) -> tuple[list[str], int] | None:
    """The lines of a text in front of its end tag, with entities read, and how many lines lie below; None without one.

    Args:
        body: Lines behind the tag ``<name>``.
        name: As written.
    """
    end = f"</{name.casefold()}>"
    for number, line in enumerate(body):
        at = line.casefold().find(end)
        if at < 0:
            continue
        if line[at + len(end) :].strip() and not _TAG_LINE.fullmatch(line[at + len(end) :]):
            return None  # its answer may stand in the same line
        inside = [*body[:number], line[:at]]
        while len(inside) > 1 and not inside[-1].strip():
            inside.pop()
        return [html.unescape(one) for one in inside], len(body) - len(inside)
    return None


def is_tag_line(line: str) -> bool:
    """Whether a line holds tags and nothing else."""
    return bool(_TAG_LINE.fullmatch(line))
