"""Rows to records: the one interpreter of tables, objects and forms, whatever format they come from.

A format's reader turns a file into rows of named values; here the first of them are studied together, each column gets
a role, and then all rows become drafts one by one. Every value is accounted for in ``Parsed.units``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

from lora_scripts.data.reading.ambiguity import Settings, ambiguous, try_alternatives
from lora_scripts.data.reading.cell_text import CellText
from lora_scripts.data.reading.columns import (
    RowLayout,
    find_pair,
    given_columns,
    may_be_private,
    names_the_key,
    option_columns,
    plain_header,
    shown,
)
from lora_scripts.data.reading.evidence import (
    ColumnProfile,
    hypotheses,
    layout_by_content,
    layouts_by_content,
    profile_columns,
    rivals,
    unread_columns,
)
from lora_scripts.data.reading.message_rows import (
    MessageColumns,
    conversations_of,
    drafts_of_messages,
    find_message_columns,
    speaker_roles,
    spoken,
)
from lora_scripts.data.reading.names import TOOL_NAMES, given_roles, role_of
from lora_scripts.data.reading.row_values import (
    ContinuedCell,
    UnfitError,
    ValueNotes,
    is_discarded,
    is_message_list,
    is_text_pair,
    messages_key,
    parse_structure,
    parts_of,
    speakers_in,
)
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

Names = Mapping[str, str | Sequence[str]] | None

STUDIED_ROWS = 1000  # rows at the beginning that decide what the columns are
_NAMED_COLUMNS = 12
_STATUS = re.compile(r"status|state|cancel|discard|状态|作废")
_FEW_STRANGERS = 0.2  # share of conversations with an unknown speaker up to which these are left out


class Row(NamedTuple):
    """A row of a table or a value of JSON.

    Attributes:
        line: Where it begins.
        value: Column name → value; from JSON also a list of messages or a pair of texts. None with a ``problem``.
        problem: Why it cannot be read.
        index_on_line: ``Draft.index``.
        reason: The bin that a row with a problem goes to.
    """

    line: int
    value: Any
    problem: str = ""
    index_on_line: str = ""
    reason: str = "unreadable"


def read_rows(
    rows: Iterable[Row],
    shape: str,
    where: str,
    columns: Names,
    roles: Names,
    *,
    part: str = "",
    header_line: int = 0,
    named: bool = True,
    sure: bool = True,
) -> Parsed | None:
    """The records among ``rows``, which may be an iterator: it is only read on as drafts are taken.

    Args:
        rows: In order.
        shape: What the file is called in the ledger.
        where: The file, for messages.
        columns: The user's names of columns or keys.
        roles: The user's names of speakers.
        part: Sheet or table that the rows stand in, see ``Draft``.
        header_line: Where the names of the columns stand; 0 where they stand in each row.
        named: The columns have names; else their numbers stand for them, and content decides.
        sure: Rows without question and answer are an error, not None.

    Raises:
        DataError: None of the first rows has a question and an answer, or they are answers with marks (KTO).
        AmbiguousDataError: The first rows can be read in several ways.
    """
    rows = iter(rows)
    head = list(islice(rows, STUDIED_ROWS))
    reader = _study(head, f"{where}{part}", columns, roles, part, header_line, named, sure)
    if reader is None:
        return None
    parsed = Parsed(shape, "")
    if not named:
        parsed.remarks.append(("warning", "no_header", head[0].line if head else 1, {}))
    parsed.drafts = reader.read(chain(head, rows), parsed)
    return parsed


def _study(
    head: Sequence[Row],
    where: str,
    columns: Names,
    roles: Names,
    part: str,
    header_line: int = 0,
    named: bool = True,
    sure: bool = True,
) -> _RowReader | None:
    """The reader for a file that begins with ``head``.

    Raises:
        DataError: As ``read_rows``.
        AmbiguousDataError: As ``read_rows``.
    """
    values = [row.value for row in head if not row.problem]
    objects = [value for value in values if isinstance(value, dict)]
    structured = _structured_columns(objects)
    if structured:
        objects = [_with_structures(value, structured) for value in objects]
    profiles = profile_columns(objects)
    reader = _RowReader(where, columns, given_roles(roles), part, profiles, structured)
    messages = find_message_columns(objects, profiles, reader.roles) if objects and not columns else None
    if messages:
        reader.message_columns = messages
        conversations = conversations_of(
            [(row.line, row.value) for row in head if isinstance(row.value, dict)], messages
        )
        reader.learn_speakers([spoken(one, messages) for one in conversations], f"{where}:{head[0].line}", head)
        return reader
    first = header_line or next((row.line for row in head if isinstance(row.value, dict)), head[0].line if head else 1)
    reader.learn_speakers([talk for value in values if (talk := _talk_of(value))], f"{where}:{first}", head)
    reader.learn_values(objects)
    lists = [value for value in values if is_message_list(value) or is_text_pair(value)]
    by_content = layout_by_content(objects[0], profiles) if objects and not named and not columns else None
    if by_content:
        reader.layouts = {tuple(objects[0]): by_content}
    elif not reader.choose_layouts(objects, first, head) and not _are_records(lists):
        if not objects and not sure:
            return None
        raise _no_columns(head, objects, profiles, f"{where}:{first}", part, roles)
    return reader


def _are_records(lists: Sequence[Any]) -> bool:
    """Lists of messages; pairs of texts where the second one does not ask as the first one does."""
    pairs = [value for value in lists if is_text_pair(value)]
    profiles = profile_columns([{"first": a, "second": b} for a, b in pairs])
    both_ask = bool(pairs) and profiles["second"].asking > 0.5 and profiles["second"].mean_length < 60
    return len(lists) > len(pairs) or (bool(pairs) and not both_ask)


def _structured_columns(objects: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Columns of texts most of which are lists or objects written as JSON."""
    counts: Counter[str] = Counter()
    filled: Counter[str] = Counter()
    for value in objects:
        for name, cell in value.items():
            if isinstance(cell, str) and cell.strip():
                filled[name] += 1
                counts[name] += cell.lstrip()[:1] in ("[", "{") and not isinstance(parse_structure(cell), str)
    return frozenset(name for name, count in counts.items() if count >= 0.5 * filled[name])


