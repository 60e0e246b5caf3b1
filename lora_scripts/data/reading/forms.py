"""Forms: records of named fields in one order, each on a line or several (``咨询内容：…``, ``答复：…``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lora_scripts.data.clean import scrub
from lora_scripts.data.reading.columns import RowLayout, given_columns
from lora_scripts.data.reading.evidence import hypotheses, profile_columns
from lora_scripts.data.reading.labels import Mark, find_marks
from lora_scripts.data.reading.line_roles import LineRoles
from lora_scripts.data.reading.names import ASSISTANT_NAMES, USER_NAMES, is_field_name, listed, plain_name, role_of
from lora_scripts.data.reading.rows import Row, read_rows
from lora_scripts.data.records import Parsed
from lora_scripts.errors import AmbiguousDataError, DataError

Names = Mapping[str, str | Sequence[str]] | None

_FEWEST_FIELDS = 3
_FEWEST_RECORDS = 3
# Labels of an answer's own parts; as fields they go with the field above them.
_PARTS_OF_ANSWERS_WORDS = """
注意 注 结论 依据 法律依据 法条原文 说明 提示 温馨提示 例 例如 比如 如下 分析 建议 总结 步骤 流程
要求 补充 另 此外 note warning tip
"""
_PARTS_OF_ANSWERS = frozenset(_PARTS_OF_ANSWERS_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of one record: its label, its line (0-based), where its text begins and ends, the next field's line."""

    name: str
    line: int
    start: int
    stop: int
    end: int


def read_form(text: str, where: str, roles: Names = None, columns: Names = None) -> Parsed | None:
    """The records of a form, or None where the text is none.

    Args:
        text: A whole file.
        where: Its name, for messages.
        roles: Names of speakers.
        columns: Names of fields, as for tables.

    Raises:
        DataError: The question or the answer may be in several fields.
    """
    text, _ = scrub(text)
    lines = text.split("\n")
    marks = find_marks(lines)
    labels = _labels(marks)
    if len(labels) < _FEWEST_FIELDS:
        return None
    records = _records(lines, [m for m in marks if m.name in labels], labels)
    rows = [{f.name: _value(lines, f) for f in fields} for fields in records]
    people = _fields_of_people(rows) if not columns else []
    rows = [{name: value for name, value in row.items() if name not in people} for row in rows]
    place = f"{where}:{records[0][0].line + 1}"
    names = [name for name in labels.values() if name not in people]
    columns = columns or _known_fields(names, rows)
    ranked = hypotheses(names, profile_columns(rows), given_columns(names, columns, place))
    if not ranked and not people:
        return None
    if ranked and not columns and _is_transcript(labels, ranked[0].layout):
        return None
    drafts = [Row(fields[0].line + 1, row) for fields, row in zip(records, rows, strict=True)]
    try:
        parsed = read_rows(drafts, "form", where, columns, roles, header_line=records[0][0].line + 1)
    except DataError as error:
        if ranked or isinstance(error, AmbiguousDataError):
            raise
        return None
    if parsed is None:
        return None
    parsed.drafts = list(parsed.drafts)
    account = LineRoles(lines)
    account.assign_preamble(records[0][0].line)
    used = ranked[0].layout.columns() if ranked else {}
    for fields in records:
        for field, after in zip(fields, [*fields[1:], None], strict=True):
            account.assign(field.line, field.stop, used.get(field.name, "metadata"))
            account.assign(field.stop, after.line if after else field.end, "metadata")
    if people:
        parsed.remarks.append(
            ("info", "record_fields", records[0][0].line + 1, {"count": len(rows), "names": listed(people)})
        )
    if any(line.strip() for line in lines[: records[0][0].line]):
        parsed.remarks.append(("info", "preamble", 1, {"lines": records[0][0].line}))
    return account.account(parsed)


