"""Workbooks, documents, PDF and columnar files, made here by the libraries that people's programs stand for."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.errors import DataError

QA = [(f"第{i}号展品是什么年代的？", f"第{i}号展品出土于{1900 + i}年，属于青铜时代。") for i in range(1, 13)]


def pairs(reading: Reading) -> list[tuple[str, str]]:
    ledger = reading.ledger
    assert ledger.read == len(reading.records) + sum(ledger.reasons().values())
    return [(r.question, r.answer) for r in reading.records]


def kinds(reading: Reading) -> list[str]:
    return [f.kind for f in reading.ledger.findings]


def book(*sheets: tuple[str, list[list[Any]]]) -> openpyxl.Workbook:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets:
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return made


def saved(made: openpyxl.Workbook, tmp_path: Path) -> Path:
    path = tmp_path / "t.xlsx"
    made.save(path)
    return path


def test_several_sheets_title_rows_and_a_hidden_sheet(tmp_path: Path) -> None:
    made = book(
        ("封面", [["内部资料"]]),
        (
            "上半年",
            [["展品咨询汇总"], ["序号", "观众提问", "讲解答复"], *([i, q, a] for i, (q, a) in enumerate(QA[:6]))],
        ),
        ("下半年", [["问题", "答案", "备注"], *([q, a, None] for q, a in QA[6:])]),
        ("旧表", [["问题", "答案"], ["旧问题？", "旧答案。"]]),
    )
    made["上半年"].merge_cells("A1:C1")
    made["旧表"].sheet_state = "hidden"
    reading = read_records(saved(made, tmp_path))
    assert pairs(reading) == QA
    assert reading.records[0].source.endswith("t.xlsx[上半年]:3")
    assert {"hidden_sheets", "sheets_without_header", "rows_above_header"} <= set(kinds(reading))
    assert "旧表" in next(f.text for f in reading.ledger.findings if f.kind == "hidden_sheets")


def test_a_header_of_two_rows_with_merged_groups(tmp_path: Path) -> None:
    rows = [
        ["编号", "咨询", None, "答复"],
        [None, "标题", "内容", None],
        *([i, "t", q, a] for i, (q, a) in enumerate(QA)),
    ]
    made = book(("s", rows))
    for cells in ("A1:A2", "B1:C1", "D1:D2"):
        made["s"].merge_cells(cells)
    assert pairs(read_records(saved(made, tmp_path))) == QA


def test_an_answer_merged_over_several_questions_is_the_answer_of_each(tmp_path: Path) -> None:
    rows = [["问题", "答案"], [QA[0][0], "同一个答案。"], [QA[1][0], None], [QA[2][0], None], list(QA[3])]
    made = book(("s", rows))
    made["s"].merge_cells("B2:B4")
    got = pairs(read_records(saved(made, tmp_path)))
    assert got == [(q, "同一个答案。") for q, _ in QA[:3]] + [QA[3]]


def with_stored(path: Path, formula: str, result: str) -> None:
    """Give each formula the result that Excel would have stored beside it."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("sheet1.xml"):
                bare = f"<f>{formula}</f>".encode()
                assert bare in data
                data = re.sub(re.escape(bare) + rb"(?:<v ?/>|<v></v>)", bare + f"<v>{result}</v>".encode(), data)
                data = data.replace(b'<c r="B2">', b'<c r="B2" t="str">')
            new.writestr(name, data)
    path.write_bytes(out.getvalue())


def test_formulas_give_their_stored_results_and_are_said(tmp_path: Path) -> None:
    made = book(("s", [["问题", "答案"], [QA[0][0], '="A"&"B"'], *map(list, QA[1:])]))
    path = saved(made, tmp_path)
    reading = read_records(path)  # openpyxl stores no result
    assert pairs(reading) == QA[1:]
    assert reading.ledger.reasons() == {"unreadable": 1}
    with_stored(path, '"A"&amp;"B"', "AB")
    reading = read_records(path)
    assert pairs(reading) == [(QA[0][0], "AB"), *QA[1:]]
    assert "formulas" in kinds(reading)


def test_numbers_dates_blank_rows_and_cells_beside(tmp_path: Path) -> None:
    rows = [
        ["问题", "答案"],
        ["哪一年？", 1984.0],
        [None, None],
        ["第几层？", 3],
        ["多重？", 2.5, "旁注"],
        ["空？", None],
    ]
    reading = read_records(saved(book(("s", rows)), tmp_path))
    assert pairs(reading) == [("哪一年？", "1984"), ("第几层？", "3"), ("多重？", "2.5")]
    assert reading.ledger.reasons() == {"empty_answer": 1}
    assert "cells_without_header" in kinds(reading)


def test_a_wrong_size_in_a_sheet_cuts_nothing(tmp_path: Path) -> None:
    path = saved(book(("s", [["问题", "答案"], *map(list, QA)])), tmp_path)
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'ref="A1:B13"', b'ref="A1"'))
    path.write_bytes(out.getvalue())
    assert pairs(read_records(path)) == QA


def test_a_workbook_without_such_columns_shows_what_it_has(tmp_path: Path) -> None:
    path = saved(book(("s", [["甲", "乙"], *map(list, QA)])), tmp_path)
    with pytest.raises(DataError, match="甲, 乙") as caught:
        read_records(path)
    assert "columns" in caught.value.problems[0].fix
    assert pairs(read_records(path, columns={"question": "甲", "answer": "乙"})) == QA
    two = saved(book(("s", [["问题", "一组答复意见", "二组答复意见"], *([q, a, a] for q, a in QA)])), tmp_path)
    with pytest.raises(DataError, match="several columns could be the answer"):
        read_records(two)


