"""Files that were cut, flipped, joined and mislabelled: they are read or refused, and nothing else comes out."""

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest

from lora_scripts.data.reading.formats import FORMATS, read_records
from lora_scripts.errors import DataError

QA = [(f"第{i}条航线几点起飞？", f"第{i}条航线{i % 24}点整起飞，注意：提前到场。") for i in range(1, 9)]
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-be", "big5", "cp1252")


def text(rng: random.Random) -> str:
    shape = rng.choice(
        ["乘客：{q}\n地勤：{a}\n\n", "{q}\n{a}\n", "Q: {q} A: {a}\n", "{i}. {q}\n{a}\n", "【问】{q}\n【答】{a}\n"]
    )
    return "".join(shape.format(q=q, a=a, i=i) for i, (q, a) in enumerate(QA, 1))


def table(rng: random.Random) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=rng.choice(",;\t|")).writerows([("编号", "问题", "答案"), *((1, *r) for r in QA)])
    return out.getvalue()


def objects(rng: random.Random) -> str:
    rows = [
        rng.choice(
            [
                {"question": q, "answer": a},
                {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]},
                {"instruction": q, "input": "", "output": a, "history": [[q, a]]},
                [q, a],
                [[{"q": q, "a": a}]],
            ]
        )
        for q, a in QA
    ]
    if rng.random() < 0.5:
        return "\n".join(json.dumps(r, ensure_ascii=rng.random() < 0.5) for r in rows)
    return json.dumps(rng.choice([rows, {"data": rows}]), indent=rng.choice([None, 1]))


def workbook(_: random.Random) -> bytes:
    made = openpyxl.Workbook()
    for row in [("问题", "答案"), *QA]:
        made.active.append(row)
    made.active.append(["=1+1", "x"])
    made.active.merge_cells("A4:A6")
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def document(_: random.Random) -> bytes:
    made = docx.Document()
    for q, a in QA:
        made.add_paragraph(f"乘客：{q}")
        made.add_paragraph(f"地勤：{a}")
    made.add_table(rows=2, cols=2).cell(0, 0).text = "问题"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def columnar(_: random.Random) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(pa.table({"question": [q for q, _ in QA], "answer": [a for _, a in QA]}), out)
    return out.getvalue()


def stream(_: random.Random) -> bytes:
    out = io.BytesIO()
    made = pa.table({"question": [q for q, _ in QA], "answer": [a for _, a in QA]})
    with pa.ipc.new_stream(out, made.schema) as sink:
        sink.write_table(made)
    return out.getvalue()


def page(rng: random.Random) -> bytes:
    words = "".join(f"(User: what is {i}?) Tj T* (Agent: it is {i}.) Tj T* " for i in range(9))
    body = f"BT /F1 9 Tf 12 TL 40 800 Td {words}ET"
    return (
        "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        "2 0 obj\n<< /Type /Pages /Kids [4 0 R] /Count 1 >>\nendobj\n"
        "3 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n"
        "4 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        " /Resources << /Font << /F1 3 0 R >> >> >>\nendobj\n"
        f"5 0 obj\n<< /Length {len(body)} >>\nstream\n{body}\nendstream\nendobj\n"
        f"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n{rng.randrange(900)}\n%%EOF"
    ).encode()


MAKERS: list[tuple[str, Callable[[random.Random], str | bytes]]] = [
    (".txt", text),
    (".csv", table),
    (".tsv", table),
    (".json", objects),
    (".jsonl", objects),
    (".txt", objects),
    (".xlsx", workbook),
    (".docx", document),
    (".parquet", columnar),
    (".arrow", stream),
    (".pdf", page),
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """``data`` after none to four accidents."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        kind = rng.randrange(7)
        if kind == 0 and data:
            flipped = bytearray(data)
            for _ in range(rng.randint(1, 20)):
                flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            data = bytes(flipped)
        elif kind == 1:
            data = data[:end]
        elif kind == 2:
            data = data[:at] + data[end:]
        elif kind == 3:
            data = data[:at] + rng.randbytes(rng.randint(1, 40)) + data[at:]
        elif kind == 4:
            data += data[at:end]
        elif kind == 5:
            other = MAKERS[rng.randrange(len(MAKERS))][1](rng)
            data += other if isinstance(other, bytes) else other.encode(rng.choice(ENCODINGS), "ignore")
        else:
            pieces = [b"\n", b'"', b"[" * 3000, b"{", b"\x00", b"\r", "：".encode(), b"\xff\xfe", b"9" * 5000, b"NaN"]
            data = data[:at] + rng.choice(pieces) + data[at:]
    return data


def inside(data: bytes, rng: random.Random) -> bytes:
    """An archive of which one part had the accidents; its checksums fit."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        hit = rng.choice([n for n in old.namelist() if n.endswith(("sheet1.xml", "document.xml", ".rels", "book.xml"))])
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, mutated(part, rng) if name == hit else part)
    return out.getvalue()


def run(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Read ``count`` files; how many were read and how many refused."""
    rng = random.Random(seed)
    originals = {maker: maker(rng) for _, maker in MAKERS[6:]}
    good = refused = 0
    for number in range(count):
        suffix, maker = MAKERS[number % len(MAKERS)]
        made = originals.get(maker) or maker(rng)
        data = made if isinstance(made, bytes) else made.encode(rng.choice(ENCODINGS), "ignore")
        if rng.random() < 0.1:
            suffix = rng.choice(list(FORMATS))
        path = folder / f"t{suffix}"
        packed = maker in (workbook, document) and rng.random() < 0.7
        path.write_bytes(inside(data, rng) if packed else mutated(data, rng))
        try:
            reading = read_records(path)
        except DataError as error:
            refused += all(p.where and p.text for p in error.problems)
        except BaseException as error:
            raise AssertionError(f"file {number} of seed {seed} ({suffix}): {error!r}") from error
        else:
            ledger = reading.ledger
            assert ledger.read == len(reading.records) + sum(ledger.reasons().values()) > 0
            assert (
                not any("\ufffd" in r.answer for r in reading.records)
                or any(f.kind == "replacement_characters" for f in ledger.findings)
                or suffix in (".xlsx", ".docx", ".pdf", ".parquet", ".arrow", ".feather", ".xlsm")
            )
            good += 1
        path.unlink()
    return good, refused


def test_mutilated_files_are_read_or_refused(tmp_path: Path) -> None:
    good, refused = run(tmp_path, 330, 1)
    assert good + refused == 330
    assert min(good, refused) > 60


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_ten_thousand_mutilated_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    good, refused = run(tmp_path, 1000, seed)
    assert good + refused == 1000
