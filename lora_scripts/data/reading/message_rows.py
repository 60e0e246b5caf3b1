"""Tables and objects with one message a row: which column holds speaker, content and conversation, and who is who."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lora_scripts.data.reading.columns import header_role, is_body_name, plain_header
from lora_scripts.data.reading.evidence import ColumnProfile, Row
from lora_scripts.data.reading.names import ASSISTANT_NAMES, USER_NAMES, plain_name, role_of
from lora_scripts.data.records import Draft, Message
from lora_scripts.messages import text as say

_CONVERSATION = re.compile(r"id$|session|conversation|ticket|thread|dialog|chat|会话|对话|工单|单号|编号|案件|流水")
_ORDER = re.compile(r"^(?:seq|order|turn|turn_id|index|idx|step|no|msg_id|message_id)$|序|轮次|第几")
_TIME = re.compile(r"时间|日期|time|date|timestamp|created_at")
_KNOWN_SHARE = 0.7  # of the values of a speaker column that are names of known roles
_ROLE_WORDS = {
    "user": sorted(n for n in USER_NAMES if len(n) > 1),
    "assistant": sorted(n for n in ASSISTANT_NAMES if len(n) > 1),
}


@dataclass(frozen=True, slots=True)
class MessageColumns:
    """Columns of a table with one message a row; ``conversation`` and ``order`` may be empty."""

    speaker: str
    content: str
    conversation: str = ""
    order: str = ""

    def columns(self) -> dict[str, str]:
        """Column name → unit role, see ``records.UNIT_ROLES``; the content counts by who speaks."""
        return {name: "metadata" for name in (self.speaker, self.conversation, self.order) if name}

    def __str__(self) -> str:
        parts = [f"speaker: {self.speaker}", f"content: {self.content}"]
        parts += [f"{key}: {name}" for key in ("conversation", "order") if (name := getattr(self, key))]
        return ", ".join(parts)


def find_message_columns(
    rows: Sequence[Row], profiles: Mapping[str, ColumnProfile], roles: Mapping[str, str]
) -> MessageColumns | None:
    """The columns of ``rows`` where each is one message; None where they are not.

    Args:
        rows: The first of the file.
        profiles: Of their columns.
        roles: Plain name → role as the user gave them.
    """
    speaker = next((name for name in profiles if _is_speaker(name, rows, profiles[name], roles)), "")
    speaker = speaker or next((name for name in profiles if _takes_turns(name, rows, profiles)), "")
    if not speaker:
        return None
    texts = [
        n for n, p in profiles.items() if n != speaker and p.filled and p.kind in ("text", "person", "option", "number")
    ]
    bodies = [
        n
        for n in texts
        if is_body_name(plain_header(n)) or plain_header(n) in ("message", "value", "消息", "消息内容", "聊天内容")
    ]
    content = (
        bodies or sorted((n for n in texts if profiles[n].is_text), key=lambda n: -profiles[n].characters) or [""]
    )[0]
    if not content:
        return None
    rest = [n for n in profiles if n not in (speaker, content)]
    conversation = max(rest, key=lambda n: _conversation_score(n, rows, profiles[n]), default="")
    if conversation and _conversation_score(conversation, rows, profiles[conversation]) <= 0:
        conversation = ""
    order = next(
        (n for n in rest if n != conversation and _ORDER.search(plain_header(n)) and profiles[n].kind == "number"), ""
    )
    order = order or next((n for n in rest if n != conversation and _TIME.search(plain_header(n))), "")
    return MessageColumns(speaker, content, conversation, order)


def _is_speaker(name: str, rows: Sequence[Row], profile: ColumnProfile, roles: Mapping[str, str]) -> bool:
    if profile.kind == "structure" or profile.mean_length > 20 or profile.filled < 0.9 * profile.rows:
        return False
    values = [plain_name(str(row.get(name, ""))) for row in rows]
    known = [role for value in values if (role := roles.get(value) or role_of(value))]
    if {"user", "assistant"} <= set(known) and len(known) >= _KNOWN_SHARE * len(values):
        return True
    return header_role(plain_header(name)) == "speaker" and 1 < profile.distinct < 0.9 * profile.filled


def _takes_turns(name: str, rows: Sequence[Row], profiles: Mapping[str, ColumnProfile]) -> bool:
    """Two values, both of which stand in every conversation (方向: 来, 去)."""
    if profiles[name].distinct != 2 or not profiles[name].categorical:
        return False
    for other in profiles:
        if other != name and _CONVERSATION.search(plain_header(other)) and profiles[other].distinct > 2:
            groups: dict[str, set[str]] = defaultdict(set)
            for row in rows:
                groups[str(row.get(other))].add(str(row.get(name)))
            return sum(len(values) == 2 for values in groups.values()) >= 0.9 * len(groups)
    return False


def _conversation_score(name: str, rows: Sequence[Row], profile: ColumnProfile) -> float:
    """How likely a column tells which messages belong together: it repeats, mostly in neighbouring rows."""
    if (
        not 1 < profile.distinct <= 0.75 * profile.filled
        or profile.filled < 0.9 * profile.rows
        or profile.mean_length > 64
    ):
        return 0.0
    values = [str(row.get(name, "")) for row in rows]
    runs = 1 + sum(a != b for a, b in pairwise(values))
    scattered = runs / profile.distinct  # 1 where each value stands in one run
    named = 2.0 if _CONVERSATION.search(plain_header(name)) else 0.0
    return named + (1.0 if scattered < 1.5 else 0.2) - (1.5 if profile.kind == "date" else 0.0) - 0.5


def speaker_roles(conversations: Sequence[Sequence[tuple[str, str]]], given: Mapping[str, str]) -> dict[str, str]:
    """Plain name → role for the speakers of conversations; a name in doubt is missing.

    Evidence: what the user gave, names of roles, role words within a name (``李律师``, ``客服小美``), who is in many
    conversations (staff) and who in one (a customer), and who is left where the other side is known.

    Args:
        conversations: (plain name, content) of each message, by conversation.
        given: Plain name → role as the user gave them.
    """
    roles = dict(given)
    names = {name for conversation in conversations for name, _ in conversation}
    for name in names - roles.keys():
        if role := role_of(name) or _role_within(name):
            roles[name] = role
    unknown = names - roles.keys()
    presence = Counter(name for conversation in conversations for name in {n for n, _ in conversation})
    if unknown and len(conversations) >= 3 and "assistant" not in roles.values():
        often = {n for n in unknown if presence[n] >= max(3, 0.3 * len(conversations))}
        rare = {n for n in unknown if presence[n] <= max(1, 0.1 * len(conversations))}
        if often and rare and len(rare) > len(often):
            roles |= dict.fromkeys(often, "assistant") | dict.fromkeys(rare, "user")
    sides: dict[str, Counter[str]] = defaultdict(Counter)
    for conversation in conversations:
        here = {name for name, _ in conversation}
        strangers, known = here - roles.keys(), {roles[n] for n in here if roles.get(n) in ("user", "assistant")}
        if len(strangers) == 1 and len(known) == 1:
            sides[next(iter(strangers))]["assistant" if known == {"user"} else "user"] += 1
    return roles | {name: votes.most_common(1)[0][0] for name, votes in sides.items() if len(votes) == 1}


def _role_within(name: str) -> str:
    """The role that a word within a name tells; of several the one that ends last: ``患者家属王女士``."""
    ends = [
        (name.rfind(word) + len(word), len(word), role)
        for role, words in _ROLE_WORDS.items()
        for word in words
        if word in name
    ]
    return max(ends)[2] if ends and not name.isascii() else ""


def spoken(conversation: Iterable[tuple[int, Row]], columns: MessageColumns) -> list[tuple[str, str]]:
    """(plain name, content) of the messages of a conversation."""
    return [(plain_name(str(r.get(columns.speaker) or "")), str(r.get(columns.content) or "")) for _, r in conversation]


def conversations_of(rows: Iterable[tuple[int, Row]], columns: MessageColumns) -> list[list[tuple[int, Row]]]:
    """The rows by conversation, in the order in which conversations begin and messages follow each other."""
    groups: dict[str, list[tuple[int, Row]]] = {}
    for line, row in rows:
        groups.setdefault(str(row.get(columns.conversation, "")) if columns.conversation else "", []).append(
            (line, row)
        )
    conversations = list(groups.values())
    if columns.order:
        for conversation in conversations:
            keys = [_sort_key(row.get(columns.order)) for _, row in conversation]
            if len({type(key) for key in keys}) == 1:
                conversation.sort(key=lambda entry: _sort_key(entry[1].get(columns.order)))
    return conversations


def _sort_key(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return re.sub(r"(?<!\d)(\d)(?!\d)", r"0\1", str(value))  # 9:05 before 10:00


def drafts_of_messages(
    conversations: Iterable[Sequence[tuple[int, Row]]],
    columns: MessageColumns,
    roles: Mapping[str, str],
    left_out: Counter[str],
    units: Counter[str],
    part: str = "",
) -> Iterator[Draft]:
    """The drafts of conversations whose messages are rows.

    Args:
        conversations: From ``conversations_of``.
        columns: Which column holds what.
        roles: Plain name → role, from ``speaker_roles``.
        left_out: Is filled: speakers without a role and system notices, by name.
        units: Is filled, see ``Parsed.units``.
        part: As in ``Draft``.
    """
    for conversation in conversations:
        turns: list[tuple[int, Message]] = []
        for line, row in conversation:
            name, content = plain_name(str(row.get(columns.speaker) or "")), str(row.get(columns.content) or "")
            role = roles.get(name, "")
            notice = role == "system" and (bool(turns) or name != "system")
            if not role or notice:
                left_out[str(row.get(columns.speaker) or "")] += 1
                units["left_out"] += 1
                continue
            units[{"user": "question", "assistant": "answer"}.get(role, "system")] += 1
            if content.strip():
                turns.append((line, Message(role, content)))
        first = conversation[0][0]
        if columns.conversation:
            yield _draft(turns, first, part)
            continue
        # without an id, a user's message behind an answer begins the next record
        start = 0
        for at in range(1, len(turns)):
            if turns[at][1].role == "user" and turns[at - 1][1].role == "assistant":
                yield _draft(turns[start:at], first, part)
                start = at
        yield _draft(turns[start:], first, part)


def _draft(turns: Sequence[tuple[int, Message]], line: int, part: str) -> Draft:
    if not turns:
        return Draft(line, reason="no_pair", note=say("data.note.no_turns"), part=part)
    return Draft(turns[0][0], tuple(message for _, message in turns), part=part)
