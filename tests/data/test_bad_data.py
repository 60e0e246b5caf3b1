"""What is refused, in which words, and with which exit code; and that nothing is refused silently."""

import os
import random
from pathlib import Path

import pytest

from lora_scripts.data.reading.formats import read_records
from lora_scripts.errors import DataError

GOOD = "用户：怎么办？\n律师：起诉。\n"


def refusal(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_records(path, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 3
    assert all(p.where and p.text and p.fix for p in caught.value.problems)
    return caught.value


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.problems[0].where == str(tmp_path / "nowhere")
    assert "no such file or folder" in str(error)


def test_an_empty_folder_says_which_kinds_are_read(tmp_path: Path) -> None:
    assert ".jsonl" in refusal(tmp_path).problems[0].fix
    (tmp_path / "README.md").write_text(GOOD)
    (tmp_path / ".hidden.txt").write_text(GOOD)
    assert "no file with training data" in str(refusal(tmp_path))


@pytest.mark.parametrize("content", [b"", b" \n\n ", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert "empty" in str(refusal(tmp_path / "a.txt"))


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".json", ".jsonl"])
@pytest.mark.parametrize("kind", ["random", "png", "zip", "nul"])
def test_binary_under_a_text_suffix_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    noise = random.Random(3).randbytes(3000)
    data = {"random": noise, "png": b"\x89PNG\r\n\x1a\n" + noise, "zip": b"PK\x03\x04" + noise, "nul": bytes(900)}[kind]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    assert "not text" in str(refusal(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "用户：甲？\n律师：\n\n用户：乙？\n律师：略\n\n用户：丙？\n"),
        ("a.csv", "问题,答案\n甲？,\n乙？,待补充\n"),
        ("a.jsonl", '{"question": "甲？", "answer": ""}\n{"question": "乙？", "answer": null}\n'),
    ],
)
def test_a_file_whose_answers_are_all_empty_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    error = refusal(tmp_path / name)
    assert "has an answer" in str(error)
    assert error.problems[0].where.startswith(f"{tmp_path / name}:")


def test_a_file_without_a_pair_stops_a_folder_of_good_ones(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("会议纪要。\n没有问答。\n", encoding="utf-8")
    (tmp_path / "x.csv").write_text("foo,bar\n1,2\n", encoding="utf-8")
    error = refusal(tmp_path)
    assert [Path(p.where.split(":")[0]).name for p in error.problems] == ["notes.txt", "x.csv"]


def test_a_mixed_folder_is_read_whole_and_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b" / "c.csv").write_bytes("问题,答案\n何时？,明天。\n".encode("gb18030"))
    (tmp_path / "b" / "d.jsonl").write_text('{"q": "哪里？", "a": "这里。"}\n', encoding="utf-16")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "book.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "LICENSE.txt").write_text("do what you like\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / ".secret.txt").write_text(GOOD)
    reading = read_records(tmp_path)
    assert [(r.question, r.answer) for r in reading.records] == [
        ("怎么办？", "起诉。"),
        ("何时？", "明天。"),
        ("哪里？", "这里。"),
    ]
    assert [d.encoding for d in reading.ledger.decisions] == ["utf-8", "gb18030", "utf-16-le"]
    told = {f.kind: f for f in reading.ledger.findings}
    assert set(told) == {"not_read", "paper_not_read", "empty_file", "hidden"}
    assert all(name in told["not_read"].text for name in ("photo.png", "book.xls", "README.md"))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot be opened" in str(refusal(path))


@pytest.mark.parametrize("roles", [{"lawyer": ["律师"]}, {"user": ["甲"], "assistant": ["甲"]}])
def test_wrong_roles_are_refused(tmp_path: Path, roles: dict[str, list[str]]) -> None:
    (tmp_path / "a.txt").write_text(GOOD, encoding="utf-8")
    assert "role" in str(refusal(tmp_path / "a.txt", roles=roles))


def test_messages_come_in_chinese_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert "没有这个文件" in str(refusal(tmp_path / "nowhere"))
