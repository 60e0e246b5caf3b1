"""Headers that stand above every record of a text: ``id=3``, an address, ``Description`` and a few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lora_scripts.data.reading.labels import Mark

_LONGEST = 12  # non-blank lines of a header
_URL = re.compile(r"https?://\S+")
_KEY = re.compile(r"[\s#*【\[]*([^\W\d_][\w ]{0,15}?)\s*[】\]]?\s*[=:：]")


def header_shapes(lines: Sequence[str], marks: Sequence[Mark], names: Mapping[str, str]) -> tuple[str, ...]:
    """What recurs above the questions, the first one too, in order: keys, addresses, words, numbers as ``#``."""
    spoken = [m for m in marks if m.name in names]
    if not spoken:
        return ()
    above = _shapes(lines, 0, spoken[0].line)
    if not above:
        return ()
    counts = Counter(set(above.values()))
    bodies = 1
    for before, mark in pairwise(spoken):
        if names[before.name] != "user" and names[mark.name] != "assistant":
            counts.update(set(_shapes(lines, before.line + 1, mark.line).values()) & counts.keys())
            bodies += 1
    return tuple(dict.fromkeys(s for s in above.values() if counts[s] >= max(2, 0.2 * bodies)))


def header_start(lines: Sequence[str], start: int, end: int, shapes: tuple[str, ...]) -> int:
    """The line from ``start`` on where a header with ``shapes`` begins that reaches to ``end``; else ``end``."""
    if not shapes:
        return end
    there = _shapes(lines, start, end)
    for shape in shapes:
        at = [number for number, one in there.items() if one == shape]
        if at:
            return max(at)
    return end


def _shapes(lines: Sequence[str], start: int, end: int) -> dict[int, str]:
    """The last lines in front of ``end`` by number, in order, with what is the same in each header."""
    out: dict[int, str] = {}
    for number in range(end - 1, start - 1, -1):
        line = lines[number].strip()
        if line and line.strip("-=*#_~"):
            key = _KEY.match(line)
            out[number] = f"{key[1]}:" if key and not _URL.match(line) else re.sub(r"\d+", "#", _URL.sub("<url>", line))
        if len(out) == _LONGEST:
            break
    return dict(reversed(out.items()))
