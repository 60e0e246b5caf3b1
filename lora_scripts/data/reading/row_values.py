"""One row or object to turns: alpaca, ShareGPT, messages, question/answer, preference pairs, history, lists of answers.

A preference object has two answers beside a question (alpaca's keys), beside a list of messages, or each at the end of
a conversation of its own: what the two conversations share is the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lora_scripts.data.reading.columns import REASONING, RowLayout, answer_score, plain_header, question_score
from lora_scripts.data.reading.names import TOOL_NAMES, plain_name, role_of
from lora_scripts.data.reading.questions import asks
from lora_scripts.data.reading.value_text import (
    CONTENT_KEYS,
    WEIGHT_KEYS,
    UnfitError,
    ValueNotes,
    first_key,
    is_thought,
    is_untrained,
    is_weight,
    option_letter,
    option_lines,
    parse_structure,
    text_of,
    texts_of,
)
from lora_scripts.data.records import Message
from lora_scripts.messages import text as say

_TALKS_WORDS = """
messages conversations conversation dialogue dialog dialogs turns chat chats 对话 消息
"""
_TALKS = frozenset(_TALKS_WORDS.split())
_PLURAL_QUESTIONS = frozenset({"patterns", "questions", "queries", "问法", "相似问", "问题列表", "用户问法"})
# In the plural, a list of questions with answers is a list of records.
_TALKS_OF_PAIRS = frozenset(["conversation", "dialogue", "dialog", "turns", "chat", "对话"])
_SPEAKER_KEYS = ("role", "from", "speaker", "author", "角色", "说话人")
# A conversation in one string, as Anthropic's hh-rlhf writes it.
_IN_ONE_STRING = re.compile(r"\n\n(Human|Assistant): ?")
_MEDIA = ("images", "image", "audios", "audio", "videos", "video")
_TEXT_LISTS = _TALKS | {"data", "utterances", "dialogues", "sentences", "话语"}
_FEWEST_TURNS = 2
_TURN_MARK = re.compile(r"(?:^|\s)(?:\[(\w{1,12})\]|###\s*(\w{1,12})|<\|?(\w{1,12})\|?>)\s*[:：]?\s*")
_END_MARK = re.compile(r"<(?:eo\w|/s|\|end\|)>")
_SPOKEN_LINE = re.compile(r"\s*([^\W\d_][\w ]{0,15})\s*[:：]\s*(.*)")

Turns = tuple[Message, ...]


class Parts(NamedTuple):
    """The turns of one record and its rejected answer, if it has one."""

    turns: Turns
    rejected: str | None = None


def is_message_list(value: Any) -> bool:
    """A list of messages, each with a speaker and content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and first_key(m, _SPEAKER_KEYS) and (first_key(m, CONTENT_KEYS) or "tool_calls" in m)
            for m in value
        )
    )


def is_text_pair(value: Any) -> bool:
    """A list of two texts."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)


def messages_key(value: Mapping[str, Any]) -> str:
    """The key of an object under which its messages lie; empty where there is none."""
    for key, talk in value.items():
        if not isinstance(talk, list) or plain_header(key) not in _TALKS:
            continue
        if not talk or (isinstance(talk[0], dict) and first_key(talk[0], _SPEAKER_KEYS)):
            return str(key)
        if plain_header(key) in _TALKS_OF_PAIRS and _pair_keys(talk[0]):
            return str(key)
    if _named_pair(value):
        return ""
    talks = [str(key) for key, talk in value.items() if as_messages(talk, str(key))]
    return talks[0] if len(talks) == 1 else ""


def as_messages(value: Any, key: str) -> list[Any]:
    """A conversation as a list of messages: one already, texts that take turns, or a text with names in front of its
    turns; empty for anything else."""
    if isinstance(value, list) and is_message_list(value):
        return value
    if isinstance(value, str):
        messages = _spoken_lines(value) or _marked_turns(value)
    elif isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value):
        messages = [message for one in value for message in _spoken_lines(one)]
        in_turn = plain_header(key) in _TEXT_LISTS and len(value) % 2 == 0 and not _mostly_ask(value[1::2])
        if not messages and in_turn:
            return [{"role": ("user", "assistant")[i % 2], "content": one} for i, one in enumerate(value)]
    else:
        return []
    sides = {role_of(plain_name(message["role"])) for message in messages}
    return messages if {"user", "assistant"} <= sides else []


def _mostly_ask(texts: Sequence[str]) -> bool:
    return sum(map(asks, texts)) > 0.5 * len(texts)


def _marked_turns(text: str) -> list[dict[str, str]]:
    """Turns behind marks in one text: ``[Human]: … [MOSS]: …``, ``### Human: … ### Assistant: …``."""
    marks = list(_TURN_MARK.finditer(text))
    if len(marks) < _FEWEST_TURNS or text[: marks[0].start()].strip():
        return []
    names = [next(filter(None, mark.groups())) for mark in marks]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    contents = [_END_MARK.sub("", text[m.end() : end]).strip() for m, end in zip(marks, ends, strict=True)]
    known = [role_of(plain_name(name)) for name in names]
    if known[0] != "user" or len(set(names)) > 2:
        return []
    roles = ("user" if name == names[0] else "assistant" for name in names)
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True) if content]