def bomb(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, data)


@pytest.mark.parametrize("suffix", [".xlsx", ".docx"])
def test_bombs_entities_and_other_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    bomb(path, "xl/worksheets/sheet1.xml", bytes(40 << 20))
    with pytest.raises(DataError, match="unpacks to 40 MB"):
        read_records(path)
    bomb(
        path,
        "word/document.xml",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    )
    with pytest.raises(DataError, match="document type"):
        read_records(path)
    for data in (b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0" * 100, b"<html>"):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read"):
            read_records(path)


def document(*parts: str | list[list[str]]) -> Any:
    made = docx.Document()
    for part in parts:
        if isinstance(part, str):
            made.add_paragraph(part)
        else:
            table = made.add_table(rows=len(part), cols=len(part[0]))
            for i, row in enumerate(part):
                for j, words in enumerate(row):
                    table.cell(i, j).text = words
    return made


def test_paragraphs_of_a_document_are_a_transcript(tmp_path: Path) -> None:
    made = document("展品问答", "", *(x for q, a in QA for x in (f"观众：{q}", f"讲解员：{a}\n另：可拍照。", "")))
    made.save(tmp_path / "t.docx")
    reading = read_records(tmp_path / "t.docx")
    assert pairs(reading) == [(q, a + "\n另：可拍照。") for q, a in QA]
    assert reading.ledger.decisions[0].format == "document"


def test_tables_of_a_document_are_read_beside_its_text(tmp_path: Path) -> None:
    talk = [x for q, a in QA[6:] for x in (["问", q], ["答", a])]
    made = document("说明文字", [["序号", "问题", "答案"], *([str(i), q, a] for i, (q, a) in enumerate(QA[:6]))], talk)
    made.add_table(rows=1, cols=3)
    made.save(tmp_path / "t.docx")
    reading = read_records(tmp_path / "t.docx")
    assert pairs(reading) == QA
    assert reading.records[0].source.endswith("t.docx[1]:2")
    assert {"text_not_read", "tables_without_header"} <= set(kinds(reading))


def test_accepted_changes_are_read_and_deleted_words_are_not(tmp_path: Path) -> None:
    made = document(*(x for q, a in QA for x in (f"观众：{q}", f"讲解员：{a}")))
    paragraph = made.paragraphs[1]._p
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    for tag, word, words in (("ins", "t", "（新增）"), ("del", "delText", "（删去）")):
        change = paragraph.makeelement(f"{{{w}}}{tag}", {})
        run = change.makeelement(f"{{{w}}}r", {})
        text = run.makeelement(f"{{{w}}}{word}", {})
        text.text = words
        run.append(text)
        change.append(run)
        paragraph.append(change)
    made.save(tmp_path / "t.docx")
    assert read_records(tmp_path / "t.docx").records[0].answer == QA[0][1] + "（新增）"


def pdf(pages: list[list[str]]) -> bytes:
    """A PDF of ASCII lines in Helvetica; a page without lines is empty, as a scan is without its picture."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        shown = "".join(f"({line}) Tj T* " for line in lines)
        stream = f"BT /F1 10 Tf 14 TL 40 800 Td {shown}ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        kids.append(len(objects) + 1)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % k for k in kids), len(kids))
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % p for p in places)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return out + head + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(out))


def test_a_pdf_gives_its_pairs_without_page_edges(tmp_path: Path) -> None:
    long = "It was found in the northern field near the old mill and is"
    pages = []
    for p in range(4):
        body = [
            x
            for n in range(p * 3, p * 3 + 3)
            for x in (f"Visitor: How old is item {n}?", f"Guide: {long}", f"about {n + 100} years old.")
        ]
        pages.append(["Museum handbook", *body, f"page {p + 1}"])
    pages.append([])
    path = tmp_path / "t.pdf"
    path.write_bytes(pdf(pages))
    reading = read_records(path)
    assert pairs(reading) == [(f"How old is item {n}?", f"{long} about {n + 100} years old.") for n in range(12)]
    assert {"lines_joined", "running_lines", "pages_without_text"} <= set(kinds(reading))
    assert reading.records[3].source.endswith("t.pdf[p2]:2")


def test_a_scanned_or_broken_pdf_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "t.pdf"
    path.write_bytes(pdf([[], []]))
    with pytest.raises(DataError, match="2 pages holds text") as caught:
        read_records(path)
    assert "OCR" in caught.value.problems[0].fix
    path.write_bytes(b"%PDF-1.4\nnothing")
    with pytest.raises(DataError):
        read_records(path)


ROWS = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in QA]


def test_parquet_is_read_by_rows(tmp_path: Path) -> None:
    table = pa.table({"question": [q for q, _ in QA], "answer": [a for _, a in QA], "id": list(range(len(QA)))})
    pa.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=5)
    reading = read_records(tmp_path / "t.parquet")
    assert pairs(reading) == QA
    assert reading.records[4].source.endswith("t.parquet:5")
    pa.parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    assert pairs(read_records(tmp_path / "t.parquet")) == QA


def test_feather_and_a_saved_dataset_folder_are_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    pa.feather.write_feather(table, tmp_path / "t.feather")
    assert pairs(read_records(tmp_path / "t.feather")) == QA
    folder = tmp_path / "saved"
    folder.mkdir()
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=5)
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"messages": []}, "splits": {}}))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    assert pairs(read_records(folder)) == QA


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_a_broken_columnar_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    for data in (b"PAR1", b"ARROW1\0\0" + bytes(50), b"text", bytes(100)):
        path.write_bytes(data)
        with pytest.raises(DataError):
            read_records(path)
