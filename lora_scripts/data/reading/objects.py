"""JSON and JSONL to rows: lists, lists in objects, objects by id, records within records; each with its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from lora_scripts.data.reading.columns import answer_score, find_pair, header_role, plain_header, question_score
from lora_scripts.data.reading.exports import DiscardedError, is_export, records_of_export
from lora_scripts.data.reading.message_rows import CONVERSATION_NAME
from lora_scripts.data.reading.row_values import is_message_list, is_text_pair, messages_key
from lora_scripts.data.reading.rows import Names, Row, read_rows
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.records import Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_DECODER = json.JSONDecoder()
_WHITE = " \t\n\r\ufeff"
_LINE_ENDS = _WHITE + "\x00\u200b"
_OPENS = re.compile(r"[\[{]")
_OPENS_JSON = re.compile(r"[\[{]\s*(?:[\"\[{\]}]|$)")  # "[客户] 您好" is none
_PROBE = 20  # lines that tell JSONL from one document over many lines
_FEWEST_QUESTIONS = 3
_A_TEXT = 10  # characters from which a value may be a question or an answer
_CERTAIN = 2.0  # of ``question_score`` and ``answer_score``: more than the name of a person


def read_objects(source: Source, columns: Names = None, roles: Names = None, *, sure: bool = True) -> Parsed | None:
    """The records of a JSON or JSONL text; JSONL is read line by line, a JSON document is held.

    Args:
        source: The file.
        columns: Keys of question, answer, system, input, history, where the names do not tell.
        roles: Speakers' names by role, beside the known ones.
        sure: The file is known to be JSON (by its suffix), so broken JSON is an error.

    Returns:
        None where it is not JSON and ``sure`` is False.

    Raises:
        DataError: Broken JSON, answers with marks (KTO), or objects without question and answer.
        AmbiguousDataError: The keys can be read in several ways.
    """
    rows, shape = _rows(source, sure)
    return None if rows is None else read_rows(rows, shape, source.where, columns, roles, sure=sure)


def _rows(source: Source, sure: bool) -> tuple[Iterable[Row] | None, str]:
    """The rows of the text, and ``json`` or ``jsonl``."""
    probe = list(islice(((n, s) for n, line in enumerate(source.lines(), 1) if (s := line.strip(_WHITE))), _PROBE))
    if not probe or not (_OPENS if sure else _OPENS_JSON).match(probe[0][1]):
        if sure:
            raise DataError("data.not_json", where=f"{source.where}:{probe[0][0] if probe else 1}")
        return None, ""
    if len(probe) > 1 and sum(_is_value(line) for _, line in probe) * 2 >= len(probe):
        return _lines(source.lines()), "jsonl"
    text = source.text()
    try:
        return _with_index(list(_walk(text, len(text) - len(text.lstrip(_WHITE))))), "json"
    except json.JSONDecodeError as error:
        lines = list(_lines(source.lines()))
        if sum(not row.problem for row in lines) * 2 >= len(lines):  # JSONL that begins with broken lines
            return lines, "jsonl"
        if not sure:
            return None, ""
        place = f"{source.where}:{error.lineno}"
        raise DataError("data.broken_json", where=place, error=error.msg, column=error.colno) from None
    except (RecursionError, ValueError):  # too deep, or a number of thousands of digits
        if not sure:
            return None, ""
        raise DataError("data.broken_json", where=f"{source.where}:1", error="too deep or too long", column=1) from None


def _with_index(rows: Sequence[Row]) -> list[Row]:
    """``rows`` with an index where several begin on one line."""
    on_line = Counter(row.line for row in rows)
    seen: Counter[int] = Counter()
    out = []
    for row in rows:
        seen[row.line] += 1
        out.append(row._replace(index_on_line=str(seen[row.line])) if on_line[row.line] > 1 else row)
    return out


def _is_value(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except (ValueError, RecursionError):
        return False


def _lines(lines: Iterable[str]) -> Iterator[Row]:
    blank: list[int] = []  # blank lines at the end are no records
    for number, raw in enumerate(lines, 1):
        line = raw.strip(_LINE_ENDS)
        if not line:
            blank.append(number)
            continue
        for empty in blank:
            yield Row(empty, None, say("data.note.blank_line"))
        blank.clear()
        try:
            value = json.loads(line)
            values = list(_expanded(value, {}))
        except json.JSONDecodeError as error:
            yield Row(number, None, say("data.note.bad_json", error=error.msg, column=error.colno))
        except (RecursionError, ValueError):
            yield Row(number, None, say("data.note.bad_json", error="too deep or too long", column=1))
        else:
            yield from _with_index([_row(number, one) for one in values or [value]])


def _is_typed_messages(value: Sequence[Any]) -> bool:
    """A conversation as LangChain writes it: ``type`` is human, ai or system, the content in ``data``."""
    return bool(value) and all(
        isinstance(one, dict)
        and one.get("type") in ("human", "ai", "system")
        and ("content" in one or isinstance(one.get("data"), dict))
        for one in value
    )


def _row(line: int, value: Any) -> Row:
    if isinstance(value, DiscardedError):
        return Row(line, None, say("data.note.discarded"), reason="discarded")
    return Row(line, value)


def _expanded(value: Any, inherited: Mapping[str, Any]) -> Iterator[Any]:
    """The records within one value; each inherits what stands beside it in the objects around it."""
    if isinstance(value, list) and _is_typed_messages(value):
        yield [
            {"role": one["type"], "content": one.get("content", one.get("data", {}).get("content"))} for one in value
        ]
        return
    if isinstance(value, list) and _is_list_of_records(value):
        for one in value:
            yield from _expanded(one, inherited)
        return
    if not isinstance(value, dict):
        yield value
        return
    try:
        records = records_of_export(value)
    except DiscardedError:
        yield DiscardedError()
        return
    for record in records:
        children = _children(record)
        if _asks_and_answers(record):
            yield from ({**inherited, "question": key, "answer": answer} for key, answer in record.items())
        elif not children:
            yield {**inherited, **record} if inherited else record
        else:
            beside = {**inherited, **{k: v for k, v in record.items() if k not in children}}
            for key, child in children.items():
                named = {**beside, "key": key} if _is_by_id(record) else beside
                yield from _expanded(child, named)


def _children(value: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an object that hold records, where the object is none itself."""
    keys = tuple(value)
    if _names_a_pair(keys) or find_pair(keys) or messages_key(value):
        return {}
    if _is_by_id(value) or _are_pairs_by_id(value):
        return dict(value)
    others = {key: v for key, v in value.items() if header_role(plain_header(key)) != "history"}
    lists = {key: v for key, v in others.items() if isinstance(v, list) and v and isinstance(v[0], (dict, list))}
    certain = {key: v for key, v in lists.items() if _holds_record(v[0])}
    if certain:
        return certain
    objects = {key: v for key, v in value.items() if isinstance(v, dict) and (_children(v) or _names_a_pair(tuple(v)))}
    texts = sum(isinstance(v, str) and len(v) >= _A_TEXT for v in value.values())
    return objects or (lists if texts < 2 else {})