def _named_pair(value: Mapping[str, Any]) -> bool:
    plain = [plain_header(key) for key in value]
    return any(map(question_score, plain)) and any(map(answer_score, plain))


def speakers_in(value: Any) -> list[tuple[str, str]]:
    """(plain name, content) of each message of a list; empty for anything else."""
    if not is_message_list(value):
        return []
    pairs = ((m, first_key(m, _SPEAKER_KEYS) or "", first_key(m, CONTENT_KEYS) or "") for m in value)
    return [(plain_name(str(m[who])), str(m.get(key, ""))) for m, who, key in pairs]


def parts_of(value: Any, layout: RowLayout, speakers: Mapping[str, str], notes: ValueNotes) -> list[Parts]:
    """The records of one row.

    Args:
        value: An object, or a list of messages, or a pair of texts.
        layout: Which key holds what; not used for lists.
        speakers: Plain name → role, beside the known ones.
        notes: Is filled.

    Raises:
        UnfitError: It is no record.
    """
    if is_message_list(value):
        return [Parts(tuple(_message(m, speakers, notes) for m in value))]
    if is_text_pair(value):
        return [Parts((Message("user", value[0]), Message("assistant", value[1])))]
    if isinstance(value, list) and (messages := as_messages(value, "dialogue")):
        return [Parts(tuple(_message(m, speakers, notes) for m in messages))]
    if not isinstance(value, dict):
        raise UnfitError("unreadable", say("data.note.not_an_object"))
    if any(value.get(key) for key in _MEDIA):
        raise UnfitError("not_text", say("data.note.not_text"))
    notes.counts["tools_not_shown"] += bool(value.get("tools"))
    for name in WEIGHT_KEYS:
        if name in value and is_weight(name, value[name]) and is_untrained(name, value[name]):
            raise UnfitError("context_only", f"{name}: {value[name]}")
    if layout.reasoning and str(value.get(layout.reasoning) or "").strip():
        notes.reasoning[layout.reasoning] += 1
    opening = _opening(value, layout, speakers, notes)
    if layout.rejected:
        if layout.question:
            opening = (*opening, *_asked(value, value.get(layout.question), layout.question, layout, speakers, notes))
        return [_two_answers(opening, value[layout.answer], value[layout.rejected], layout, speakers, notes)]
    if layout.messages:
        return [Parts(opening)]
    parts = _answered(value, layout.question, layout.answer, layout, opening, speakers, notes)
    for question, answer in layout.repeats:
        if texts_of(value.get(question), question) != [""] or texts_of(value.get(answer), answer) != [""]:
            parts += _answered(value, question, answer, layout, opening, speakers, notes)
    return parts


def _opening(value: Mapping[str, Any], layout: RowLayout, speakers: Mapping[str, str], notes: ValueNotes) -> Turns:
    """System text and history, and the conversation under ``layout.messages``."""
    turns: list[Message] = []
    if layout.system and (system := "\n".join(texts_of(value.get(layout.system), layout.system))).strip():
        turns.append(Message("system", system))
    if layout.history:
        turns += _history(value.get(layout.history), layout.history, speakers, notes)
    if not layout.messages:
        return tuple(turns)
    talk = value[layout.messages]
    if isinstance(talk, str):
        talk = parse_structure(talk)
    if isinstance(talk, str) or (isinstance(talk, list) and talk and isinstance(talk[0], str)):
        talk = as_messages(talk, layout.messages)
    if not isinstance(talk, list):
        raise UnfitError("unreadable", say("data.note.bad_value", name=layout.messages))
    messages = [turn for m in talk for turn in _turns_of_one(m, speakers, notes)]
    own_system = bool(messages) and messages[0].role == "system"
    return (*(t for t in turns if not (own_system and t.role == "system")), *messages)


