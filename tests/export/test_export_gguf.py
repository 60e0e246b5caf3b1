"""GGUF files read back by transformers and by hand; what llama.cpp would get wrong is refused or told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_bases import float_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_scripts.assemble.export import export_run
from lora_scripts.errors import ModelError, ProofError, UsageError
from lora_scripts.export import gguf_weights
from lora_scripts.export.gguf_vocabulary import PROBES, SPLITS, with_splitter
from lora_scripts.export.gguf_weights import permuted, unpermuted


def fields(file: Path) -> dict[str, Any]:
    reader = gguf.GGUFReader(file)
    return {name: field.contents() for name, field in reader.fields.items()}


def tensors(file: Path) -> dict[str, np.ndarray]:
    return {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32) for t in gguf.GGUFReader(file).tensors}


def file_in(folder: Path) -> Path:
    return next(folder.glob("*.gguf"))


@pytest.mark.parametrize("kind", ["llama", "llama-3", "llama-tied", "qwen2", "qwen3", "gemma3"])
def test_the_file_gives_the_answers_of_the_adapter(kind: str, adapter_of: Callable[..., Path], exported: Any) -> None:
    result, values = exported(adapter_of(kind), "gguf", dtype="f32")
    assert values["answers_that_differ"] == values["prompts_with_other_ids"] == 0
    assert not [note for note in result.report["notes"] if "no text splitter" in note]
    said = fields(file_in(result.folder))
    name = {"gemma3": "gemma3", "qwen2": "qwen2", "qwen3": "qwen3"}.get(kind, "llama")
    assert said["general.architecture"] == name
    assert said[f"{name}.context_length"] == 512
    assert "rope_freqs.weight" in tensors(file_in(result.folder)) or kind != "llama-3"
    assert said["tokenizer.chat_template"]


@pytest.mark.parametrize("dtype", ["f16", "q8_0"])
def test_numbers_are_stored_as_asked(dtype: str, adapter_of: Callable[..., Path], exported: Any) -> None:
    result, _ = exported(adapter_of("llama"), "gguf", dtype=dtype)
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(file_in(result.folder)).tensors}
    assert kinds["blk.0.attn_q.weight"] == dtype.upper()
    assert kinds["output_norm.weight"] == "F32"
    assert fields(file_in(result.folder))["general.file_type"] == {"f16": 1, "q8_0": 7}[dtype]


def test_rows_that_are_no_multiple_of_a_block_are_told(adapter_of: Callable[..., Path], exported: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf_weights, "BLOCK", 96)
        result, _ = exported(adapter_of("llama"), "gguf", dtype="q8_0")
    assert any("stay in f16" in note for note in result.report["notes"])


def test_q_and_k_are_permuted_as_transformers_undoes_it() -> None:
    weight = torch.arange(64.0).reshape(16, 4)
    assert torch.equal(unpermuted(permuted(weight, 4), 4), weight)
    assert not torch.equal(permuted(weight, 4), weight)


@pytest.mark.parametrize("fault", ["permuted", "shift", "rotary", "scaling", "merges", "weight"])
def test_a_file_that_is_wrong_is_not_called_done(
    fault: str, adapter_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = adapter_of({"shift": "gemma3", "scaling": "llama-3"}.get(fault, "llama"))
    if fault == "permuted":
        monkeypatch.setattr(gguf_weights, "permuted", lambda weight, heads: weight)
    elif fault == "shift":
        monkeypatch.setitem(
            gguf_weights.ARCHITECTURES, "Gemma3ForCausalLM", gguf_weights.Architecture("gemma3", False, 1.5)
        )
    elif fault == "rotary":
        monkeypatch.setattr(
            gguf.GGUFWriter, "add_rope_freq_base", lambda self, value: self.add_float32("llama.rope.freq_base", 50.0)
        )
    elif fault == "scaling":
        monkeypatch.setattr(gguf_weights, "_rotary_factors", lambda model, architecture: torch.full((8,), 4.0))
    elif fault == "merges":
        monkeypatch.setattr(
            gguf.GGUFWriter,
            "add_token_merges",
            lambda self, merges: self.add_array("tokenizer.ggml.merges", list(merges)[: len(merges) // 2]),
        )
    else:
        add = gguf_weights.add_tensor
        monkeypatch.setattr(
            gguf_weights,
            "add_tensor",
            lambda w, name, value, dtype: add(w, name, value * (1 + 0.2 * ("ffn_up" in name)), dtype),
        )
    result = export_run(adapter, "gguf", dtype="f32")
    assert result.folder.name == "gguf.not_verified"
    assert not (adapter / "export" / "gguf").exists()
    with pytest.raises(ProofError, match="does not do what the adapter does"):
        result.refuse_if_wrong()


def test_the_vocabulary_is_the_tokenizers(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    result, _ = exported(adapter_of("llama"), "gguf")
    said, tokenizer = fields(file_in(result.folder)), AutoTokenizer.from_pretrained(base_of("llama"))
    assert said["tokenizer.ggml.tokens"] == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    types = said["tokenizer.ggml.token_type"]
    assert [t for t, kind in zip(said["tokenizer.ggml.tokens"], types, strict=True) if kind == 3] == [
        "<|endoftext|>", "<|im_start|>", "<|im_end|>"
    ]  # fmt: skip
    assert types[tokenizer.convert_tokens_to_ids("<think>")] == 4
    assert said["tokenizer.ggml.pre"] == "gpt-2"
    assert said["tokenizer.ggml.eos_token_id"] == 0
    assert said["tokenizer.ggml.eot_token_id"] == 2
    assert said["tokenizer.ggml.add_bos_token"] is False


def test_a_sentencepiece_vocabulary_has_scores_and_bytes(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, _ = exported(adapter_of("gemma3"), "gguf")
    said = fields(file_in(result.folder))
    assert said["tokenizer.ggml.model"] == "llama"
    types = said["tokenizer.ggml.token_type"]
    assert types.count(6) == 256 and types.count(2) == 1
    assert said["tokenizer.ggml.add_bos_token"] is True and said["tokenizer.ggml.add_space_prefix"] is False
    scores = dict(zip(said["tokenizer.ggml.tokens"], said["tokenizer.ggml.scores"], strict=True))
    assert len(set(scores.values())) > 50


def test_the_splitter_is_the_one_that_gives_the_same_ids(tiny_zh: Path) -> None:
    backend = AutoTokenizer.from_pretrained(tiny_zh).backend_tokenizer
    plain = "<|im_start|>user\n我们的合同到期了<|im_end|>\n"
    assert backend.encode(plain).ids != with_splitter(backend, "qwen2").encode(plain).ids  # "\n我" is one token
    assert backend.encode(plain).ids == with_splitter(backend, "superbpe").encode(plain).ids
    for pre in SPLITS:
        assert with_splitter(backend, pre).decode(with_splitter(backend, pre).encode(PROBES[1]).ids) == PROBES[1]


def test_a_splitter_that_llama_cpp_lacks_is_told(tiny_zh: Path, tmp_path: Path) -> None:
    model = float_model(tiny_zh)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = str(tiny_zh)
    adapted.save_pretrained(tmp_path / "adapter")
    result = export_run(tmp_path / "adapter", "gguf", base_model=str(tiny_zh))
    result.refuse_if_wrong()
    assert any("written with superbpe" in note for note in result.report["notes"])


def test_an_adapter_alone_adds_to_the_base_file_what_merging_adds(
    adapter_of: Callable[..., Path], exported: Any, tmp_path: Path
) -> None:
    adapter = adapter_of("llama", "rslora")
    exported(adapter, "gguf", dtype="f32", output=tmp_path / "merged")
    exported(adapter, "ollama", dtype="f32", adapter_only=True, output=tmp_path / "two")
    files = {
        name: tensors(file)
        for name in ("merged", "two")
        for file in (tmp_path / name).glob("*.gguf")
        if name == "merged" or "-adapter" not in file.name
    }
    alone = next((tmp_path / "two").glob("*-adapter.gguf"))
    pairs, said = tensors(alone), fields(alone)
    assert (said["general.type"], said["adapter.type"], said["general.architecture"]) == ("adapter", "lora", "llama")
    for name in ("blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.0.ffn_down.weight"):
        a, b = pairs[f"{name}.lora_a"], pairs[f"{name}.lora_b"]
        added = said["adapter.lora.alpha"] / a.shape[0] * b @ a  # as llama.cpp scales it
        assert np.allclose(files["two"][name] + added, files["merged"][name], atol=2e-3)
        assert np.abs(added).max() > 0.05


def test_ranks_and_alphas_of_single_layers_are_folded_in(
    base_of: Callable[..., Path], exported: Any, tmp_path: Path
) -> None:
    base = base_of("llama")
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False,
        rank_pattern={"layers.0.self_attn.v_proj": 2}, alpha_pattern={"layers.1.mlp.up_proj": 32},
    )  # fmt: skip
    adapted = get_peft_model(float_model(base), config)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "adapter")
    result, values = exported(tmp_path / "adapter", "gguf", adapter_only=True)
    assert values["largest_change_of_a_pair"] < 1e-6
    file = file_in(result.folder)
    pairs, alpha = tensors(file), fields(file)["adapter.lora.alpha"]
    for place, module in (("blk.1.ffn_up", "layers.1.mlp.up_proj"), ("blk.0.attn_v", "layers.0.self_attn.v_proj")):
        layer = adapted.base_model.model.get_submodule(f"model.{module}")
        a, b = pairs[f"{place}.weight.lora_a"], pairs[f"{place}.weight.lora_b"]
        assert np.allclose(alpha / a.shape[0] * b @ a, layer.get_delta_weight("default").detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("method", ["dora", "ia3"])
def test_an_adapter_that_llama_cpp_cannot_add_is_refused(method: str, adapter_of: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="cannot stand alone"):
        export_run(adapter_of("llama", method), "gguf", adapter_only=True)


def test_what_gguf_has_no_words_for_is_refused(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="GPT2LMHeadModel cannot be written"):
        export_run(adapter_of("gpt2"), "gguf")
    bent = tmp_path / "bent"
    AutoModelForCausalLM.from_pretrained(base_of("qwen2")).save_pretrained(bent)
    AutoTokenizer.from_pretrained(base_of("qwen2")).save_pretrained(bent)
    config = json.loads((bent / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    (bent / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="rope_type dynamic"):
        gguf_weights.architecture_of(bent)


def test_an_unknown_number_type_is_refused(adapter_of: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="q4_k_m"):
        export_run(adapter_of(), "gguf", dtype="q4_k_m")
