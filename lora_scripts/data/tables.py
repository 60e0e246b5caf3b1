"""Tables: CSV and TSV with any delimiter and any headers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence

from lora_scripts.data.columns import Columns, find_columns
from lora_scripts.data.records import Draft, Parsed
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

_DELIMITERS = ",;\t|，；"
_HEADER_ROWS = 5  # a title may stand above the header
_MOST_LINES = 1000  # a quoted field longer than this is an unclosed quote

Row = tuple[int, list[str], str]


def read_table(
    text: str, where: str, columns: Mapping[str, str | Sequence[str]] | None = None, *, sure: bool = True
) -> Parsed | None:
    """The rows of a table with a header.

    Args:
        text: A whole file.
        where: Its name, for messages.
        columns: Headers of question, answer, system, input, history, where the names do not tell.
        sure: The file is known to be a table (by its suffix), so unknown headers are an error.

    Returns:
        None where no header with question and answer is seen and ``sure`` is False.

    Raises:
        DataError: No such header, or several readings are equally good.
    """
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    head = next((i for i, line in enumerate(lines) if line.strip()), 0)
    found: tuple[Columns, str, Row] | None = None
    for delimiter in _likely_delimiters(lines[head : head + 20]):
        found = _header(lines, delimiter, where, columns, sure)
        if found:
            break
    if found is None:
        if not sure:
            return None
        delimiter = _likely_delimiters(lines[head : head + 20])[0]
        names = next(_rows(lines, head, delimiter), (1, [""], ""))[1]
        raise DataError("data.no_columns", where=f"{where}:{head + 1}", there=", ".join(n.strip() for n in names[:12]))
    taken, delimiter, header = found
    shown = {"\t": "TAB"}.get(delimiter, delimiter)
    parsed = Parsed("table", say("data.detail.table", delimiter=shown, columns=taken))
    if header[0] > head + 1:
        parsed.remarks.append(("info", "rows_above_header", head + 1, {"lines": header[0] - 1}))
    _read_rows(lines, header, delimiter, taken, parsed)
    return parsed


def _likely_delimiters(lines: Sequence[str]) -> list[str]:
    """Delimiters that the first lines hold, the steadiest first."""

    def steadiness(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        return (sum(c == counts[0] > 0 for c in counts), counts[0]) if counts else (0, 0)

    held = [d for d in _DELIMITERS if any(d in line for line in lines[:_HEADER_ROWS])]
    # The header alone is the best witness: a comma in a question is no delimiter.
    return sorted(held, key=lambda d: (-min(1, steadiness(d)[1]), -steadiness(d)[0], _DELIMITERS.index(d))) or [","]


def _header(
    lines: Sequence[str], delimiter: str, where: str, columns: Mapping[str, str | Sequence[str]] | None, sure: bool
) -> tuple[Columns, str, Row] | None:
    missing: DataError | None = None
    for number, (line, cells, problem) in enumerate(_rows(lines, 0, delimiter)):
        if number >= _HEADER_ROWS:
            break
        names = [c.strip() for c in cells]
        if problem or sum(bool(n) for n in names) < 2 or (not sure and max(map(len, names)) > 20):
            continue
        try:
            found = find_columns([n for n in names if n], columns, f"{where}:{line}")
        except DataError as error:
            missing = missing or error
            continue
        if found:
            return found, delimiter, (line, names, "")
    if missing and sure:
        raise missing
    return None


def _rows(lines: Sequence[str], start: int, delimiter: str) -> Iterator[Row]:
    """``(first line, cells, problem)`` of each row; a row that cannot be read costs its first line only."""
    at = start
    while at < len(lines):
        taken, begun = 0, at

        def feed(first: int = at) -> Iterator[str]:
            nonlocal taken
            for line in lines[first : first + _MOST_LINES]:
                taken += 1
                yield line + "\n"

        try:
            for cells in csv.reader(feed(), delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t"):
                yield begun + 1, cells, ""
                begun = at + taken
        except csv.Error as error:
            if begun == at:  # else a row crosses the end of this chunk: it begins the next one
                yield begun + 1, [], str(error)
                begun += 1
        at = begun


def _read_rows(lines: Sequence[str], header: Row, delimiter: str, taken: Columns, parsed: Parsed) -> None:
    names = header[1]
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    question, answer = place[taken.question], place[taken.answer]
    more = place[taken.more] if taken.more else -1
    system = place[taken.system] if taken.system else -1
    for line, cells, problem in _rows(lines, header[0] - 1, delimiter):
        if line == header[0]:
            continue
        if problem:
            parsed.drafts.append(Draft(line, reason="unreadable", note=say("data.note.bad_row", error=problem)))
            continue
        if not any(c.strip() for c in cells):
            parsed.drafts.append(Draft(line, reason="unreadable", note=say("data.note.blank_line")))
            continue
        if len(cells) != len(names) and (len(cells) < len(names) or any(c.strip() for c in cells[len(names) :])):
            note = say("data.note.ragged", there=len(cells), wanted=len(names))
            parsed.drafts.append(Draft(line, reason="unreadable", note=note))
            continue
        asked = cells[question]
        if more >= 0 and cells[more].strip():
            asked = f"{asked}\n{cells[more]}"
        turns = (("user", asked), ("assistant", cells[answer]))
        if system >= 0 and cells[system].strip():
            turns = (("system", cells[system]), *turns)  # type: ignore[assignment]
        parsed.drafts.append(Draft(line, turns))