def _history(value: Any, key: str, speakers: Mapping[str, str], notes: ValueNotes) -> list[Message]:
    """Earlier turns: pairs, objects, messages, or texts that take turns."""
    if isinstance(value, str) and value.strip():
        value = parse_structure(value)
    if not value or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, str):
        value = _spoken_lines(value)
    if not isinstance(value, list) or not value:
        raise UnfitError("unreadable", say("data.note.bad_value", name=key))
    turns: list[Message] = []
    if all(isinstance(one, str) for one in value):
        return [Message("user" if i % 2 == 0 else "assistant", one) for i, one in enumerate(value)]
    for pair in value:
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            turns += [Message("user", text_of(pair[0], key)), Message("assistant", text_of(pair[1], key))]
        else:
            turns += _turns_of_one(pair, speakers, notes)
    return turns


def _spoken_lines(text: str) -> list[dict[str, str]]:
    """A conversation in one text, each turn on a line with the name of a role in front; empty where it is none."""
    messages: list[dict[str, str]] = []
    for line in text.strip().split("\n"):
        match = _SPOKEN_LINE.fullmatch(line)
        if match and role_of(plain_name(match[1])):
            messages.append({"role": match[1], "content": match[2]})
        elif messages:
            messages[-1]["content"] += f"\n{line}"
        else:
            return []
    return messages


def _answered(
    value: Mapping[str, Any],
    question: str,
    answer: str,
    layout: RowLayout,
    opening: Turns,
    speakers: Mapping[str, str],
    notes: ValueNotes,
) -> list[Parts]:
    """The records of one question column and one answer column."""
    asked, answered = value.get(question), value.get(answer)
    if plain_header(question) in _PLURAL_QUESTIONS and isinstance(asked, list) and not is_message_list(asked):
        flat = [way for one in asked for way in (one if isinstance(one, list) else [one])]
        ways = [text_of(one, question) for one in flat]
        notes.counts["several_questions"] += len(ways) > 1
        return [
            part
            for way in ways
            for part in _answered({**value, question: way}, question, answer, layout, opening, speakers, notes)
        ]
    turns = [*opening, *_asked(value, asked, question, layout, speakers, notes)]
    if isinstance(answered, list) and is_message_list(answered):
        return [Parts((*turns, *(_message(m, speakers, notes) for m in answered)))]
    if notes.odd_lists and isinstance(answered, list):
        raise UnfitError("unreadable", say("data.note.bad_value", name=answer))
    if notes.ranking and plain_header(answer) == "output" and isinstance(answered, list) and is_text_pair(answered):
        return [Parts((*turns, Message("assistant", answered[0])), answered[1])]  # LLaMA-Factory's ``ranking``
    reasoning = text_of(value.get(layout.reasoning), layout.reasoning) if layout.reasoning else ""
    if layout.options and isinstance(answered, int) and not isinstance(answered, bool):
        answered = option_letter(answered, notes.option_base, answer)
        notes.counts["option_numbers_read"] += 1
    answers = texts_of(answered, answer, notes)
    notes.counts["several_answers"] += len(answers) > 1
    further: list[Message] = []
    for more, its_answer in layout.followups:
        if text_of(value.get(more), more).strip():
            further += [
                Message("user", text_of(value.get(more), more)),
                Message("assistant", text_of(value.get(its_answer), its_answer)),
            ]
    return [Parts((*turns, Message("assistant", one, True, reasoning), *further)) for one in answers]


def _asked(
    value: Mapping[str, Any],
    asked: Any,
    key: str,
    layout: RowLayout,
    speakers: Mapping[str, str],
    notes: ValueNotes,
) -> list[Message]:
    if is_message_list(asked):
        return [_message(m, speakers, notes) for m in asked]
    parts = [text_of(asked, key)]
    parts += option_lines(value, layout.options)
    parts += [more for name in layout.inputs if (more := text_of(value.get(name), name)).strip()]
    return [Message("user", "\n".join(parts) if parts[0].strip() else "\n".join(parts[1:]))]


