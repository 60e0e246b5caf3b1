"""The text that a value holds: plain, in lines, in parts, in an object, written as JSON; options and their letters."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_scripts.data.reading.columns import plain_header
from lora_scripts.messages import text as say

CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "内容")
_VALUE_KEYS = (*CONTENT_KEYS, "answer", "response", "output", "question", "答案", "回答")
_PLURAL_ANSWERS_WORDS = """
answers responses replies outputs completions references 答案列表 回答列表 多个答案 参考答案 候选答案 备选答案
"""
_PLURAL_ANSWERS = frozenset(_PLURAL_ANSWERS_WORDS.split())
_DISCARDED_WORDS = """
discarded cancelled canceled rejected deleted invalid skipped 作废 已作废 废弃 已废弃 丢弃 已丢弃 已删除 无效
不采用 未采用 不通过 未通过 审核不通过 审核未通过 已驳回 驳回 已撤销 撤销 已撤回 已取消 停用 已停用 失效 已失效
废止 已废止 过期 已过期 下架 已下架
"""
_DISCARDED = frozenset(_DISCARDED_WORDS.split())
_UNFINISHED_WORDS = """
draft pending in_progress unpublished private todo 草稿 待审核 待审 审核中 待确认 处理中 转办中 待处理 未完成
未发布 不公开 待回复 待核实
"""
_UNFINISHED = frozenset(_UNFINISHED_WORDS.split())
_LONGEST_LITERAL = 100_000
_LETTERS = "ABCDEFGH"
_LETTERED = re.compile(r"\s*[(（]?[A-Ha-h][)）.．、:：\s]")
_WEIGHT_KEYS = ("weight", "loss", "loss_weight", "train", "trainable")
_MASK_KEYS = ("masked", "mask", "ignore", "no_loss", "skip")
_NOUGHTS = ("0", "0.0", "false", "no", "none")
WEIGHT_KEYS = (*_WEIGHT_KEYS, *_MASK_KEYS)


class UnfitError(Exception):
    """A row that cannot become a record: the bin that it goes to and a note. Never leaves this package."""

    def __init__(self, reason: str, note: str = "") -> None:
        self.reason, self.note = reason, note


class UnreadableCell(str):
    """An empty cell whose content is missing for a reason (``note``): it spoils the record that needs it."""

    note: str

    def __new__(cls, note: str) -> UnreadableCell:
        cell = super().__new__(cls, "")
        cell.note = note
        return cell


class ContinuedCell(str):
    """The content of a cell that is merged with the one above."""

    __slots__ = ()


@dataclass(slots=True)
class ValueNotes:
    """What was met inside of rows and has to be reported: counts by kind, or by the key that said so.

    ``option_base`` is from where answers that are numbers of options count; ``ranking`` allows lists of two answers
    to be a better and a worse one; ``odd_lists`` that a list is an accident, since nearly all answers are texts.
    """

    counts: Counter[str] = field(default_factory=Counter)
    reasoning: Counter[str] = field(default_factory=Counter)
    context_turns: Counter[str] = field(default_factory=Counter)
    unfinished: Counter[str] = field(default_factory=Counter)
    option_base: int | None = None
    ranking: bool = True
    odd_lists: bool = False
    message_keys: Counter[str] = field(default_factory=Counter)


def first_key(value: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first of ``keys`` that an object has."""
    return next((k for k in keys if k in value), None)


def is_weight(name: str, value: Any) -> bool:
    """A key that says whether a turn or a record is trained on."""
    plain = isinstance(value, (bool, int, float)) or str(value).strip().casefold() in (
        *_NOUGHTS,
        "1",
        "1.0",
        "true",
        "yes",
    )
    return plain and (name in _WEIGHT_KEYS or name in _MASK_KEYS)


def is_untrained(name: str, value: Any) -> bool:
    """Weight 0, or a mask that is set."""
    nought = not value or str(value).strip().casefold() in _NOUGHTS
    return nought if name in _WEIGHT_KEYS else not nought


def is_thought(part: Any) -> bool:
    """A content block of extended thinking (Anthropic's Messages API)."""
    return isinstance(part, dict) and part.get("type") == "thinking" and isinstance(part.get("thinking"), str)


def is_discarded(status: Any) -> bool:
    """A status (of an annotation, a row) that takes it out of the data."""
    return str(status).strip().casefold() in _DISCARDED


