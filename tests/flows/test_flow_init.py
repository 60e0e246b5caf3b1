"""`init`: a folder of files becomes a config that trains, by questions with defaults, in the language of the user."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import command, pairs, refused, write_rows

from lora_scripts.assemble import init as init_room
from lora_scripts.assemble.dialogue import Dialogue
from lora_scripts.assemble.init import shared_opening, write_starter_config
from lora_scripts.config import Config, load_config
from lora_scripts.data.records import Message, Record
from lora_scripts.errors import Alternative, AmbiguousDataError, UsageError, problem

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with one base model in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base, tmp_path / "models" / "tiny-random")
    monkeypatch.setattr(init_room, "MODELS", (Path("models"),))


def answering(*typed: str) -> tuple[Dialogue, list[str]]:
    """A dialogue with a user who types these lines, and what is said to him."""
    lines: Iterator[str] = iter(typed)
    said: list[str] = []

    def ask(prompt: str) -> str:
        said.append(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    return Dialogue(said.append, ask), said


def preference_file(path: Path) -> None:
    rows = [{"question": q, "chosen": a, "rejected": "不知道。"} for q, a in pairs()]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


def long_file(path: Path) -> None:
    write_rows(path, [*pairs(), ("这个很长的问题怎么办？", "应当" * 900 + "办理。")])


def table(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [
                ("question", "answer"),
                *(
                    (f"Where is parcel {n}?", f"Thank you for your order {n}, it is on its way today.")
                    for n in range(20)
                ),
            ]
        )


@pytest.mark.parametrize(
    ("make", "name", "expected"),
    [
        (lambda p: write_rows(p, pairs()), "a.txt", {"answer_rules": init_room._CITATION}),
        (table, "b.csv", {"system_prompt": init_room.SERVICE_PROMPTS["en"]}),
        (preference_file, "c.jsonl", {"task_type": "preference"}),
        (long_file, "d.txt", {"too_long": "drop", "max_seq_length": 512}),
        (lambda p: write_rows(p, pairs(0, 3)), "few.txt", {"eval_ratio": 0.2}),
    ],
    ids=["citations", "service", "preference", "too-long", "few"],
)
def test_what_init_writes_is_planned_by_a_dry_run(make: Any, name: str, expected: dict[str, Any]) -> None:
    Path("my data").mkdir()
    make(Path("my data") / name)
    said = command("init", "my data")
    assert said.code == 0, said.words
    assert "no terminal to ask at" in said.err and said.out.count("taken: ") == 3
    assert f"my data/{name}:" in said.out, "two records are shown with their place"
    config = load_config("my.yaml").config
    for key, value in expected.items():
        told = getattr(config, key)
        assert told == value or told["opening"] == value
    assert config.base_model == "models/tiny-random" and config.output_dir == "output/my_data"
    planned = command("train", "my.yaml", "--dry-run")
    assert planned.code == 0, planned.words
    assert not [line for line in planned.err.splitlines() if "no effect" in line]


@pytest.mark.parametrize(("language", "comment"), [("zh", "基础模型"), ("en", "The base model")])
def test_every_key_has_a_comment_in_the_users_language(language: str, comment: str, monkeypatch: Any) -> None:
    write_rows(Path("data/a.txt"), pairs())
    monkeypatch.setenv("LORA_SCRIPTS_LANG", language)
    write_starter_config(Path("data"), Path("my.yaml"), Dialogue(lambda _: None))
    written = Path("my.yaml").read_text(encoding="utf-8")
    assert comment in written
    assert ("数据" in written) == (language == "zh")
    for paragraph in written.strip().split("\n\n"):
        assert paragraph.startswith("#"), paragraph
    keys = re.findall(r"^(\w+):", written, re.MULTILINE)
    assert set(keys) <= set(Config.model_fields) and len(keys) > 10


def test_at_most_five_questions_are_asked_and_answers_are_taken() -> None:
    write_rows(Path("data/a.txt"), pairs())
    dialogue, said = answering("nowhere", "1", "3", "2")
    write_starter_config(Path("data"), Path("c.yaml"), dialogue)
    assert sum("?" in line for line in said if line.endswith("?") or "? " in line) <= 6
    assert "nowhere" in "\n".join(said), "a mistyped path is named and asked again"
    config = load_config("c.yaml").config
    assert config.system_prompt == init_room.SERVICE_PROMPTS["zh"]
    assert config.desensitize_types is not None and "name" in config.desensitize_types


@pytest.mark.parametrize("typed", ["", "1", "2"])
def test_an_unclear_reading_is_a_numbered_choice_with_records(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("data/a.csv")
    path.parent.mkdir()
    path.write_text(
        "x,y,z\n" + "".join(f"问{n}是什么？,答{n}是这样的。,状态{n}\n" for n in range(12)), encoding="utf-8"
    )
    read_records = init_room.read_records

    def unsure(folder: Path, *, columns: Any = None, **more: Any) -> Any:
        if columns:
            return read_records(folder, columns=columns, **more)
        record = Record((Message("user", "问0是什么？"), Message("assistant", "状态0")), "data/a.csv:2")
        ways = [{"question": "x", "answer": "y"}, {"question": "x", "answer": "z"}]
        alternatives = [Alternative({"columns": way}, (record,)) for way in ways]
        raise AmbiguousDataError([problem("data.no_pairs", "data/a.csv")], alternatives)

    monkeypatch.setattr(init_room, "read_records", unsure)
    dialogue, said = answering(typed)
    write_starter_config(Path("data"), Path("my.yaml"), dialogue)
    told = "\n".join(said)
    assert '1. columns: {question: x, answer: "y"}' in told and "状态0" in told and "data/a.csv:2" in told
    assert load_config("my.yaml").config.columns == {"question": "x", "answer": "z" if typed == "2" else "y"}
    with pytest.raises(AmbiguousDataError):
        write_starter_config(Path("data"), Path("other.yaml"), answering("3")[0])
    assert not Path("other.yaml").exists()


def test_a_config_that_is_there_is_not_overwritten() -> None:
    write_rows(Path("data/a.txt"), pairs())
    Path("my.yaml").write_text("mine", encoding="utf-8")
    refused(command("init", "data", "--yes"), 2, "there already", "--overwrite")
    assert Path("my.yaml").read_text() == "mine"
    assert command("init", "data", "--yes", "--overwrite").code == 0
    refused(command("init", "nowhere", "--output", "n.yaml"), 3, "nowhere")


def test_from_inside_the_data_the_adapter_goes_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_rows(Path("data/a.txt"), pairs())
    monkeypatch.chdir("data")
    said = command("init", ".", "--base-model", "../models/tiny-random")
    assert said.code == 0, said.words
    assert load_config("my.yaml").config.output_dir == "../output/data"
    assert command("train", "my.yaml", "--dry-run").code == 0


def test_without_any_base_the_way_to_one_is_told() -> None:
    write_rows(Path("data/a.txt"), pairs())
    shutil.rmtree("models")
    refused(command("init", "data"), 2, "no base model", "base get")


def test_pictures_get_a_config_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data" / "style_train", "pictures")
    monkeypatch.setattr(init_room, "MODELS", (ROOT / "models",))
    said = command("init", "pictures")
    assert said.code == 0, said.words
    assert load_config("my.yaml").config.draws
    planned = command("train", "my.yaml", "--dry-run")
    assert planned.code == 0, planned.words


def test_an_opening_is_shared_by_most_answers_or_none_is_named() -> None:
    assert shared_opening(["风险提示：" + w * 9 for w in "一二三四"] + ["别的"]) == "风险提示："
    assert shared_opening([f"{w}是这样的" for w in "一二三四五"]) == ""
    assert shared_opening([]) == ""


def test_an_endless_refusal_takes_the_default() -> None:
    dialogue, said = answering("9", "0", "abc")
    assert dialogue.choose("which", ["a", "b"], default=1) == 1
    assert "taken: 2" in said[-1]
    with pytest.raises(UsageError):
        write_rows(Path("data/a.txt"), pairs())
        write_starter_config(Path("data"), Path("c.yaml"), answering("x", "y", "z")[0])