def _holds_record(value: Any) -> bool:
    """A value that is a record, or holds some."""
    if isinstance(value, list):
        return is_message_list(value) or is_text_pair(value) or bool(value and _holds_record(value[0]))
    return isinstance(value, dict) and bool(messages_key(value) or _names_a_pair(tuple(value)) or _children(value))


@lru_cache(maxsize=4096)
def _names_a_pair(keys: tuple[str, ...]) -> bool:
    """Keys that name a question and an answer."""
    plain = [plain_header(key) for key in keys]
    asked = {name for name in plain if question_score(name) >= _CERTAIN}
    answers = {name for name in plain if answer_score(name) >= _CERTAIN}
    return bool(asked and answers and len(asked | answers) > 1)


def _is_by_id(value: Mapping[str, Any]) -> bool:
    """Records under their ids: only objects, at least two, with the same keys."""
    values = list(value.values())
    if len(values) < 2 or not all(isinstance(v, dict) and v for v in values):
        return False
    return len({tuple(v) for v in values}) <= max(1, len(values) // 5) and not _children(values[0])


def _are_pairs_by_id(value: Mapping[str, Any]) -> bool:
    """Ids with a list of question and answer each."""
    return len(value) > 1 and all(is_text_pair(v) for v in value.values())


def _asks_and_answers(value: Mapping[str, Any]) -> bool:
    """Questions as keys, answers as values."""
    if len(value) < _FEWEST_QUESTIONS or not all(isinstance(v, str) for v in value.values()):
        return False
    return sum(str(key).rstrip().endswith(("?", "？")) for key in value) >= 0.8 * len(value)


def _is_several_conversations(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Messages of several conversations, which an id tells apart."""
    for key in messages[0]:
        ids = [str(message.get(key)) for message in messages]
        if CONVERSATION_NAME.search(plain_header(key)) and 1 < len(set(ids)) < len(ids):
            return True
    return False


def _is_list_of_records(value: Any) -> bool:
    if isinstance(value, list) and is_message_list(value):
        return _is_several_conversations(value)
    if not isinstance(value, list) or is_text_pair(value):
        return False
    return not (len(value) > 1 and all(isinstance(one, str) for one in value))


@dataclass(slots=True)
class _Open:
    """A list or object that ``_walk`` is in, with what its records inherit."""

    closing: str
    inherited: Mapping[str, Any] = field(default_factory=dict)
    children: frozenset[str] | None = None
    by_id: bool = False


def _walk(text: str, start: int) -> Iterator[Row]:
    """Records in nested lists and objects, each with its line; several values may follow each other."""
    line, counted = 1, 0
    stack: list[_Open] = []
    at = start
    while True:
        at = _skip(text, at, " \t\n\r\ufeff," if stack else _WHITE)
        if at >= len(text):
            if stack:
                raise json.JSONDecodeError("Unexpected end", text, len(text))
            return
        if stack and text[at] in "]}":
            stack.pop()
            at += 1
            continue
        line, counted = line + text.count("\n", counted, at), at
        around = stack[-1] if stack else _Open("")
        key = ""
        if around.closing == "}":
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at, _WHITE + ":")
        value, end = _DECODER.raw_decode(text, at)
        if around.children is not None and key not in around.children:
            at = end  # inherited by the records beside it
            continue
        inherited = {**around.inherited, "key": key} if around.by_id else around.inherited
        children = _children(value) if isinstance(value, dict) and not is_export(value) else {}
        if _is_list_of_records(value):
            stack.append(_Open("]", inherited))
            at += 1
        elif children:
            beside = {**inherited, **{k: v for k, v in value.items() if k not in children}}
            stack.append(_Open("}", beside, frozenset(children), _is_by_id(value)))
            at += 1
        else:
            yield from (_row(line, one) for one in _expanded(value, inherited))
            at = end


def _skip(text: str, at: int, chars: str) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at
