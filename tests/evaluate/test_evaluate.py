"""Answers against one-by-one generation, measures on known cases, and a proof that can fail."""

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
from greedy import sure_tokens
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from lora_scripts.adapters.files import (
    CONFIG_FILE,
    HEADER_KEY,
    LINKED_FILE,
    WEIGHTS_FILE,
    adapter_tensors,
    config_text,
    write_adapter,
)
from lora_scripts.adapters.inject import METHODS, inject, trainable
from lora_scripts.evaluate.answers import answer
from lora_scripts.evaluate.measures import measure
from lora_scripts.evaluate.prove import logits_of, proof_of, prove
from lora_scripts.models.attention import FLAT
from lora_scripts.models.targets import find_targets, in_mlp


def test_batched_answers_equal_answers_one_by_one(llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(llama)
    starts = ["The ferry leaves at nine", "The boat", "He said hello to the keeper of the light. They", "Yes"]
    prompts = [tokenizer(text)["input_ids"] for text in starts]
    model.set_attn_implementation(FLAT)
    together = answer(model, tokenizer, prompts, attention="sdpa", stop_ids=[2], max_new_tokens=20)
    assert model.config._attn_implementation == FLAT
    model.set_attn_implementation("sdpa")
    for prompt, got in zip(prompts, together, strict=True):
        alone = sure_tokens(model, prompt, 20, eos_token_id=2, pad_token_id=0)
        assert got == tokenizer.decode(alone, skip_special_tokens=True).strip()
    assert len(set(together)) == 4


def test_an_answer_ends_at_a_stop_id(llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(llama)
    prompt = tokenizer("The ferry leaves at nine")["input_ids"]
    tokens = sure_tokens(model, prompt, 12, eos_token_id=2, pad_token_id=0)
    stop = next(token for n, token in enumerate(tokens) if n >= 4 and token not in tokens[:n])
    before = tokens[: tokens.index(stop)]
    [short] = answer(model, tokenizer, [prompt], attention="sdpa", stop_ids=[2, stop], max_new_tokens=12)
    assert short == tokenizer.decode(before, skip_special_tokens=True).strip()


def test_house_form_counts_openings_and_needs_a_rule() -> None:
    answers = ["依据《劳动法》第四十四条，应当……", "你好，依据《劳动法》第一条", "依据《劳动法》"]
    rule = {"opening": "依据《[^》]+》第[一二三四五六七八九十百]+条"}
    assert measure(answers, answers, rule)["house_form"] == 1
    assert "house_form" not in measure(answers, answers, {})


def test_rouge_is_one_for_equal_and_zero_for_foreign_words() -> None:
    assert measure(["用人单位应当支付工资"], ["用人单位应当支付工资"], {})["rouge_l"] == pytest.approx(1, abs=1e-6)
    assert measure(["苹果"], ["用人单位应当支付工资"], {})["rouge_l"] == 0
    assert measure([""], ["用人单位"], {})["rouge_l"] == 0


@cache
def _loaded(llama: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()


def _proof(llama: Path, folder: Path, *, damage: str = "", method: str = "lora") -> dict[str, bool]:
    def load() -> torch.nn.Module:
        return copy.deepcopy(_loaded(llama))

    base = load()
    targets = find_targets(base, "all-linear" if method == "ia3" else None)
    model = inject(
        base, method=method, targets=targets, feedforward=in_mlp(targets), rank=4, alpha=8, dropout=0.0,
        base=str(llama), seed=0,
    )  # fmt: skip
    torch.manual_seed(1)
    for parameter in trainable(model):
        parameter.data += torch.randn_like(parameter) * (0.0 if damage == "untrained" else 0.2)
    write_adapter(folder, adapter_tensors(model), config_text(model))
    ids = [1, 40, 41, 42]
    ours = logits_of(model, ids)
    tensors = load_file(folder / WEIGHTS_FILE)
    name = next(k for k in tensors if "lora_A" not in k)
    if damage in ("changed", "nan", "missing"):
        if damage == "missing":
            del tensors[name]
        else:
            tensors[name] += float("nan") if damage == "nan" else 0.5
        for file in (WEIGHTS_FILE, LINKED_FILE):
            (folder / file).unlink()
            save_file(tensors, folder / file, metadata={HEADER_KEY: (folder / CONFIG_FILE).read_text()})
    if damage == "two files":
        (folder / LINKED_FILE).unlink()
        (folder / LINKED_FILE).write_bytes(b"x")
    if damage == "scale":
        path = folder / CONFIG_FILE
        path.write_text(path.read_text().replace('"lora_alpha": 8', '"lora_alpha": 16'))
    chat = "other" if damage == "prompt" else "p"
    found = prove(folder, load, ids, ours, tolerance=1e-4, training_prompt="p", chat_prompt=chat)
    proof = proof_of(found)
    assert proof["left_out"] == {}
    assert proof["ok"] == all(c["ok"] for c in proof["checks"])
    return {c["name"]: c["ok"] for c in proof["checks"]}


@pytest.mark.parametrize("method", METHODS)
def test_a_good_adapter_is_proven(llama: Path, tmp_path: Path, method: str) -> None:
    proof = _proof(llama, tmp_path, method=method)
    assert all(proof.values())
    assert len(proof) == 9


@pytest.mark.parametrize("method", [name for name in METHODS if name != "lora"])
@pytest.mark.parametrize(
    ("damage", "seen_by"),
    [
        ("changed", "stock_peft_logits_equal_ours"),
        ("missing", "every_tensor_is_bound_by_stock_peft"),
        ("nan", "every_value_is_finite"),
        ("untrained", "adapter_on_differs_from_off_by_at_least"),
    ],
)
def test_damage_fails_its_check_whatever_the_method(
    llama: Path, tmp_path: Path, method: str, damage: str, seen_by: str
) -> None:
    proof = _proof(llama, tmp_path, damage=damage, method=method)
    assert not proof[seen_by]
    if damage == "untrained":
        assert not proof["no_factors_are_all_one" if method == "ia3" else "no_tensor_is_all_zero"]


@pytest.mark.parametrize(
    ("damage", "seen_by"),
    [
        ("changed", "stock_peft_logits_equal_ours"),
        ("scale", "stock_peft_logits_equal_ours"),
        ("missing", "every_tensor_is_bound_by_stock_peft"),
        ("nan", "every_value_is_finite"),
        ("untrained", "adapter_on_differs_from_off_by_at_least"),
        ("untrained", "no_tensor_is_all_zero"),
        ("two files", "both_weight_files_are_the_same"),
        ("prompt", "chat_sends_the_prompt_of_training"),
    ],
)
def test_each_damage_fails_its_check(llama: Path, tmp_path: Path, damage: str, seen_by: str) -> None:
    assert not _proof(llama, tmp_path, damage=damage)[seen_by]