def is_unfinished(status: Any) -> bool:
    """A status of what is not approved or not done yet."""
    return str(status).strip().casefold() in _UNFINISHED


def parse_structure(value: str) -> Any:
    """A list or object written as JSON or as a Python literal in a text; the text itself where it is none."""
    stripped = value.strip()
    if not stripped or stripped[0] + stripped[-1] not in ("[]", "{}") or len(stripped) > _LONGEST_LITERAL:
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            made = parse(stripped)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(made, (list, dict)):
            return made
    return value


def with_structures(value: Mapping[str, Any], structured: frozenset[str]) -> dict[str, Any]:
    """An object with the lists and objects that its ``structured`` values spell."""
    return {n: parse_structure(v) if n in structured and isinstance(v, str) else v for n, v in value.items()}


def option_lines(value: Mapping[str, Any], options: Sequence[str]) -> list[str]:
    """The lines of a multiple-choice question's options."""
    listed = (
        value.get(options[0])
        if len(options) == 1
        else {k: value.get(n) for k, n in zip(_LETTERS, options, strict=False)}
    )
    if isinstance(listed, dict):
        texts = {key: text_of(choice, options[0]) for key, choice in listed.items()}
        return [f"{key}. {choice}" for key, choice in texts.items() if choice.strip()]
    if isinstance(listed, list):
        texts_only = [text_of(choice, options[0]) for choice in listed]
        if all(_LETTERED.match(choice) for choice in texts_only):
            return texts_only
        return [f"{letter}. {choice}" for letter, choice in zip(_LETTERS, texts_only, strict=False)]
    whole = text_of(listed, options[0]) if options else ""
    return [whole] if whole.strip() else []


def option_letter(number: int, base: int | None, key: str) -> str:
    """The letter of an option that is given by its number, counted from ``base``."""
    if base is None or not 0 <= number - base < len(_LETTERS):
        raise UnfitError("unreadable", say("data.note.bad_value", name=key))
    return _LETTERS[number - base]


def texts_of(value: Any, key: str, notes: ValueNotes | None = None) -> list[str]:
    """The answers that a value holds: one, or several where the key or the layout (SQuAD's ``text``) says so."""
    if isinstance(value, dict) and (inner := first_key(value, _VALUE_KEYS)):
        if notes:
            notes.message_keys.update(f"{key}.{name}" for name in value if name != inner)
        value, key = value[inner], "answers"
    if isinstance(value, list) and value and all(isinstance(one, dict) and "status" in one for one in value):
        valid = [one for one in value if not is_discarded(one["status"])]
        if notes:
            notes.counts["discarded_answers"] += len(value) - len(valid)
            notes.message_keys.update(f"{key}.{name}" for one in valid for name in one if name not in _VALUE_KEYS)
        value, key = [one.get(first_key(one, _VALUE_KEYS) or "") for one in valid], "answers"
    if isinstance(value, list) and plain_header(key) in _PLURAL_ANSWERS:
        answers = [text_of(one, key) for one in value]
        return list(dict.fromkeys(filter(str.strip, answers))) or [""]
    return [text_of(value, key)]


def text_of(value: Any, key: str) -> str:
    """A text, also from lines or parts of one, a number, or nothing."""
    if isinstance(value, UnreadableCell):
        raise UnfitError("unreadable", value.note)
    if isinstance(value, str):
        return value
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        raise UnfitError("unreadable", say("data.note.bad_value", name=key))
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict) and (inner := first_key(value, _VALUE_KEYS)) and "type" not in value:
        return text_of(value[inner], key)
    if isinstance(value, list) and all(isinstance(p, str) for p in value):
        return "\n".join(value)
    if isinstance(value, list) and all(isinstance(p, (str, dict)) for p in value):
        return "".join(p if isinstance(p, str) else _text_part(p) for p in value)
    raise UnfitError("unreadable", say("data.note.bad_value", name=key))


def _text_part(part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    if kind in ("tool_call", "tool_use", "tool_result"):
        raise UnfitError("tool_calls", say("data.note.tool_calls"))
    content = part.get("text", part.get("value"))
    if kind not in ("text", "plain", "link", "bold", "italic", "mention") or not isinstance(content, str):
        raise UnfitError("not_text", say("data.note.not_text_part", kind=str(kind)[:40]))
    return content
