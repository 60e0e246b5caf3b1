"""Large files are read as they are taken: the same records as from a small file, in memory that does not grow."""

import csv
import json
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lora_scripts.data.ledger import Ledger
from lora_scripts.data.reading import blocks, encodings, sources
from lora_scripts.data.reading.formats import iter_drafts, read_records
from lora_scripts.errors import DataError

Pair = tuple[str, str]


def rows(count: int) -> Iterable[Pair]:
    for i in range(count):
        yield (
            f"第{i}趟车在几号站台候车？",
            f"第{i}趟车在{i % 20}号站台，请提前{i % 7}分钟。\n以现场广播为准：{i}。" + "慢" * 60,
        )


def write_jsonl(path: Path, count: int, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding) as out:
        for q, a in rows(count):
            out.write(json.dumps({"question": q, "answer": a}, ensure_ascii=False) + "\n")


def write_csv(path: Path, count: int, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out).writerows([("编号", "问题", "答案"), *((1, *row) for row in rows(count))])


def write_txt(path: Path, count: int, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding) as out:
        for q, a in rows(count):
            out.write(f"旅客：{q}\n值班员：{a}\n\n")


def write_paragraphs(path: Path, count: int, encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding) as out:
        for q, a in rows(count):
            out.write(f"{q}\n{a}\n\n")


WRITERS: dict[str, Callable[..., None]] = {
    "a.jsonl": write_jsonl,
    "b.csv": write_csv,
    "c.txt": write_txt,
    "d.txt": write_paragraphs,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le"])
def test_a_large_file_reads_as_a_small_one(
    tmp_path: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    WRITERS[name](path, 400, encoding)
    small = read_records(path)
    monkeypatch.setattr(sources, "WHOLE", 1000)
    monkeypatch.setattr(blocks, "PART", 9000)
    large = read_records(path)
    assert [(r.question, r.answer) for r in small.records] == list(rows(400))
    assert large.records == small.records
    assert large.ledger.decisions == small.ledger.decisions
    assert [(f.kind, f.where) for f in large.ledger.findings] == [(f.kind, f.where) for f in small.ledger.findings]


@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "WHOLE", 1000)
    monkeypatch.setattr(blocks, "PART", 40_000)
    monkeypatch.setattr(encodings, "_CHUNK", 1 << 16)
    monkeypatch.setattr(encodings, "_HEAD", 1 << 16)
    peaks = []
    for count in (1_500, 4_500):
        path = tmp_path / name
        WRITERS[name](path, count)
        tracemalloc.start()
        assert sum(1 for _ in iter_drafts(path, None, None, Ledger())) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert path.stat().st_size > 1_000_000
    assert peaks[1] < 1.2 * peaks[0] + 500_000


def test_a_text_around_the_pairs_and_a_row_that_breaks_are_told_with_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(path, 50)
    lines = path.read_text("utf-8").split("\n")
    lines[20] = '{"question": "断'
    path.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(sources, "WHOLE", 1000)
    reading = read_records(path)
    assert [e.source for e in reading.ledger.left_out] == [f"{path}:21"]
    assert len(reading.records) == 49


def test_bytes_that_break_late_in_a_large_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(path, 50)
    lines = path.read_bytes().split(b"\n")
    lines[30] = lines[30][:40] + b"\xff" + lines[30][40:]
    path.write_bytes(b"\n".join(lines))
    offset = sum(len(line) + 1 for line in lines[:30]) + 40
    monkeypatch.setattr(sources, "WHOLE", 1000)
    with pytest.raises(DataError, match=rf"a\.jsonl:31: byte {offset} is not valid utf-8"):
        read_records(path)


def test_a_large_file_that_is_no_text_or_holds_no_pair_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "WHOLE", 1000)
    for name, data, said in (
        ("a.txt", bytes(range(256)) * 40, "not text"),
        ("b.txt", "今天天气好。\n".encode() * 400, "no question with an answer"),
        ("c.jsonl", b'{"foo": 1, "bar": 2}\n' * 3000, "There are: foo, bar"),
        ("d.csv", b"foo,bar\n" + b"1,2\n" * 400, "which columns"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=said):
            read_records(tmp_path / name)


def test_drafts_are_there_before_the_file_has_been_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "a.jsonl", 200)
    (tmp_path / "b.csv").write_text("foo,bar\n1,2\n")
    monkeypatch.setattr(sources, "WHOLE", 1000)
    ledger = Ledger()
    drafts = iter_drafts(tmp_path, None, None, ledger)
    assert next(drafts)[1].turns[0].content.startswith("第0趟车")
    assert ledger.decisions == []
    with pytest.raises(DataError, match="foo, bar"):
        list(drafts)
    assert len(ledger.decisions) == 1
