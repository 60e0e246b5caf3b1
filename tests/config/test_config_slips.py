"""Slips of the keyboard in a config are named with their line, and the corrected line is one that loads."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.config import Config, dump_config, load_config
from lora_scripts.errors import ConfigError

GOOD = ["train_data_dir: ./data", "base_model: ./models/b", "output_dir: ./output/o", "lora_rank: 8", "epochs: 3"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems_of(rows: list[str]) -> list[tuple[str, str, str]]:
    """(where, text, fix) of each problem of a config with these rows; none where it loads."""
    Path("c.yaml").write_text("\n".join(rows) + "\n", encoding="utf-8")
    try:
        load_config("c.yaml")
    except ConfigError as error:
        return [(p.where, p.text, p.fix) for p in error.problems]
    return []


def corrected(fix: str) -> str:
    found = re.search(r"`(.*)`", fix)
    assert found, fix
    return found[1]


@pytest.mark.parametrize(
    ("row", "cause", "line"),
    [
        (r'train_data_dir: "C:\data\train"', "backslashes", r"train_data_dir: 'C:\data\train'"),
        (r'train_data_dir: "C:\new\train"', "backslashes", r"train_data_dir: 'C:\new\train'"),
        (r'train_data_dir: "D:\数据\训练 1" # 数据', "backslashes", r"train_data_dir: 'D:\数据\训练 1'  # 数据"),
        (r'train_data_dir: "\\server\share"', "backslashes", r"train_data_dir: '\\server\share'"),
        (r'train_data_dir: ".\new"', "backslashes", r"train_data_dir: '.\new'"),
        ("train_data_dir: “./data”", "Chinese quotes", "train_data_dir: ./data"),
        ("train_data_dir: ‘./我的 data: 1’", "Chinese quotes", "train_data_dir: './我的 data: 1'"),
        ("train_data_dir： ./data", "full-width colon", "train_data_dir: ./data"),
        ("train_data_dir：./data", "full-width colon", "train_data_dir: ./data"),
        ("train_data_dir：“./data”", "full-width colon", "train_data_dir: ./data"),
        ("train_data_dir:\u3000./data", "ideographic", "train_data_dir: ./data"),
        ("train_data_dir: \u3000./data\u3000", "ideographic", "train_data_dir: ./data"),
        ("\u3000train_data_dir: ./data", "ideographic", "train_data_dir: ./data"),
        ("train_data_dir: ./data\u3000# 数据", "ideographic", "train_data_dir: ./data  # 数据"),
        ("train_data_dir: ./data\xa0", "ideographic", "train_data_dir: ./data"),
        ("\ttrain_data_dir: ./data", "a tab", "train_data_dir: ./data"),
        ("train_data_dir:\t./data", "a tab", "train_data_dir: ./data"),
        ("train_data_dir: ./data\t# x", "a tab", "train_data_dir: ./data  # x"),
        ("train_data_dir:./data", "no space", "train_data_dir: ./data"),
    ],
)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_slip_is_named_with_its_line_and_the_line_as_it_should_be(row: str, cause: str, line: str, at: int) -> None:
    rows = [r for r in GOOD if not r.startswith("train_data_dir")]
    rows.insert(at, row)
    ((where, text, fix),) = problems_of(rows)
    assert where == f"c.yaml:{at + 1}"
    assert cause in text
    assert corrected(fix) == line
    rows[at] = corrected(fix)
    assert problems_of(rows) == []


def test_several_slips_and_other_faults_are_named_at_once() -> None:
    rows = ["train_data_dir： ./d", r'base_model: "C:\new\b"', "output_dir: o", "lora_rank: “8”", "lora_rnak: 1"]
    found = problems_of(rows)
    assert [where for where, _, _ in found] == [f"c.yaml:{n}" for n in (1, 2, 4, 5)]
    assert "did you mean lora_rank" in found[3][1]


def test_inside_a_mapping_and_a_list_of_roles_too() -> None:
    found = problems_of([*GOOD, "roles:", "  user： [甲]", "  assistant: [乙]"])
    assert [(w, corrected(f)) for w, _, f in found] == [("c.yaml:7", "user: [甲]")]


def test_words_that_may_hold_anything_are_left_alone() -> None:
    prompt = ["system_prompt: |", "  注意：用“您”。", "  note：x", "  path:C:\\new"]
    assert problems_of([*GOOD, *prompt]) == []
    assert load_config("c.yaml").config.system_prompt == "注意：用“您”。\nnote：x\npath:C:\\new\n"
    assert problems_of([*GOOD, "system_prompt: “您好”", r'sample_questions: "一\n二"']) == []
    assert load_config("c.yaml").config.system_prompt == "“您好”"
    assert problems_of([*GOOD, r'eval_data: "C:\\data\\eval"', "# 说明：“x”\u3000"]) == []
    assert load_config("c.yaml").config.eval_data == r"C:\data\eval"


def test_the_home_folder_is_put_in_or_named_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data").mkdir(parents=True)
    rows = ["train_data_dir: ~/data", "base_model: ./b", "output_dir: ~/out"]
    assert problems_of(rows) == []
    loaded = load_config("c.yaml")
    assert loaded.config.train_data_dir == str(tmp_path / "home" / "data")
    assert loaded.config.output_dir == str(tmp_path / "home" / "out")
    assert "train_data_dir: ~/data is read as" in "\n".join(loaded.notes)
    ((where, text, fix),) = problems_of(["train_data_dir: ~/dota", *rows[1:]])
    assert where == "c.yaml:1" and "`~`" in text and corrected(fix) == f"train_data_dir: {tmp_path / 'home' / 'dota'}"
    found = problems_of([*rows[:1], "base_model: ~", *rows[2:]])
    assert "alone means empty" in found[0][1] and found[0][0] == "c.yaml:2"


PATH = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(PATH.filter(lambda words: words[:2] not in ("~/", "～/")))
def test_no_path_that_a_run_writes_down_is_taken_for_a_slip(path: str) -> None:
    config = Config(train_data_dir="t", base_model=path, output_dir="/zz/out", eval_data="e" + path)
    Path("run.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config("run.yaml").config == config


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("ab: ：\t\u3000“”\"'\\#~|>[]{}-\n"), max_size=40))
def test_whatever_is_written_ends_in_words_and_corrected_lines_are_stable(written: str) -> None:
    for where, _, fix in problems_of([*GOOD[1:], "train_data_dir: " + written]):
        assert where and fix
