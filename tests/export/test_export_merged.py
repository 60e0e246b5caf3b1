"""Merged folders against peft's own merging in float32; what cannot be merged is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_bases import float_model, weights_in
from transformers import AutoTokenizer, GenerationConfig

from lora_scripts.adapters.files import CONFIG_FILE, WEIGHTS_FILE
from lora_scripts.errors import ModelError

METHODS = ("lora", "rslora", "dora", "ia3")


def stock_merge(base: Path, adapter: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    merged = PeftModel.from_pretrained(float_model(base), str(adapter)).merge_and_unload()
    return {name: value.to(dtype) for name, value in merged.state_dict().items()}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("method", METHODS)
def test_merged_weights_are_those_of_peft_in_float32_rounded_once(
    kind: str, method: str, adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter, base = adapter_of(kind, method), base_of(kind)
    result, _ = exported(adapter, "merged")
    got, bare = weights_in(result.folder), weights_in(base)
    wanted = stock_merge(base, adapter, torch.float16)
    assert set(got) == set(bare)
    for name, value in got.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, wanted[name]), name
    changed = {name for name in got if not torch.equal(got[name], bare[name])}
    assert changed
    assert not [name for name in changed if "norm" in name or "embed" in name or "wte" in name or "ln_" in name]


def test_a_base_in_bfloat16_stays_in_bfloat16(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter = adapter_of("qwen2", dtype=torch.bfloat16)
    result, values = exported(adapter, "merged")
    wanted = stock_merge(base_of("qwen2", torch.bfloat16), adapter, torch.bfloat16)
    got = weights_in(result.folder)
    assert all(torch.equal(value, wanted[name]) and value.dtype == torch.bfloat16 for name, value in got.items())
    assert values["largest_difference_of_a_logit"] > 0


def test_tied_embeddings_stay_one_tensor(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, _ = exported(adapter_of("llama-tied"), "merged")
    assert "lm_head.weight" not in weights_in(result.folder)
    assert json.loads((result.folder / "config.json").read_text())["tie_word_embeddings"] is True


def test_a_tied_head_with_an_adapter_gets_a_tensor_of_its_own(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter = adapter_of("llama-tied", targets=["lm_head", "model.layers.0.self_attn.q_proj"])
    result, _ = exported(adapter, "merged")
    got, bare = weights_in(result.folder), weights_in(base_of("llama-tied"))
    assert torch.equal(got["model.embed_tokens.weight"], bare["model.embed_tokens.weight"])
    assert not torch.equal(got["lm_head.weight"], bare["model.embed_tokens.weight"])
    assert json.loads((result.folder / "config.json").read_text())["tie_word_embeddings"] is False


def test_the_folder_stops_where_the_template_ends_an_answer(adapter_of: Callable[..., Path], exported: Any) -> None:
    result, _ = exported(adapter_of(), "merged")
    tokenizer = AutoTokenizer.from_pretrained(result.folder)
    ends = GenerationConfig.from_pretrained(result.folder).eos_token_id
    assert sorted(tokenizer.convert_ids_to_tokens(ends)) == ["<|endoftext|>", "<|im_end|>"]
    assert json.loads((result.folder / "tokenizer_config.json").read_text())["tokenizer_class"] != "TokenizersBackend"
    assert "{%" in tokenizer.chat_template


def test_large_models_are_cut_into_shards(
    adapter_of: Callable[..., Path], exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_scripts.export.folders.SHARD", "50KB")
    result, _ = exported(adapter_of(), "merged")
    assert (result.folder / "model.safetensors.index.json").exists()
    assert len(list(result.folder.glob("*.safetensors"))) > 1


def test_a_base_whose_files_are_quantised_is_refused(adapter_of: Callable[..., Path], exported: Any) -> None:
    adapter = adapter_of()
    base = Path(json.loads((adapter / CONFIG_FILE).read_text())["base_model_name_or_path"])
    config = json.loads((base / "config.json").read_text())
    copy = adapter.parent / "quantised"
    copy.mkdir()
    for file in base.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="quantised"):
        exported(adapter, "merged", base_model=str(copy))


def test_a_merged_weight_beyond_its_dtype_is_refused(adapter_of: Callable[..., Path], exported: Any) -> None:
    adapter = adapter_of()
    tensors = load_file(adapter / WEIGHTS_FILE)
    name = next(n for n in tensors if "down_proj.lora_B" in n)
    save_file({**tensors, name: tensors[name] * 1e6}, adapter / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="does not fit into float16"):
        exported(adapter, "merged")
    assert not (adapter / "export" / "merged").exists()


@pytest.mark.parametrize("method", METHODS)
def test_the_peft_folder_is_loaded_by_stock_peft_to_the_same_logits(
    method: str, adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any
) -> None:
    adapter = adapter_of("llama", method)
    result, values = exported(adapter, "peft")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours, theirs = (
            PeftModel.from_pretrained(float_model(base_of("llama")), str(folder)).eval()(ids).logits
            for folder in (adapter, result.folder)
        )
    assert torch.equal(ours, theirs)
    assert values["largest_difference_of_a_logit"] < 1e-3
    assert (result.folder / "tokenizer.json").exists()
