"""What one JSON value says: the turns of an alpaca, ShareGPT, messages or question/answer object, or of a pair.

A preference object has two answers beside a question (alpaca's keys), beside a list of messages, or each at the end of
a conversation of its own: what the two conversations share is the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lora_scripts.data.reading.columns import Columns, find_columns, find_pair, plain_header
from lora_scripts.data.reading.names import TOOL_NAMES, plain_name, role_of
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_TALKS_WORDS = """
messages conversations conversation dialogue dialog dialogs turns chat chats 对话 消息
"""
_TALKS = _TALKS_WORDS.split()
# In the plural, a list of questions with answers is a list of records.
_TALK_OF_PAIRS = ("conversation", "dialogue", "dialog", "turns", "chat", "对话")
_SPEAKER_KEYS = ("role", "from", "speaker", "author", "角色", "说话人")
_WORD_KEYS = ("content", "value", "text", "message", "utterance", "内容")
# A conversation in one string, as Anthropic's hh-rlhf writes it.
_IN_ONE_STRING = re.compile(r"\n\n(Human|Assistant): ?")
_MEDIA = ("images", "image", "audios", "audio", "videos", "video")


Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Preference:
    """The keys of two answers; ``asked`` is that of the messages before them, empty where they bring them along."""

    asked: str
    chosen: str
    rejected: str

    def __str__(self) -> str:
        return f"{self.asked or '…'}, chosen: {self.chosen}, rejected: {self.rejected}"


Shape = Columns | Preference | str


class Said(NamedTuple):
    """The shape of a value and its turns, ``rejected`` as in ``Record``; or the bin that it goes to and a note."""

    shape: Shape = ""
    turns: Turns = ()
    rejected: str | None = None
    reason: str = ""
    note: str = ""


class _UnfitError(Exception):
    """A value that cannot become a record: the bin and a note. Never leaves this file."""

    def __init__(self, reason: str, note: str = "") -> None:
        self.reason, self.note = reason, note


def is_talk(value: Any) -> bool:
    """A list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and _key(m, _SPEAKER_KEYS) and (_key(m, _WORD_KEYS) or "tool_calls" in m) for m in value
        )
    )


def is_texts(value: list[Any]) -> bool:
    """A pair of texts, question and answer."""
    return len(value) == 2 and all(isinstance(v, str) for v in value)


