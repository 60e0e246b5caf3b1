"""Subtitles (SRT, WebVTT) with speakers in front of their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_scripts.data.reading.transcript import read_transcript
from lora_scripts.data.records import Parsed

_FEWEST = 3
_CUE = re.compile(r"\s*(?:\d{1,2}:)?\d{1,2}:\d{2}[,.]\d{2,3}\s*-->\s*(?:\d{1,2}:)?\d{1,2}:\d{2}[,.]\d{2,3}.*")
_VOICE = re.compile(r"^\s*<v(?:\.\S+)?\s+([^<>]+)>\s*")
_COUNT = re.compile(r"\s*\d{1,6}\s*")


def read_subtitles(text: str, where: str, roles: Mapping[str, str | Sequence[str]] | None = None) -> Parsed | None:
    """The turns of a text with the times of subtitles; None where it has no such times, or no speakers.

    Args:
        text: A whole file.
        where: Its name, for messages.
        roles: As for ``read_transcript``.

    Raises:
        AmbiguousDataError: As for ``read_transcript``.
    """
    lines = text.split("\n")
    cues = [n for n, line in enumerate(lines) if "-->" in line and _CUE.fullmatch(line)]
    if len(cues) < _FEWEST:
        return None
    timing = {*cues, *(n - 1 for n in cues if n and _COUNT.fullmatch(lines[n - 1]))}
    timing |= {n for n in range(cues[0]) if lines[n].startswith("WEBVTT")}
    words = (_VOICE.sub(r"\1：", line).replace("</v>", "") for line in lines)
    parsed = read_transcript("\n".join("" if n in timing else line for n, line in enumerate(words)), where, roles)
    if parsed is None:
        return None
    parsed.drafts = [
        replace(draft, turns=tuple(replace(m, content=re.sub(r"\n{2,}", "\n", m.content)) for m in draft.turns))
        for draft in parsed.drafts
    ]
    parsed.units["metadata"] += len(timing)
    parsed.remarks.append(("info", "subtitles", cues[0] + 1, {"count": len(cues)}))
    return parsed
