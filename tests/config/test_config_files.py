"""Config files as users write them: what is read, what is said, what is refused."""

import time
from pathlib import Path

import pytest

from lora_scripts.config import Config, dump_config, load_config
from lora_scripts.errors import ConfigError

LAW = """train_data_dir: ./data/law_train
metadata_path:
base_model: ./models/tiny-zh
task_type: text-generation
output_dir: ./output/law_lora

# LoRA 参数
lora_rank: 16
lora_alpha: 32
lora_dropout: 0.1

batch_size: 4
epochs: 15
learning_rate: 1.5e-4
max_seq_length: 512
fp16: true
device: cuda
save_steps: 50
"""
BASE = "train_data_dir: d\nbase_model: b\noutput_dir: o\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def put(text: str | bytes) -> str:
        Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "c.yaml"

    return put


@pytest.fixture
def refused(write):
    def read(text: str | bytes, overrides=()) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            load_config(write(text), overrides)
        assert caught.value.exit_code == 2
        assert "pydantic" not in str(caught.value)
        assert "Input should" not in str(caught.value)
        assert all(p.fix for p in caught.value.problems), "each problem says what to do next"
        return caught.value

    return read


def test_the_law_example_is_read(write):
    loaded = load_config(write(LAW))
    c = loaded.config
    assert (c.train_data_dir, c.metadata_path, c.base_model) == ("./data/law_train", None, "./models/tiny-zh")
    assert (c.lora_rank, c.lora_alpha, c.lora_dropout, c.batch_size, c.epochs) == (16, 32.0, 0.1, 4, 15)
    assert (c.learning_rate, c.max_seq_length, c.precision, c.device, c.save_steps) == (1.5e-4, 512, "fp16", "cuda", 50)
    assert loaded.notes == ("fp16: true is read as precision: fp16",)
    assert loaded.where["base_model"] == "c.yaml:3"
    assert "metadata_path" not in loaded.given


@pytest.mark.parametrize(
    ("written", "value"),
    [("2e-4", 2e-4), ("1e-4", 1e-4), ("5E-5", 5e-5), ("1.5e-4", 1.5e-4), (".5", 0.5), ("1", 1.0), ("+1e-3", 1e-3)],
)
def test_a_rate_is_a_number_however_it_is_written(write, written, value):
    assert load_config(write(f"{BASE}learning_rate: {written}\n")).config.learning_rate == value


def test_a_leading_zero_is_not_octal(write):
    assert load_config(write(BASE + "lora_rank: 0123\nseed: 0o17\n")).config.lora_rank == 123
    assert load_config(write(BASE + "seed: 0o17\n")).config.seed == 15


@pytest.mark.parametrize("word", ["yes", "on", "no", "off", "1", '"true"'])
def test_only_true_and_false_are_switches(refused, word):
    error = refused(f"{BASE}overwrite: {word}\n")
    assert "c.yaml:4: overwrite: " in str(error)
    assert "is not true or false" in str(error)


def test_text_keys_keep_what_was_written(write):
    paths = "train_data_dir: 2024\nbase_model: 0123\noutput_dir: 1e5\n"
    c = load_config(write(paths + "system_prompt: yes\nsample_questions: [110, no]\n")).config
    assert (c.train_data_dir, c.base_model, c.output_dir, c.system_prompt) == ("2024", "0123", "1e5", "yes")
    assert c.sample_questions == ("110", "no")


def test_lists_and_mappings_take_their_short_forms(write):
    c = load_config(
        write(
            BASE + "target_modules: q_proj, v_proj\nsample_questions: 工资拖欠, 怎么办？\n"
            "roles: {user: 甲, assistant: [乙, 丙]}\ncolumns: {question: 咨询, answer: 回复}\n"
            "answer_rules: {opening: '^依据《.+》'}\n"
        )
    ).config
    assert c.target_modules == ("q_proj", "v_proj")
    assert c.sample_questions == ("工资拖欠, 怎么办？",)
    assert c.roles == {"user": ("甲",), "assistant": ("乙", "丙")}
    assert c.columns == {"question": "咨询", "answer": "回复"}
    assert c.answer_rules == {"opening": "^依据《.+》"}