def _known_fields(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> dict[str, str] | None:
    """Question and answer by what speakers' lines are called (标准话术), where headers of tables tell nothing."""
    if len(names) < _FEWEST_FIELDS or hypotheses(names, profile_columns(rows), {}):
        return None
    known = {name: role_of(plain_name(name)) for name in names if is_field_name(plain_name(name))}
    sides = {role: [n for n, r in known.items() if r == role] for role in ("user", "assistant")}
    if any(len(side) != 1 for side in sides.values()):
        return None
    return {"question": sides["user"][0], "answer": sides["assistant"][0]}


def _fields_of_people(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Fields that say who asked or answered (Customer: n/a), by their values: one, none, or names."""
    profiles = profile_columns(rows)
    return [name for name, profile in profiles.items() if _is_person(plain_name(name)) and not profile.is_text]


def _labels(marks: Sequence[Mark]) -> dict[str, str]:
    """Plain name → label, for those that stand once in nearly every record and in one order; empty for no form."""
    counts = Counter(m.name for m in marks)
    first = next((m.name for m in marks if counts[m.name] >= _FEWEST_RECORDS), None)
    if first is None:
        return {}
    records: list[list[str]] = []
    for mark in marks:
        if mark.name == first:
            records.append([])
        if records:
            records[-1].append(mark.name)
    there = Counter(name for record in records for name in set(record))
    once = Counter(name for record in records for name, n in Counter(record).items() if n == 1)
    fields = [n for n, c in there.items() if c >= max(_FEWEST_RECORDS, 0.6 * len(records)) and once[n] >= 0.9 * c]
    places = {name: sum(r.index(name) / len(r) for r in records if name in r) / there[name] for name in fields}
    order = {name: i for i, name in enumerate(sorted(fields, key=places.__getitem__))}
    sequences = [[order[n] for n in record if n in order] for record in records]
    if len(records) < _FEWEST_RECORDS or sum(s == sorted(s) for s in sequences) < 0.9 * len(records):
        return {}
    shown = {m.name: m.shown for m in reversed(marks)}
    inner = [name for name in list(order)[1:] if name in _PARTS_OF_ANSWERS]
    return {name: shown[name] for name in order if name not in inner}


def _records(lines: Sequence[str], marks: Sequence[Mark], labels: Mapping[str, str]) -> list[list[_Field]]:
    first = next(iter(labels))
    while marks and marks[0].name != first:
        marks = marks[1:]
    records: list[list[_Field]] = []
    ends = [m.line for m in marks[1:]] + [len(lines)]
    for mark, end in zip(marks, ends, strict=True):
        stop = end
        while stop > mark.line + 1 and not lines[stop - 1].strip(" \t-=*#_~　"):
            stop -= 1
        if mark.name == first:
            records.append([])
        records[-1].append(_Field(labels[mark.name], mark.line, mark.start, max(stop, mark.line + 1), end))
    return records


def _value(lines: Sequence[str], field: _Field) -> str:
    return "\n".join([lines[field.line][field.start :], *lines[field.line + 1 : field.stop]]).strip()


def _is_transcript(labels: Mapping[str, str], chosen: RowLayout) -> bool:
    """Whether two people speak, or the other fields are a header above each question: not a form."""
    roles = [role_of(name) for name in labels]
    if roles == ["user", "assistant"] * (len(roles) // 2) or all(
        role == "system" or (is_field_name(name) and role in ("user", "assistant"))
        for name, role in zip(labels, roles, strict=True)
    ):
        return True
    sides = Counter(role_of(name) for name in labels)
    if min(sides["user"], sides["assistant"]) > 1 and not sides[None]:
        return True  # many names for two speakers
    by_label = {label: plain for plain, label in labels.items()}
    order = list(labels.values())
    question, answer = order.index(chosen.question), order.index(chosen.answer)
    if all(_is_person(by_label[name]) for name in (chosen.question, chosen.answer)):
        return True
    others = [i for i in range(len(order)) if i not in (question, answer)]
    only_above = answer == question + 1 and all(i < question for i in others)
    return only_above and not any(role_of(by_label[order[i]]) for i in others)


def _is_person(name: str) -> bool:
    return (name in USER_NAMES or name in ASSISTANT_NAMES) and not is_field_name(name)
