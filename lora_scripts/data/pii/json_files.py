"""JSON and JSON lines without personal data: strings are read with their escapes, changed in place, and stay JSON.

Only the characters of a value are replaced, so escapes, spaces, order and half surrogates around it stay as written.
A line that is no JSON (cut off, two lines in one) is changed as one string, and costs its neighbours nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.errors import DataError

_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_QUOTE = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])-?[0-9]{5,20}(?:\.0)?(?![\w.])")
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$")


def json_document(content: str, job: Pass) -> str:
    """A JSON file; in mode ``drop`` the objects of a list are left out.

    Raises:
        DataError: Mode ``drop`` and no list.
    """
    if re.match(r"\s*\{[^\r\n]*\}[ \t]*\r?\n\s*\{", content):
        return json_lines(content, job)
    if job.mode == "drop":
        return _without_objects(content, job)
    return _valid(content, job, 1) if _parses(content) else _by_line(content, job)


def json_lines(content: str, job: Pass) -> str:
    """JSON lines; in mode ``drop`` lines are left out."""
    if job.mode != "drop":
        return _by_line(content, job)
    kept = []
    for number, row in enumerate(_LINE.findall(content), 1):
        count = len(job.hits)
        _line(row, job, number)
        if not job.move_hits(count, str(number)):
            kept.append(row)
    return "".join(kept)


def _by_line(content: str, job: Pass) -> str:
    return "".join(_line(row, job, number) for number, row in enumerate(_LINE.findall(content), 1))


def _line(row: str, job: Pass, number: int) -> str:
    quotes = len(_QUOTE.findall(row))
    if _parses(row) or (quotes and quotes % 2 == 0):  # also a line of a broken document
        return _valid(row, job, number)
    return _string(row, job, number)


def _parses(content: str) -> bool:
    try:
        json.loads(content.removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _valid(content: str, job: Pass, line: int) -> str:
    """Strings and long numbers; a string is read under its key, which tells what a bare number is."""
    pieces: list[str] = []
    position, label = 0, ""
    for literal in _LITERAL.finditer(content):
        gap = content[position : literal.start()]
        pieces.append(_gap(gap, job, line, label))
        line += gap.count("\n")
        inner = literal[0][1:-1]
        is_key = re.match(r"\s*:", content[literal.end() : literal.end() + 20]) is not None
        if is_key:
            label = _decoded(inner)[0]
        pieces += ['"', _string(inner, job, line, "" if is_key else label), '"']
        line += inner.count("\n")
        position = literal.end()
    pieces.append(_gap(content[position:], job, line, label))
    return "".join(pieces)


def _string(inner: str, job: Pass, line: int, label: str = "") -> str:
    """The inside of a string literal, changed character by character as it is escaped."""
    value, places = _decoded(inner)
    edits = job.edits(value, line, label)
    if not edits:
        return inner
    escaped = inner.isascii() and "\\u" in inner
    pieces, position = [], 0
    for start, end, new in edits:
        first, last = (places[start], places[end]) if places else (start, end)
        pieces += [inner[position:first], json.dumps(new, ensure_ascii=escaped)[1:-1]]
        position = last
    return "".join([*pieces, inner[position:]])


def _decoded(inner: str) -> tuple[str, list[int]]:
    """A string's value, and where each of its characters begins in the literal (empty: at the same place)."""
    if "\\" not in inner:
        return inner, []
    characters, places = [], []
    for match in _CHARACTER.finditer(inner):
        places.append(match.start())
        characters.append(_character(match[0]))
    return "".join(characters), [*places, len(inner)]


def _character(token: str) -> str:
    if len(token) == 12:
        high, low = int(token[2:6], 16), int(token[8:], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    if len(token) == 6:
        return chr(int(token[2:], 16))
    return _ESCAPES.get(token[1], token[1]) if len(token) == 2 else token


def _gap(gap: str, job: Pass, line: int, label: str) -> str:
    """What stands between strings: numbers, and in a broken file anything."""

    def number(match: re.Match[str]) -> str:
        new = job.rewrite(match[0], line + gap.count("\n", 0, match.start()), label)
        return match[0] if new == match[0] else json.dumps(new, ensure_ascii=False)

    gap = _NUMBER.sub(number, gap)
    broken = not gap.lstrip("\ufeff").isascii() or "@" in gap  # the rest of a string that never ends
    return job.rewrite(gap, line) if broken else gap


def _without_objects(content: str, job: Pass) -> str:
    try:
        whole: Any = json.loads(content.removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError) as error:
        raise DataError("desensitize.cannot_read", where=job.file, why=str(error)[:80]) from None
    if not isinstance(whole, list):
        raise DataError("desensitize.no_drop_here", where=job.file)
    kept = []
    for index, item in enumerate(whole, 1):
        count = len(job.hits)
        _valid(json.dumps(item, ensure_ascii=False), job, 1)
        if not job.move_hits(count, f"[{index}]"):
            kept.append(item)
    if len(kept) == len(whole):
        return content
    indent = re.match(r"\s*\[\s*\n([ \t]+)", content)
    halves = any("\ud800" <= char <= "\udfff" for char in json.dumps(kept, ensure_ascii=False))
    escaped = halves or (content.isascii() and "\\u" in content)
    tail = "\n" if content.endswith("\n") else ""
    out = json.dumps(kept, ensure_ascii=escaped, indent=indent[1] if indent else None) + tail
    return out.replace("\n", "\r\n") if "\r\n" in content else out
