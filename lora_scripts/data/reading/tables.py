"""Tables to rows: CSV and TSV with any delimiter and any headers; the rows of sheets and documents too."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from lora_scripts.data.reading.columns import (
    answer_score,
    column_number,
    find_pair,
    given_columns,
    header_role,
    is_body_name,
    plain_header,
    question_score,
)
from lora_scripts.data.reading.evidence import looks_like_content, profile_columns
from lora_scripts.data.reading.rows import Names, Row, read_rows
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.records import Draft, Parsed, Remark
from lora_scripts.errors import DataError
from lora_scripts.messages import text as say

# First line, cells, and a note why the row cannot be read.
Cells = tuple[int, list[str], str]

HEADER_ROWS = 5  # a title may stand above the header
_DELIMITERS = ",;\t|，；"
_MOST_LINES = 1000  # a quoted field longer than this is an unclosed quote
_HEAD_LINES = 200
_LONGEST_NAME = 40
_SAMPLE_ROWS = 20
_FEWEST = 3
_CLEARLY_BETTER = 1.5
_TYPES_WORDS = """
必填 选填 可选 文字 文本 数字 日期 时间 秒 分钟 元 个 字符串 单选 多选 下拉 自动生成 系统生成 示例 例如
varchar char text string int integer bigint float datetime date bool required optional
"""
_TYPES = "|".join(_TYPES_WORDS.split())
_DESCRIBES_COLUMN = re.compile(
    rf"(?:{_TYPES})(?:$|[\s,，;；:：(（].{{0,30}}$)|(?:不超过|最多|限)\s*\d+\s*个?字.{{0,6}}$", re.IGNORECASE
)
_NOTE_NAMES = "填表说明|填写说明|说明|备注|注|合计|小计|总计|平均|平均值|total|subtotal|sum|notes?"
_NOT_A_RECORD = re.compile(rf"(?:{_NOTE_NAMES})\s*[:：]?$", re.IGNORECASE)


def read_table(source: Source, columns: Names = None, roles: Names = None, *, sure: bool = True) -> Parsed | None:
    """The records of a table with a header.

    Args:
        source: The file.
        columns: Headers of question, answer, system, input, history, where the names do not tell.
        roles: Speakers' names by role, for tables with one message a row.
        sure: The file is known to be a table (by its suffix), so unknown headers are an error.

    Returns:
        None where no header with question and answer is seen and ``sure`` is False.

    Raises:
        DataError: No such header, or a column is not there.
        AmbiguousDataError: Several readings are equally good.
    """
    lines = list(islice(source.lines(), _HEAD_LINES))
    head = next((i for i, line in enumerate(lines) if line.strip()), 0)
    delimiters = _likely_delimiters([line for line in lines[head : head + 20] if line.strip()])
    missing: DataError | None = None
    for delimiter in delimiters:
        rows = list(islice(_cells(iter(lines), delimiter), HEADER_ROWS))
        try:
            header = find_header(rows, source.where, columns, sure)
        except DataError as error:
            missing = missing or error
            continue
        if header and (sure or _steady(lines, delimiter, header)):
            return _below(source, header, delimiter, head + 1, columns, roles)
    if not sure:
        return None
    sample = [
        cells for _, cells, problem in islice(_cells(iter(lines[head:]), delimiters[0]), _SAMPLE_ROWS) if not problem
    ]
    if is_headless(sample):
        cells = _cells(islice(source.lines(), head, None), delimiters[0], head + 1)
        records = rows_below(cells, [""] * len(sample[0]))
        parsed = read_rows(records, "table", source.where, columns, roles, header_line=head + 1, named=False)
        if parsed:
            parsed.drafts = _then(parsed.drafts, parsed, delimiters[0], [])
        return parsed
    if missing:
        raise missing
    names = [c.strip() for c in sample[0]] if sample else []
    return _below(source, (head + 1, names, ""), delimiters[0], head + 1, columns, roles)


def _steady(lines: Sequence[str], delimiter: str, header: Cells) -> bool:
    """Whether nearly all of the first rows have the header's width; sentences with commas have not."""
    rows = list(islice(_cells(iter(lines[header[0] :]), delimiter), _SAMPLE_ROWS))
    return sum(len(r[1]) == len(header[1]) for r in rows) >= 0.8 * len(rows)


def _below(source: Source, header: Cells, delimiter: str, first: int, columns: Names, roles: Names) -> Parsed | None:
    """The rows below a header; ``first`` is the first line that is not blank."""
    below = _cells(islice(source.lines(), header[0] - 1, None), delimiter, header[0])
    rows = rows_below(islice(below, 1, None), header[1])
    parsed = read_rows(rows, "table", source.where, columns, roles, header_line=header[0])
    if parsed:
        remarks: list[Remark] = []
        if header[0] > first:
            remarks.append(("info", "rows_above_header", first, {"lines": header[0] - 1}))
        parsed.drafts = _then(parsed.drafts, parsed, delimiter, remarks)
        parsed.units["metadata"] += len(header[1])
    return parsed


def _then(drafts: Iterable[Draft], parsed: Parsed, delimiter: str, remarks: Sequence[Remark]) -> Iterator[Draft]:
    yield from drafts
    parsed.detail = say("data.detail.table", delimiter={"\t": "TAB"}.get(delimiter, delimiter), columns=parsed.detail)
    parsed.remarks += remarks


