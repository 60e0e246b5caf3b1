"""Quantised bases against bitsandbytes' own reading of the weights, in training and outside it."""

import json
import logging
import subprocess
import sys
from importlib import util
from pathlib import Path

import bitsandbytes as bnb
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    FalconConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3MoeConfig,
)

from lora_scripts.adapters.files import adapter_tensors, config_text, load_adapter, write_adapter
from lora_scripts.adapters.inject import METHODS, inject, trainable
from lora_scripts.errors import ModelError
from lora_scripts.evaluate.prove import logits_of, proof_of, prove
from lora_scripts.models import quantize
from lora_scripts.models.head import frozen_head
from lora_scripts.models.last_layer import last_layer
from lora_scripts.models.quantize import check_quantization, stored_quantization
from lora_scripts.models.targets import find_targets, in_mlp
from lora_scripts.models.text import load_model
from lora_scripts.training.optim import make_optimizer

IDS = torch.arange(12)[None]
SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}
# down_proj has 96 inputs: no multiple of the 64 values of a block
LLAMA = LlamaConfig(**SIZES, tie_word_embeddings=False)
GPT2 = GPT2Config(vocab_size=64, n_embd=64, n_layer=2, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=2)
QUANTIZED = ["nf4", "int8"]


def folder_of(config: PreTrainedConfig, folder: Path) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def load(folder: Path, quantization: str = "none") -> PreTrainedModel:
    return load_model(folder, dtype=torch.float32, device="cpu", quantization=quantization)


def as_bitsandbytes_reads(layer: torch.nn.Module) -> torch.Tensor:
    if isinstance(layer, bnb.nn.Linear4bit):
        return bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return bnb.functional.int8_vectorwise_dequant(layer.state.CB, layer.state.SCB)


@pytest.mark.parametrize("quantization", QUANTIZED)
@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_layers_are_quantised_and_head_and_embeddings_are_not(
    config: PreTrainedConfig, quantization: str, tmp_path: Path
) -> None:
    folder_of(config, tmp_path)
    plain, model = load(tmp_path), load(tmp_path, quantization)
    kind = {"nf4": bnb.nn.Linear4bit, "int8": bnb.nn.Linear8bitLt}[quantization]
    targets = find_targets(model, "all-linear")
    assert targets == find_targets(plain, "all-linear")
    for name in targets:
        layer, weight = model.get_submodule(name), plain.get_submodule(name).weight
        if quantization == "nf4" and name.endswith("down_proj"):
            assert torch.equal(layer.weight, weight)
            continue
        assert type(layer) is kind
        weight = weight if config is LLAMA else weight.T
        rounded = (as_bitsandbytes_reads(layer) - weight).norm() / weight.norm()
        assert 0 < rounded < {"nf4": 0.11, "int8": 0.01}[quantization]
        if quantization == "nf4":
            assert layer.weight.quant_state.nested
            assert layer.weight.quant_state.quant_type == "nf4"
    assert type(model.get_output_embeddings()) is torch.nn.Linear
    assert torch.equal(model.get_output_embeddings().weight, plain.get_output_embeddings().weight)
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    assert frozen_head(model) is not None
    assert (last_layer(model) is not None) == (config is LLAMA)


@pytest.mark.parametrize("quantization", QUANTIZED)
def test_a_layer_computes_with_its_rounded_weight_and_its_exact_input_in_training_and_outside(
    quantization: str, tmp_path: Path
) -> None:
    layer = load(folder_of(LLAMA, tmp_path), quantization).model.layers[1].mlp.up_proj
    weight = as_bitsandbytes_reads(layer).float()
    x = torch.randn(2, 7, 64)
    upstream = torch.randn(2, 7, 96)
    for training in (False, True, False, True):
        layer.train(training)
        with torch.no_grad():
            assert torch.allclose(layer(x), x @ weight.T, atol=1e-5)
        leaf = x.clone().requires_grad_()
        layer(leaf).backward(upstream)
        assert torch.allclose(leaf.grad, upstream @ weight, atol=1e-5)


FAST = [("dora", "nf4"), ("ia3", "int8")]
REST = [pytest.param(m, q, marks=pytest.mark.slow) for m in METHODS for q in QUANTIZED if (m, q) not in FAST]


