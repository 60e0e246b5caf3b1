"""Question and answer on one line: ``用户：… 律师：…``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from lora_scripts.data.reading.dialogues import Turn
from lora_scripts.data.reading.names import FIELDS, plain_name, role_of

COLON = "[:：﹕︰∶]"
_INLINE = re.compile(rf"(?<=[\s。？！?!.;；|，,、）)”\"])(?P<bare>[^\W\d_][\w·]{{0,11}})\s*{COLON}(?!//)\s*")
_BETWEEN = ("|", "；", ";", "，", ",")


def split_inline(turns: list[Turn], names: Mapping[str, str], learn: bool) -> tuple[list[Turn], bool]:
    """Cut ``用户：… 律师：…`` on one line, for questions that no answer follows; True where most lines are such.

    With ``learn``, answers may be given by names that never begin a line.
    """
    alone = [
        i for i, t in enumerate(turns) if t.role == "user" and (i + 1 == len(turns) or turns[i + 1].role != "assistant")
    ]
    found = {i: [(m, plain_name(m["bare"])) for m in _INLINE.finditer(turns[i].words)] for i in alone}
    seen = Counter(name for i in alone for name in dict.fromkeys(n for _, n in found[i]))
    mostly = len(alone) * 2 >= sum(t.role == "user" for t in turns)
    roles = dict(names)
    if mostly and learn:
        known = {n: r for n in seen if n not in names and (r := role_of(n))}
        roles |= known
        if "assistant" not in roles.values():
            unknown = [n for n, c in seen.most_common(1) if c >= max(2, 0.8 * len(alone)) and n not in FIELDS]
            roles |= dict.fromkeys(unknown, "assistant")
    cuts_of: dict[int, list[re.Match[str]]] = {}
    for i, there in found.items():
        hits = [(m, n) for m, n in there if roles.get(n) in ("user", "assistant")]
        cuts_of[i] = [m for m, _ in _alternating(hits, roles, seen)]
    between = _separators([turns[i].words[: m.start()] for i, cuts in cuts_of.items() for m in cuts])
    out: list[Turn] = []
    for i, turn in enumerate(turns):
        cuts = cuts_of.get(i, [])
        if not cuts:
            out.append(turn)
            continue
        starts = [0, *(m.end() for m in cuts)]
        stops = [*(m.start() for m in cuts), len(turn.words)]
        heads = [(turn.role, turn.name, turn.shown), *((roles[n := plain_name(m["bare"])], n, m["bare"]) for m in cuts)]
        for k, ((role, name, shown), a, b) in enumerate(zip(heads, starts, stops, strict=True)):
            words = turn.words[a:b].rstrip(between) if b < len(turn.words) else turn.words[a:b]
            line = turn.line + turn.words.count("\n", 0, a)
            if k:
                out.append(Turn(role, name, shown, line, words, 0, False, inline=True))
            else:
                out.append(replace(turn, words=words))
    return out, mostly and any(cuts_of.values())


def _separators(words: Sequence[str]) -> str:
    """Blanks, and the one sign that stands in front of nearly every cut: elsewhere it belongs to the text."""
    last = Counter(part.rstrip(" \t")[-1:] for part in words)
    return " \t" + "".join(sign for sign, count in last.items() if sign in _BETWEEN and count >= 0.8 * len(words))


def _alternating(
    hits: Sequence[tuple[re.Match[str], str]], roles: Mapping[str, str], seen: Mapping[str, int]
) -> list[tuple[re.Match[str], str]]:
    """Cuts that alternate assistant, user, … and end with an answer; the first answer by the most frequent name."""
    answers = [h for h in hits if roles[h[1]] == "assistant"]
    if not answers:
        return []
    first = max(answers, key=lambda h: (seen[h[1]], -h[0].start()))
    cuts = [first]
    rest = [h for h in hits if h[0].start() > first[0].start()]
    for user, answer in pairwise(rest):
        if roles[user[1]] == "user" and answer[1] == first[1] and user[0].start() >= cuts[-1][0].end():
            cuts += [user, answer]
    return cuts