def is_headless(rows: Sequence[Sequence[str]]) -> bool:
    """The first of ``rows`` is a record: a question, a date, a number where the rows below have such."""
    if len(rows) < _FEWEST:
        return False
    below = profile_columns([{str(i): cell for i, cell in enumerate(cells)} for cells in rows[1:]])
    first = ((str(i), cell.strip()) for i, cell in enumerate(rows[0]))
    return any(cell and i in below and looks_like_content(cell, below[i]) for i, cell in first)


def _likely_delimiters(lines: Sequence[str]) -> list[str]:
    """Delimiters that the first lines hold, the steadiest first."""

    def steadiness(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        return (sum(c == counts[0] > 0 for c in counts), counts[0]) if counts else (0, 0)

    held = [d for d in _DELIMITERS if any(d in line for line in lines[:HEADER_ROWS])]
    if lines:  # full-width marks are punctuation, unless they part the first line
        held = [d for d in held if d not in "，；" or d in lines[0]]
    # The header alone is the best witness: a comma in a question is no delimiter.
    return sorted(held, key=lambda d: (-min(1, steadiness(d)[1]), -steadiness(d)[0], _DELIMITERS.index(d))) or [","]


def find_header(rows: Sequence[Cells], where: str, columns: Names, sure: bool) -> Cells | None:
    """The first row whose cells name a question and an answer, or a speaker and content.

    Args:
        rows: The first rows of a table.
        where: The file, for messages.
        columns: The user's names for them.
        sure: A column that is missing is an error, and long cells may be names.

    Raises:
        DataError: With ``sure``: the user's column is not there.
    """
    missing: DataError | None = None
    best: tuple[float, Cells] | None = None
    for line, cells, problem in rows:
        names = [c.strip() for c in cells]
        if problem or sum(bool(n) for n in names) < 2 or (not sure and max(map(len, names)) > 20):
            continue
        if not columns:
            score = _header_score([n for n in names if n])
            # a line of groups (客户, 坐席) may stand above the names
            if score and (best is None or (score >= best[0] + _CLEARLY_BETTER and "" in best[1][1])):
                best = score, (line, names, "")
            continue
        try:
            given_columns(unique_names(names), columns, f"{where}:{line}")
        except DataError as error:
            missing = missing or error
            continue
        return line, names, ""
    if missing and sure:
        raise missing
    return best[1] if best else None


def _header_score(names: Sequence[str]) -> float:
    """How surely headers name a question and another column for the answer, two answers, or speaker and content."""
    plain = [plain_header(name) for name in names]
    asked, answers = [n for n in plain if question_score(n)], [n for n in plain if answer_score(n)]
    if asked and answers and len({*asked, *answers}) > 1:
        return max(map(question_score, asked)) + max(map(answer_score, answers))
    spoken = [n for n in plain if header_role(n) == "speaker"]
    named = (spoken and any(is_body_name(n) for n in plain)) or find_pair(names) or "messages" in plain
    return 1.0 if named else 0.0


def sheet_header(head: Sequence[Sequence[str]], groups: Container[int], where: str, columns: Names) -> Cells | None:
    """The header of a sheet: a row that names question and answer, or such a row together with the groups above it.

    Args:
        head: The first rows, the text of merged cells in all of them.
        groups: Places in ``head`` of rows with cells merged sideways.
        where: The sheet, for messages.
        columns: The user's names for them.

    Raises:
        DataError: As for ``find_header``.
    """
    likely: list[Cells] = []
    for i, cells in enumerate(head[:HEADER_ROWS]):
        if i in groups and i + 1 < len(head) and len(set(filter(None, cells))) > 1:
            both = zip_longest(cells, head[i + 1], fillvalue="")
            likely.append((i + 2, [a if a == b else f"{a} {b}".strip() for a, b in both], ""))
        likely.append((i + 1, list(cells), ""))
    return find_header([r for r in likely if max(map(len, r[1]), default=0) <= _LONGEST_NAME], where, columns, True)


def _cells(lines: Iterator[str], delimiter: str, first: int = 1) -> Iterator[Cells]:
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


def unique_names(names: Sequence[str]) -> list[str]:
    """Names for the columns of a header: one without a name is its number, one that comes again gets a number."""
    seen: Counter[str] = Counter()
    out = []
    for number, raw in enumerate(names, 1):
        name = raw.strip() or column_number(number)
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def rows_below(cells: Iterable[Cells], header: Sequence[str]) -> Iterator[Row]:
    """The rows below a header, by the names of its columns.

    Args:
        cells: As they stand.
        header: The header's cells.
    """
    names = unique_names(header)
    blank: list[int] = []  # blank rows at the end are no rows
    for number_below, (line, row, problem) in enumerate(cells):
        if not problem and not any(c.strip() for c in row):
            blank.append(line)
            continue
        for number in blank:
            yield Row(number, None, say("data.note.blank_line"))
        blank.clear()
        if problem:
            yield Row(line, None, problem)
        elif header and row[0].strip() == header[0].strip() and [c.strip() for c in row] == [h.strip() for h in header]:
            yield Row(line, None, say("data.note.header_again"))
        elif len(row) < len(header) or any(c.strip() for c in row[len(header) :]):
            yield Row(line, None, say("data.note.ragged", there=len(row), wanted=len(header)))
        elif number_below == 0 and all(_DESCRIBES_COLUMN.match(c.strip()) for c in row if c.strip()):
            yield Row(line, None, say("data.note.column_descriptions"))
        elif len(row) > _FEWEST - 1 and _NOT_A_RECORD.match(row[0].strip()):
            yield Row(line, None, say("data.note.totals", name=row[0].strip()[:20]))
        else:
            yield Row(line, dict(zip(names, row, strict=False)))