def _two_answers(
    asked: Turns, chosen: Any, rejected: Any, layout: RowLayout, speakers: Mapping[str, str], notes: ValueNotes
) -> Parts:
    """The conversation with the chosen answer, and the rejected one.

    Raises:
        UnfitError: The two do not answer one question, in one turn each.
    """
    named = zip((chosen, rejected), (layout.answer, layout.rejected), strict=True)
    both = [_answer_turns(v, name, bool(asked), speakers, notes) for v, name in named]
    if asked and asked[-1].role == "assistant" and _same(asked[-1:], both[0][-1:]):
        asked = asked[:-1]  # the conversation with the chosen answer stands beside it once more
    conversations = []
    for turns in both:
        alone = not turns or turns[0].role == "assistant"
        if not alone and not all(any(_same([one], [other]) for other in turns) for one in asked):
            raise UnfitError("no_common_question", say("preference.no_common_question"))
        conversations.append((*asked, *turns) if alone else turns)
    better, worse = conversations
    ends = [t[-1].role == "assistant" and t[-2].role == "user" for t in conversations if len(t) > 1]
    if ends != [True, True] or not _same(better[:-1], worse[:-1]):
        raise UnfitError("no_common_question", say("preference.no_common_question"))
    return Parts(better, worse[-1].content)


def _same(some: Sequence[Message], others: Sequence[Message]) -> bool:
    return [(m.role, m.content.strip()) for m in some] == [(m.role, m.content.strip()) for m in others]


def _answer_turns(value: Any, key: str, asked: bool, speakers: Mapping[str, str], notes: ValueNotes) -> Turns:
    """The turns under a key of an answer: a text, a message, a list of them, or a conversation in one string."""
    if isinstance(value, dict):
        return (_message(value, speakers, notes),)
    if is_message_list(value):
        return tuple(_message(m, speakers, notes) for m in value)
    content = text_of(value, key)
    opening, *parts = _IN_ONE_STRING.split(content)
    if asked or opening or not parts:
        return (Message("assistant", content),)
    roles = ("user" if name == "Human" else "assistant" for name in parts[::2])
    return tuple(map(Message, roles, parts[1::2]))


def _pair_keys(value: Any) -> tuple[str, str] | None:
    """What holds question and answer in a turn that is both: ``{"human": ..., "assistant": ...}``."""
    if not isinstance(value, dict):
        return None
    names = [str(k) for k in value]
    asked = max(names, key=lambda n: question_score(plain_header(n)), default="")
    answer = max((n for n in names if n != asked), key=lambda n: answer_score(plain_header(n)), default="")
    certain = answer and question_score(plain_header(asked)) and answer_score(plain_header(answer))
    return (asked, answer) if certain else None


def _turns_of_one(turn: Any, speakers: Mapping[str, str], notes: ValueNotes) -> Sequence[Message]:
    """One message of a conversation, or a question and its answer in one object."""
    if isinstance(turn, dict) and not first_key(turn, _SPEAKER_KEYS) and (pair := _pair_keys(turn)):
        return [Message("user", text_of(turn[pair[0]], pair[0])), Message("assistant", text_of(turn[pair[1]], pair[1]))]
    return [_message(turn, speakers, notes)]


def _message(message: Any, speakers: Mapping[str, str], notes: ValueNotes) -> Message:
    if not isinstance(message, dict):
        raise UnfitError("unreadable", say("data.note.bad_message"))
    who, key = first_key(message, _SPEAKER_KEYS), first_key(message, CONTENT_KEYS)
    if who is None:
        raise UnfitError("unreadable", say("data.note.bad_message"))
    name = plain_name(str(message[who]))
    if name in TOOL_NAMES or message.get("tool_calls") or message.get("function_call"):
        raise UnfitError("tool_calls", say("data.note.tool_calls"))
    role = speakers.get(name) or role_of(name)
    if role is None:
        raise UnfitError("unknown_role", say("data.note.unknown_role", name=name[:40]))
    trained, reasoning = True, ""
    if len(message) > 2:
        trained, reasoning = _beside(message, who, key, role, notes)
    content = message[key] if key else None
    if isinstance(content, list) and (thoughts := [part["thinking"] for part in content if is_thought(part)]):
        reasoning = "\n".join(filter(None, [reasoning, *thoughts]))
        notes.reasoning["thinking"] += 1
        content = [part for part in content if not is_thought(part)]
    return Message(role, text_of(content, key or "content"), trained, reasoning)


def _beside(message: Mapping[str, Any], who: str, key: str | None, role: str, notes: ValueNotes) -> tuple[bool, str]:
    """What stands in a message beside speaker and content: whether it is trained on, and its chain of thought."""
    trained, reasoning = True, ""
    for name, value in message.items():
        if name in (who, key) or value in (None, "", [], {}):
            continue
        if is_weight(name, value):
            if role == "assistant" and is_untrained(name, value):
                trained = False
                notes.context_turns[str(name)] += 1
        elif plain_header(name) in REASONING and isinstance(value, str):
            reasoning = value
            notes.reasoning[str(name)] += 1
        else:
            notes.message_keys[str(name)] += 1
    return trained, reasoning