@pytest.mark.parametrize(("method", "quantization"), [*FAST, *REST])
def test_every_method_trains_on_a_quantised_base_and_stock_peft_loads_what_came_of_it(
    method: str, quantization: str, tmp_path: Path
) -> None:
    base = folder_of(LLAMA, tmp_path / "base")
    model = load(base, quantization)
    targets = find_targets(model, "all-linear")
    bare = logits_of(model, IDS[0].tolist())
    adapted = inject(
        model, method=method, targets=targets, feedforward=in_mlp(targets), rank=4, alpha=8, dropout=0.1, base="x",
        seed=0,
    )  # fmt: skip
    assert torch.equal(logits_of(adapted, IDS[0].tolist()), bare)
    parameters = trainable(adapted)
    assert all(p.dtype == torch.float32 for p in parameters)
    optimizer = make_optimizer(parameters, weight_decay=0.0)
    optimizer.param_groups[0]["lr"] = 5e-2 if method == "ia3" else 5e-3
    losses = []
    for _ in range(20):
        adapted.train()
        loss = adapted(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        adapted.eval()
        with torch.no_grad():  # what is validated between two steps must not disturb the next
            losses.append(float(adapted(input_ids=IDS, labels=IDS).loss))
    assert losses[-1] < losses[0] - 0.2
    write_adapter(tmp_path, adapter_tensors(adapted), config_text(adapted))
    ours = logits_of(adapted, IDS[0].tolist())
    assert torch.equal(logits_of(load_adapter(load(base, quantization), tmp_path), IDS[0]), ours)
    proof = proof_of(
        prove(
            tmp_path,
            lambda: load(base, quantization),
            IDS[0].tolist(),
            ours,
            tolerance=1e-4,
            training_prompt="p",
            chat_prompt="p",
        )
    )
    assert proof["ok"]
    assert "stock_peft_logits_equal_ours" in {check["name"] for check in proof["checks"]}
    assert "quantised" in proof["left_out"]["merged_equals_adapter"]
    assert "merged_equals_adapter" not in {check["name"] for check in proof["checks"]}


@pytest.mark.parametrize("quantization", QUANTIZED)
def test_a_folder_that_is_quantised_already_is_used_as_it_is(quantization: str, tmp_path: Path) -> None:
    model = load(folder_of(LLAMA, tmp_path / "plain"), quantization)
    model.save_pretrained(tmp_path / "stored")
    assert stored_quantization(tmp_path / "plain") == "none"
    assert stored_quantization(tmp_path / "stored") == quantization
    notes = check_quantization(tmp_path / "stored", "none", "cpu")
    assert f"are {quantization} already" in notes[0]
    for wanted in ("none", quantization):
        again = load(tmp_path / "stored", wanted)
        assert torch.equal(logits_of(again, IDS[0]), logits_of(model, IDS[0]))
    other = next(name for name in QUANTIZED if name != quantization)
    with pytest.raises(ModelError, match=f"already; they cannot become {other}"):
        load(tmp_path / "stored", other)


def test_a_folder_that_another_tool_quantised_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    folder_of(LLAMA, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(ModelError, match="quantised by gptq"):
        check_quantization(tmp_path, "none", "cpu")


def test_without_bitsandbytes_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder_of(LLAMA, tmp_path)
    monkeypatch.setattr(quantize, "find_spec", lambda name: None if name == "bitsandbytes" else util.find_spec(name))
    assert check_quantization(tmp_path, "none", "cpu") == []
    with pytest.raises(ModelError, match="pip install bitsandbytes"):
        check_quantization(tmp_path, "nf4", "cpu")


def test_a_model_of_its_own_kind_of_layers_is_not_left_as_it_is_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelError, match="no layer of FalconForCausalLM"):
        load(folder_of(FalconConfig(**SIZES), tmp_path / "falcon"), "nf4")
    experts = Qwen3MoeConfig(
        **SIZES, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=16, num_key_value_heads=1
    )
    load(folder_of(experts, tmp_path / "moe"), "nf4")
    assert "% of the weights" in caplog.text


@pytest.mark.parametrize("quantization", ["none", *QUANTIZED])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_or_not_there_is_refused(value: float, quantization: str, tmp_path: Path) -> None:
    folder_of(LLAMA, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name][3, 4] = value
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"not finite numbers.*q_proj"):
        load(tmp_path, quantization)
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"not in the files.*q_proj"):
        load(tmp_path, quantization)


def test_rows_that_a_cpu_reads_back_wrongly_stay_as_they_are_which_is_told_or_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weight = torch.randn(64, 96)
    read = bnb.functional.dequantize_4bit(*bnb.functional.quantize_4bit(weight, quant_type="nf4"))
    if (read - weight).norm() < 0.11 * weight.norm():
        pytest.fail("bitsandbytes reads such rows rightly now: _misread_layers and models.nf4_rows can go")
    load(folder_of(LLAMA, tmp_path / "plain"), "nf4")
    assert "82 % of the weights" in caplog.text
    assert "as they are stay: down_proj" in caplog.text
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", quantization_config=how, device_map={"": "cpu"})
    theirs.save_pretrained(tmp_path / "stored")
    with pytest.raises(ModelError, match="4-bit layers of 96 inputs"):
        load(tmp_path / "stored")


def test_what_bitsandbytes_thinks_of_its_kernels_is_not_logged() -> None:
    assert not logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.WARNING)


@pytest.mark.slow
def test_a_user_reads_nothing_of_what_bitsandbytes_and_its_kernels_think(tmp_path: Path) -> None:
    folder_of(LlamaConfig(**{**SIZES, "intermediate_size": 128}), tmp_path)  # rows that a CPU reads back rightly
    script = """
import sys, torch
from lora_scripts.adapters.inject import inject
from lora_scripts.models.text import load_model
for quantization in ("none", "nf4", "int8"):
    base = load_model(sys.argv[1], dtype=torch.float32, device="cpu", quantization=quantization)
    model = inject(base, targets=["model.layers.0.mlp.up_proj"], rank=2, alpha=4, dropout=0, base="x", seed=0)
    model(input_ids=torch.arange(9)[None])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::FutureWarning", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""
