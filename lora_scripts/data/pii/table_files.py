"""CSV and TSV without personal data: each cell is read with the name of its column; quoting and line ends stay."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.data.reading.tables import HEADER_ROWS as HEADER_ROWS
from lora_scripts.data.reading.tables import find_header
from lora_scripts.errors import DataError

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SAMPLE_LINES = 30
_LONGEST_NAME = 20


def header_of(rows: Sequence[Sequence[str]]) -> tuple[int, list[str]]:
    """The place of the header among the first rows of a table, as reading finds it, and the names in it.

    A table that reading does not know has its header in the first row of several short texts; -1 where there is none.
    """
    head = [list(cells) for cells in rows[:HEADER_ROWS]]
    try:
        found = find_header([(i, cells, "") for i, cells in enumerate(head)], "", None, False)
    except DataError:
        found = None
    if found:
        return found[0], [name.strip() for name in found[1]]
    for index, cells in enumerate(head):
        names = [cell.strip("\ufeff \t") for cell in cells]
        filled = [name for name in names if name]
        if len(filled) > 1 and all(len(name) <= _LONGEST_NAME and not name.isdecimal() for name in filled):
            return index, names
    return -1, []


def table_text(content: str, job: Pass) -> str:
    """A delimited table; in mode ``drop`` rows below the header are left out."""
    delimiter = _delimiter(content, Path(job.file).suffix)
    head = [[_unquoted(raw) for raw, _ in row] for row in islice(_rows(content, delimiter), HEADER_ROWS)]
    header, names = header_of([[cell.strip("\ufeff") for cell in row] for row in head])
    out: list[str] = []
    line = 1
    for number, row in enumerate(_rows(content, delimiter)):
        count, texts = len(job.hits), []
        for column, (raw, end) in enumerate(row):
            label = names[column] if column < len(names) and number > header else ""
            texts += [_cell(raw, job, line, label, keep=number <= header), end]
            line += raw.count("\n") + (end in ("\n", "\r\n", "\r"))
        if job.mode != "drop" or number <= header or len(job.hits) == count:
            out += texts
    return "".join(out)


def _delimiter(content: str, suffix: str) -> str:
    """The sign that the most of the first lines hold equally often, outside of quotes."""
    lines = [_QUOTED.sub("", line) for line in islice(content.lstrip("\ufeff").splitlines(), _SAMPLE_LINES)]

    def steadiness(delimiter: str) -> tuple[int, int]:
        counts = Counter(count for line in lines if (count := line.count(delimiter)))
        count, times = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return times, count

    return max("\t,;|，；" if suffix in (".tsv", ".tab") else ",;\t|，；", key=steadiness)


def _rows(content: str, delimiter: str) -> Iterator[list[tuple[str, str]]]:
    """Rows of cells as written, each cell with what ends it: a delimiter, a line end, or nothing."""
    by = re.escape(delimiter)
    cell = re.compile(
        rf'(?P<cell>\ufeff?[ ]*"(?:[^"]|"")*"[ ]*(?={by}|[\r\n]|\Z)|[^{by}\r\n]*)(?P<end>{by}|\r\n|\n|\r|\Z)'
    )
    row: list[tuple[str, str]] = []
    position = 0
    while position <= len(content):
        match = cell.match(content, position)
        if match is None or (not match[0] and position == len(content) and not row):
            break
        row.append((match["cell"], match["end"]))
        if match["end"] != delimiter:
            yield row
            row = []
        if not match["end"]:
            break
        position = match.end()


def _unquoted(raw: str) -> str:
    bare = raw.strip("\ufeff ")
    return bare[1:-1].replace('""', '"') if len(bare) > 1 and bare[0] == bare[-1] == '"' else raw


def _cell(raw: str, job: Pass, line: int, label: str, *, keep: bool) -> str:
    """A cell as written, with edits; a doubled quote inside is one character of its value."""
    opening = re.match(r'\ufeff? *"', raw)
    if opening is None or _unquoted(raw) is raw:
        return job.rewrite(raw, line, label, keep=keep)
    inner = raw[opening.end() : raw.rindex('"')]
    value, places = inner.replace('""', '"'), [m.start() for m in re.finditer('""|[^"]', inner)]
    edits = job.edits(value, line, label, keep=keep)
    if not edits:
        return raw
    places.append(len(inner))
    pieces, position = [raw[: opening.end()]], 0
    for start, end, new in edits:
        pieces += [inner[position : places[start]], new.replace('"', '""')]
        position = places[end]
    return "".join([*pieces, inner[position:], raw[raw.rindex('"') :]])
