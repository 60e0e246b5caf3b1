"""JSON and JSONL: alpaca, ShareGPT, messages, question/answer under any names; nested lists, wrapped lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lora_scripts.data.columns import Columns, find_columns, plain_header
from lora_scripts.data.names import TOOL_NAMES, given_roles, plain_name, role_of
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_TALKS_WORDS = """
messages conversations conversation dialogue dialog dialogs turns chat chats 对话 消息
"""
_TALKS = _TALKS_WORDS.split()
_SPEAKER_KEYS = ("role", "from", "speaker", "author", "角色", "说话人")
_WORD_KEYS = ("content", "value", "text", "message", "utterance", "内容")
_MEDIA = ("images", "image", "audios", "audio", "videos", "video")
_DECODER = json.JSONDecoder()
_WHITE = " \t\n\r\ufeff"

# A value with the line it begins on, or with the reason why there is none.
Found = tuple[int, Any, str]


class _UnfitError(Exception):
    """A value that cannot become a record: the bin and a note. Never leaves this file."""

    def __init__(self, reason: str, note: str = "") -> None:
        self.reason, self.note = reason, note


def read_objects(
    text: str,
    where: str,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    roles: Mapping[str, str | Sequence[str]] | None = None,
    *,
    sure: bool = True,
) -> Parsed | None:
    """The records of a JSON or JSONL text.

    Args:
        text: A whole file.
        where: Its name, for messages.
        columns: Keys of question, answer, system, input, history, where the names do not tell.
        roles: Speakers' names by role, beside the known ones.
        sure: The file is known to be JSON (by its suffix), so broken JSON is an error.

    Returns:
        None where it is not JSON and ``sure`` is False.

    Raises:
        DataError: Broken JSON, preference data, or objects without question and answer.
    """
    found, shape = _values(text, where, sure)
    if found is None:
        return None
    speakers = given_roles(roles)
    drafts: list[Draft] = []
    taken: dict[tuple[str, ...], Columns | str] = {}
    how: Counter[Columns | str] = Counter()
    tools = 0
    for line, value, problem in found:
        if problem:
            drafts.append(Draft(line, reason="unreadable", note=problem))
            continue
        try:
            kind, turns = _turns_of(value, taken, columns, speakers, f"{where}:{line}")
        except _UnfitError as unfit:
            drafts.append(Draft(line, reason=unfit.reason, note=unfit.note))
            continue
        how[kind] += 1
        tools += isinstance(value, dict) and bool(value.get("tools"))
        drafts.append(Draft(line, turns))
    if not how and drafts and all(d.reason in ("unreadable", "no_pair") for d in drafts):
        keys = next((", ".join(map(str, v))[:200] for _, v, p in found if not p and isinstance(v, dict)), "")
        if not keys and not sure:
            return None
        raise DataError("data.no_keys", where=f"{where}:{drafts[0].line}", there=keys or "-", count=len(drafts))
    parsed = Parsed(shape, say("data.detail.objects", shapes="; ".join(str(k) for k, _ in how.most_common(4))), drafts)
    if tools:
        parsed.remarks.append(("warning", "tools_not_shown", drafts[0].line, {"count": tools}))
    return parsed


def _values(text: str, where: str, sure: bool) -> tuple[list[Found] | None, str]:
    """The record-like values of the text, and ``json`` or ``jsonl``."""
    start = len(text) - len(text.lstrip(_WHITE))
    if text[start : start + 1] not in ("{", "["):
        if sure:
            raise DataError("data.not_json", where=f"{where}:{text.count(chr(10), 0, start) + 1}")
        return None, ""
    end = text.find("\n", start)
    if end > 0 and text[end:].strip(_WHITE) and _parses(text[start:end]):
        return _lines(text), "jsonl"
    try:
        return list(_walk(text, start)), "json"
    except json.JSONDecodeError as error:
        lines = _lines(text)
        if sum(not p for _, _, p in lines) * 2 >= len(lines):  # JSONL whose first line is broken
            return lines, "jsonl"
        if not sure:
            return None, ""
        place = f"{where}:{error.lineno}"
        raise DataError("data.broken_json", where=place, error=error.msg, column=error.colno) from None
    except RecursionError:
        raise DataError("data.broken_json", where=f"{where}:1", error="too deeply nested", column=1) from None


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_wrapper(value: dict[str, Any]) -> bool:
    """An object that only holds the list of records, as {"data": [...]}; not one with a history."""
    if _talk_key(value) or not any(_is_records(v) for v in value.values()):
        return False
    try:
        return find_columns([str(k) for k in value], None, "") is None
    except DataError:
        return False


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], (dict, list))


def _lines(text: str) -> list[Found]:
    out: list[Found] = []
    lines = text.rstrip(_WHITE).split("\n")
    for number, line in enumerate(lines, 1):
        line = line.strip(_WHITE + "\x00\u200b")
        if not line:
            out.append((number, None, say("data.note.blank_line")))
            continue
        try:
            value = json.loads(line)
            nested = isinstance(value, list) and _opens_list(value) and all(isinstance(v, dict) for v in value)
            out += [(number, v, "") for v in value] if nested else [(number, value, "")]
        except json.JSONDecodeError as error:
            out.append((number, None, say("data.note.bad_json", error=error.msg, column=error.colno)))
        except (RecursionError, ValueError):
            out.append((number, None, say("data.note.bad_json", error="too deep or too long", column=1)))
    return out


def _walk(text: str, start: int) -> Iterator[Found]:
    """Records in nested lists and wrapping objects, each with its line; several values may follow each other."""
    line, counted = 1, 0
    pending: list[str] = []
    at = start
    while True:
        at = _skip(text, at, " \t\n\r\ufeff," if pending else _WHITE)
        if at >= len(text):
            if pending:
                raise json.JSONDecodeError("Unexpected end", text, len(text))
            return
        if pending and text[at] in "]}":
            pending.pop()
            at += 1
            continue
        line, counted = line + text.count("\n", counted, at), at
        if pending and pending[-1] == "{":
            _, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at, _WHITE + ":")
        value, end = _DECODER.raw_decode(text, at)
        inside = bool(pending) and pending[-1] == "{"
        if isinstance(value, list) and _opens_list(value) and (not inside or _is_records(value)):
            pending.append("[")
            at += 1
        elif isinstance(value, dict) and _is_wrapper(value):
            pending.append("{")
            at += 1
        else:
            if not inside:  # what stands beside the list in a wrapper is no record
                yield line, value, ""
            at = end


def _opens_list(value: list[Any]) -> bool:
    return not _is_talk(value) and not _is_texts(value)


def _skip(text: str, at: int, chars: str) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at


def _is_talk(value: Any) -> bool:
    """A list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and _key(m, _SPEAKER_KEYS) and (_key(m, _WORD_KEYS) or "tool_calls" in m) for m in value
        )
    )


