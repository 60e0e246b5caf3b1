"""JSON and JSONL: alpaca, ShareGPT, messages, question/answer under any names; nested lists, wrapped lists."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from lora_scripts.data.reading.columns import find_columns, find_pair, guesses, shown
from lora_scripts.data.reading.json_shapes import Shape, is_talk, is_texts, talk_key, turns_of
from lora_scripts.data.reading.names import given_roles
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

Names = Mapping[str, str | Sequence[str]] | None

_DECODER = json.JSONDecoder()
_WHITE = " \t\n\r\ufeff"
_LINE_ENDS = _WHITE + "\x00\u200b"
_OPENS = re.compile(r"[\[{]")
_OPENS_JSON = re.compile(r"[\[{]\s*(?:[\"\[{\]}]|$)")  # "[客户] 您好" is none
_PROBE = 20  # lines that tell JSONL from one document over many lines
_PATIENCE = 1000  # values without a pair after which a file is refused

# A value with the line it begins on, or with the reason why there is none.
Found = tuple[int, Any, str]


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
    """
    found, shape = _values(source, sure)
    return None if found is None else drafts_of_values(found, shape, source.where, columns, roles, sure=sure)


def drafts_of_values(
    found: Iterable[Found], shape: str, where: str, columns: Names, roles: Names, *, sure: bool = True
) -> Parsed | None:
    """The records among ``found``, which may be an iterator: it is only read on as drafts are taken.

    Args:
        found: ``(line, value, problem)``.
        shape: What the file is called in the ledger.
        where: The file, for messages.
        columns: As for ``read_objects``.
        roles: As for ``read_objects``.
        sure: Values without any object are an error, not None.

    Raises:
        DataError: None of the first values has a question and an answer, or they are answers with marks.
    """
    parsed = Parsed(shape, "")
    samples: list[dict[str, Any]] = []
    drafts = _drafts(found, parsed, where, columns, given_roles(roles), samples)
    head: list[Draft] = []
    for draft in islice(drafts, _PATIENCE):
        head.append(draft)
        if draft.reason not in ("unreadable", "no_pair"):
            break
    if head and head[-1].reason in ("unreadable", "no_pair"):
        if not samples and not sure:
            return None
        names = [str(k) for k in samples[0]] if samples else []
        likely = guesses(names, [[d.get(n, "") for n in names] for d in samples])
        there = ", ".join(map(shown, names[:20])) or "-"
        raise DataError("data.no_keys", where=f"{where}:{head[0].line}", there=there, count=len(head), guesses=likely)
    parsed.drafts = chain(head, drafts)
    return parsed


def _drafts(
    found: Iterable[Found],
    parsed: Parsed,
    where: str,
    columns: Names,
    speakers: Mapping[str, str],
    samples: list[dict[str, Any]],
) -> Iterator[Draft]:
    """Drafts of values; at the end says in ``parsed`` how they were taken. ``samples`` gets the first objects."""
    taken: dict[tuple[str, ...], Shape] = {}
    how: Counter[Shape] = Counter()
    tools, first = 0, 0
    for line, value, problem in found:
        first = first or line
        if problem:
            yield Draft(line, reason="unreadable", note=problem)
            continue
        if isinstance(value, dict) and len(samples) < _PROBE:
            samples.append(value)
        said = turns_of(value, taken, columns, speakers, f"{where}:{line}")
        if said.reason:
            yield Draft(line, reason=said.reason, note=said.note)
            continue
        how[said.shape] += 1
        made = False
        if isinstance(value, dict):
            tools += bool(value.get("tools"))
            made = value.get("synthetic") is True
        yield Draft(line, tuple(Message(*t) for t in said.turns), synthetic=made, rejected=said.rejected)
    parsed.detail = say("data.detail.objects", shapes="; ".join(str(k) for k, _ in how.most_common(4)))
    if tools:
        parsed.remarks.append(("warning", "tools_not_shown", first, {"count": tools}))


def _values(source: Source, sure: bool) -> tuple[Iterable[Found] | None, str]:
    """The record-like values of the text, and ``json`` or ``jsonl``."""
    probe = list(islice(((n, s) for n, line in enumerate(source.lines(), 1) if (s := line.strip(_WHITE))), _PROBE))
    if not probe or not (_OPENS if sure else _OPENS_JSON).match(probe[0][1]):
        if sure:
            raise DataError("data.not_json", where=f"{source.where}:{probe[0][0] if probe else 1}")
        return None, ""
    if len(probe) > 1 and sum(_is_value(line) for _, line in probe) * 2 >= len(probe):
        return _lines(source.lines()), "jsonl"
    text = source.text()
    try:
        return list(_walk(text, len(text) - len(text.lstrip(_WHITE)))), "json"
    except json.JSONDecodeError as error:
        lines = list(_lines(source.lines()))
        if sum(not p for _, _, p in lines) * 2 >= len(lines):  # JSONL that begins with broken lines
            return lines, "jsonl"
        if not sure:
            return None, ""
        place = f"{source.where}:{error.lineno}"
        raise DataError("data.broken_json", where=place, error=error.msg, column=error.colno) from None
    except (RecursionError, ValueError):  # too deep, or a number of thousands of digits
        if not sure:
            return None, ""
        raise DataError("data.broken_json", where=f"{source.where}:1", error="too deep or too long", column=1) from None


def _is_value(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except (ValueError, RecursionError):
        return False


def _is_wrapper(value: dict[str, Any]) -> bool:
    """An object that only holds the list of records, as {"data": [...]}; not one with a history."""
    if talk_key(value) or find_pair(value) or not any(_is_records(v) for v in value.values()):
        return False
    try:
        return find_columns([str(k) for k in value], None, "") is None
    except DataError:
        return False


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], (dict, list))


def _lines(lines: Iterable[str]) -> Iterator[Found]:
    blank: list[int] = []  # blank lines at the end are no records
    for number, raw in enumerate(lines, 1):
        line = raw.strip(_LINE_ENDS)
        if not line:
            blank.append(number)
            continue
        for empty in blank:
            yield empty, None, say("data.note.blank_line")
        blank.clear()
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield number, None, say("data.note.bad_json", error=error.msg, column=error.colno)
        except (RecursionError, ValueError):
            yield number, None, say("data.note.bad_json", error="too deep or too long", column=1)
        else:
            if isinstance(value, list) and _opens_list(value) and all(isinstance(v, dict) for v in value):
                yield from ((number, v, "") for v in value)
            else:
                yield number, value, ""


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
    return not is_talk(value) and not is_texts(value)


def _skip(text: str, at: int, chars: str) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at
