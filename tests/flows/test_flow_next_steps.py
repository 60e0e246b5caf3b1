"""Every command ends with the next step, which can be run as printed; the correction loop, from end to end."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from calling import Said, command, pairs, write_config, write_rows

from lora_scripts.assemble import run as run_room
from lora_scripts.assemble.serving.talk import converse, open_chat
from lora_scripts.cli import app
from lora_scripts.data.reading.formats import read_records

PRINTED = re.compile(r"^(?:next|try it|to correct answers: .*then run): (.+)$", re.MULTILINE)
SHEET, BETTER = "out/eval.md", "依据《示例法》第三条，最长六个月。"


def printed(said: Said) -> list[list[str]]:
    """The commands that were printed, as words behind the program's name; each is one that the command line takes."""
    found = []
    for line in PRINTED.findall(said.words):
        program, *words = shlex.split(line)
        assert Path(program).name == "lora-scripts" and Path(program).is_file(), line
        parse(words)
        found.append(words)
    return found


def parse(words: list[str]) -> None:
    """Take the words by the parser of the command, without running it.

    Raises:
        click.UsageError: It does not take them.
    """
    group: Any = typer.main.get_command(app)
    with group.make_context("lora-scripts", list(words), resilient_parsing=False) as context:
        name, verb, rest = group.resolve_command(context, [*words])
        while hasattr(verb, "commands"):
            name, verb, rest = verb.resolve_command(context, rest)
        verb.make_context(name, rest)


def test_every_command_of_the_start_names_the_next_one(base: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("my data/a.txt"), pairs())
    verbs = []
    for words in (
        ["check", "my data"],
        ["init", "my data", "--base-model", str(base)],
        ["preview", "my.yaml"],
        ["check", "my.yaml"],
        ["train", "my.yaml", "max_steps=2", "epochs=", "--dry-run"],
        ["desensitize", "my data", "masked"],
        ["augment", "my data", "more.jsonl"],
        ["schema"],
    ):
        said = command(*words)
        assert said.code == 0, said.words
        assert "next: " in said.err.splitlines()[-1]
        verbs.append([words[0], *([following[0] for following in printed(said)] if words[0] != "schema" else [])])
    assert verbs == [
        ["check", "init"], ["init", "train", "train"], ["preview", "train"], ["check", "preview"],
        ["train", "train"], ["desensitize", "check"], ["augment", "check"], ["schema"],
    ]  # fmt: skip


def test_train_and_eval_say_where_the_reports_lie_and_print_commands_that_run(
    finished: tuple[Path, Said],
) -> None:
    run_dir, trained = finished
    again = command("eval", run_dir)
    for said in (trained, again):
        for name in ("data_report.html", "loss.png", "eval.html", "eval.md"):
            assert str(run_dir / name) in said.out
        assert {words[0] for words in printed(said)} == {"eval", "chat"}
    (talk,) = [words for words in printed(again) if words[0] == "chat"]
    assert command(*talk, "--prompt", "问", "--max-new-tokens", "2").code == 0


