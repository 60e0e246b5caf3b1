"""Whatever the pairs hold, they come back; whatever the file holds, the ledger adds up."""

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.formats import read_records
from lora_scripts.errors import DataError

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

HAN = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可"
    "主发年动同工也能下过子说产种面而方后多定行学法所民得经"
)
words = st.text(HAN, min_size=2, max_size=12)
traps = st.sampled_from(
    [
        "",
        "时间：10:30",
        "http://a.example:80/?q=1",
        "第3条：略",
        "注意: 如下",
        "（一）甲；（二）乙",
        "“引号”,逗号;分号\t制表",
        'He said "no".',
    ]
)
number = st.integers(0, 10**9)


@st.composite
def pairs(draw: st.DrawFn, lines: bool = True) -> list[tuple[str, str]]:
    out = []
    for i in range(draw(st.integers(3, 12))):
        question = f"问题{i}{draw(words)}{draw(traps)}怎么办？"
        answer = f"依据{draw(words)}第{draw(number)}条，{draw(traps)}{draw(words)}。"
        for _ in range(draw(st.integers(0, 2)) if lines else 0):
            answer += draw(st.sampled_from(["\n", "\n\n"])) + f"{draw(words)}{draw(traps)}。"
        out.append((question, answer))
    return out


encodings = st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
speakers = st.sampled_from(
    [("用户", "律师"), ("问", "答"), ("Q", "A"), ("User", "Helper"), ("Customer", "Agent"), ("客户", "客服")]
)
ends = st.sampled_from(["\n", "\r\n"])


def back(text: str, encoding: str, suffix: str) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t{suffix}"
        path.write_bytes(text.encode(encoding))
        reading = read_records(path)
    assert reading.ledger.read == len(reading.records) + len(reading.ledger.left_out)
    return [(r.question, r.answer) for r in reading.records]


@FAST
@given(pairs(), speakers, st.sampled_from(["：", ":", "﹕", " : "]), encodings, ends)
def test_a_transcript_gives_back_its_pairs(
    rows: list[tuple[str, str]], names: tuple[str, str], colon: str, encoding: str, end: str
) -> None:
    text = "".join(f"{names[0]}{colon}{q}\n{names[1]}{colon}{a}\n\n" for q, a in rows)
    assert back(text.replace("\n", end), encoding, ".txt") == rows


@FAST
@given(pairs(lines=False), speakers, encodings)
def test_one_line_pairs_give_back_their_pairs(
    rows: list[tuple[str, str]], names: tuple[str, str], encoding: str
) -> None:
    text = "".join(f"{names[0]}：{q} {names[1]}：{a}\n" for q, a in rows)
    assert back(text, encoding, ".txt") == rows


@FAST
@given(pairs(), st.sampled_from(",;\t"), encodings, st.booleans())
def test_a_table_gives_back_its_pairs(rows: list[tuple[str, str]], delimiter: str, encoding: str, quoted: bool) -> None:
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows(
        [("编号", "问题", "答案"), *((1, *r) for r in rows)]
    )
    assert back(out.getvalue(), encoding, ".csv") == rows


@FAST
@given(pairs(), encodings, st.booleans())
def test_json_lines_give_back_their_pairs(rows: list[tuple[str, str]], encoding: str, escaped: bool) -> None:
    text = "".join(json.dumps({"question": q, "answer": a}, ensure_ascii=escaped) + "\n" for q, a in rows)
    assert back(text, encoding, ".jsonl") == rows


def as_workbook(rows: list[tuple[str, str]]) -> bytes:
    made = openpyxl.Workbook()
    for row in [("问题", "答案"), *rows]:
        made.active.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def as_parquet(rows: list[tuple[str, str]]) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(pa.table({"question": [q for q, _ in rows], "answer": [a for _, a in rows]}), out)
    return out.getvalue()


@settings(FAST, max_examples=15)
@given(pairs(), st.sampled_from([(".xlsx", as_workbook), (".parquet", as_parquet)]))
def test_a_workbook_and_a_parquet_file_give_back_their_pairs(
    rows: list[tuple[str, str]], made: tuple[str, Callable[[list[tuple[str, str]]], bytes]]
) -> None:
    suffix, write = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t{suffix}"
        path.write_bytes(write(rows))
        reading = read_records(path)
    assert [(r.question, r.answer) for r in reading.records] == rows


SHAPES: list[Callable[[str, str], object]] = [
    lambda q, a: {"instruction": q, "input": "", "output": a},
    lambda q, a: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]},
    lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]},
]


@FAST
@given(pairs(), st.sampled_from(SHAPES), encodings, st.sampled_from([None, 2]))
def test_json_in_each_layout_gives_back_its_pairs(
    rows: list[tuple[str, str]], shape: Callable[[str, str], object], encoding: str, indent: int | None
) -> None:
    text = json.dumps([shape(q, a) for q, a in rows], ensure_ascii=False, indent=indent)
    assert back(text, encoding, ".json") == rows


lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "用户：",
                "律师：",
                "问题,答案",
                '{"question": "a", "answer": "b"}',
                "[",
                "---",
                "A: 是",
                "\t",
                '"',
                "﻿用户：x",
                "1.",
            ]
        ),
        st.tuples(st.sampled_from(["用户：", "律师：", "答:", "", "甲：", "Q "]), words).map("".join),
        st.text(max_size=20),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(lines, st.sampled_from([".txt", ".csv", ".json", ".jsonl", ".tsv"]))
def test_any_file_is_either_refused_or_accounted_for(rows: list[str], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t{suffix}"
        path.write_bytes("\n".join(rows).encode("utf-8", "surrogatepass"))
        try:
            reading = read_records(path)
        except DataError:
            return
    ledger = reading.ledger
    assert ledger.read == len(reading.records) + sum(ledger.reasons().values()) > 0
    assert all(r.messages[-1].role == "assistant" and r.question and r.answer for r in reading.records)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_either_refused_or_accounted_for(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.txt"
        path.write_bytes(data)
        try:
            reading = read_records(path)
        except DataError:
            return
    assert reading.records
