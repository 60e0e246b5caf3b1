"""Tables: CSV and TSV with any delimiter and any headers, read row by row; the rows of sheets and documents too."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest

from lora_scripts.data.reading.columns import Columns, find_columns, guesses, shown
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.records import Draft, Message, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

Names = Mapping[str, str | Sequence[str]] | None
# First line, cells, and a note why the row cannot be read.
Row = tuple[int, list[str], str]

HEADER_ROWS = 5  # a title may stand above the header
_DELIMITERS = ",;\t|，；"
_MOST_LINES = 1000  # a quoted field longer than this is an unclosed quote
_HEAD_LINES = 200
_LONGEST_NAME = 40
_SAMPLE_ROWS = 20
_FEWEST = 3


def read_table(source: Source, columns: Names = None, *, sure: bool = True) -> Parsed | None:
    """The rows of a table with a header.

    Args:
        source: The file.
        columns: Headers of question, answer, system, input, history, where the names do not tell.
        sure: The file is known to be a table (by its suffix), so unknown headers are an error.

    Returns:
        None where no header with question and answer is seen and ``sure`` is False.

    Raises:
        DataError: No such header, or several readings are equally good.
    """
    lines = list(islice(source.lines(), _HEAD_LINES))
    head = next((i for i, line in enumerate(lines) if line.strip()), 0)
    delimiters = _likely_delimiters([line for line in lines[head : head + 20] if line.strip()])
    for delimiter in delimiters:
        rows = islice(_rows(iter(lines), delimiter), HEADER_ROWS)
        found = find_header(list(rows), source.where, columns, sure)
        if found and (sure or _steady(lines, delimiter, found[1])):
            return _below(source, found, delimiter, head + 1)
    if not sure:
        return None
    if not columns and _plainly_pairs(list(islice(_rows(iter(lines[head:]), delimiters[0]), _SAMPLE_ROWS))):
        return _headless(source, delimiters[0], head)
    first, *more = [cells for _, cells, _ in islice(_rows(iter(lines[head:]), delimiters[0]), 20)] or [[""]]
    names = [n.strip() for n in first[:12]]
    place = f"{source.where}:{head + 1}"
    raise DataError("data.no_columns", where=place, there=", ".join(map(shown, names)), guesses=guesses(names, more))


def _steady(lines: Sequence[str], delimiter: str, header: Row) -> bool:
    """Whether nearly all of the first rows have the header's width; sentences with commas have not."""
    rows = list(islice(_rows(iter(lines[header[0] :]), delimiter), _SAMPLE_ROWS))
    return sum(len(r[1]) == len(header[1]) for r in rows) >= 0.8 * len(rows)


def _below(source: Source, found: tuple[Columns, Row], delimiter: str, first: int) -> Parsed:
    """The rows below a header; ``first`` is the first line that is not blank."""
    taken, header = found
    shown = {"\t": "TAB"}.get(delimiter, delimiter)
    parsed = Parsed("table", say("data.detail.table", delimiter=shown, columns=taken))
    if header[0] > first:
        parsed.remarks.append(("info", "rows_above_header", first, {"lines": header[0] - 1}))
    below = _rows(islice(source.lines(), header[0] - 1, None), delimiter, header[0])
    parsed.drafts = drafts_of_rows(islice(below, 1, None), header[1], taken)
    return parsed


def _plainly_pairs(rows: Sequence[Row]) -> bool:
    """Two cells in every row, and the first ones ask, in the very first row too: it is no header."""
    asking = [bool(r[1]) and r[1][0].rstrip().endswith(("?", "？")) for r in rows]
    answering = sum(len(r[1]) == 2 and not r[1][1].rstrip().endswith(("?", "？")) for r in rows)
    return len(rows) >= _FEWEST and asking[0] and sum(asking) >= 0.8 * len(rows) and answering >= 0.9 * len(rows)


def _headless(source: Source, delimiter: str, head: int) -> Parsed:
    """A table whose first row is a record already."""
    rows = _rows(islice(source.lines(), head, None), delimiter, head + 1)
    detail = say("data.detail.headless", delimiter={"\t": "TAB"}.get(delimiter, delimiter))
    drafts = drafts_of_rows(rows, ["question", "answer"], Columns("question", "answer"))
    return Parsed("table", detail, drafts, [("warning", "no_header", head + 1, {})])


