"""GGUF exports in llama.cpp itself: the ids of the prompts, and the words of the answers.

llama-cpp-python is built from its sdist into a virtual environment under the user's cache, once (4.5 minutes on two
cores); where it cannot be built, these tests are skipped with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from tiny_bases import float_model

from lora_scripts.assemble.export import export_run
from lora_scripts.data.chat_format import template_of
from lora_scripts.data.records import Message
from lora_scripts.data.render import render_prompt
from lora_scripts.export.gguf_vocabulary import PROBES
from lora_scripts.models.text import load_model, load_tokenizer

pytestmark = pytest.mark.slow
VERSION = "0.3.36"
TOKENS = 16
QUESTIONS = ("我们签的合同到期了怎么办？", "加班费怎么算？", "What is the capital of France?")
PROGRAM = """
import json, sys
from llama_cpp import Llama
given = json.load(sys.stdin)
model = Llama(given["model"], lora_path=given["lora"], n_ctx=256, n_threads=2, verbose=False, type_k=0, type_v=0)
said = []
for row in given["rows"]:
    ids = model.tokenize(row["text"].encode(), add_bos=False, special=True)
    model.reset()
    words = []
    if row["ids"]:
        for token in model.generate(row["ids"], temp=0.0, top_k=1, repeat_penalty=1.0):
            words.append(token)
            if token in given["stops"] or len(words) == given["count"]:
                break
    said.append([ids, words])
print(json.dumps(said))
"""


@pytest.fixture(scope="session")
def llama_cpp() -> Path:
    """The Python of an environment with llama-cpp-python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lora-scripts"
    folder = cache / f"llama-cpp-python-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "built").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-binary", "llama-cpp-python"]
            subprocess.run([*pip, f"llama-cpp-python=={VERSION}"], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"llama-cpp-python cannot be built here: {str(getattr(error, 'stderr', error))[-300:]}")
        (folder / "built").touch()
    return python


def asked(python: Path, model: Path, tokenizer: Any, lora: Path | None = None) -> list[tuple[list[int], list[int]]]:
    """(ids, answer) of each question in llama.cpp, then (ids, nothing) of each probe."""
    form = template_of(tokenizer)
    spelled = ["".join(part for _, part in form.strings.spell("", [(q, None)])) for q in QUESTIONS]
    rows = [{"text": t, "ids": ids} for t, ids in zip(spelled, prompts(tokenizer), strict=True)]
    rows += [{"text": probe, "ids": []} for probe in PROBES]
    given = {
        "model": str(model), "lora": str(lora) if lora else None, "rows": rows, "stops": form.stop_ids, "count": TOKENS
    }  # fmt: skip
    done = subprocess.run([str(python), "-c", PROGRAM], input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [(ids, words) for ids, words in json.loads(done.stdout)]


def prompts(tokenizer: Any) -> list[list[int]]:
    return [render_prompt([Message("user", question)], tokenizer) for question in QUESTIONS]


def merged_answers(folder: Path, tokenizer: Any) -> list[list[int]]:
    """Greedy answers of the merged folder by stock transformers in float32."""
    import torch

    model, stops = float_model(folder), template_of(tokenizer).stop_ids
    answers = []
    for prompt in prompts(tokenizer):
        ids = torch.tensor([prompt])
        settings = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": stops, "pad_token_id": stops[0]}
        answers.append(model.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, len(prompt) :].tolist())
    return answers


def random_adapter(base: Path, folder: Path, modules: Sequence[str], scale: float) -> Path:
    import torch

    adapted = get_peft_model(
        load_model(base, dtype=torch.float32, device="cpu"),
        LoraConfig(r=4, lora_alpha=8, target_modules=list(modules), use_rslora=True, task_type="CAUSAL_LM"),
    )
    torch.manual_seed(5)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=scale)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return folder


def check(python: Path, adapter: Path, base: Path, tmp_path: Path, dtype: str) -> None:
    """Merged, and as a base with an adapter beside it: the ids and the answers of the merged folder."""
    tokenizer = load_tokenizer(base)
    for layout, options in (
        ("merged", {}),
        ("gguf", {"dtype": dtype}),
        ("ollama", {"dtype": dtype, "adapter_only": True}),
    ):
        result = export_run(adapter, layout, output=tmp_path / layout, base_model=str(base), **options)
        result.refuse_if_wrong()
    wanted = merged_answers(tmp_path / "merged", tokenizer)
    lora = next((tmp_path / "ollama").glob("*-adapter.gguf"))
    bare = next(f for f in (tmp_path / "ollama").glob("*.gguf") if f != lora)
    merged = asked(python, next((tmp_path / "gguf").glob("*.gguf")), tokenizer)
    assert [ids for ids, _ in merged[: len(QUESTIONS)]] == prompts(tokenizer)
    assert [words for _, words in merged[: len(QUESTIONS)]] == wanted
    assert [words for _, words in asked(python, bare, tokenizer, lora)[: len(QUESTIONS)]] == wanted
    assert [words for _, words in asked(python, bare, tokenizer)[: len(QUESTIONS)]] != wanted
    own = [tokenizer(probe, add_special_tokens=False)["input_ids"] for probe in PROBES]
    others = [ids for ids, _ in merged[len(QUESTIONS) :]]
    assert sum(a != b for a, b in zip(own, others, strict=True)) <= (1 if base.name == "tiny-zh" else 0)


def test_the_embedded_base_answers_alike_in_llama_cpp(llama_cpp: Path, tiny_zh: Path, tmp_path: Path) -> None:
    adapter = random_adapter(tiny_zh, tmp_path / "adapter", ["q_proj", "k_proj", "down_proj"], 0.05)
    check(llama_cpp, adapter, tiny_zh, tmp_path, "f16")


# in f16 llama.cpp rounds activations too, and SmolLM2 has two words here that are 0.005 apart in logits of 30
@pytest.mark.parametrize(("name", "dtype"), [("smollm2-135m", "f32"), ("gemma3-270m", "f16")])
def test_a_real_base_answers_alike_in_llama_cpp(
    name: str, dtype: str, llama_cpp: Path, project_root: Path, tmp_path: Path
) -> None:
    base = project_root / "models" / name
    if not (base / "model.safetensors").exists():
        pytest.skip(f"models/{name} is not here: lora-scripts base get {name}")
    adapter = random_adapter(base, tmp_path / "adapter", ["q_proj", "k_proj", "down_proj"], 0.02)
    check(llama_cpp, adapter, base, tmp_path, dtype)


@pytest.mark.parametrize("kind", ["llama-3", "qwen2", "qwen3", "gemma3"])
def test_each_architecture_answers_alike_in_llama_cpp(
    kind: str, llama_cpp: Path, base_of: Callable[..., Path], tmp_path: Path
) -> None:
    adapter = random_adapter(base_of(kind), tmp_path / "adapter", ["q_proj", "k_proj", "down_proj"], 0.1)
    check(llama_cpp, adapter, base_of(kind), tmp_path, "f32")
