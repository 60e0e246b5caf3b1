"""Rows of which each is a record: the layout of their columns, and their drafts one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lora_scripts.data.reading.ambiguity import Settings
from lora_scripts.data.reading.columns import (
    RowLayout,
    answer_score,
    find_pair,
    given_columns,
    names_the_key,
    option_columns,
    plain_header,
    shown,
)
from lora_scripts.data.reading.evidence import (
    FEWEST_ROWS,
    ColumnProfile,
    hypotheses,
    layout_beside,
    layout_by_content,
    profile_columns,
    rivals,
    unread_columns,
)
from lora_scripts.data.reading.message_speakers import learn_speakers
from lora_scripts.data.reading.row_head import Head, Row
from lora_scripts.data.reading.row_values import (
    as_messages,
    is_message_list,
    is_text_pair,
    messages_key,
    parts_of,
    speakers_in,
)
from lora_scripts.data.reading.value_text import (
    ContinuedCell,
    UnfitError,
    ValueNotes,
    is_discarded,
    is_unfinished,
    with_structures,
)
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_NAMED_COLUMNS = 12  # in a finding
_LISTED_COLUMNS = 100  # in the line that says how the file was read
_MOSTLY_ASKED = 0.8  # questions for an answer, up to which a blank question is a rule and means the one above
_TURN_UNITS = {"user": "question", "assistant": "answer", "system": "system"}
_MANY_ANSWERS = 10  # from which one list among texts is an accident
_MOST_STATUSES = 15  # different values of a column that tells how far a row is


@dataclass(slots=True)
class RecordRows:
    """What was decided about the columns of one file or sheet; ``study`` first, then ``read``.

    ``layouts`` are by set of keys: objects of a file may have different ones.
    """

    head: Head
    profiles: Mapping[str, ColumnProfile]
    structured: frozenset[str]
    roles: dict[str, str]
    layouts: dict[tuple[str, ...], RowLayout | None] = field(default_factory=dict)
    notes: ValueNotes = field(default_factory=ValueNotes)
    unread: Counter[str] = field(default_factory=Counter)
    learned: Sequence[str] = ()
    status: str = ""
    first_line: int = 0

    def study(self, objects: Sequence[Mapping[str, Any]], named: bool) -> bool:
        """Decide what the columns of ``objects`` are; False where no row holds a question and an answer.

        Args:
            objects: Those of the first rows.
            named: The columns have names; else content decides.

        Raises:
            DataError: Answers with marks (KTO), which no way of training here can use; a column is not there.
            AmbiguousDataError: Several layouts are equally likely.
        """
        values = [*objects, *(row.value for row in self.head.rows if isinstance(row.value, list))]
        talks = [talk for value in values if (talk := _talk_of(value))]
        self.roles, self.learned = learn_speakers(talks, self.roles, self.head)
        self._learn_values(objects)
        if objects and not named and not self.head.columns and (layout := layout_by_content(objects[0], self.profiles)):
            self.layouts = {tuple(objects[0]): layout}
            return True
        for value in {tuple(value): value for value in reversed(objects)}.values():
            self._layout_of(value, studied=True)
        return any(self.layouts.values()) or _are_records([value for value in values if isinstance(value, list)])

    def _learn_values(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Which column tells that a row is not to be used; what numbers and lists of two mean as answers."""
        for name, profile in self.profiles.items():
            short = profile.distinct <= _MOST_STATUSES and profile.mean_length <= 12 and profile.filled >= FEWEST_ROWS
            if short and any(is_discarded(value.get(name)) or is_unfinished(value.get(name)) for value in objects):
                self.status = name
        numbers = {
            v for value in objects for n, v in value.items() if names_the_key(plain_header(n)) and type(v) is int
        }
        options = option_columns([str(name) for name in self.profiles])
        if numbers and options:
            self.notes.option_base = 0 if 0 in numbers else 1 if _option_count(objects, options) in numbers else None
        outputs = [v for value in objects for n, v in value.items() if plain_header(n) == "output" and v]
        self.notes.ranking = all(isinstance(one, list) and len(one) == 2 for one in outputs)
        answers = [v for value in objects for n, v in value.items() if answer_score(plain_header(n)) >= 3.0 and v]
        lists = sum(isinstance(one, list) for one in answers)
        self.notes.odd_lists = len(answers) >= _MANY_ANSWERS and 0 < lists <= 0.1 * len(answers)

    def _layout_of(self, value: Mapping[str, Any], studied: bool = False) -> RowLayout | None:
        """The layout of an object; asks only while the first rows are ``studied``."""
        keys = tuple(value)
        if keys not in self.layouts:
            self.layouts[keys] = self._choose(value, studied)
        return self.layouts[keys]

    def _choose(self, value: Mapping[str, Any], studied: bool) -> RowLayout | None:
        names = [str(key) for key in value]
        plain = {plain_header(key): key for key in value}
        pair = find_pair(names)
        if not pair and ("kto_tag" in plain or isinstance(plain.get("label") and value[plain["label"]], bool)):
            raise DataError("preference.marked_answers", where=self.head.place, keys=", ".join(names))
        given = given_columns(names, self.head.columns, self.head.place)
        talk = "" if given else messages_key(value)
        if pair and not given.keys() & {"answer", "rejected"}:
            given |= {"answer": pair[0], "rejected": pair[1]}
        ranked = hypotheses(names, self.profiles, given)
        if "rejected" in given and (talk or not ranked):
            return RowLayout(answer=given["answer"], rejected=given["rejected"], messages=talk)
        if talk:
            return replace(layout_beside(names), messages=talk)
        if not ranked:
            return None
        named = {"question", "answer"} <= given.keys() or "rejected" in given
        profiles = {name: self.profiles[name] for name in names if name in self.profiles}
        choices = rivals(ranked, profiles) if studied and not named else []
        if choices:
            raise self._question(choices)
        return ranked[0].layout

    def _question(self, choices: Sequence[RowLayout]) -> DataError:
        """Which of several layouts is meant."""
        settings: list[Settings] = []
        for layout in choices:
            columns = {"question": layout.question, "answer": layout.answer}
            settings.append({"columns": columns | ({"input": layout.inputs[-1]} if layout.inputs else {})})
        if len(choices) == 1:
            return self.head.question("reading.degenerate_answers", settings)
        side = "answer" if len({layout.answer for layout in choices}) > 1 else "question"
        return self.head.question("reading.ambiguous_columns", settings, side=say(f"reading.side.{side}"))

    def read(self, rows: Iterable[Row], parsed: Parsed) -> Iterator[Draft]:
        """The drafts of ``rows``; completes ``parsed`` at the end."""
        part = self.head.part
        layouts: Counter[RowLayout | str] = Counter()
        for row in self._without_continued_questions(rows):
            self.first_line = self.first_line or row.line
            try:
                if row.problem:
                    raise UnfitError(row.reason, row.problem)
                value, layout = row.value, RowLayout()
                if isinstance(value, dict):
                    value = with_structures(value, self.structured) if self.structured else value
                    layout = self._layout_of(value) or layout
                    if layout == RowLayout():
                        raise UnfitError("no_pair", say("data.note.no_pair", keys=", ".join(map(str, value))[:80]))
                    if self.status and is_discarded(value.get(self.status)):
                        raise UnfitError("discarded", f"{self.status}: {value[self.status]}")
                    if self.status and is_unfinished(value.get(self.status)):
                        self.notes.unfinished[f"{self.status}: {value[self.status]}"] += 1
                parts = parts_of(value, layout, self.roles, self.notes)
            except UnfitError as unfit:
                parsed.units["left_out"] += 1
                yield Draft(row.line, reason=unfit.reason, note=unfit.note, part=part, index=row.index_on_line)
                continue
            except RecursionError:
                note = say("data.note.not_an_object")
                yield Draft(row.line, reason="unreadable", note=note, part=part, index=row.index_on_line)
                continue
            synthetic = False
            if isinstance(value, dict):
                layouts[layout] += 1
                synthetic = value.get("synthetic") is True
                self._count_units(value, layout, parsed.units)
                if layout.messages:
                    parsed.units.update(_TURN_UNITS[turn.role] for one in parts for turn in one.turns)
            else:
                layouts["messages" if is_message_list(value) else "[question, answer]"] += 1
                parsed.units.update(("question", "answer"))
            for number, one in enumerate(parts, 1):
                index = row.index_on_line if len(parts) == 1 else f"{row.index_on_line}.{number}".lstrip(".")
                yield Draft(row.line, one.turns, "", "", part, synthetic, one.rejected, index)
        parsed.detail = self._detail([str(layout) for layout, _ in layouts.most_common(4)])
        self._report(parsed)

    def _without_continued_questions(self, rows: Iterable[Row]) -> Iterator[Row]:
        """``rows`` with the answers to one question, which is merged over several rows, joined."""
        held: Row | None = None
        for row in rows:
            layout = self.layouts.get(tuple(row.value)) if isinstance(row.value, dict) else None
            continues = layout is not None and self._continues(row.value, layout)
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

    def _continues(self, value: Mapping[str, Any], layout: RowLayout) -> bool:
        """The question is the one above: a merged cell, or blank where many are."""
        question = value.get(layout.question)
        if isinstance(question, ContinuedCell):
            return True
        asked, answered = (self.profiles.get(name) for name in (layout.question, layout.answer))
        often_blank = asked and answered and asked.filled <= _MOSTLY_ASKED * answered.filled
        return (
            bool(often_blank) and isinstance(question, str) and not question.strip() and bool(value.get(layout.answer))
        )

    def _count_units(self, value: Mapping[str, Any], layout: RowLayout, units: Counter[str]) -> None:
        used = layout.columns()
        for name, content in value.items():
            if content in ("", None, [], {}):
                continue
            if name == layout.messages:
                continue  # counted by its turns
            if name in used:
                units[used[name]] += 1
            else:
                self.unread[name] += 1

    def _detail(self, layouts: Sequence[str]) -> str:
        detail = "; ".join(layouts)
        if not self.unread:
            return detail
        names = ", ".join(shown(str(name)) for name in list(self.unread)[:_LISTED_COLUMNS])
        more = f" … ({len(self.unread)})" if len(self.unread) > _LISTED_COLUMNS else ""
        return say("data.detail.not_used", detail=detail, names=names + more)

    def _report(self, parsed: Parsed) -> None:
        """Findings about what was met, and the units of columns that nobody reads."""
        line, notes, unread = self.first_line, self.notes, self.unread
        taken = next((layout for layout in self.layouts.values() if layout), RowLayout())
        becomes = unread_columns(taken, self.profiles)
        for name, count in unread.items():
            parsed.units[becomes.get(name, "metadata")] += count
        for role, severity, kind in (
            ("not_understood", "warning", "columns_not_understood"),
            ("left_out", "info", "columns_left_out"),
        ):
            names = [str(name) for name in unread if becomes.get(name) == role]
            if names:
                listed = ", ".join(map(shown, names[:_NAMED_COLUMNS]))
                parsed.remarks.append((severity, kind, line, {"names": listed}))
        for kind, count in notes.counts.items():
            if count:
                parsed.remarks.append(("warning", kind, line, {"count": count}))
        for kind, keys in (
            ("reasoning_kept", notes.reasoning),
            ("context_turns", notes.context_turns),
            ("unfinished_rows", notes.unfinished),
        ):
            if keys:
                values: dict[str, object] = {"names": ", ".join(keys), "count": keys.total()}
                parsed.remarks.append(("warning", kind, line, values))
        answers = self.profiles.get(taken.answer)
        if answers and answers.categorical:
            parsed.remarks.append(("warning", "few_different_answers", line, {"count": answers.distinct}))
        if self.learned:
            who = ", ".join(f"{shown(name)} → {self.roles[name]}" for name in self.learned[:_NAMED_COLUMNS])
            parsed.remarks.append(("warning", "learned_roles", line, {"names": who}))
        if notes.message_keys:
            names = [str(name) for name in notes.message_keys]
            listed = ", ".join(map(shown, names[:_NAMED_COLUMNS]))
            parsed.remarks.append(("info", "message_keys_not_used", line, {"names": listed}))
            parsed.units["metadata"] += notes.message_keys.total()


def _are_records(lists: Sequence[Any]) -> bool:
    """Lists of messages; pairs of texts where the second one does not ask as the first one does."""
    pairs = [value for value in lists if is_text_pair(value)]
    profiles = profile_columns([{"first": a, "second": b} for a, b in pairs])
    both_ask = bool(pairs) and profiles["second"].asking > 0.5 and profiles["second"].mean_length < 60
    return any(not is_text_pair(value) and as_messages(value, "dialogue") for value in lists) or (
        bool(pairs) and not both_ask
    )


def _talk_of(value: Any) -> list[tuple[str, str]]:
    return speakers_in(value.get(messages_key(value), []) if isinstance(value, dict) else value)


def _option_count(objects: Sequence[Mapping[str, Any]], options: Sequence[str]) -> int:
    counts = [len(v) for value in objects if isinstance(v := value.get(options[0]), (list, dict))]
    return max(counts, default=len(options))
