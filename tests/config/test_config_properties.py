"""Properties of the config: round trips, overrides, and no input that ends in a traceback."""

import json
import tempfile
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lora_scripts.config import Config, dump_config, load_config
from lora_scripts.config.rules import contradictions
from lora_scripts.errors import ConfigError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    lambda text: "\ufeff" not in text and "\x7f" not in text
)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, exclude_min=True, exclude_max=True)


def keys(words: st.SearchStrategy[str]) -> dict[str, st.SearchStrategy[object]]:
    many = st.lists(words, max_size=3).map(tuple)
    return {
        "train_data_dir": words,
        "metadata_path": words,
        "eval_data": words,
        "eval_ratio": numbers(0, 1),
        "columns": st.dictionaries(st.sampled_from(["question", "answer", "system"]), words),
        "roles": st.dictionaries(st.sampled_from(["user", "assistant", "system"]), many),
        "system_prompt": words,
        "max_seq_length": st.integers(2, 2**20),
        "too_long": st.sampled_from(["stop", "drop", "cut_prompt"]),
        "lora_rank": st.integers(1, 1024),
        "lora_alpha": numbers(0, 65_536),
        "target_modules": many,
        "max_steps": st.integers(1, 10**9),
        "learning_rate": numbers(0, 1),
        "max_grad_norm": numbers(0, 1e6),
        "seed": st.integers(0, 2**32 - 1),
        "precision": st.sampled_from(["auto", "bf16", "fp16", "fp32"]),
        "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
        "gradient_checkpointing": st.sampled_from(["auto", True, False]),
        "method": st.sampled_from(["lora", "rslora", "dora", "ia3"]),
        "quantization": st.sampled_from(["none", "nf4", "int8"]),
        "lora_plus_ratio": numbers(1, 1000),
        "preference_beta": numbers(0, 100),
        "coach": st.sampled_from(["warn", "stop", "off"]),
        "folds": st.integers(2, 20),
        "replay": numbers(0, 1),
        "shard": st.booleans(),
        "early_stopping_patience": st.integers(1, 100),
        "sample_questions": many,
        "answer_rules": st.just({"opening": r"^依据《[^》]+》第"}),
        "resume_from_checkpoint": words,
    }


def configs(words: st.SearchStrategy[str]) -> st.SearchStrategy[Config]:
    required = {"base_model": words, "output_dir": words, "train_data_dir": words}
    optional = {name: values for name, values in keys(words).items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: Config(**values))


def answered(text: str | bytes, *overrides: str) -> bool:
    """Whether the config was read, or refused in words; anything else is raised."""
    try:
        return isinstance(load_text(text, *overrides), Config)
    except ConfigError as error:
        return len(error.problems) > 0 and all(problem.text for problem in error.problems)


def load_text(text: str | bytes, *overrides: str) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, overrides).config


@settings(max_examples=150, deadline=None)
@given(configs(WORDS))
def test_a_dumped_config_loads_back_to_an_equal_one(config):
    assume(not contradictions(config, {}, ""))
    # words of other tools for a value (`resume_from_checkpoint: true`) are meant to change
    assume((config.resume_from_checkpoint or "").lower() not in ("true", "false"))
    assume("all" not in [name.lower() for name in config.target_modules or ()])
    assert load_text(dump_config(config)) == config


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_an_override_wins_and_changes_nothing_else(data):
    name = data.draw(st.sampled_from(sorted(keys(PRINTED))))
    value = data.draw(keys(PRINTED)[name])
    written = json.dumps(value, ensure_ascii=False)
    before = Config(train_data_dir="dd", base_model="bb", output_dir="oo")
    after = before.model_copy(update={name: value})
    assume(not contradictions(after, {}, "") and value not in ("true", "false"))
    assume(value != {} or name in ("columns", "roles"))
    assert load_text(dump_config(before), f"{name}={written}") == after


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("abc: -[]{}'\"\n\t#&*!|>?%@`,0.e~", max_size=120).map(str.encode)))
def test_no_file_ends_in_anything_but_a_config_error(raw):
    assert answered(raw)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(Config.model_fields)), st.text("abc: -[]{}'\"#&*!|>?%@`,0.e~-", max_size=30))
def test_no_word_ends_in_anything_but_a_config_error(name, written):
    assert answered("train_data_dir: dd\nbase_model: bb\noutput_dir: oo\n", f"{name}={written}")