def _likely_delimiters(lines: Sequence[str]) -> list[str]:
    """Delimiters that the first lines hold, the steadiest first."""

    def steadiness(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        return (sum(c == counts[0] > 0 for c in counts), counts[0]) if counts else (0, 0)

    held = [d for d in _DELIMITERS if any(d in line for line in lines[:HEADER_ROWS])]
    # The header alone is the best witness: a comma in a question is no delimiter.
    return sorted(held, key=lambda d: (-min(1, steadiness(d)[1]), -steadiness(d)[0], _DELIMITERS.index(d))) or [","]


def find_header(rows: Sequence[Row], where: str, columns: Names, sure: bool) -> tuple[Columns, Row] | None:
    """The first row whose cells name a question and an answer, with the columns taken.

    Args:
        rows: The first rows of a table.
        where: The file, for messages.
        columns: The user's names for them.
        sure: A column that is missing or in doubt is an error, and long cells may be names.

    Raises:
        DataError: With ``sure``: the user's column is not there, or several are equally good.
    """
    missing: DataError | None = None
    for line, cells, problem in rows:
        names = [c.strip() for c in cells]
        if problem or sum(bool(n) for n in names) < 2 or (not sure and max(map(len, names)) > 20):
            continue
        try:
            found = find_columns([n for n in names if n], columns, f"{where}:{line}")
        except DataError as error:
            missing = missing or error
            continue
        if found:
            return found, (line, names, "")
    if missing and sure:
        raise missing
    return None


def sheet_header(
    head: Sequence[Sequence[str]], groups: Container[int], where: str, columns: Names
) -> tuple[Columns, Row] | None:
    """The header of a sheet: a row that names question and answer, or such a row together with the groups above it.

    Args:
        head: The first rows, the text of merged cells in all of them.
        groups: Places in ``head`` of rows with cells merged sideways.
        where: The sheet, for messages.
        columns: The user's names for them.

    Raises:
        DataError: As for ``find_header``.
    """
    likely: list[Row] = []
    for i, cells in enumerate(head[:HEADER_ROWS]):
        if i in groups and i + 1 < len(head) and len(set(filter(None, cells))) > 1:
            both = zip_longest(cells, head[i + 1], fillvalue="")
            likely.append((i + 2, [a if a == b else f"{a} {b}".strip() for a, b in both], ""))
        likely.append((i + 1, list(cells), ""))
    return find_header([r for r in likely if max(map(len, r[1]), default=0) <= _LONGEST_NAME], where, columns, True)


def _rows(lines: Iterator[str], delimiter: str, first: int = 1) -> Iterator[Row]:
    """The rows of ``lines``, which begin at line ``first``; a row that cannot be read costs its first line only."""
    held: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while len(taken) < _MOST_LINES:
            line = held.popleft() if held else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield line + "\n"

    while True:
        try:
            for cells in csv.reader(feed(), delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t"):
                yield first, cells, ""
                first += len(taken)
                taken.clear()
            return
        except csv.Error as error:
            yield first, [], say("data.note.bad_row", error=error)
            first += 1
            held.extendleft(reversed(taken[1:]))
            taken.clear()


def drafts_of_rows(rows: Iterable[Row], names: Sequence[str], taken: Columns, part: str = "") -> Iterator[Draft]:
    """The drafts of the rows below a header.

    Args:
        rows: As they stand.
        names: The header's cells.
        taken: Which of them hold what.
        part: Sheet or table that they stand in, see ``Draft``.
    """
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    blank: list[int] = []  # blank rows at the end are no rows
    for line, cells, problem in rows:
        if not problem and not any(c.strip() for c in cells):
            blank.append(line)
            continue
        for number in blank:
            yield Draft(number, reason="unreadable", note=say("data.note.blank_line"), part=part)
        blank.clear()
        if problem:
            note = problem
        elif cells[0].strip() == names[0] and [c.strip() for c in cells] == names:
            note = say("data.note.header_again")
        elif len(cells) < len(names) or any(c.strip() for c in cells[len(names) :]):
            note = say("data.note.ragged", there=len(cells), wanted=len(names))
        elif turns := _turns(cells, place, taken):
            worse = cells[place[taken.rejected]] if taken.rejected else None
            yield Draft(line, tuple(Message(*t) for t in turns), part=part, rejected=worse)
            continue
        else:
            note = say("data.note.bad_value", name=taken.history)
        yield Draft(line, reason="unreadable", note=note, part=part)


def _turns(cells: Sequence[str], place: Mapping[str, int], taken: Columns) -> tuple[tuple[str, str], ...]:
    """The turns of one row; none where its history is not what it should be."""

    def cell(name: str | None) -> str:
        return cells[place[name]] if name else ""

    turns: list[tuple[str, str]] = [("system", cell(taken.system))] if cell(taken.system).strip() else []
    if (history := cell(taken.history)).strip():
        try:
            for asked, answered in json.loads(history):
                turns += [("user", str(asked)), ("assistant", str(answered))]
        except (ValueError, TypeError, RecursionError):
            return ()
    asked, more = cell(taken.question), cell(taken.more)
    return (*turns, ("user", f"{asked}\n{more}" if more.strip() else asked), ("assistant", cell(taken.answer)))
