"""Names of other tools, and words on the command line."""

from pathlib import Path

import pytest

from lora_scripts.config import Config, load_config
from lora_scripts.config.aliases import ALIASES, SWITCHES
from lora_scripts.errors import ConfigError

BASE = "train_data_dir: d\nbase_model: b\noutput_dir: o\n"

LLAMA_FACTORY = """model_name_or_path: ./llama
lora_target: all
lora_rank: 8
dataset_dir: ./data/law
cutoff_len: 1024
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
logging_steps: 10
save_steps: 500
val_size: 0.1
output_dir: saves/llama
overwrite_output_dir: true
"""
SWIFT = """model: ./qwen
dataset: ./data/law.jsonl
split_dataset_ratio: 0.01
torch_dtype: bfloat16
num_train_epochs: 1
per_device_train_batch_size: 1
target_modules: all-linear
max_length: 2048
system: You are a helpful assistant.
output_dir: output
"""
AXOLOTL = """base_model: ./llama
datasets: ./data/law
val_set_size: 0.02
sequence_len: 1024
lora_r: 8
lora_target_linear: true
micro_batch_size: 2
num_epochs: 4
lr_scheduler: constant_with_warmup
bf16: auto
fp16: false
output_dir: ./outputs
resume_from_checkpoint: false
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def read(text: str, *overrides: str):
        Path("c.yaml").write_text(text)
        return load_config("c.yaml", overrides)

    return read


def test_a_llama_factory_config_is_read(load):
    loaded = load(LLAMA_FACTORY)
    c = loaded.config
    assert (c.base_model, c.target_modules, c.train_data_dir) == ("./llama", ("all-linear",), "./data/law")
    assert (c.max_seq_length, c.batch_size, c.epochs, c.precision, c.log_steps) == (1024, 1, 3, "bf16", 10)
    assert (c.lr_schedule, c.eval_ratio, c.overwrite) == ("cosine", 0.1, True)
    assert "num_train_epochs is read as epochs" in loaded.notes
    assert "lora_target: all is read as target_modules: all-linear" in loaded.notes


def test_an_ms_swift_config_is_read(load):
    c = load(SWIFT).config
    assert (c.base_model, c.train_data_dir, c.eval_ratio, c.precision) == ("./qwen", "./data/law.jsonl", 0.01, "bf16")
    assert (c.max_seq_length, c.system_prompt) == (2048, "You are a helpful assistant.")


def test_an_axolotl_config_is_read(load):
    loaded = load(AXOLOTL)
    c = loaded.config
    assert (c.lora_rank, c.batch_size, c.epochs, c.lr_schedule) == (8, 2, 4, "constant")
    assert c.target_modules == ("all-linear",)
    assert (c.precision, c.resume_from_checkpoint) == ("fp32", None)
    assert "fp16: false is read as precision: fp32" in loaded.notes


VALUE = {
    "lr_schedule": "linear",
    "precision": "fp32",
    "eval_ratio": "0.25",
    "overwrite": "true",
    "learning_rate": "0.5",
    "target_modules": "k_proj",
    "resolution": "128",
    "caption_dropout": "0.25",
    "shuffle_tags": "true",
    "flip": "true",
    "text_encoder_learning_rate": "0.5",
}


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_each_alias_reaches_its_key_with_a_note_and_not_beside_it(load, alias):
    key = ALIASES[alias]
    value = VALUE.get(key, "7")
    rest = "".join(line + "\n" for line in BASE.splitlines() if not line.startswith(f"{key}:"))
    loaded = load(f"{rest}{alias}: {value}\n")
    assert f"{alias} is read as {key}" in loaded.notes
    assert loaded.config == load(f"{rest}{key}: {value}\n").config
    assert str(loaded.given[key]).lower() == value
    with pytest.raises(ConfigError, match=rf"{alias} and {key} \(c.yaml:1\) are both {key}"):
        load(f"{key}: {value}\n{rest}{alias}: {value}\n")


def test_aliases_lead_to_real_keys_and_hide_none():
    keys = set(Config.model_fields)
    assert set(ALIASES.values()) <= keys
    assert not (ALIASES.keys() | SWITCHES.keys()) & keys


@pytest.mark.parametrize(
    ("lines", "precision"),
    [
        ("fp16: true", "fp16"),
        ("bf16: true", "bf16"),
        ("fp16: false", "fp32"),
        ("bf16: false", "fp32"),
        ("fp16: false\nbf16: true", "bf16"),
        ("fp16: true\nprecision: fp16", "fp16"),
        ("bf16: auto", "auto"),
        ("fp16:", "auto"),
        ("dtype: float16", "fp16"),
    ],
)
def test_fp16_and_bf16_are_read_as_precision(load, lines, precision):
    assert load(BASE + lines + "\n").config.precision == precision


@pytest.mark.parametrize(
    "lines", ["fp16: true\nbf16: true", "fp16: true\nprecision: fp32", "precision: fp16\nfp16: false", "fp16: maybe"]
)
def test_contradicting_precisions_are_refused(load, lines):
    with pytest.raises(ConfigError, match=r"c.yaml:[45]: [bf][fp]16"):
        load(BASE + lines + "\n")


def test_the_command_line_wins_and_is_said(load):
    loaded = load(BASE + "num_train_epochs: 3\nlora_rank: many\n", "epochs=5", "lr=2e-4", "lora_rank=4")
    assert (loaded.config.epochs, loaded.config.learning_rate, loaded.config.lora_rank) == (5, 2e-4, 4)
    assert "epochs: 5 from the command line, instead of 3 (c.yaml:4)" in loaded.notes
    assert "learning_rate: 0.0002 from the command line" in loaded.notes
    assert loaded.where["epochs"] == "command line"


def test_fp16_on_the_command_line_wins_over_precision_in_the_file(load):
    assert load(BASE + "precision: bf16\n", "fp16=true").config.precision == "fp16"


def test_an_empty_word_on_the_command_line_is_the_default(load):
    loaded = load(BASE + "max_steps: 9\n", "max_steps=")
    assert loaded.config.max_steps is None
    assert loaded.notes == ("max_steps is back at its default by the command line, instead of 9 (c.yaml:4)",)


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("system_prompt=你是律师: 依据法条 # 回答", "system_prompt", "你是律师: 依据法条 # 回答"),
        ("system_prompt=a=b", "system_prompt", "a=b"),
        ("system_prompt='null'", "system_prompt", "null"),
        ("output_dir=[x", "output_dir", "[x"),
        ("target_modules=[q_proj, v_proj]", "target_modules", ("q_proj", "v_proj")),
        ("target_modules=q_proj,v_proj", "target_modules", ("q_proj", "v_proj")),
        ("roles={user: 甲, assistant: [乙]}", "roles", {"user": ("甲",), "assistant": ("乙",)}),
        ("gradient_checkpointing=true", "gradient_checkpointing", True),
    ],
)
def test_a_word_on_the_command_line_is_read_as_in_the_file(load, word, key, value):
    assert getattr(load(BASE, word).config, key) == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epochs"], "epochs is not of the form key=value"),
        (["=3"], "=3 is not of the form key=value"),
        (["epochs=3", "epochs=4"], "epochs is given twice"),
        (["epochs=3", "num_epochs=4"], "num_epochs and epochs (command line) are both epochs"),
        (["epoch=3"], "epoch is not a key (did you mean epochs?)"),
        (["nonsense="], "nonsense is not a key"),
        (["epochs=many"], 'epochs: "many" is not a whole number'),
        (["epochs=[1"], "YAML cannot read"),
        (["epochs=&a 3"], "anchors"),
        (["columns={question: a, question: b}"], "question stands here a second time"),
        (["columns=" + "[" * 20_000], "more than 8 deep"),
    ],
)
def test_a_bad_word_on_the_command_line_is_named_as_such(load, words, said):
    with pytest.raises(ConfigError) as caught:
        load(BASE, *words)
    assert said in str(caught.value)
    assert all(p.where == "command line" for p in caught.value.problems)
