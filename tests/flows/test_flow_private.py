"""Personal data on the whole road: no value of it leaves the files that it came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from calling import command, pairs, refused, write_rows

from lora_scripts.config.values import PiiType
from lora_scripts.data.pii.find import PII_TYPES

MakeConfig = Callable[..., Path]
VALUES = ("11010519491231002X", "13800138000", "li.lei_secret@example.com", "6222021234567890128", "京A12345")
ROWS = [
    (f"我的身份证{VALUES[0]}，电话{VALUES[1]}，怎么办？", f"依据《示例法》第一条，请发邮件到{VALUES[2]}办理。"),
    (f"银行卡号{VALUES[3]}，车牌号{VALUES[4]}，要登记吗？", "依据《示例法》第二条，应当登记。"),
    ("电话多少？", VALUES[1]),
]


def leaks(folder: Path) -> list[str]:
    """Files below ``folder`` that hold a value, as it is or escaped."""
    found = []
    for file in folder.rglob("*"):
        raw = file.read_bytes() if file.is_file() else b""
        found += [f"{file}: {v}" for v in VALUES if v.encode() in raw or v.encode("unicode_escape") in raw]
    return found


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "secret/a.txt", [*pairs(), *ROWS])


def test_training_masks_by_default_and_no_file_or_line_holds_a_value(config: MakeConfig, rows: Path) -> None:
    said = command("train", config(train_data_dir=str(rows.parent)))
    assert said.code == 0, said.words
    assert "personal data were masked" in said.words
    assert "id_card 1" in said.words
    assert [value for value in VALUES if value in said.words] == []
    assert leaks(Path("out")) == []
    told = json.loads(Path("out/data_report.json").read_text("utf-8"))
    assert told["personal_data"]["phone"]["count"] == 2
    assert told["left_out"] == {"masked": 1}
    assert told["read"] == told["trained"] + told["validation"] + 1
    page = Path("out/data_report.html").read_text("utf-8")
    assert "mobile" in page.lower() or "phone" in page.lower()


def test_preview_shows_marks_and_off_says_what_it_means(config: MakeConfig, rows: Path) -> None:
    said = command("preview", config(train_data_dir=str(rows.parent), eval_ratio=0), "-n", 30)
    assert "[身份证]" in said.out
    assert [value for value in VALUES if value in said.words] == []
    said = command("preview", config(train_data_dir=str(rows.parent), eval_ratio=0, desensitize="off"), "-n", 30)
    assert VALUES[0] in said.out
    said = command("train", config(train_data_dir=str(rows.parent), desensitize="off"), "--dry-run")
    assert "trained on as they are" in said.words


def test_pseudonyms_want_a_key_and_are_the_same_under_the_same_one(
    config: MakeConfig, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(train_data_dir=str(rows.parent), eval_ratio=0, desensitize="pseudonym")
    monkeypatch.delenv("LORA_SCRIPTS_PSEUDONYM_KEY", raising=False)
    refused(command("preview", file), 2, "key", "LORA_SCRIPTS_PSEUDONYM_KEY")
    shown = []
    for key in ("one", "one", "two"):
        monkeypatch.setenv("LORA_SCRIPTS_PSEUDONYM_KEY", key)
        shown.append(command("preview", file, "-n", 30).out)
    assert shown[0] == shown[1] != shown[2]
    assert [value for value in VALUES if value in shown[0]] == []


def test_a_narrower_choice_of_types_names_the_usual_ones_that_stay(config: MakeConfig, rows: Path) -> None:
    said = command("train", config(train_data_dir=str(rows.parent), desensitize_types=["email"]), "--dry-run")
    assert "stay as they are: id_card phone" in said.words
    refused(command("train", config(desensitize_types=["shoe_size"])), 2, "shoe_size")


def test_the_config_and_the_detectors_know_the_same_types() -> None:
    assert sorted(get_args(PiiType)) == sorted(PII_TYPES)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("broken.jsonl", f'{{"question": "电话{VALUES[1]}", "answer": \n{{"question": "{VALUES[0]}"}}\n'),
        ("header.csv", f"{VALUES[1]},{VALUES[2]}\n{VALUES[0]},{VALUES[3]}\n"),
        ("columns.csv", f"电话{VALUES[1]},问题一,问题二,答案\na,b,c,d\n"),
        ("nothing.txt", f"我的身份证{VALUES[0]}\n电话{VALUES[1]}\n"),
        ("roles.txt", f"{VALUES[1]}：a\n甲{VALUES[1]}：b\n乙：c\n" * 3),
        ("ambiguous.txt", f"甲{VALUES[1]}：a\n乙：b\n丙：c\n" * 4),
        ("value.json", json.dumps({"电话": VALUES[1], "邮箱": [VALUES[2]]}, ensure_ascii=False)),
    ],
)
def test_a_refused_file_is_named_without_what_it_holds(name: str, raw: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(raw, encoding="utf-8")
    said = command("check", file, "--report-dir", tmp_path / "report")
    assert [value for value in VALUES if value in said.words] == []
    assert leaks(tmp_path / "report") == []


def test_a_copy_keeps_format_and_encoding_and_a_second_pass_changes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(f"问题,答案\r\n电话{VALUES[1]}怎么办,写{VALUES[2]}\r\n".encode("gb18030"))
    said = command("desensitize", source, tmp_path / "b.csv")
    assert said.code == 0, said.words
    assert (tmp_path / "b.csv").read_bytes().decode("gb18030") == "问题,答案\r\n电话[电话]怎么办,写[邮箱]\r\n"
    assert "phone: 1" in said.out and "email: 1" in said.out
    assert VALUES[1] not in said.words
    assert "another copy" in command("desensitize", source, tmp_path / "p.csv", "--mode", "pseudonym").out
    command("desensitize", tmp_path / "b.csv", tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    refused(command("desensitize", source, tmp_path / "b.csv"), 2, "exists")
    refused(command("desensitize", source, tmp_path / "d.csv", "--types", "shoe_size"), 2, "shoe_size")
    refused(command("desensitize", source, tmp_path / "d.csv", "--mode", "hide"), 2, "hide")
    refused(command("desensitize", tmp_path / "absent", tmp_path / "d.csv"), 2, "no such file")


def test_variants_train_but_never_validate_and_hold_no_value(config: MakeConfig, rows: Path) -> None:
    said = command("augment", config(train_data_dir=str(rows.parent)), "more.jsonl", "--per-record", 2)
    assert said.code == 0, said.words
    lines = [json.loads(line) for line in Path("more.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) > 20
    assert {line["synthetic"] for line in lines} == {True}
    assert [v for v in VALUES if v in Path("more.jsonl").read_text("utf-8")] == []
    Path("more.jsonl").rename(rows.parent / "more.jsonl")
    grown = command("train", config(train_data_dir=str(rows.parent)), "--dry-run")
    alone = command("check", rows, "--json", "--report-dir", "report")
    assert grown.code == 0, grown.words
    both = json.loads(command("check", rows.parent, "--json", "--report-dir", "report").out)
    assert both["validation"] == json.loads(alone.out)["validation"]
    assert both["trained"] >= json.loads(alone.out)["trained"] + 20
    refused(command("augment", rows, rows.parent / "more.jsonl"), 2, "of this name already")
    refused(command("augment", rows, "other.jsonl", "--endpoint", "http://127.0.0.1:9"), 2, "--model")


def test_a_file_whose_encoding_holds_no_chinese_says_how_it_was_marked(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(f"question,answer\ncaf\xe9 tel {VALUES[1]}?,no\n".encode("latin-1"))
    said = command("desensitize", source, tmp_path / "b.csv")
    assert said.code == 0, said.words
    assert b"[phone]" in (tmp_path / "b.csv").read_bytes()
    assert "holds no Chinese" in said.words
