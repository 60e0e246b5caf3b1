"""Rows to records: the one way of tables, objects and forms, whatever format they come from.

A format's reader turns a file into rows of named values; here the first of them are studied together, each column gets
a role, and then all rows become drafts one by one. Every value is accounted for in ``Parsed.units``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from lora_scripts.data.reading.ambiguity import Settings
from lora_scripts.data.reading.cell_text import CellText
from lora_scripts.data.reading.columns import given_columns, may_be_private, shown
from lora_scripts.data.reading.evidence import ColumnProfile, layouts_by_content, profile_columns
from lora_scripts.data.reading.message_rows import MessageRows, find_message_columns
from lora_scripts.data.reading.names import given_roles
from lora_scripts.data.reading.record_rows import RecordRows
from lora_scripts.data.reading.row_head import Head, Names, Row
from lora_scripts.data.reading.value_text import parse_structure, with_structures
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError

__all__ = ["Names", "Row", "read_rows"]

STUDIED_ROWS = 1000  # rows at the beginning that decide what the columns are
_NAMED_COLUMNS = 12


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
    reader = _study(head, where, part, header_line, columns, roles, named=named, sure=sure)
    if reader is None:
        return None
    parsed = Parsed(shape, "")
    if not named:
        parsed.remarks.append(("warning", "no_header", head[0].line if head else 1, {}))
    parsed.drafts = _drafts(reader, chain(head, rows), parsed)
    return parsed


def _drafts(reader: RecordRows | MessageRows, rows: Iterable[Row], parsed: Parsed) -> Iterator[Draft]:
    texts = CellText()
    yield from texts.clean(reader.read(rows, parsed))
    parsed.remarks += texts.remarks(reader.first_line)


def _study(
    rows: Sequence[Row],
    file: str,
    part: str,
    header_line: int,
    columns: Names,
    roles: Names,
    *,
    named: bool = True,
    sure: bool = True,
) -> RecordRows | MessageRows | None:
    """The reader for a file that begins with ``rows``.

    Raises:
        DataError: As ``read_rows``.
        AmbiguousDataError: As ``read_rows``.
    """

    def reread(settings: Settings) -> Iterator[Draft]:
        chosen = settings.get("columns", columns), settings.get("roles", roles)
        reader = _study(rows, file, part, header_line, *chosen)
        return _drafts(reader, rows, Parsed("", "")) if reader else iter(())

    objects = [row.value for row in rows if isinstance(row.value, dict)]
    first = next((row.line for row in rows if isinstance(row.value, dict)), rows[0].line if rows else 1)
    head = Head(rows, file, part, header_line or first, columns, roles, reread)
    structured = _structured_columns(objects)
    if structured:
        objects = [with_structures(value, structured) for value in objects]
    profiles = profile_columns(objects)
    given = given_roles(roles)
    names = [str(name) for name in profiles]
    chosen = given_columns(names, columns, head.place) if columns and "speaker" in columns else {}
    if (chosen or not columns) and (messages := find_message_columns(objects, profiles, given, chosen)):
        return MessageRows(head, messages, given)
    reader = RecordRows(head, profiles, structured, given)
    if reader.study(objects, named):
        return reader
    if not objects and not sure:
        return None
    raise _no_columns(head, objects, profiles)


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


def _no_columns(head: Head, objects: Sequence[Mapping[str, Any]], profiles: Mapping[str, ColumnProfile]) -> DataError:
    """The question which columns are meant, with likely ones."""
    names = [str(name) for name in (objects[0] if objects else ())]
    likely = layouts_by_content([name for name in names if not may_be_private(name)], profiles)
    settings: list[Settings] = [{"columns": {"question": one.question, "answer": one.answer}} for one in likely]
    listed = ", ".join(map(shown, names[:_NAMED_COLUMNS])) or "-"
    return head.question("reading.no_columns", settings, there=listed)