def test_all_problems_come_at_once_in_the_order_of_the_file(refused):
    error = refused(
        "train_data_dir: d\nlora_rnak: 8\nlora_alpha: many\nlora_dropout: 1.5\nbatch_size: 2\nbatch_size: 3\n"
        "learning_rate: .nan\nmax_steps: -1\ncolumns:\n  answer: a\n  qestion: q\noutput_dir: o\nepochs: 2.5\n"
        "seed: '5'\n",
        ["x=1", "nonsense"],
    )
    assert [f"{p.where}: {p.text}" for p in error.problems] == [
        "c.yaml: base_model is missing",
        "c.yaml:2: lora_rnak is not a key (did you mean lora_rank?)",
        'c.yaml:3: lora_alpha: "many" is not a number',
        "c.yaml:4: lora_dropout: 1.5 is out of range (0 ≤ x < 1)",
        "c.yaml:6: batch_size stands here a second time (first at line 5)",
        "c.yaml:7: learning_rate: nan is out of range (0 < x ≤ 1)",
        "c.yaml:8: max_steps: -1 is out of range (1 ≤ x ≤ 1 000 000 000)",
        "c.yaml:11: columns has no qestion; it takes question, answer, rejected, system, input, history, speaker, "
        "content, conversation",
        "c.yaml:13: epochs: 2.5 is not a whole number",
        'c.yaml:14: seed: "5" is text, because of its quotes',
        "command line: nonsense is not of the form key=value",
        "command line: x is not a key",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lora_rank: 0", "lora_rank: 0 is out of range (1 ≤ x ≤ 1 024)"),
        ("lora_rank: 1000000000", "out of range"),
        ("lora_rank: " + "9" * 6000, "is not a whole number"),
        ("lora_rank: many", 'lora_rank: "many" is not a whole number'),
        ("lora_rank: true", "lora_rank: true is not a whole number"),
        ("lora_rank: 1_6", "is not a whole number"),
        ("learning_rate: 0", "out of range (0 < x ≤ 1)"),
        ("learning_rate: .inf", "out of range"),
        ("learning_rate: 1e400", "out of range"),
        ("batch_size: [1, 2]", "batch_size: [1, 2] is not a whole number"),
        ("batch_size: {a: 1}", "batch_size"),
        ("task_type: text-genration", "did you mean text-generation?"),
        ("quantization: nf4\ntask_type: image-generation", "quantization: nf4 is for texts"),
        ("method: ia3\ntask_type: image-generation", "method: ia3 is for texts"),
        ("shard: true\ntask_type: text-to-image", "shard: true is for texts"),
        ("too_long: cut", "stop, drop, cut_prompt"),
        ("lr_schedule: cosin", "did you mean cosine?"),
        ("device: cuda:x", "is not one of auto, cpu, cuda, cuda:0"),
        ("device: mps", "is not one of auto, cpu, cuda, cuda:0"),
        ("precision: int4", "auto, bf16, fp16, fp32"),
        ("lora_alpha: -1", "out of range"),
        ("eval_ratio: 1", "out of range (0 ≤ x < 1)"),
        ("system_prompt: ''", "empty text"),
        ("system_prompt: [a]", "is not text"),
        ("sample_questions: {a: b}", "is not a list of texts"),
        ("roles: [甲]", "is not a mapping"),
        ("roles: {asker: [甲]}", "it takes user, assistant, system"),
        ("roles: {user: [甲], assistant: [甲]}", "both user and assistant"),
        ("answer_rules: {opening: '(('}", "not a regular expression"),
        ("answer_rules: {closing: 'x'}", "it takes opening"),
        ("Lora-Rank: 8", "did you mean lora_rank?"),
        ("lora_rnak:", "did you mean lora_rank?"),
        ("nonsense_entirely: 1", "is not a key"),
        ("? [a, b]\n: 1", "a key must be one word"),
    ],
)
def test_a_bad_value_is_named_with_its_line_and_range(refused, line, words):
    error = refused(BASE + line + "\n")
    assert words in str(error)
    assert str(error).startswith("c.yaml:4: ")
    assert len(error.problems) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the config is empty"),
        ("# only a comment\n", "the config is empty"),
        ("hello", "this is one piece of text"),
        ("- a\n- b\n", "this is a list"),
        ("train_data_dir: x\n\tbase_model: y\n", "c.yaml:2: a tab"),
        ("train_data_dir:\tx\n", "c.yaml:1: a tab"),
        (b"\x00\x01\x02", "not a text file"),
        (b"\xff\xfb\x90\x64\x00\x0f" * 9, "not a text file"),
        (b"PK\x03\x04" + bytes(range(256)), "not a text file"),
        ("a: !!python/object/apply:os.system ['true']\n", "a YAML tag"),
        ("a: !!int 5\n", "a YAML tag"),
        ("a: !x!y 5\n", "c.yaml:1: YAML cannot read"),
        ("a: &x 1\nb: *x\n", "anchors and references (&x)"),
        ("a: *x\n", "anchors and references (*x)"),
        (BASE + "---\nbase_model: c\n", "c.yaml:5: a second document"),
        ("base_model: 'x\n", "YAML cannot read"),
        ("base_model: a: b\n", "c.yaml:1: YAML cannot read `base_model: a: b`"),
        ("train_data_dir: d\nlora_rank：8\nepochs: 3\n", "c.yaml:2: lora_rank is followed by a full-width colon"),
        ("train_data_dir: d\nlora_rank:8\nepochs: 3\n", "c.yaml:2: no space after `lora_rank:`"),
        ("lora_rank：8", "full-width colon"),
        ("a: {b: 1, b: 2}\n", "b stands here a second time"),
        ("a: " + "x" * 300_000, "more than a config may have"),
    ],
)
def test_a_file_that_is_no_config_is_answered_in_words(refused, text, words):
    assert words in str(refused(text))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join('*' + chr(97 + i) for _ in range(9))}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: " + "[" * 20_000,
        "a: " + "{a: " * 20_000,
        "- " * 20_000,
        "? " * 20_000,
        "a:\n" + "".join(f"{' ' * i}b:\n" for i in range(1, 400)),
        "a: [" + "b," * 30_000 + "]",
        "".join(f"lora_rank{i}: 1\n" for i in range(3000)),
        "a: '" + "x\n" * 30_000 + "'",
    ],
    ids=["bomb", "lists", "mappings", "dashes", "questions", "indents", "items", "keys", "rows"],
)
def test_deep_swelling_and_endless_yaml_is_refused_quickly(refused, text):
    began = time.process_time()
    refused(text)
    assert time.process_time() - began < 20


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such config file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="this is a folder"):
        load_config(tmp_path)
    with pytest.raises(ConfigError):
        load_config("a\0b")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_every_usual_encoding_is_read_and_the_odd_ones_are_said(write, encoding):
    text = BASE + "system_prompt: 你是劳动法律师，依据法条回答。\r\n"
    loaded = load_config(write(text.encode(encoding)))
    assert loaded.config.system_prompt == "你是劳动法律师，依据法条回答。"
    assert bool(loaded.notes) == (encoding in ("gb18030", "utf-16"))