def _talk_of(value: Any) -> list[tuple[str, str]]:
    return speakers_in(value.get(messages_key(value), []) if isinstance(value, dict) else value)


def _option_count(objects: Sequence[Mapping[str, Any]], options: Sequence[str]) -> int:
    counts = [len(v) for value in objects if isinstance(v := value.get(options[0]), (list, dict))]
    return max(counts, default=len(options))


def _with_structures(value: Mapping[str, Any], structured: frozenset[str]) -> dict[str, Any]:
    return {n: parse_structure(v) if n in structured and isinstance(v, str) else v for n, v in value.items()}


def _no_columns(
    head: Sequence[Row],
    objects: Sequence[Mapping[str, Any]],
    profiles: Mapping[str, ColumnProfile],
    place: str,
    part: str,
    roles: Names,
) -> DataError:
    """The question which columns are meant, with likely ones that were tried."""
    names = [str(name) for name in (objects[0] if objects else ())]
    likely = layouts_by_content([name for name in names if not may_be_private(name)], profiles)
    settings: list[Settings] = [{"columns": {"question": one.question, "answer": one.answer}} for one in likely]

    def read(one: Settings) -> Iterable[Draft]:
        return _drafts_under(one, head, place, part, roles)

    file = place.rpartition(":")[0].removesuffix(part)
    listed = ", ".join(map(shown, names[:_NAMED_COLUMNS])) or "-"
    return ambiguous("data.no_columns", place, try_alternatives(settings, read, file), there=listed)


def _drafts_under(settings: Settings, head: Sequence[Row], where: str, part: str, roles: Names) -> Iterable[Draft]:
    chosen = settings.get("roles", roles)
    reader = _study(head, where, settings.get("columns"), chosen, part)
    return reader.read(head, Parsed("", "")) if reader else ()


