"""Role-prefixed text: ``用户：… 律师：…`` with any names.

A line may open a turn when it begins with a short name and a colon (or a name in brackets). Which names are
speakers is decided over the whole file: they recur and they alternate; known names come first, unknown ones are
taken where they fill the places in which a turn is missing, and a known name that only breaks the alternation is
text. Which lines open turns is then the cheapest path through the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.dialogues import Turn, drafts_of
from lora_scripts.data.reading.inline import COLON, split_inline
from lora_scripts.data.reading.names import FIELDS, given_roles, plain_name, role_of
from lora_scripts.data.records import Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_LEAD = (
    r"[\s>#*•●·\-]*"
    r"(?:[\[(（]?\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?[\])）]?\s+"
    r"|\[?\d{1,2}:\d{2}(?::\d{2})?\]?\s+)?"
    r"(?P<number>(?:第\s*)?(?:\d{1,6}\s*[.、．)）]|[一二三四五六七八九十百零〇]{1,6}\s*[、．)）])\s*"
    r"|[（(](?:\d{1,6}|[一二三四五六七八九十百零〇]{1,6})[)）]\s*|[①-⑳]\s*)?"
    r"\*{0,2}"
)
_NAME = r"[^\W\d_][\w \-·'’&/.]{0,23}?(?:\s*[（(][^（）()\n]{1,16}[)）])?"
_MARK = re.compile(
    rf"{_LEAD}(?:[【\[〔［<＜「『]\s*(?P<boxed>{_NAME})\s*[】\]〕］>＞」』]\*{{0,2}}\s*{COLON}?"
    rf"|(?P<bare>{_NAME})\*{{0,2}}\s*{COLON}(?!//))\*{{0,2}}\s*"
)
_HEADING = re.compile(rf"\s*#{{1,6}}\s*(?P<bare>{_NAME})\s*$")
_START = re.compile(_LEAD)
_WORD = re.compile(r"[^\W\d_]\S{0,15}(?=\s|$)")
_MAX_WORDS = 3
_MAX_CJK = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """A line (0-based) that may open a turn: whose, where its words begin, and what stands before it.

    ``cost`` of taking it for one: 0 with a colon or brackets; such a mark (``sure``) is never passed over.
    """

    line: int
    name: str
    shown: str
    start: int
    numbered: bool
    blank: int
    cost: float = 0.0
    sure: bool = True


def read_transcript(
    text: str,
    where: str,
    roles: Mapping[str, str | Sequence[str]] | None = None,
    speakers: Mapping[str, str] | None = None,
) -> Parsed | None:
    """The turns of a role-prefixed text, or None where no speakers can be seen in it.

    Args:
        text: A whole file.
        where: Its name, for messages.
        roles: Names by role; where both user and assistant are named, nobody else speaks.
        speakers: What ``speakers_of`` found in an earlier part of the file, which is then not asked again.

    Raises:
        DataError: Several readings are equally good (the text names them and the key that decides).
    """
    text, touched = scrub(text)
    lines = text.split("\n")
    given = given_roles(roles)
    seen = _without_options(_marks(lines), given)
    names = dict(speakers) if speakers else _speakers(seen, given, where) or _lone_speaker(seen, lines)
    if not names:
        return None
    marks = _chosen([m for m in seen if m.name in names] + _weak_marks(lines, seen, names, set(given)), names)
    if not marks:
        return None
    headings = _headings(seen, [m.line for m in marks if names[m.name] == "user"], names)
    turns, inline = split_inline(_turns(lines, marks, names, headings), names, learn=not given)
    if not any(t.role == "assistant" for t in turns) and all(
        t.name not in given and not role_of(t.name) for t in turns
    ):
        return None
    drafts, mode, remarks = drafts_of(turns, inline)
    if touched:
        remarks.append(("info", "invisible_characters", 1, {"count": touched}))
    first = marks[0].line
    if headings:
        above = ", ".join(sorted({m.shown for m in seen if m.line in headings})[:8])
        remarks.append(("info", "headings", min(headings) + 1, {"count": len(headings), "names": above}))
    if any(line.strip(" \t-=*#_~　") for n, line in enumerate(lines[:first]) if n not in headings):
        remarks.append(("info", "preamble", 1, {"lines": first}))
    shown: dict[str, Counter[str]] = {"user": Counter(), "assistant": Counter(), "system": Counter()}
    for turn in turns:
        shown[turn.role][turn.shown] += 1
    users, assistants = (", ".join(n for n, _ in shown[r].most_common(6)) for r in ("user", "assistant"))
    learned = sorted({t.shown for t in turns if t.name not in given and role_of(t.name) is None})
    if learned:
        remarks.append(("warning", "learned_roles", first + 1, {"names": ", ".join(learned[:8])}))
    detail = say("data.detail.transcript", user=users, assistant=assistants, mode=say(f"data.detail.{mode}"))
    return Parsed("transcript", detail, drafts, remarks)


def speakers_of(text: str, where: str, roles: Mapping[str, str | Sequence[str]] | None = None) -> dict[str, str]:
    """Plain name → role for the speakers of a text; empty where there are none.

    Raises:
        DataError: As for ``read_transcript``.
    """
    lines = scrub(text)[0].split("\n")
    given = given_roles(roles)
    seen = _without_options(_marks(lines), given)
    return _speakers(seen, given, where) or _lone_speaker(seen, lines)


def last_question(lines: Sequence[str], speakers: Mapping[str, str]) -> int | None:
    """The last line that opens a question, one behind a blank line or a number if there is any."""
    asked = [m for m in _marks(lines) if speakers.get(m.name) == "user"]
    apart = [m for m in asked if m.line and (m.blank or m.numbered)]
    return max((m.line for m in apart or asked), default=None)


def _marks(lines: Sequence[str]) -> list[Mark]:
    out, blank = [], 1
    for number, line in enumerate(lines):
        if not line.strip():
            blank += 1
            continue
        found = _MARK.match(line)
        heading = None if found else _HEADING.match(line)
        if heading and role_of(name := plain_name(heading["bare"])):
            out.append(Mark(number, name, heading["bare"], heading.end(), False, blank))
        if found:
            shown = (found["boxed"] or found["bare"]).strip()
            name = plain_name(shown)
            # The limit keeps clauses ("双方协商一致的情况下：") from being taken for names.
            if len(name.split()) <= _MAX_WORDS and (name.isascii() or len(name) <= _MAX_CJK):
                out.append(Mark(number, name, shown, found.end(), bool(found["number"]), blank))
        blank = 0
    return out


def _without_options(marks: list[Mark], given: Mapping[str, str]) -> list[Mark]:
    """Without the A of ``A: yes / B: no`` in a text whose speakers have names: a choice, not an answer."""
    if "b" in given or not any(m.name in given or role_of(m.name) == "user" for m in marks):
        return marks
    after = [*marks[1:], None]
    return [m for m, then in zip(marks, after, strict=True) if m.name != "a" or then is None or then.name != "b"]


def _lone_speaker(marks: Sequence[Mark], lines: Sequence[str]) -> dict[str, str]:
    """One unknown name in front of nearly every line: its answers may stand in the same lines."""
    counts = Counter(m.name for m in marks if m.name not in FIELDS).most_common(1)
    if counts and counts[0][1] >= max(3, 0.8 * sum(bool(line.strip()) for line in lines)):
        return {counts[0][0]: "user"}
    return {}


def _weak_marks(lines: Sequence[str], strong: Iterable[Mark], names: Mapping[str, str], given: set[str]) -> list[Mark]:
    """Lines that begin with a speaker's name and a space; for a given name that never has a colon, glued too."""
    taken = {m.line for m in strong if m.name in names}
    glued = sorted(given - {m.name for m in strong}, key=len, reverse=True)
    out, blank = [], 1
    for number, line in enumerate(lines):
        if not line.strip():
            blank += 1
            continue
        start = _START.match(line) if number not in taken else None
        if start:
            at, numbered = start.end(), bool(start["number"])
            word = _WORD.match(line, at)
            hit = next((n for n in glued if line[at : at + 24].casefold().startswith(n)), None)
            if hit:
                out.append(Mark(number, hit, hit, at + len(hit), numbered, blank, 0.0, False))
            elif word and (name := plain_name(word[0])) in names:
                out.append(Mark(number, name, word[0], word.end(), numbered, blank, 0.5, False))
        blank = 0
    return out


