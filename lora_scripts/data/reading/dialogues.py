"""Which turns of a transcript belong to one conversation.

Blank lines, dividers (``---``, ``对话 3``) and numbers mostly tell. Where they are used loosely, as in files in
which some pairs follow each other without a gap, every question opens a record of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from lora_scripts.data.records import Draft, Message

Remarks = list[tuple[str, str, int, dict[str, object]]]


@dataclass(slots=True)
class Turn:
    """One turn: ``line`` (1-based), its ``words``, and what stands before it.

    ``blank`` lines, a ``numbered`` prefix, a ``divided`` line; ``inline`` where it stands in the line of another.
    """

    role: str
    name: str
    shown: str
    line: int
    words: str
    blank: int
    numbered: bool
    divided: bool = False
    inline: bool = False


# How a question begins that leans on what was said before it.
_LEANS = re.compile(
    r"那|还有|另外|这个|这种|这样|这是|它|谢谢|好的|好吧|嗯|哦|(?:对|是|行|可以)[，,。！!]|是的|不是|但|可是|所以|然后|再"
    r"|(?:and|but|so|then|what about|how about|what if|ok|okay|thanks|thank|yes|no|also|it|that|this|why)\b",
    re.IGNORECASE,
)


def drafts_of(turns: Sequence[Turn], one_line: bool) -> tuple[list[Draft], str, Remarks]:
    """Drafts of a transcript, how they were cut (``pairs`` or ``conversations``), and remarks.

    Args:
        turns: In order.
        one_line: Lines hold whole pairs, so each line is a record.
    """
    opens = [i for i, t in enumerate(turns) if _opens(turns, i)]
    breaks = {i for i in opens if one_line and not turns[i].inline} | _gaps(turns, opens)
    inner = [i for i in opens if i not in breaks and i]
    conversations = bool(inner) and _holds_conversations(turns, opens, breaks, inner)
    remarks: Remarks = []
    if inner and not conversations:
        remarks.append(("info", "pairs_without_gap", turns[inner[0]].line, {"count": len(inner)}))
    gaps = Counter(turns[i].blank for i in opens[1:])
    levels = sorted(gap for gap, count in gaps.items() if count >= 0.2 * len(opens))
    if not inner and len(levels) > 1:
        wide = next(i for i in opens[1:] if turns[i].blank == levels[-1])
        values: dict[str, object] = {"count": gaps[levels[-1]], "few": levels[0], "many": levels[-1]}
        remarks.append(("info", "uneven_gaps", turns[wide].line, values))
    return _cut(turns, breaks if conversations else set(opens), conversations), _mode(conversations), remarks


def record_openings(turns: Sequence[Turn]) -> set[int]:
    """Turns, whoever's, that stand behind a divider or a number, or behind more blank lines than usual."""
    usual = median_low([t.blank for t in turns if not t.inline] or [0])
    return {i for i, t in enumerate(turns) if t.divided or t.numbered or t.blank > usual}


def _mode(conversations: bool) -> str:
    return "conversations" if conversations else "pairs"


def _opens(turns: Sequence[Turn], i: int) -> bool:
    """A system text, a question that has none right before it, or an answer without question behind a gap."""
    turn, before = turns[i], turns[i - 1].role if i else ""
    if turn.role == "system":
        return before != "system"
    return before != "system" and (turn.role == "user" or not before)


def _gaps(turns: Sequence[Turn], opens: Sequence[int]) -> set[int]:
    """Openings with a divider, a number, or more blank lines than stand before answers."""
    divided = {i for i in opens if turns[i].divided}
    if len(divided) >= 0.2 * len(opens):
        return divided | set(opens[:1])
    usual = _usual_gap(turns)
    return {i for i in opens if turns[i].blank > usual or turns[i].numbered or turns[i].divided} | set(opens[:1])


def _usual_gap(turns: Sequence[Turn]) -> int:
    return median_low([t.blank for t in turns if t.role == "assistant" and not t.inline] or [0])


def _holds_conversations(turns: Sequence[Turn], opens: Sequence[int], breaks: set[int], inner: Sequence[int]) -> bool:
    """Whether questions without a gap before them go on with the conversation above.

    Gaps are trusted where most questions have none, or where such questions lean on what was said. They are not
    where the speakers' names change without a gap, and less where answers hold blank lines themselves.
    """
    last_user = {i: next((t.name for t in reversed(turns[:i]) if t.role == "user"), "") for i in inner[:200]}
    if sum(turns[i].name != name for i, name in last_user.items()) >= 0.3 * len(last_user):
        return False
    if sum(bool(_LEANS.match(turns[i].words.strip())) for i in inner) >= 0.25 * len(inner):
        return True
    if len(breaks) < 2:
        return False
    answers = [t.words for t in turns if t.role == "assistant"]
    loose = sum("\n\n" in words for words in answers) >= 0.1 * len(answers)
    return len(breaks) <= (0.4 if loose else 0.7) * len(opens)


def _cut(turns: Sequence[Turn], breaks: set[int], conversations: bool) -> list[Draft]:
    drafts: list[Draft] = []
    block: list[Turn] = []
    usual = _usual_gap(turns)

    def close() -> None:
        if block:
            drafts.append(Draft(block[0].line, tuple(Message(t.role, t.words) for t in block)))
            block.clear()

    for i, turn in enumerate(turns):
        answered = bool(block) and block[-1].role == "assistant"
        gap = turn.blank > (usual if conversations else 0) or turn.divided
        if (
            i in breaks
            or (gap and answered and turn.role == "assistant")
            or (not conversations and turn.role == "user" and answered)
        ):
            close()
        block.append(turn)
    close()
    return drafts