@dataclass(slots=True)
class _RowReader:
    """What was decided about the columns of one file or sheet.

    ``layouts`` are by set of keys: objects of a file may have different ones.
    """

    where: str
    columns: Names
    roles: dict[str, str]
    part: str
    profiles: Mapping[str, ColumnProfile]
    structured: frozenset[str]
    message_columns: MessageColumns | None = None
    layouts: dict[tuple[str, ...], RowLayout | None] = field(default_factory=dict)
    notes: ValueNotes = field(default_factory=ValueNotes)
    unread: Counter[str] = field(default_factory=Counter)
    learned: Sequence[str] = ()
    status: str = ""
    first_line: int = 0

    def learn_speakers(self, talks: Sequence[Sequence[tuple[str, str]]], where: str, head: Sequence[Row]) -> None:
        """Give roles to speakers whose names are not known as such; ``talks`` are (plain name, content) of messages.

        Raises:
            AmbiguousDataError: Nothing tells who asks and who answers.
        """
        known = self.roles.keys() | TOOL_NAMES
        unknown = {name for talk in talks for name, _ in talk if name not in known and not role_of(name)}
        strange = sum(any(name in unknown for name, _ in talk) for talk in talks)
        if strange > _FEW_STRANGERS * len(talks):
            self.roles = speaker_roles(talks, self.roles)
            self.learned = sorted(unknown & self.roles.keys())
            sides = [{self.roles.get(name) or role_of(name) for name, _ in talk} for talk in talks]
            if not any({"user", "assistant"} <= side for side in sides):
                raise self._which_role(talks, where, head)

    def _which_role(self, talks: Sequence[Sequence[tuple[str, str]]], where: str, head: Sequence[Row]) -> DataError:
        """Which of the speakers asks and which answers."""
        counts = Counter(name for talk in talks for name, _ in talk)
        first = Counter(talk[0][0] for talk in talks).most_common(1)[0][0]
        others = [name for name, _ in counts.most_common(3) if name != first]
        pairs = [(first, other) for other in others] + [(other, first) for other in others]
        settings: list[Settings] = [{"roles": {"user": [asks], "assistant": [answers]}} for asks, answers in pairs]

        def read(one: Settings) -> Iterable[Draft]:
            return _drafts_under(one, head, self.where, self.part, None)

        return ambiguous("data.ambiguous_roles", where, try_alternatives(settings, read, self._file()))

    def _file(self) -> str:
        return self.where.removesuffix(self.part)

    def learn_values(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Which column tells that a row is not to be used; what numbers and lists of two mean as answers."""
        for name, profile in self.profiles.items():
            is_status = bool(_STATUS.search(plain_header(name))) and profile.categorical and not self.columns
            if is_status and any(is_discarded(value.get(name)) for value in objects):
                self.status = name
        numbers = {
            v for value in objects for n, v in value.items() if names_the_key(plain_header(n)) and type(v) is int
        }
        options = option_columns([str(name) for name in self.profiles])
        if numbers and options:
            self.notes.option_base = 0 if 0 in numbers else 1 if _option_count(objects, options) in numbers else None
        outputs = [
            v for value in objects for n, v in value.items() if plain_header(n) == "output" and isinstance(v, list)
        ]
        self.notes.ranking = all(len(one) == 2 for one in outputs)

    def choose_layouts(self, objects: Sequence[Mapping[str, Any]], line: int, head: Sequence[Row]) -> bool:
        """Decide for each set of keys; False where none of them holds a question and an answer.

        Raises:
            DataError: As ``read_rows``.
            AmbiguousDataError: As ``read_rows``.
        """
        examples: dict[tuple[str, ...], Mapping[str, Any]] = {}
        for value in objects:
            examples.setdefault(tuple(value), value)
        for value in examples.values():
            self._layout_of(value, f"{self.where}:{line}", head)
        return any(self.layouts.values())

    def _layout_of(self, value: Mapping[str, Any], where: str, head: Sequence[Row] | None = None) -> RowLayout | None:
        """The layout of an object; asks only while ``head`` is studied.

        Raises:
            DataError: Answers with marks, which no way of training here can use; a column is not there.
            AmbiguousDataError: Several layouts are equally likely.
        """
        keys = tuple(value)
        if keys not in self.layouts:
            self.layouts[keys] = self._choose(value, where, head)
        return self.layouts[keys]

    def _choose(self, value: Mapping[str, Any], where: str, head: Sequence[Row] | None) -> RowLayout | None:
        names = [str(key) for key in value]
        plain = {plain_header(key): key for key in value}
        pair = find_pair(names)
        if not pair and ("kto_tag" in plain or isinstance(plain.get("label") and value[plain["label"]], bool)):
            raise DataError("preference.marked_answers", where=where, keys=", ".join(names))
        given = given_columns(names, self.columns, where)
        talk = "" if given else messages_key(value)
        if pair and not given.keys() & {"answer", "rejected"}:
            given |= {"answer": pair[0], "rejected": pair[1]}
        ranked = hypotheses(names, self.profiles, given)
        if "rejected" in given and (talk or not ranked):
            return RowLayout(answer=given["answer"], rejected=given["rejected"], messages=talk)
        if talk:
            layout = hypotheses([*names, "question", "answer"], {}, {"question": "question", "answer": "answer"})[
                0
            ].layout
            return RowLayout(messages=talk, system=layout.system, history=layout.history, reasoning=layout.reasoning)
        if not ranked:
            return None
        named = {"question", "answer"} <= given.keys() or "rejected" in given
        profiles = {name: self.profiles[name] for name in names if name in self.profiles}
        choices = rivals(ranked, profiles) if head is not None and not named else []
        if choices:
            raise self._question(choices, where, head or ())
        return ranked[0].layout

    def _question(self, choices: Sequence[RowLayout], where: str, head: Sequence[Row]) -> DataError:
        """Which of several layouts is meant."""
        settings: list[Settings] = []
        for layout in choices:
            columns = {"question": layout.question, "answer": layout.answer}
            settings.append({"columns": columns | ({"input": layout.inputs[-1]} if layout.inputs else {})})

        def read(one: Settings) -> Iterable[Draft]:
            return _drafts_under(one, head, self.where, self.part, None)

        side = "answer" if len({layout.answer for layout in choices}) > 1 else "question"
        alternatives = try_alternatives(settings, read, self._file())
        return ambiguous("data.ambiguous_columns", where, alternatives, side=say(f"data.side.{side}"))

    def read(self, rows: Iterable[Row], parsed: Parsed) -> Iterator[Draft]:
        """The drafts of ``rows``; completes ``parsed`` at the end."""
        texts = CellText()
        if self.message_columns:
            yield from texts.clean(self._read_messages(rows, parsed, self.message_columns))
        else:
            yield from texts.clean(self._read_records(rows, parsed))
        parsed.remarks += texts.remarks(self.first_line)

    def _read_records(self, rows: Iterable[Row], parsed: Parsed) -> Iterator[Draft]:
        layouts: Counter[RowLayout | str] = Counter()
        for row in self._without_continued_questions(rows):
            self.first_line = self.first_line or row.line
            try:
                if row.problem:
                    raise UnfitError(row.reason, row.problem)
                value, layout = row.value, RowLayout()
                if isinstance(value, dict):
                    value = _with_structures(value, self.structured) if self.structured else value
                    layout = self._layout_of(value, f"{self.where}:{row.line}") or layout
                    if layout == RowLayout():
                        raise UnfitError("no_pair", say("data.note.no_pair", keys=", ".join(map(str, value))[:80]))
                    if self.status and is_discarded(value.get(self.status)):
                        raise UnfitError("discarded", f"{self.status}: {value[self.status]}")
                parts = parts_of(value, layout, self.roles, self.notes)
            except UnfitError as unfit:
                parsed.units["left_out"] += 1
                yield Draft(row.line, reason=unfit.reason, note=unfit.note, part=self.part, index=row.index_on_line)
                continue
            except RecursionError:
                note = say("data.note.not_an_object")
                yield Draft(row.line, reason="unreadable", note=note, part=self.part, index=row.index_on_line)
                continue
            synthetic = False
            if isinstance(value, dict):
                layouts[layout] += 1
                synthetic = value.get("synthetic") is True
                self._count_units(value, layout, parsed.units)
            else:
                layouts["messages" if is_message_list(value) else "[question, answer]"] += 1
                parsed.units.update(("question", "answer"))
            for number, one in enumerate(parts, 1):
                index = row.index_on_line if len(parts) == 1 else f"{row.index_on_line}.{number}".lstrip(".")
                yield Draft(row.line, one.turns, "", "", self.part, synthetic, one.rejected, index)
        parsed.detail = self._detail([str(layout) for layout, _ in layouts.most_common(4)])
        self._report(parsed)

    def _without_continued_questions(self, rows: Iterable[Row]) -> Iterator[Row]:
        """``rows`` with the answers to one question, which is merged over several rows, joined."""
        held: Row | None = None
        for row in rows:
            layout = self.layouts.get(tuple(row.value)) if isinstance(row.value, dict) else None
            continues = layout and isinstance(row.value.get(layout.question), ContinuedCell)
            if held and layout and continues and not isinstance(row.value.get(layout.answer), ContinuedCell):
                answers = [str(held.value[layout.answer]), str(row.value[layout.answer])]
                held = held._replace(value={**held.value, layout.answer: "\n".join(filter(None, answers))})
                self.notes.counts["rows_joined"] += 1
                continue
            if held:
                yield held
            held = row
        if held:
            yield held

    def _count_units(self, value: Mapping[str, Any], layout: RowLayout, units: Counter[str]) -> None:
        used = layout.columns()
        for name, content in value.items():
            if content in ("", None, [], {}):
                continue
            if name in used:
                units[used[name]] += 1
            else:
                self.unread[name] += 1

    def _detail(self, layouts: Sequence[str]) -> str:
        detail = "; ".join(layouts)
        if not self.unread:
            return detail
        names = ", ".join(shown(str(name)) for name in list(self.unread)[:_NAMED_COLUMNS])
        more = " …" if len(self.unread) > _NAMED_COLUMNS else ""
        return say("data.detail.not_used", detail=detail, names=names + more)

    def _report(self, parsed: Parsed) -> None:
        """Findings about what was met, and the units of columns that nobody reads."""
        line, notes, unread = self.first_line, self.notes, self.unread
        taken = next((layout for layout in self.layouts.values() if layout), RowLayout())
        becomes = unread_columns(taken, self.profiles)
        for name, count in unread.items():
            parsed.units[becomes.get(name, "metadata")] += count
        for role, severity in (("not_understood", "warning"), ("left_out", "info")):
            names = [str(name) for name in unread if becomes.get(name) == role]
            if names:
                listed = ", ".join(map(shown, names[:_NAMED_COLUMNS]))
                parsed.remarks.append((severity, f"columns_{role}", line, {"names": listed}))
        for kind, count in notes.counts.items():
            if count:
                parsed.remarks.append(("warning", kind, line, {"count": count}))
        for kind, keys in (("reasoning_kept", notes.reasoning), ("context_turns", notes.context_turns)):
            if keys:
                values: dict[str, object] = {"names": ", ".join(keys), "count": keys.total()}
                parsed.remarks.append(("warning", kind, line, values))
        if self.learned:
            who = ", ".join(f"{shown(name)} → {self.roles[name]}" for name in self.learned[:_NAMED_COLUMNS])
            parsed.remarks.append(("warning", "learned_roles", line, {"names": who}))
        if notes.message_keys:
            names = [str(name) for name in notes.message_keys]
            listed = ", ".join(map(shown, names[:_NAMED_COLUMNS]))
            parsed.remarks.append(("info", "message_keys_not_used", line, {"names": listed}))
            parsed.units["metadata"] += notes.message_keys.total()

    def _read_messages(self, rows: Iterable[Row], parsed: Parsed, columns: MessageColumns) -> Iterator[Draft]:
        """The drafts of a file with one message a row; all its rows are held, for they may be in any order."""
        held: list[tuple[int, Mapping[str, Any]]] = []
        for row in rows:
            if row.problem or not isinstance(row.value, dict):
                note = row.problem or say("data.note.not_an_object")
                yield Draft(row.line, reason="unreadable", note=note, part=self.part, index=row.index_on_line)
            else:
                held.append((row.line, row.value))
        conversations = conversations_of(held, columns)
        roles = speaker_roles([spoken(one, columns) for one in conversations], self.roles)
        left_out: Counter[str] = Counter()
        yield from drafts_of_messages(conversations, columns, roles, left_out, parsed.units, self.part)
        used = {columns.content, *columns.columns()}
        self.unread.update(
            name for _, row in held for name, v in row.items() if name not in used and v not in ("", None)
        )
        parsed.units["metadata"] += self.unread.total() + len(held) * len(columns.columns())
        who = ", ".join(f"{name} → {role}" for name, role in sorted(roles.items(), key=lambda item: item[1])[:8])
        parsed.detail = self._detail([f"{columns}; {who}"])
        line = self.first_line = held[0][0] if held else 1
        if not columns.conversation:
            parsed.remarks.append(("warning", "messages_without_conversation", line, {"count": len(held)}))
        if left_out:
            listed = ", ".join(f"{shown(name)} ({count})" for name, count in left_out.most_common(_NAMED_COLUMNS))
            parsed.remarks.append(("warning", "speakers_left_out", line, {"names": listed, "count": left_out.total()}))
