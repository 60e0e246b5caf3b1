"""Writes tables as CSV, TSV and XLSX, and variations of them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from tests.data.generated_content import DOMAIN_NAMES, Pair
from tests.data.generated_truth import GeneratedFile, Truth, fixed_zip

Row = Sequence[str]
STEMS = ("导出数据", "records", "整理版", "data_2024", "汇总", "sheet", "最终版", "list")
# suffix, encoding, newline: what spreadsheets and exports write
ENCODINGS = (
    ("csv", "utf-8", "\n"),
    ("xlsx", "", ""),
    ("csv", "gb18030", "\r\n"),
    ("csv", "utf-8-sig", "\r\n"),
    ("tsv", "utf-8", "\n"),
    ("csv", "utf-16", "\r\n"),
)
PEOPLE = ("王芳", "李强", "张敏", "刘洋", "陈静", "杨帆", "赵磊", "黄丽", "周杰", "吴昊", "徐婷", "孙悦")
AGENTS = ("小美", "阿杰", "小林")
STATUSES = ("已办结", "已回访", "处理中")


def timestamp(i: int, minutes: int = 0, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time on the ``i``-th morning, some minutes after nine."""
    return (datetime(2024, 3, 4, 9, 3, 20) + timedelta(days=i, minutes=minutes + 7 * i % 50)).strftime(form)


def csv_text(rows: Sequence[Row], delimiter: str = ",") -> str:
    """The rows as a CSV file with quotes where needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def sheet(book: Workbook, title: str, rows: Sequence[Row]) -> Worksheet:
    """A new sheet with these rows; empty strings are empty cells."""
    page = book.create_sheet(title)
    for row in rows:
        page.append([cell or None for cell in row])
    return page


def workbook_bytes(book: Workbook) -> bytes:
    """The saved workbook, without the empty sheet that openpyxl starts with."""
    if "Sheet" in book.sheetnames and len(book.sheetnames) > 1 and book["Sheet"].max_row == 1:
        del book["Sheet"]
    out = io.BytesIO()
    book.save(out)
    return fixed_zip(out.getvalue())


def xlsx(rows: Sequence[Row], title: str = "Sheet1") -> bytes:
    """A workbook of one sheet."""
    book = Workbook()
    sheet(book, title, rows)
    return workbook_bytes(book)


def table_bytes(rows: Sequence[Row], suffix: str, encoding: str, newline: str) -> bytes:
    """The rows as a file of that suffix."""
    if suffix == "xlsx":
        return xlsx(rows)
    text = csv_text(rows, "\t" if suffix == "tsv" else ",")
    return text.encode(encoding) if newline == "\n" else crlf(text, encoding)


def crlf(text: str, encoding: str) -> bytes:
    """CSV with CRLF between rows; breaks inside quoted cells stay LF, as Excel writes them."""
    quoted = False
    out = []
    for character in text:
        quoted ^= character == '"'
        out.append("\r\n" if character == "\n" and not quoted else character)
    return "".join(out).encode(encoding)


class Tables:
    """Makes the files of one kind: each call takes the next suffix and encoding in turn."""

    def __init__(self, kind: str, first: int = 0) -> None:
        self.kind = kind
        self._formats: Iterator[tuple[str, str, str]] = itertools.islice(itertools.cycle(ENCODINGS), first, None)
        self._count = first

    def file(
        self,
        variation: str,
        rows: Sequence[Row],
        truths: Sequence[Truth],
        *must_report: str,
        never: Sequence[str] = (),
        may_ask: bool = False,
        own_places: bool = True,
        form: tuple[str, str, str] | None = None,
    ) -> GeneratedFile:
        """One file of these rows."""
        suffix, encoding, newline = form or next(self._formats)
        return self.raw(
            f"{variation}, {suffix} {encoding}".rstrip(),
            suffix,
            table_bytes(rows, suffix, encoding, newline),
            truths,
            *must_report,
            never=never,
            may_ask=may_ask,
            own_places=own_places,
        )

    def raw(
        self,
        variation: str,
        suffix: str,
        content: bytes,
        truths: Sequence[Truth],
        *must_report: str,
        never: Sequence[str] = (),
        may_ask: bool = False,
        own_places: bool = True,
    ) -> GeneratedFile:
        """One file whose bytes are made already."""
        self._count += 1
        name = f"{STEMS[self._count % len(STEMS)]}.{suffix}"
        return GeneratedFile(
            self.kind, variation, name, content, tuple(truths), tuple(must_report), tuple(never), may_ask, own_places
        )


def cells(pairs: Sequence[Pair], *columns: str | Sequence[str]) -> list[list[str]]:
    """One row a pair; a column is ``question``, ``answer``, ``title``, ``domain``, ``id``, ``time`` or a list of
    values that are taken in turn."""
    rows = []
    for i, p in enumerate(pairs):
        named = {
            "question": p.question,
            "answer": p.answer,
            "title": p.title,
            "domain": p.domain if p.question.isascii() else DOMAIN_NAMES[p.domain],
        }
        named |= {"id": str(20240301 + i), "time": timestamp(i), "later": timestamp(i, 95), "number": str(i + 1)}
        rows.append([named[c] if isinstance(c, str) else c[i % len(c)] for c in columns])
    return rows
