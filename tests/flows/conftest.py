"""A base model made on the spot, rows to train it on, and one finished run that many tests look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import SETTINGS, Said, command, pairs, write_config, write_rows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MakeConfig = Callable[..., Path]


def _write_base(folder: Path, seed: int) -> Path:
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    letters.train_from_iterator([text for pair in pairs() for text in pair], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=512
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.2, pad_token_id=0, eos_token_id=2,
        bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers, 32 wide, with a byte-level ChatML tokenizer of its own."""
    return _write_base(tmp_path_factory.mktemp("base") / "tiny-random", seed=1)


@pytest.fixture(scope="session")
def other_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same architecture and tokenizer with other weights."""
    return _write_base(tmp_path_factory.mktemp("base") / "other-random", seed=2)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 short consultations."""
    return write_rows(tmp_path_factory.mktemp("rows") / "train.txt", pairs()).parent


@pytest.fixture
def config(base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeConfig:
    """Write ``run.yaml`` into a fresh working directory, with some keys changed; the run goes to ``out``."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "config.yaml", **changed: Any) -> Path:
        settings = {"train_data_dir": str(rows), "base_model": str(base), "output_dir": "out", **SETTINGS}
        return write_config(tmp_path / name, settings | changed)

    return make


@pytest.fixture(scope="session")
def finished(base: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """One unbroken run, and what it said. Only looked at: tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    settings = {"train_data_dir": str(rows), "base_model": str(base), "output_dir": str(folder / "out"), **SETTINGS}
    said = command("train", write_config(folder / "config.yaml", settings))
    assert said.code == 0, said.words
    return folder / "out", said


@pytest.fixture
def run_copy(finished: tuple[Path, Said], config: MakeConfig, tmp_path: Path) -> Path:
    """A copy of the finished run, as ``out`` of the working directory."""
    return Path(shutil.copytree(finished[0], tmp_path / "out", symlinks=True))
