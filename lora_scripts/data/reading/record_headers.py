"""Headers that stand above every record of a text: ``id=3``, an address, ``Description`` and a few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest

from lora_scripts.data.reading.columns import is_metadata_name, plain_header
from lora_scripts.data.reading.labels import Mark
from lora_scripts.data.reading.names import FIELDS, STATUS_FIELDS, role_of

_USUAL = 0.6  # share of records that hold a field
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


def trailing_labels(
    lines: Sequence[str], marks: Sequence[Mark], names: Mapping[str, str], header: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """Unknown labels below nearly every answer: fields about the record (满意度), and others, whose texts differ.

    A label with the same text again and again is a phrase of the house, not a field.
    """
    records: list[list[Mark]] = []
    values: dict[str, list[str]] = {}
    inside = False
    for mark, after in zip_longest(marks, marks[1:]):
        role = names.get(mark.name)
        if role == "assistant":
            inside = True
            records.append([])
        elif role == "user":
            inside = False
        elif inside and role is None and re.sub(r"\d+", "#", mark.shown) + ":" not in header:
            records[-1].append(mark)
            text = "\n".join([lines[mark.line][mark.start :], *lines[mark.line + 1 : after.line if after else None]])
            values.setdefault(mark.name, []).append(text.strip())
    counts = Counter(name for record in records for name in {mark.name for mark in record})
    usual = {name for name, count in counts.items() if count >= max(3, _USUAL * len(records))}
    held = [[mark.name in usual for mark in record] for record in records]
    last = sum(flags == sorted(flags) for flags in held if any(flags))
    if not usual or last < 0.9 * sum(map(any, held)):
        return [], []
    fields, others = [], []
    for name in usual:
        differs = len(set(values[name])) > max(1, 0.5 * len(values[name]))
        if (name in STATUS_FIELDS and name != "备注") or (differs and is_metadata_name(plain_header(name))):
            fields.append(name)
        elif differs and name not in FIELDS and not role_of(name) and len(name) <= (16 if name.isascii() else 4):
            others.append(name)
    return fields, others


def _shapes(lines: Sequence[str], start: int, end: int) -> dict[int, str]:
    """The last lines in front of ``end`` by number, in order, with what is the same in each header."""
    out: dict[int, str] = {}
    for number in range(end - 1, start - 1, -1):
        line = lines[number].strip()
        if line and line.strip("-=*#_~"):
            key = _KEY.match(line)
            out[number] = (
                re.sub(r"\d+", "#", key[1]) + ":"
                if key and not _URL.match(line)
                else re.sub(r"\d+", "#", _URL.sub("<url>", line))
            )
        if len(out) == _LONGEST:
            break
    return dict(reversed(out.items()))