@pytest.mark.parametrize("overrides", [[], ["max_steps=2", "overwrite=true"]])
def test_a_stopped_run_prints_the_command_that_goes_on_with_it(
    overrides: list[str], config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    file = config(max_steps=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_room, "finish", stop)
        said = command("train", file, *overrides)
    assert said.code == 1 and "stopped" in said.err
    (go_on,) = printed(said)
    assert go_on[-1] == "resume_from_checkpoint=auto" and "overwrite=true" not in go_on
    assert run(go_on).code == 0
    assert "already" in run(go_on).out


def run(words: list[str]) -> Said:
    said = command(*words)
    assert said.code == 0, said.words
    return said


def test_a_corrected_answer_and_a_saved_one_are_trained_on_as_printed(
    tiny_zh: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """The embedded base, two steps a round: sheet → records → train on → chat, /save → train on → eval."""
    monkeypatch.chdir(tmp_path)
    write_rows(Path("data/a.txt"), pairs(0, 16))
    settings = {"train_data_dir": "data", "base_model": str(tiny_zh), "output_dir": "out", "max_steps": 2,
                "eval_ratio": 0.25, "learning_rate": 1e-3, "device": "cpu", "coach": "off", "lora_rank": 4}  # fmt: skip
    first = run(["train", str(write_config(Path("my.yaml"), settings))])
    (read_sheet,) = [words for words in printed(first) if words[0] == "eval"]
    asked = json.loads(Path("out/eval.json").read_text(encoding="utf-8"))["answers"]
    assert len(asked) > 2
    sheet = Path(SHEET).read_text(encoding="utf-8")
    Path(SHEET).write_text(sheet.replace("> correction:", f"> correction: {BETTER}", 1), encoding="utf-8")

    corrected = run(read_sheet)
    (record,) = read_records("out/corrections.jsonl").records
    assert (record.question, record.answer) == (asked[0]["question"], BETTER)
    (train_on,) = printed(corrected)
    second = run(train_on)
    assert "1 new records are trained from the adapter in out," in second.err
    assert f"{len(asked) - 1} earlier validation records" in second.err, "the corrected question measures no more"
    questions = [entry["question"] for entry in json.loads(Path("out-2/eval.json").read_text("utf-8"))["answers"]]
    assert questions and asked[0]["question"] not in questions

    partner = open_chat(["out-2"], max_new_tokens=4)
    try:
        typed, lines = iter(["试用期最长多久？", f"/save {BETTER}", "退出"]), []
        converse(partner, lambda _: next(typed), lines.append, lambda _: None)
    finally:
        partner.close()
    (train_on,) = printed(Said(0, "\n".join(lines), ""))
    third = run(train_on)
    assert "1 new records are trained from the adapter in out-2," in third.err
    assert "could not be read again" not in third.err and "not in the data any more" not in third.err
    assert json.loads(Path("out-3/proof.json").read_text())["ok"]
    measured = run(["eval", "out-3"])
    assert json.loads(Path("out-3/eval.json").read_text("utf-8"))["questions_asked"] == len(questions)
    assert "out-3/eval.html" in measured.out


def test_a_sheet_that_somebody_wrote_into_outlives_the_next_eval(run_copy: Path) -> None:
    sheet = run_copy / "eval.md"
    run(["eval", str(run_copy)])
    assert not list(run_copy.glob("eval.edited-*.md")), "a sheet that nobody touched is replaced"
    edited = sheet.read_text(encoding="utf-8").replace("> correction:", "> correction: 好", 1)
    sheet.write_text(edited, encoding="utf-8")
    said = run(["eval", str(run_copy)])
    assert (run_copy / "eval.edited-1.md").read_text(encoding="utf-8") == edited
    assert "eval.edited-1.md" in said.err


@pytest.mark.parametrize("key", ["columns", "roles", "metadata_path"])
def test_keys_of_the_earlier_data_are_reset_in_the_command_that_trains_on(key: str, tmp_path: Path) -> None:
    from lora_scripts.assemble.text.corrections import following_folder, train_on_command

    run_dir = tmp_path / "law"
    run_dir.mkdir()
    value = {"columns": {"question": "问", "answer": "答"}, "roles": {"user": ["甲"]}, "metadata_path": "m.csv"}[key]
    write_config(run_dir / "run.yaml", {"train_data_dir": "d", "base_model": "b", "output_dir": "o", key: value})
    words = shlex.split(train_on_command(run_dir, Path("c.jsonl")))[1:]
    assert f"{key}=" in words and "train_data_dir=c.jsonl" in words
    parse(words)
    (tmp_path / "law-2").mkdir()
    assert following_folder(run_dir).name == "law-3" and following_folder(tmp_path / "law-2").name == "law-3"
    assert train_on_command(tmp_path / "nothing", Path("c.jsonl")) == ""
