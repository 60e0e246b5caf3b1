"""Text without speakers in blocks: a question on the first line, its answer below, blank lines between blocks."""

from __future__ import annotations

import re

from lora_scripts.data.clean import scrub
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.messages import text as say

_FEWEST = 3
_ASKS = re.compile(
    r"[?？]|吗|呢|怎么|怎样|如何|什么|为何|哪|多少|能否|是否|可以.{0,8}不|\b(?:what|how|why|when|where|who|which|can|is|are|do|does)\b",
    re.I,
)


def read_paragraphs(text: str) -> Parsed | None:
    """Blocks of at least two lines, nearly all beginning with a question that their other lines do not ask.

    Only strong evidence is taken, and a finding says what was assumed; else None.
    """
    text, touched = scrub(text)
    blocks: list[tuple[int, list[str]]] = []
    blank = True
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            if blank:
                blocks.append((number, []))
            blocks[-1][1].append(line)
        blank = not line.strip()
    paired = [b for b in blocks if len(b[1]) > 1]
    asking = sum(bool(_ASKS.search(lines[0])) for _, lines in paired)
    answering = sum(not lines[-1].rstrip().endswith(("?", "？")) for _, lines in paired)
    enough = max(_FEWEST, 0.9 * len(blocks))
    if len(paired) < enough or asking < 0.7 * len(paired) or answering < 0.9 * len(paired):
        return None
    drafts = [
        Draft(number, (("user", lines[0]), ("assistant", "\n".join(lines[1:]))))
        if len(lines) > 1
        else Draft(number, (("user", lines[0]),))
        for number, lines in blocks
    ]
    parsed = Parsed(
        "blocks", say("data.detail.blocks"), drafts, [("warning", "blocks_assumed", 1, {"count": len(blocks)})]
    )
    if touched:
        parsed.remarks.append(("info", "invisible_characters", 1, {"count": touched}))
    return parsed