def _is_texts(value: list[Any]) -> bool:
    """A pair of texts, question and answer."""
    return len(value) == 2 and all(isinstance(v, str) for v in value)


def _key(value: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((k for k in keys if k in value), None)


def _talk_key(value: Mapping[str, Any]) -> str | None:
    for key, talk in value.items():
        if not isinstance(talk, list) or plain_header(key) not in _TALKS:
            continue
        if not talk or (isinstance(talk[0], dict) and _key(talk[0], _SPEAKER_KEYS)):
            return key
    return None


def _turns_of(
    value: Any,
    taken: dict[tuple[str, ...], Columns | str],
    columns: Mapping[str, str | Sequence[str]] | None,
    speakers: Mapping[str, str],
    where: str,
) -> tuple[Columns | str, tuple[tuple[str, str], ...]]:
    """The shape of one value, and its turns. ``taken`` remembers what each set of keys meant."""
    if isinstance(value, list):
        if _is_talk(value):
            return "messages", tuple(_message(m, speakers) for m in value)
        if _is_texts(value):
            return "[question, answer]", (("user", value[0]), ("assistant", value[1]))
    if not isinstance(value, dict):
        raise _UnfitError("unreadable", say("data.note.not_an_object"))
    keys = tuple(value)
    if keys not in taken:
        taken[keys] = _shape(value, columns, where)
    shape = taken[keys]
    if any(value.get(m) for m in _MEDIA):
        raise _UnfitError("not_text", say("data.note.not_text"))
    if isinstance(shape, Columns):
        return shape, _from_columns(value, shape, speakers)
    if not shape:
        raise _UnfitError("no_pair", say("data.note.no_pair", keys=", ".join(map(str, keys))[:80]))
    talk = value[shape]
    if not isinstance(talk, list):
        raise _UnfitError("unreadable", say("data.note.bad_value", name=shape))
    turns = tuple(_message(m, speakers) for m in talk)
    system = value.get("system")
    if isinstance(system, str) and system.strip() and turns[:1] and turns[0][0] != "system":
        turns = (("system", system), *turns)
    return shape, turns


def _shape(value: Mapping[str, Any], columns: Mapping[str, str | Sequence[str]] | None, where: str) -> Columns | str:
    """The columns of an object, or the key of its list of messages, or nothing.

    Raises:
        DataError: Preference data (chosen/rejected, KTO labels), which this way of training cannot use.
    """
    plain = {plain_header(k): v for k, v in value.items()}
    if {"rejected", "chosen"} <= set(plain) or "kto_tag" in plain or isinstance(plain.get("label"), bool):
        raise DataError("data.preference", where=where, keys=", ".join(map(str, value)))
    talk = None if columns else _talk_key(value)
    return talk or find_columns([str(k) for k in value], columns, where) or ""


def _message(message: Any, speakers: Mapping[str, str]) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise _UnfitError("unreadable", say("data.note.bad_message"))
    who, words = _key(message, _SPEAKER_KEYS), _key(message, _WORD_KEYS)
    if who is None:
        raise _UnfitError("unreadable", say("data.note.bad_message"))
    name = plain_name(str(message[who]))
    if name in TOOL_NAMES or message.get("tool_calls") or message.get("function_call"):
        raise _UnfitError("tool_calls", say("data.note.tool_calls"))
    role = speakers.get(name) or role_of(name)
    if role is None:
        raise _UnfitError("unknown_role", say("data.note.unknown_role", name=name[:40]))
    return role, _words(message[words] if words else None, words or "content")


def _words(value: Any, key: str) -> str:
    """A text, also from a list of text parts, a number, or nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        raise _UnfitError("unreadable", say("data.note.bad_value", name=key))
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(p, (str, dict)) for p in value):
        return "".join(p if isinstance(p, str) else _part(p) for p in value)
    raise _UnfitError("unreadable", say("data.note.bad_value", name=key))


def _part(part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    if kind in ("tool_call", "tool_use", "tool_result"):
        raise _UnfitError("tool_calls", say("data.note.tool_calls"))
    words = part.get("text", part.get("value"))
    if kind != "text" or not isinstance(words, str):
        raise _UnfitError("not_text", say("data.note.not_text_part", kind=str(kind)[:40]))
    return words


def _from_columns(
    value: Mapping[str, Any], columns: Columns, speakers: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    asked, answered = value[columns.question], value[columns.answer]
    turns: list[tuple[str, str]] = []
    if columns.system and (system := _words(value[columns.system], columns.system)).strip():
        turns.append(("system", system))
    for pair in (value[columns.history] or []) if columns.history else []:
        if _is_talk([pair]):
            turns.append(_message(pair, speakers))
        elif isinstance(pair, list) and len(pair) == 2:
            turns += [("user", _words(pair[0], "history")), ("assistant", _words(pair[1], "history"))]
        else:
            raise _UnfitError("unreadable", say("data.note.bad_value", name=columns.history or "history"))
    if _is_talk(asked):
        turns += [_message(m, speakers) for m in asked]
    else:
        question = _words(asked, columns.question)
        more = _words(value[columns.more], columns.more) if columns.more else ""
        turns.append(("user", f"{question}\n{more}" if more.strip() else question))
    if _is_talk(answered):
        turns += [_message(m, speakers) for m in answered]
    else:
        turns.append(("assistant", _words(answered, columns.answer)))
    return tuple(turns)
