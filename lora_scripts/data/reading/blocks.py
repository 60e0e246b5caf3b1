"""A text too large to hold: its speakers are decided on its first part, and it is cut in front of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.line_roles import refuse_unread
from lora_scripts.data.reading.paragraphs import read_paragraphs
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.reading.transcript import cut_in_front_of_last_record, layout_of, read_transcript
from lora_scripts.data.reading.turns import without_pages
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.messages import text as say

PART = 4 << 20  # characters; enough to see how a file is written


def read_blocks(
    source: Source, roles: Mapping[str, str | Sequence[str]] | None = None, *, spoken: bool = True
) -> Parsed | None:
    """The drafts of a large text, read as they are taken; None where its first part has none.

    Args:
        source: The file.
        roles: Names by role, as for ``read_transcript``.
        spoken: It is a transcript; else paragraphs without speakers.

    Raises:
        DataError: Several readings are equally good.
    """
    parts = _parts(source, roles, spoken)
    first = next(parts, None)
    if first is None or first[1] is None:
        return None
    parsed = Parsed(first[1].format, first[1].detail)
    parsed.drafts = _drafts(chain([first], parts), parsed, source.where)
    return parsed


def _drafts(parts: Iterator[tuple[int, Parsed | None]], parsed: Parsed, where: str) -> Iterator[Draft]:
    """The drafts of all parts with their lines in the file; remarks of one kind become one."""
    told: dict[str, int] = {}
    for above, part in parts:
        if part is None:
            yield Draft(above + 1, reason="unreadable", note=say("data.note.no_turns"))
            continue
        for draft in part.drafts:
            yield replace(draft, line=draft.line + above)
        parsed.units += part.units
        for severity, kind, line, values in part.remarks:
            if kind not in told:
                told[kind] = len(parsed.remarks)
                parsed.remarks.append((severity, kind, line + above, dict(values)))
            elif isinstance(more := values.get("count"), int):
                sums = parsed.remarks[told[kind]][3]
                sums["count"] = int(str(sums["count"])) + more
                if "lines" in sums and not str(sums["lines"]).endswith("…"):
                    sums["lines"] = f"{sums['lines']}, {values['lines']}"
    refuse_unread(parsed.units, where)


def _parts(
    source: Source, roles: Mapping[str, str | Sequence[str]] | None, spoken: bool
) -> Iterator[tuple[int, Parsed | None]]:
    """Each part with the number of lines above it."""
    lines = source.lines()
    held = _take(lines)
    layout = layout_of(without_pages(scrub("\n".join(held))[0])[0], source.where, roles) if spoken else None
    if spoken and layout is None:
        return
    above = 0
    while held:
        more = _take(lines)
        end = len(held)
        if more:
            end = (cut_in_front_of_last_record(held, layout) if layout else _last_gap(held)) or 0
        if not end:  # one record is longer than a part
            held += more
            continue
        text = "\n".join(held[:end])
        parsed = (
            read_transcript(text, source.where, roles, layout, above + 1)
            if layout
            else read_paragraphs(text, above + 1)
        )
        if parsed and layout and not above:
            parsed.remarks[:0] = layout.remarks
        yield above, parsed
        above += end
        held = held[end:] + more


def _take(lines: Iterator[str]) -> list[str]:
    """The next lines, together about one part."""
    out: list[str] = []
    size = 0
    for line in lines:
        out.append(line)
        size += len(line) + 1
        if size >= PART:
            break
    return out


def _last_gap(lines: Sequence[str]) -> int | None:
    """The last line behind a blank one."""
    return next((i for i in range(len(lines) - 1, 0, -1) if lines[i].strip() and not lines[i - 1].strip()), None)
