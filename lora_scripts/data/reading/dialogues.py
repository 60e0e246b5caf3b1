"""Which turns of a transcript belong to one conversation.

Blank lines, dividers (``---``, ``对话 3``) and numbers mostly tell. Where they are used loosely, as in files in
which some pairs follow each other without a gap, every question opens a record of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from lora_scripts.data.records import Draft, Message

Remarks = list[tuple[str, str, int, dict[str, object]]]


@dataclass(slots=True)
class Turn:
    """One turn: ``line`` (1-based), its ``words``, and what stands before it.

    ``blank`` lines, a ``numbered`` prefix, a ``divided`` line; ``inline`` where it stands in the line of another.
    ``stop``: the number of its last line, 0 where its words tell. ``left_out``: numbers of the lines below it that are
    no part of it (``stray_lines.py``).
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
    stop: int = 0
    left_out: tuple[int, ...] = ()


_GREETS = re.compile(
    r".{0,12}(?:在吗|在么|在不在|您好|你好|hello|\bhi\b|请教|咨询一下|问一下|excuse me).{0,16}", re.IGNORECASE
)
_FEWEST_REVERSED = 3
_RARE = 0.1  # share of questions without the gap that all others have, up to which these go on with the conversation
_RELATED = 0.12  # share of a question's terms from which it goes on with what was said
_COMPARED = 200  # questions
# Pairs of Chinese characters (overlapping), and words of some length.
_TERMS = re.compile(r"(?=([\u4e00-\u9fff]{2}))|\b([a-z]{4,})\b")
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
    turns = _with_greetings(turns)
    turns, reversed_pairs = _questions_first(turns)
    opens = [i for i, t in enumerate(turns) if _opens(turns, i)]
    breaks = {i for i in opens if one_line and not turns[i].inline} | _gaps(turns, opens)
    inner = [i for i in opens if i not in breaks and i]
    conversations = bool(inner) and _holds_conversations(turns, opens, breaks, inner)
    remarks: Remarks = []
    if reversed_pairs:
        remarks.append(("warning", "answers_first", turns[0].line, {"count": reversed_pairs}))
    if inner and not conversations:
        remarks.append(("info", "pairs_without_gap", turns[inner[0]].line, {"count": len(inner)}))
    gaps = Counter(turns[i].blank for i in opens[1:])
    levels = sorted(gap for gap, count in gaps.items() if count >= 0.2 * len(opens))
    if not inner and len(levels) > 1:
        wide = next(i for i in opens[1:] if turns[i].blank == levels[-1])
        values: dict[str, object] = {"count": gaps[levels[-1]], "few": levels[0], "many": levels[-1]}
        remarks.append(("info", "uneven_gaps", turns[wide].line, values))
    return _cut(turns, breaks if conversations else set(opens), conversations), _mode(conversations), remarks


def _with_greetings(turns: Sequence[Turn]) -> list[Turn]:
    """``turns``, a greeting joined with the question that its speaker asks next."""
    out: list[Turn] = []
    for turn in turns:
        before = out[-1] if out else None
        if (
            before
            and before.role == turn.role == "user"
            and before.name == turn.name
            and not (turn.blank or turn.divided or turn.numbered)
            and _GREETS.fullmatch(before.words.strip())
        ):
            out[-1] = replace(before, words=f"{before.words.strip()}\n{turn.words}")
        else:
            out.append(turn)
    return out


def _questions_first(turns: list[Turn]) -> tuple[list[Turn], int]:
    """``turns`` with each question in front of its answer, where nearly all records are an answer and a question.

    The second value is the number of such records.
    """
    if not turns:
        return turns, 0
    starts = sorted({0} | record_openings(turns))
    if len(starts) == 1 and _ends_with_a_question(turns):
        starts = list(range(0, len(turns), 2))
    records = [turns[start:stop] for start, stop in zip(starts, [*starts[1:], len(turns)], strict=True)]
    turned = [[t.role for t in record] == ["assistant", "user"] for record in records]
    if len(records) < _FEWEST_REVERSED or sum(turned) < 0.8 * len(records):
        return turns, 0
    out: list[Turn] = []
    for record, is_turned in zip(records, turned, strict=True):
        if is_turned:
            answer, question = record
            record = [replace(question, blank=answer.blank, divided=True), replace(answer, blank=0, divided=False)]
        out += record
    return out, sum(turned)


def _ends_with_a_question(turns: Sequence[Turn]) -> bool:
    """Whether turns alternate from an answer without question to a question without answer, and questions ask."""
    roles = [turn.role for turn in turns]
    asking = [turn.words.rstrip().endswith(("?", "？")) for turn in turns[1::2]]
    return roles == ["assistant", "user"] * (len(turns) // 2) and asking[-1] and sum(asking) >= 0.8 * len(asking)


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
    if sum(turns[i].divided for i in breaks) >= 0.8 * (len(breaks) - 1):
        return True
    follows = _mean_overlap(turns, inner)
    if follows >= _RELATED and follows >= 2 * _mean_overlap(turns, sorted(breaks)[1:]):
        return True
    answers = [t.words for t in turns if t.role == "assistant"]
    even = len({turns[i].blank for i in breaks if i}) == 1 and not any("\n\n" in words for words in answers)
    counted = sum(turns[i].numbered for i in breaks) >= 0.8 * len(breaks)
    if even and not counted and len(inner) <= _RARE * len(opens):
        return True
    loose = sum("\n\n" in words for words in answers) >= 0.1 * len(answers)
    return len(breaks) <= (0.4 if loose else 0.7) * len(opens)


def _mean_overlap(turns: Sequence[Turn], questions: Sequence[int]) -> float:
    """How much of the words of ``questions`` stands in the turns right before them: 0 to 1, a mean."""
    shares = []
    for i in questions[:_COMPARED]:
        asked = {han or word for han, word in _TERMS.findall(turns[i].words.lower())}
        before = "".join(t.words.lower() for t in turns[max(0, i - 2) : i])
        shares.append(sum(term in before for term in asked) / len(asked) if asked else 0.0)
    return sum(shares) / len(shares) if shares else 0.0


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