def _key(value: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((k for k in keys if k in value), None)


def talk_key(value: Mapping[str, Any]) -> str | None:
    """The key of an object under which its messages lie."""
    for key, talk in value.items():
        if not isinstance(talk, list) or plain_header(key) not in _TALKS:
            continue
        if not talk or (isinstance(talk[0], dict) and _key(talk[0], _SPEAKER_KEYS)):
            return key
        if plain_header(key) in _TALK_OF_PAIRS and _pair_columns(talk[0]):
            return key
    return None


def turns_of(
    value: Any,
    taken: dict[tuple[str, ...], Shape],
    columns: Mapping[str, str | Sequence[str]] | None,
    speakers: Mapping[str, str],
    where: str,
) -> Said:
    """What one value says; or, where that is no record, the bin that it goes to and a note.

    Args:
        value: As JSON gives it.
        taken: What each set of keys meant so far; is filled.
        columns: The user's names of keys.
        speakers: Plain name → role, beside the known ones.
        where: ``file:line`` for messages.

    Raises:
        DataError: Answers with marks (KTO), or a choice of keys that is not clear.
    """
    try:
        return _turns_of(value, taken, columns, speakers, where)
    except _UnfitError as unfit:
        return Said(reason=unfit.reason, note=unfit.note)
    except RecursionError:
        return Said(reason="unreadable", note=say("data.note.not_an_object"))


def _turns_of(
    value: Any,
    taken: dict[tuple[str, ...], Shape],
    columns: Mapping[str, str | Sequence[str]] | None,
    speakers: Mapping[str, str],
    where: str,
) -> Said:
    if isinstance(value, list):
        if is_talk(value):
            return Said("messages", tuple(_message(m, speakers) for m in value))
        if is_texts(value):
            return Said("[question, answer]", (("user", value[0]), ("assistant", value[1])))
    if not isinstance(value, dict):
        raise _UnfitError("unreadable", say("data.note.not_an_object"))
    keys = tuple(value)
    if keys not in taken:
        taken[keys] = _shape(value, columns, where)
    shape = taken[keys]
    if any(value.get(m) for m in _MEDIA):
        raise _UnfitError("not_text", say("data.note.not_text"))
    if isinstance(shape, Columns):
        return Said(shape, *_from_columns(value, shape, speakers))
    if isinstance(shape, Preference):
        asked = _talk(value, shape.asked, speakers) if shape.asked else ()
        return Said(shape, *_two_answers(asked, value[shape.chosen], value[shape.rejected], shape, speakers))
    if not shape:
        raise _UnfitError("no_pair", say("data.note.no_pair", keys=", ".join(map(str, keys))[:80]))
    return Said(shape, _talk(value, shape, speakers))


def _talk(value: Mapping[str, Any], key: str, speakers: Mapping[str, str]) -> Turns:
    """The turns of the messages under ``key``, behind the system text that stands beside them."""
    talk = value[key]
    if not isinstance(talk, list):
        raise _UnfitError("unreadable", say("data.note.bad_value", name=key))
    turns = tuple(turn for m in talk for turn in _said(m, speakers))
    system = value.get("system")
    if isinstance(system, str) and system.strip() and turns[:1] and turns[0][0] != "system":
        turns = (("system", system), *turns)
    return turns


def _shape(value: Mapping[str, Any], columns: Mapping[str, str | Sequence[str]] | None, where: str) -> Shape:
    """The columns of an object, or the keys of its messages or answers, or nothing.

    Raises:
        DataError: Answers with marks (KTO), which no way of training here can use.
    """
    plain = {plain_header(k): v for k, v in value.items()}
    pair = find_pair(plain)
    if not pair and ("kto_tag" in plain or isinstance(plain.get("label"), bool)):
        raise DataError("preference.marked_answers", where=where, keys=", ".join(map(str, value)))
    talk = None if columns else talk_key(value)
    names = {plain_header(k): k for k in value}
    if pair and (talk or not find_columns([str(k) for k in value], columns, where)):
        return Preference(talk or "", names[pair[0]], names[pair[1]])
    return talk or find_columns([str(k) for k in value], columns, where) or ""


def _two_answers(
    asked: Turns, chosen: Any, rejected: Any, keys: Preference | Columns, speakers: Mapping[str, str]
) -> tuple[Turns, str]:
    """The conversation with the chosen answer, and the rejected one.

    Raises:
        _UnfitError: The two do not answer one question, in one turn each.
    """
    names = (keys.answer, keys.rejected or "") if isinstance(keys, Columns) else (keys.chosen, keys.rejected)
    said = [_answered(v, name, bool(asked), speakers) for v, name in zip((chosen, rejected), names, strict=True)]
    if asked and asked[-1][0] == "assistant" and _same(asked[-1:], said[0][-1:]):
        asked = asked[:-1]  # the conversation with the chosen answer stands beside it once more
    whole = []
    for turns in said:
        alone = not turns or turns[0][0] == "assistant"
        if not alone and not all(any(_same([one], [other]) for other in turns) for one in asked):
            raise _UnfitError("no_common_question", say("preference.no_common_question"))
        whole.append((*asked, *turns) if alone else turns)
    better, worse = whole
    answers = [turns[-1][0] == "assistant" and turns[-2][0] == "user" for turns in whole if len(turns) > 1]
    if answers != [True, True] or not _same(better[:-1], worse[:-1]):
        raise _UnfitError("no_common_question", say("preference.no_common_question"))
    return better, worse[-1][1]


def _same(some: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> bool:
    return [(role, words.strip()) for role, words in some] == [(role, words.strip()) for role, words in others]


def _answered(value: Any, key: str, asked: bool, speakers: Mapping[str, str]) -> Turns:
    """The turns under a key of an answer: a text, a message, a list of them, or a conversation in one string."""
    if isinstance(value, dict):
        return (_message(value, speakers),)
    if is_talk(value):
        return tuple(_message(m, speakers) for m in value)
    words = _words(value, key)
    opening, *parts = _IN_ONE_STRING.split(words)
    if asked or opening or not parts:
        return (("assistant", words),)
    roles = ("user" if name == "Human" else "assistant" for name in parts[::2])
    return tuple(zip(roles, parts[1::2], strict=True))


def _pair_columns(value: Any) -> Columns | None:
    """What holds question and answer in a turn that is both: ``{"human": ..., "assistant": ...}``."""
    try:
        return find_columns([str(k) for k in value], None, "") if isinstance(value, dict) else None
    except DataError:
        return None


def _said(turn: Any, speakers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """The words of one turn of a conversation, or of a question and its answer in one object."""
    if isinstance(turn, dict) and not _key(turn, _SPEAKER_KEYS) and (pair := _pair_columns(turn)):
        return _from_columns(turn, pair, speakers)[0]
    return [_message(turn, speakers)]


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


def _from_columns(value: Mapping[str, Any], columns: Columns, speakers: Mapping[str, str]) -> tuple[Turns, str | None]:
    """The turns, and the rejected answer where there is one."""
    asked, answered = value[columns.question], value[columns.answer]
    turns: list[tuple[str, str]] = []
    if columns.system and (system := _words(value[columns.system], columns.system)).strip():
        turns.append(("system", system))
    history = (value[columns.history] or []) if columns.history else []
    if not isinstance(history, list):
        raise _UnfitError("unreadable", say("data.note.bad_value", name=columns.history or "history"))
    for pair in history:
        if isinstance(pair, list) and len(pair) == 2:
            turns += [("user", _words(pair[0], "history")), ("assistant", _words(pair[1], "history"))]
        else:
            turns += _said(pair, speakers)
    if is_talk(asked):
        turns += [_message(m, speakers) for m in asked]
    else:
        question = _words(asked, columns.question)
        more = _words(value[columns.more], columns.more) if columns.more else ""
        turns.append(("user", f"{question}\n{more}" if more.strip() else question))
    if columns.rejected:
        return _two_answers(tuple(turns), answered, value[columns.rejected], columns, speakers)
    if plain_header(columns.answer) == "output" and isinstance(answered, list) and is_texts(answered):
        return (*turns, ("assistant", answered[0])), answered[1]  # LLaMA-Factory's ``ranking``
    if is_talk(answered):
        turns += [_message(m, speakers) for m in answered]
    else:
        turns.append(("assistant", _words(answered, columns.answer)))
    return tuple(turns), None