def _speakers(marks: Sequence[Mark], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Plain name → role for the speakers of this file; empty where there are none."""
    if {"user", "assistant"} <= set(given.values()):
        return dict(given)
    names = dict(given) | {
        m.name: role for m in marks if m.name not in given and (role := role_of(m.name)) and role not in given.values()
    }
    if "a" not in given and [n for n, r in names.items() if r != "system"] == ["a"]:
        del names["a"]  # "A: … B: …" with nobody who asks: two letters for two speakers
    if not {"user", "assistant"} & set(names.values()):
        return _learned_pair(marks, where)
    # Gaps first: a speaker nobody knows leaves two questions in a row, and neither of them is a quotation.
    return _fill_gaps(marks, _without_quotes(marks, _fill_gaps(marks, names)))


def _in(marks: Iterable[Mark], names: Mapping[str, str]) -> list[Mark]:
    return [m for m in marks if names.get(m.name) in ("user", "assistant")]


def _violations(marks: Iterable[Mark], names: Mapping[str, str]) -> int:
    spoken = [names[m.name] for m in _in(marks, names)]
    return sum(a == b for a, b in pairwise(spoken)) + (spoken[:1] == ["assistant"])


def _without_quotes(marks: Sequence[Mark], names: dict[str, str]) -> dict[str, str]:
    """Take out known names that are only quoted: they break the alternation, or never open after a gap."""
    counts = Counter(m.name for m in _in(marks, names))
    opened = Counter(m.name for m in marks if m.blank or m.numbered)
    for name in sorted(counts, key=counts.__getitem__):
        if name not in names:  # went with the question that it answers
            continue
        role = names[name]
        main = max((n for n in names if names[n] == role), key=lambda n: (opened[n], counts[n]))
        if name == main:
            continue
        rest = {n: r for n, r in names.items() if n != name}
        saved = _violations(marks, names) - _violations(marks, rest)
        spoken = _in(marks, names)
        after = Counter(names[a.name] for a, b in pairwise(spoken) if b.name == name)
        if role == "user" and not opened[name] and opened[main] >= max(3, 0.9 * counts[main]):
            # What answers a quoted question is quoted too.
            replies = Counter(b.name for a, b in pairwise(spoken) if a.name == name)
            kept = {n: r for n, r in rest.items() if r == "user" or replies[n] < 0.8 * counts[n]}
            names = kept if "assistant" in kept.values() else rest
        elif saved >= 0.8 * counts[name] and (counts[name] <= counts[main] / 2 or after[role] >= 0.8 * counts[name]):
            names = rest
    return names


def _fill_gaps(marks: Sequence[Mark], names: dict[str, str]) -> dict[str, str]:
    """Add unknown names that stand where a turn is missing, and nearly only there."""
    unknown = Counter(m.name for m in marks if m.name not in names and m.name not in FIELDS and not role_of(m.name))
    while unknown:
        filled: Counter[tuple[str, str]] = Counter()
        previous, between = "assistant", list[str]()
        for mark in [*marks, None]:
            role = names.get(mark.name) if mark else "user"
            if role not in ("user", "assistant"):
                if mark and mark.name in unknown:
                    between.append(mark.name)
                continue
            if role == previous and between:
                once = [n for n in dict.fromkeys(between) if between.count(n) == 1]
                # An answer follows its question at once; a question is the last to open before its answer.
                pick = once[:1] if role == "user" else once[-1:]
                filled.update((n, "assistant" if role == "user" else "user") for n in pick)
            previous, between = role, []
        if not filled:
            break
        (name, role), count = filled.most_common(1)[0]
        if count < 2 or count < 0.6 * unknown[name]:
            break
        names = {**names, name: role}
        del unknown[name]
    return names


def _learned_pair(marks: Sequence[Mark], where: str) -> dict[str, str]:
    """Two unknown names that alternate through the file; the first to speak asks."""
    counts = Counter(m.name for m in marks if m.name not in FIELDS)
    likely = [n for n, c in counts.most_common(8) if c >= 2]
    best: list[tuple[int, str, str]] = []
    for asks in likely:
        for answers in likely:
            spoken = [m.name for m in marks if m.name in (asks, answers)]
            turns = sum(pair == (asks, answers) for pair in pairwise(spoken))
            if asks != answers and spoken[0] == asks and turns >= 0.8 * max(counts[asks], counts[answers]):
                best.append((turns, asks, answers))
    if not best:
        return {}
    best.sort(key=lambda b: -b[0])
    turns, asks, answers = best[0]
    rivals = [b for b in best[1:] if b[0] >= 0.8 * turns]
    if rivals:
        guesses = "; ".join(f"{{user: [{u}], assistant: [{a}]}}" for _, u, a in best[:3])
        raise DataError("data.ambiguous_roles", where=f"{where}:{marks[0].line + 1}", guesses=guesses)
    return {asks: "user", answers: "assistant"}


def _chosen(marks: list[Mark], names: Mapping[str, str]) -> list[Mark]:
    """The marks that open turns: all with a colon, and those without where that mends the alternation.

    Cheapest path over the marks, state = who spoke last. Costs: two turns of one speaker in a row 1, taking an
    unsure mark its cost, passing one over 0.4. So "Answer 依据…" behind a question is a turn, and a paragraph
    that begins with such a word is not.
    """
    marks.sort(key=lambda m: m.line)
    costs = {"assistant": 0.0}
    steps: list[dict[str, tuple[str, bool]]] = []
    for mark in marks:
        role = names[mark.name]
        after: dict[str, float] = {}
        step: dict[str, tuple[str, bool]] = {}
        for last, cost in costs.items():
            options = [(role if role != "system" else last, cost + (role == last) + mark.cost, True)]
            if not mark.sure:
                options.append((last, cost + 0.4, False))
            for state, total, taken in options:
                if total < after.get(state, 1e9):
                    after[state], step[state] = total, (last, taken)
        costs = after
        steps.append(step)
    out = []
    state = min(costs, key=costs.__getitem__)
    for mark, step in zip(reversed(marks), reversed(steps), strict=True):
        state, taken = step[state]
        if taken:
            out.append(mark)
    return out[::-1]


_DIVIDER = re.compile(
    r"\s*(?:[-=*_#~—－＝·.+]{3,}|(?:#+\s*)?(?:第\s*[\d一二三四五六七八九十百]+\s*[个组段条轮次号]?\s*)?"
    r"(?:对话|问答|案例|会话|样本|记录|dialogue|dialog|conversation|session|example|sample|case|chat|qa|q&a)"
    r"\s*(?:#|no\.?|第)?\s*[\d一二三四五六七八九十百]*\s*[.:：]?|[（(]?\d{1,6}[)）.、．])\s*",
    re.IGNORECASE,
)


def _headings(seen: Sequence[Mark], questions: Sequence[int], names: Mapping[str, str]) -> set[int]:
    """Lines (``编号：7``, ``标题：…``) that stand right above nearly every question, the first one too."""
    at = {m.line: m.name for m in seen if m.name not in names}
    runs: list[list[int]] = []
    for line in questions:
        run: list[int] = []
        while line - 1 - len(run) in at:
            run.append(line - 1 - len(run))
        runs.append(run)
    above = Counter(name for run in runs for name in {at[line] for line in run})
    first = {at[line] for line in runs[0]} if runs else set()
    usual = {n for n, c in above.items() if n in first and c >= max(2, 0.8 * len(questions))}
    return {line for run in runs for line in run if at[line] in usual}


def _turns(lines: Sequence[str], marks: Sequence[Mark], names: Mapping[str, str], headings: set[int]) -> list[Turn]:
    """The turns between the marks, without dividers and headings behind them."""
    turns: list[Turn] = []
    # A system text stands in front of a question; anywhere else the word is text.
    follows = [names[m.name] for m in marks[1:]] + [""]
    marks = [m for m, then in zip(marks, follows, strict=True) if names[m.name] != "system" or then == "user"]
    ends = [m.line for m in marks[1:]] + [len(lines)]
    divided = False
    for position, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        role = names[mark.name]
        body = [lines[mark.line][mark.start :], *lines[mark.line + 1 : end]]
        opens = end < len(lines) and names[marks[position + 1].name] != "assistant"
        behind = False
        while len(body) > 1 and (
            not body[-1].strip()
            or ((opens or end == len(lines)) and _DIVIDER.fullmatch(body[-1]))
            or mark.line + len(body) - 1 in headings
        ):
            behind |= bool(body.pop().strip())
        turns.append(
            Turn(role, mark.name, mark.shown, mark.line + 1, "\n".join(body), mark.blank, mark.numbered, divided)
        )
        divided = behind
    return turns


def unmarked_speakers(text: str) -> tuple[str, str] | None:
    """Names of speakers that stand in front of most lines without a colon (``用户公司没签…``), for an error's guess."""
    begins: list[tuple[str, str]] = []
    lines = 0
    for line in text.split("\n"):
        head = line.strip()[:12].casefold()
        lines += bool(head)
        name = next((head[:n] for n in range(min(6, len(head)), 1, -1) if role_of(head[:n])), "")
        if name:
            begins.append((role_of(name) or "", name))
    turns = sum(a[0] == "user" and b[0] == "assistant" for a, b in pairwise(begins))
    if turns < 2 or len(begins) < 0.3 * lines or turns < 0.3 * len(begins):
        return None
    named = {role: Counter(n for r, n in begins if r == role).most_common(1)[0][0] for role in ("user", "assistant")}
    return named["user"], named["assistant"]
