"""Tables and objects with one message a row: which column holds speaker, content and conversation, and who is who."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lora_scripts.data.reading.columns import header_role, is_body_name, plain_header, shown
from lora_scripts.data.reading.evidence import ColumnProfile, Values
from lora_scripts.data.reading.message_speakers import learn_speakers, speaker_roles
from lora_scripts.data.reading.names import plain_name, role_of
from lora_scripts.data.reading.row_head import Head, Row
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.messages import text as say

CONVERSATION_NAME = re.compile(r"id$|session|conversation|ticket|thread|dialog|chat|会话|对话|工单|单号|编号|案件|流水")
_ORDER = re.compile(r"^(?:seq|order|turn|turn_id|index|idx|step|no|msg_id|message_id)$|序|轮次|第几")
_PEOPLE = frozenset(
    {"姓名", "昵称", "名称", "用户名", "成员", "name", "nickname", "username", "user", "user_name", "author_id"}
)
_TIME = re.compile(r"时间|日期|time|date|timestamp|created_at")
_NAMED = 12  # names in a message
_KNOWN_SHARE = 0.7  # of the values of a speaker column that are names of known roles


# Line and values of the messages of one conversation.
Conversation = list[tuple[int, Values]]


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
    rows: Sequence[Values],
    profiles: Mapping[str, ColumnProfile],
    roles: Mapping[str, str],
    chosen: Mapping[str, str],
) -> MessageColumns | None:
    """The columns of ``rows`` where each is one message; None where they are not.

    Args:
        rows: The first of the file.
        profiles: Of their columns.
        roles: Plain name → role as the user gave them.
        chosen: Columns that the user named, by key: speaker, content, conversation.
    """
    likely = [name for name in profiles if _is_speaker(name, rows, profiles[name], roles)]
    speaker = max(likely, key=lambda name: _known_share(name, rows, roles), default="")
    speaker = speaker or next((name for name in profiles if _takes_turns(name, rows, profiles)), "")
    speaker = chosen.get("speaker", speaker)
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
    content = chosen.get("content", content)
    if not content:
        return None
    rest = [n for n in profiles if n not in (speaker, content)]
    conversation = max(rest, key=lambda n: _conversation_score(n, rows, profiles[n]), default="")
    if conversation and _conversation_score(conversation, rows, profiles[conversation]) <= 0:
        conversation = ""
    conversation = chosen.get("conversation", conversation)
    order = next(
        (n for n in rest if n != conversation and _ORDER.search(plain_header(n)) and profiles[n].kind == "number"), ""
    )
    order = order or next((n for n in rest if n != conversation and _TIME.search(plain_header(n))), "")
    return MessageColumns(speaker, content, conversation, order)


def _is_speaker(name: str, rows: Sequence[Values], profile: ColumnProfile, roles: Mapping[str, str]) -> bool:
    if profile.kind == "structure" or profile.mean_length > 20 or profile.filled < 0.9 * profile.rows:
        return False
    values = {plain_name(str(row.get(name, ""))) for row in rows}
    known = {role for value in values if (role := roles.get(value) or role_of(value))}
    if {"user", "assistant"} <= known and _known_share(name, rows, roles) >= _KNOWN_SHARE:
        return True
    return header_role(plain_header(name)) == "speaker" and 1 < profile.distinct < 0.9 * profile.filled


def _known_share(name: str, rows: Sequence[Values], roles: Mapping[str, str]) -> float:
    """Share of the rows whose speaker is the name of a role."""
    values = [plain_name(str(row.get(name, ""))) for row in rows]
    return sum(bool(roles.get(value) or role_of(value)) for value in values) / max(1, len(values))


def _takes_turns(name: str, rows: Sequence[Values], profiles: Mapping[str, ColumnProfile]) -> bool:
    """Few short values, at least two of which stand in every conversation (方向: 来, 去; 姓名)."""
    directions = profiles[name].distinct == 2 and profiles[name].categorical
    people = plain_header(name) in _PEOPLE and profiles[name].mean_length <= 20 and profiles[name].kind != "structure"
    if not directions and not people:
        return False
    for other in profiles:
        if other != name and CONVERSATION_NAME.search(plain_header(other)) and profiles[other].distinct > 2:
            groups: dict[str, set[str]] = defaultdict(set)
            for row in rows:
                groups[str(row.get(other))].add(str(row.get(name)))
            return sum(len(values) >= 2 for values in groups.values()) >= 0.9 * len(groups)
    return False


def _conversation_score(name: str, rows: Sequence[Values], profile: ColumnProfile) -> float:
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
    named = 2.0 if CONVERSATION_NAME.search(plain_header(name)) else 0.0
    return named + (1.0 if scattered < 1.5 else 0.2) - (1.5 if profile.kind == "date" else 0.0) - 0.5


def conversations_of(rows: Iterable[tuple[int, Values]], columns: MessageColumns) -> list[Conversation]:
    """The rows by conversation, in the order in which conversations begin and messages follow each other."""
    groups: dict[str, list[tuple[int, Values]]] = {}
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


@dataclass(slots=True)
class MessageRows:
    """Reads a file with one message a row; all its rows are held, for they may be in any order."""

    head: Head
    columns: MessageColumns
    given: dict[str, str]
    first_line: int = 0

    def __post_init__(self) -> None:
        rows = [(row.line, row.value) for row in self.head.rows if isinstance(row.value, dict)]
        talks = [self._talk(conversation) for conversation in conversations_of(rows, self.columns)]
        learn_speakers(talks, self.given, self.head)

    def _talk(self, conversation: Conversation) -> list[tuple[str, str]]:
        return [(self._speaker(row), str(row.get(self.columns.content) or "")) for _, row in conversation]

    def _speaker(self, row: Values) -> str:
        return plain_name(str(row.get(self.columns.speaker) or ""))

    def read(self, rows: Iterable[Row], parsed: Parsed) -> Iterator[Draft]:
        """The drafts of ``rows``; completes ``parsed`` at the end."""
        held: list[tuple[int, Values]] = []
        for row in rows:
            if isinstance(row.value, dict):
                held.append((row.line, row.value))
                continue
            note = row.problem or say("data.note.not_an_object")
            parsed.units["left_out"] += 1
            yield Draft(row.line, reason=row.reason, note=note, part=self.head.part, index=row.index_on_line)
        self.first_line = held[0][0] if held else 1
        held, rivals = _without_rival_replies(held)
        if rivals:
            parsed.units["left_out"] += rivals
            parsed.remarks.append(("warning", "rival_replies", self.first_line, {"count": rivals}))
        conversations = conversations_of(held, self.columns)
        roles = speaker_roles([self._talk(one) for one in conversations], self.given)
        left_out: Counter[str] = Counter()
        for conversation in conversations:
            turns = list(self._turns(conversation, roles, left_out, parsed.units))
            parts = [turns] if self.columns.conversation else _parted_at_questions(turns)
            for part in parts:
                yield self._draft(part, conversation[0][0])
        self._report(parsed, [row for _, row in held], roles, left_out)

    def _turns(
        self, conversation: Conversation, roles: Mapping[str, str], left_out: Counter[str], units: Counter[str]
    ) -> Iterator[tuple[int, Message]]:
        begun = False
        for line, row in conversation:
            name, content = self._speaker(row), str(row.get(self.columns.content) or "")
            role = roles.get(name, "")
            notice = role == "system" and (begun or name != "system")
            if not role or notice:
                left_out[str(row.get(self.columns.speaker) or "")] += 1
                units["left_out"] += 1
                continue
            units[{"user": "question", "assistant": "answer"}.get(role, "system")] += 1
            if content.strip():
                begun = True
                yield line, Message(role, content)

    def _draft(self, turns: Sequence[tuple[int, Message]], line: int) -> Draft:
        if not turns:
            return Draft(line, reason="no_pair", note=say("data.note.no_turns"), part=self.head.part)
        return Draft(turns[0][0], tuple(message for _, message in turns), part=self.head.part)

    def _report(self, parsed: Parsed, rows: Sequence[Values], roles: Mapping[str, str], left_out: Counter[str]) -> None:
        used = {self.columns.content, *self.columns.columns()}
        unread = Counter(name for row in rows for name, v in row.items() if name not in used and v not in ("", None))
        parsed.units["metadata"] += unread.total() + len(rows) * len(self.columns.columns())
        who = ", ".join(f"{name} → {role}" for name, role in sorted(roles.items(), key=lambda item: item[1])[:8])
        parsed.detail = f"{self.columns}; {who}"
        if unread:
            names = ", ".join(map(shown, list(unread)[:_NAMED]))
            parsed.detail = say("data.detail.not_used", detail=parsed.detail, names=names)
        there = {self._speaker(row) for row in rows}
        if missing := [name for name in self.given if name not in there]:
            absent: dict[str, object] = {"names": ", ".join(missing)}
            parsed.remarks.append(("warning", "names_not_there", self.first_line, absent))
        if not self.columns.conversation:
            parsed.remarks.append(("warning", "messages_without_conversation", self.first_line, {"count": len(rows)}))
        if left_out:
            listed = ", ".join(f"{shown(name) or '-'} ({count})" for name, count in left_out.most_common(_NAMED))
            counts: dict[str, object] = {"names": listed, "count": left_out.total()}
            parsed.remarks.append(("warning", "speakers_left_out", self.first_line, counts))


def _without_rival_replies(rows: list[tuple[int, Values]]) -> tuple[list[tuple[int, Values]], int]:
    """``rows`` with one reply to each message where a column names the message replied to (OASST's ``parent_id``): the
    one of the best rank, else the first; and how many are left out, with all that follows them."""
    if not rows or not {"parent_id", "message_id"} <= rows[0][1].keys():
        return rows, 0
    best: dict[Any, tuple[float, Any]] = {}
    for order, (_, row) in enumerate(rows):
        rank = row.get("rank")
        key = (float(rank) if isinstance(rank, (int, float)) else 1e9) + order * 1e-6
        if row["parent_id"] is not None and (row["parent_id"] not in best or key < best[row["parent_id"]][0]):
            best[row["parent_id"]] = key, row["message_id"]
    chosen = {message for _, message in best.values()}
    left: set[Any] = set()
    out = []
    for line, row in rows:
        if row["parent_id"] in left or (row["parent_id"] is not None and row["message_id"] not in chosen):
            left.add(row["message_id"])
        else:
            out.append((line, row))
    return out, len(left)


def _parted_at_questions(turns: Sequence[tuple[int, Message]]) -> Iterator[Sequence[tuple[int, Message]]]:
    """Without an id, a user's message behind an answer begins the next record."""
    start = 0
    for at in range(1, len(turns)):
        if turns[at][1].role == "user" and turns[at - 1][1].role == "assistant":
            yield turns[start:at]
            start = at
    yield turns[start:]
