"""Bad input, through the command: what is said, the exit code, and that nothing is written or lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from calling import command, contents, pairs, refused, write_rows

MakeConfig = Callable[..., Path]


# data


def test_a_missing_data_folder_is_named(config: MakeConfig) -> None:
    refused(command("train", config(train_data_dir="nowhere")), 3, "nowhere", "no such file or folder")
    assert not Path("out").exists()


def test_an_empty_data_folder_says_what_to_put_into_it(config: MakeConfig) -> None:
    Path("empty").mkdir()
    refused(command("train", config(train_data_dir="empty")), 3, "empty", ".jsonl")
    assert not Path("out").exists()


def test_a_file_without_a_pair_is_named_and_the_good_one_beside_it_is_not_trained_alone(config: MakeConfig) -> None:
    good = write_rows(Path("rows/a.txt"), pairs())
    Path("rows/b.txt").write_text("今天天气很好。\n我们去公园散步。\n", encoding="utf-8")
    before = contents(good.parent)
    refused(command("train", config(train_data_dir="rows")), 3, "b.txt", "no question with an answer", "roles")
    assert contents(good.parent) == before
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"PK\x03\x04" + bytes(range(256)) * 8, "file under another suffix"), (bytes(range(256)) * 8, "not text")],
)
def test_a_binary_under_the_name_of_a_text_is_told(config: MakeConfig, raw: bytes, words: str) -> None:
    Path("rows").mkdir()
    Path("rows/a.txt").write_bytes(raw)
    refused(command("train", config(train_data_dir="rows")), 3, "a.txt", words)


def test_rows_whose_answers_are_all_empty_are_refused(config: MakeConfig) -> None:
    Path("rows.csv").write_text("question,answer\n" + "".join(f"问题{i}？,\n" for i in range(9)), encoding="utf-8")
    refused(command("train", config(train_data_dir="rows.csv")), 3, "rows.csv:2", "none of 9 records has an answer")


def test_all_bad_files_of_a_folder_are_named_at_once(config: MakeConfig) -> None:
    Path("rows").mkdir()
    for name in ("a.txt", "b.txt"):
        Path("rows", name).write_bytes(bytes(range(256)))
    refused(command("check", "rows"), 3, "a.txt", "b.txt")


# the config


def test_every_wrong_key_is_told_at_once_with_its_line(config: MakeConfig) -> None:
    file = config(lora_rnak=8, batch_size="four", learning_rate=-1)
    file.write_text(file.read_text() + "save_steps: 3\n")
    said = command("train", file)
    refused(said, 2, "did you mean lora_rank?", 'batch_size: "four"', "learning_rate", "a second time")
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith(("lora_rnak", "batch_size", "learning_rate")):
            assert f"{file}:{number}: " in said.err
    assert f"{file}:{len(lines)}: save_steps" in said.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("base_model: x\n\tlora_rank: 4\n", "a tab"),
        ("a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n", "anchors"),
        ("a: !!python/object/apply:os.system [id]\n", "tag"),
        ("a: " + "[" * 5000, "deep"),
        ("", "empty"),
    ],
)
def test_a_yaml_that_is_no_config_is_one_message(config: MakeConfig, content: str, words: str) -> None:
    Path("bad.yaml").write_text(content)
    refused(command("train", "--config", "bad.yaml"), 2, "bad.yaml", words)


def test_a_command_without_a_config_shows_one(config: MakeConfig) -> None:
    refused(command("train"), 2, "no config")
    refused(command("train", "nowhere.yaml"), 2, "nowhere.yaml")


def test_a_wrong_word_on_the_command_line_is_told(config: MakeConfig) -> None:
    refused(command("train", config(), "lora_rank:8"), 2, "key=value")
    refused(command("train", config(), "lora_rank=lots"), 2, "lora_rank", "command line")


def test_an_unknown_verb_or_option_is_wrong_use(config: MakeConfig) -> None:
    assert command("trian").code == 2
    assert command("train", config(), "--dryrun").code == 2


# the base


@pytest.fixture
def broken_base(base: Path, tmp_path: Path) -> Path:
    """A copy of the base to break."""
    return Path(shutil.copytree(base, tmp_path / "broken"))


def test_a_missing_base_says_how_to_get_one(config: MakeConfig) -> None:
    refused(command("train", config(base_model="./models/none")), 2, "models/none", "base get")
    assert not Path("out").exists()


def test_a_hub_name_is_answered_with_its_command(config: MakeConfig) -> None:
    said = command("train", config(base_model="Qwen/Qwen2-0.5B"))
    refused(said, 2, "lora-scripts base get Qwen/Qwen2-0.5B`", "never downloads")


def test_a_base_without_tokenizer_is_told(config: MakeConfig, broken_base: Path) -> None:
    for file in broken_base.glob("tokenizer*"):
        file.unlink()
    refused(command("train", config(base_model=str(broken_base))), 2, "no tokenizer", "tokenizer.json")


def test_a_base_of_pickles_is_never_opened(config: MakeConfig, broken_base: Path) -> None:
    (broken_base / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(2)}, broken_base / "pytorch_model.bin")
    refused(command("train", config(base_model=str(broken_base))), 2, "pickle", "pytorch_model.bin", "safetensors")


def test_a_base_that_is_cut_short_is_told(config: MakeConfig, broken_base: Path) -> None:
    weights = broken_base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(command("train", config(base_model=str(broken_base))), 2, "model.safetensors", "cut short")


def test_a_gguf_as_base_is_answered_with_the_command_that_unpacks_it(config: MakeConfig) -> None:
    Path("tiny.gguf").write_bytes(b"GGUF")
    refused(command("train", config(base_model="tiny.gguf")), 2, "lora-scripts base unpack tiny.gguf")


def test_a_gguf_that_cannot_be_read_leaves_nothing(config: MakeConfig, tmp_path: Path) -> None:
    monkey = tmp_path / "martian.gguf"
    writer = gguf.GGUFWriter(monkey, "martian")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(command("base", "unpack", monkey, tmp_path / "made"), 2, "martian", "base get")
    refused(command("base", "unpack", tmp_path / "no.gguf", tmp_path / "made"), 2, "no.gguf")
    assert not (tmp_path / "made").exists()


def test_unknown_targets_are_answered_with_the_real_ones(config: MakeConfig) -> None:
    refused(command("train", config(target_modules="q_prj")), 2, "q_prj", "q_proj", "all-linear")


# lengths


def test_documents_that_are_all_too_long_are_listed_and_nothing_is_trained(config: MakeConfig, rows: Path) -> None:
    said = command("train", config(max_seq_length=8))
    listed = [f"{rows / 'train.txt'}:{line}: " for line in (1, 4)]
    refused(said, 3, *listed, "more than max_seq_length 8", "too_long: drop")
    assert not Path("out/adapter_model.safetensors").exists()


@pytest.mark.parametrize("policy", ["drop", "cut_prompt"])
def test_dropping_or_cutting_all_documents_leaves_nothing_and_says_so(config: MakeConfig, policy: str) -> None:
    refused(command("train", config(max_seq_length=8, too_long=policy)), 3, "max_seq_length 8")
    assert not Path("out/adapter_model.safetensors").exists()


# the output folder


def test_a_file_in_the_place_of_output_dir_is_told_and_kept(config: MakeConfig) -> None:
    Path("out").write_text("mine")
    refused(command("train", config()), 2, "out", "cannot be written")
    refused(command("train", config(output_dir="out/run")), 2, "out/run", "cannot be written")
    assert Path("out").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "logs/app.log", "checkpoint-7/model.bin", "tokenizer.json"])
def test_files_of_others_under_our_names_are_not_replaced(config: MakeConfig, name: str) -> None:
    """A README, logs, checkpoints of another tool, a model: not ours to remove."""
    Path("out", name).parent.mkdir(parents=True)
    Path("out", name).write_text("mine")
    before = contents(Path("out"))
    for words in ((), ("resume_from_checkpoint=auto",)):
        refused(command("train", config(), *words), 2, name.split("/")[0], "another output_dir")
        assert contents(Path("out")) == before


def test_other_files_beside_the_run_stay(config: MakeConfig) -> None:
    Path("out/mine").mkdir(parents=True)
    Path("out/notes.txt").write_text("mine")
    said = command("train", config(max_steps=1, eval_ratio=0))
    assert said.code == 0, said.words
    assert Path("out/notes.txt").read_text() == "mine"
    assert Path("out/mine").is_dir()


# device, precision


def test_what_this_machine_cannot_do_is_one_line_each_and_strict_refuses(config: MakeConfig) -> None:
    file = config(device=None, max_steps=1, eval_ratio=0, fp16=True)
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    said = command("train", file, "device=cuda", "--dry-run")
    assert said.code == 0, said.words
    told = said.err.splitlines()
    assert sum("cuda is not available" in line for line in told) == 1
    assert sum("going on with fp32" in line for line in told) == 1
    refused(command("train", file, "device=cuda", "--strict"), 2, "--strict", "cuda is not available", "fp32")
    assert not Path("out").exists()


def test_strict_does_not_mind_a_base_without_a_chat_template(config: MakeConfig, broken_base: Path) -> None:
    (broken_base / "chat_template.jinja").unlink()
    said = command("train", config(base_model=str(broken_base)), "--strict", "--dry-run")
    assert said.code == 0, said.words
    assert "ChatML" in said.err


def test_chat_and_eval_on_a_folder_without_adapter_are_told(config: MakeConfig) -> None:
    Path("nothing").mkdir()
    refused(command("chat", "--adapter", "nothing", "--prompt", "?"), 2, "nothing", "no adapter")
    refused(command("eval", "nowhere.yaml"), 2, "nowhere.yaml")