def test_missing_required_keys_are_all_named(refused):
    named = {p.text.split()[0] for p in refused("epochs: 3\n").problems}
    assert named == {"train_data_dir", "base_model", "output_dir"}


def test_metadata_path_stands_for_the_data_folder(write):
    config = load_config(write("metadata_path: m.csv\nbase_model: b\noutput_dir: o\n")).config
    assert config.data_path == "m.csv"
    assert config.train_data_dir is None


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ("epochs: 3\nmax_steps: 9", "epochs has no effect: max_steps is set"),
        ("eval_ratio: 0.2\neval_data: e", "eval_ratio has no effect: eval_data is set"),
        ("metadata_path: m.csv", "train_data_dir has no effect: metadata_path is set"),
        ("eval_ratio: 0\neval_steps: 5", "eval_steps has no effect: nothing is validated (eval_ratio is 0"),
        ("trigger_word: ink", "trigger_word has no effect: task_type is text-generation"),
        ("task_type: image-generation\nsystem_prompt: a", "system_prompt has no effect: task_type is image-generation"),
        ("task_type: image-generation\nkeep_tags: 2", "keep_tags has no effect: shuffle_tags is not set"),
        ("eval_ratio: 0\nanswer_rules: {opening: a}", "answer_rules has no effect: nothing is validated"),
        ("max_steps: 9\nsave_steps: 10", "save_steps: 10 is more than the 9 steps of this run: only at the end"),
    ],
)
def test_a_key_without_effect_is_said(write, lines, note):
    notes = load_config(write(BASE + lines + "\n")).notes
    assert len(notes) == 1
    assert notes[0].startswith(note)


def test_a_plain_config_has_no_notes(write):
    assert load_config(write(BASE)).notes == ()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("eval_ratio: 0\nearly_stopping_patience: 2", "c.yaml:5: early_stopping_patience needs validation"),
        ("overwrite: true\nresume_from_checkpoint: auto", "c.yaml:4: overwrite: true starts anew"),
        ("eval_data: ./d/", "c.yaml:4: eval_data (./d/) is the training data"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(refused, lines, words):
    assert words in str(refused(BASE + lines + "\n"))


def test_an_output_folder_that_would_spoil_its_inputs_is_refused(refused):
    assert "lies in the training data" in str(refused("train_data_dir: d\nbase_model: b\noutput_dir: d/out\n"))
    assert "lies in the training data" in str(refused("train_data_dir: d\nbase_model: b\noutput_dir: ./d\n"))
    assert "base model's folder" in str(refused("train_data_dir: d\nbase_model: b\noutput_dir: b/../b\n"))


def test_messages_come_in_chinese_too(refused, monkeypatch):
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    error = refused(BASE + "lora_rnak: 8\n")
    assert error.problems[0].text == "lora_rnak 不是已知的键（是否想写 lora_rank？）"


def test_a_config_cannot_be_changed_after_it_was_checked():
    config = Config(train_data_dir="d", base_model="b", output_dir="o")
    with pytest.raises(Exception, match="frozen"):
        config.epochs = 4  # type: ignore[misc]


def test_run_yaml_repeats_the_run_without_the_aliases(write):
    first = load_config(write(LAW), ["seed=9"])
    text = dump_config(first.config)
    again = load_config(write(text))
    assert again.config == first.config
    assert again.notes == ()
    assert "precision: fp16" in text
    assert "\nmetadata_path:\n" in text
