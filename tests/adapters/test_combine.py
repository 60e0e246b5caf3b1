"""Combined adapters against dense sums by peft and against its stacks; overlap against the dense cosine."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from lora_scripts.adapters.combine import Layer, as_peft, combine, combined_card, deviation, layers_of, overlap
from lora_scripts.adapters.files import adapter_tensors, config_text, load_adapter, read_adapter, write_adapter
from lora_scripts.errors import ModelError

IDS = torch.tensor([[1, 40, 41, 42, 43, 44]])
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]},
    "rslora on other modules": {"r": 3, "lora_alpha": 5, "target_modules": ["v_proj", "down_proj"], "use_rslora": True},
    "ranks and alphas by module": {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj", "up_proj"],
        "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 5},
        "alpha_pattern": {"v_proj": 7, "model.layers.1.mlp.up_proj": 1},
    },
}
WEIGHTS = {"plain": 0.7, "rslora on other modules": -1.3, "ranks and alphas by module": 2.0}


@pytest.fixture(scope="module")
def llama() -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, initializer_range=0.2)
    ).eval()  # fmt: skip


def put_on(model: PreTrainedModel, seed: int, **settings: Any) -> PeftModel:
    torch.manual_seed(seed)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, value in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=0.2)
    return adapted.eval()


def saved(model: PeftModel, folder: Path) -> Path:
    folder.mkdir()
    write_adapter(folder, adapter_tensors(model), config_text(model))
    return folder


def dense(model: PeftModel) -> dict[str, torch.Tensor]:
    """ΔW of every module, as peft makes it."""
    return {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").detach().double()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight") and "default" in module.lora_A
    }


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


@pytest.fixture(scope="module")
def adapted(llama: PreTrainedModel) -> dict[str, PeftModel]:
    return {name: put_on(llama, seed, **kind) for seed, (name, kind) in enumerate(KINDS.items(), 1)}


@pytest.fixture
def folders(adapted: dict[str, PeftModel], tmp_path: Path) -> dict[str, Path]:
    return {name: saved(model, tmp_path / name.replace(" ", "_")) for name, model in adapted.items()}


def parts_of(folders: dict[str, Path]) -> list[tuple[dict[str, Layer], float]]:
    return [(layers_of(*reversed(read_adapter(folders[name]))), weight) for name, weight in WEIGHTS.items()]


def written(parts: list[tuple[dict[str, Layer], float]], folder: Path, **more: Any) -> Path:
    tensors, config = as_peft(combine(parts), base="somewhere", **more)
    folder.mkdir()
    write_adapter(folder, tensors, json.dumps(config, default=str))
    return folder


def test_the_combined_matrices_are_the_weighted_sum_of_those_that_peft_makes(
    llama: PreTrainedModel, adapted: dict[str, PeftModel], folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = written(parts_of(folders), tmp_path / "whole")
    found = dense(PeftModel.from_pretrained(copy.deepcopy(llama), str(whole)))
    wanted: dict[str, torch.Tensor] = {}
    for name, weight in WEIGHTS.items():
        for module, delta in dense(adapted[name]).items():
            wanted[module] = wanted.get(module, torch.zeros_like(delta)) + weight * delta
    assert found.keys() == wanted.keys() and len(found) == 8
    for module, delta in wanted.items():
        assert torch.allclose(found[module], delta, atol=1e-6), module


def test_stock_peft_gives_the_logits_of_the_stack(
    llama: PreTrainedModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = written(parts_of(folders), tmp_path / "whole")
    stacked: Any = copy.deepcopy(llama)
    for name, weight in WEIGHTS.items():
        stacked = load_adapter(stacked, folders[name], weight=weight)
    combined = PeftModel.from_pretrained(copy.deepcopy(llama), str(whole)).eval()
    assert torch.allclose(logits(combined), logits(stacked), atol=1e-5)
    assert torch.allclose(logits(load_adapter(copy.deepcopy(llama), whole)), logits(stacked), atol=1e-5)
    assert (logits(stacked) - logits(llama)).abs().max() > 0.1


def test_it_is_what_pefts_own_concatenation_gives(llama: PreTrainedModel, tmp_path: Path) -> None:
    places = [saved(put_on(llama, seed, **KINDS["plain"]), tmp_path / str(seed)) for seed in (1, 2)]
    parts = [
        (layers_of(*reversed(read_adapter(place))), weight) for place, weight in zip(places, (0.5, 2), strict=True)
    ]
    theirs = PeftModel.from_pretrained(copy.deepcopy(llama), str(places[0]), adapter_name="a")
    theirs.load_adapter(str(places[1]), adapter_name="b")
    theirs.add_weighted_adapter(["a", "b"], [0.5, 2.0], "both", combination_type="cat")
    theirs.set_adapter("both")
    ours = PeftModel.from_pretrained(copy.deepcopy(llama), str(written(parts, tmp_path / "whole")))
    assert torch.allclose(logits(ours.eval()), logits(theirs.eval()), atol=1e-5)


def test_every_scale_is_one_and_r_is_the_largest_rank(folders: dict[str, Path], tmp_path: Path) -> None:
    config, tensors = read_adapter(written(parts_of(folders), tmp_path / "whole"))
    layers = layers_of(tensors, config)
    assert {layer.scale for layer in layers.values()} == {1.0}
    assert config["r"] == config["lora_alpha"] == max(layer.a.shape[0] for layer in layers.values()) == 9
    assert config["rank_pattern"] == config["alpha_pattern"] and config["base_model_name_or_path"] == "somewhere"


def test_transposed_layers_combine_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32)).eval()
    settings = {"r": 3, "lora_alpha": 4, "target_modules": ["c_attn"], "fan_in_fan_out": True}
    places = [saved(put_on(gpt2, seed, **settings), tmp_path / str(seed)) for seed in (1, 2)]
    parts = [
        (layers_of(*reversed(read_adapter(place))), weight) for place, weight in zip(places, (0.5, -2), strict=True)
    ]
    whole = written(parts, tmp_path / "whole", fan_in_fan_out=True)
    assert read_adapter(whole)[0]["fan_in_fan_out"] is True, "peft corrects it with a warning, others do not"
    stacked = load_adapter(load_adapter(copy.deepcopy(gpt2), places[0], weight=0.5), places[1], weight=-2)
    combined = PeftModel.from_pretrained(copy.deepcopy(gpt2), str(whole)).eval()
    assert torch.allclose(logits(combined), logits(stacked), atol=1e-5)


def test_one_adapter_keeps_its_weight_inside(llama: PreTrainedModel, folders: dict[str, Path], tmp_path: Path) -> None:
    layers = layers_of(*reversed(read_adapter(folders["plain"])))
    whole = written([(layers, -0.25)], tmp_path / "whole")
    wanted = logits(load_adapter(copy.deepcopy(llama), folders["plain"], weight=-0.25))
    assert torch.allclose(logits(load_adapter(copy.deepcopy(llama), whole)), wanted, atol=1e-6)


def test_half_precision_is_not_rounded_again() -> None:
    layer = Layer(torch.randn(4, 12).half(), torch.randn(9, 4).half(), 2.0)
    whole = combine([({"m": layer}, 0.3), ({"m": layer}, 0.11)])
    wanted = 2 * 0.41 * layer.b.double() @ layer.a.double()
    assert torch.allclose(whole["m"].b.double() @ whole["m"].a.double(), wanted, rtol=1e-5, atol=1e-6)


def test_deviation_sees_one_changed_value_and_a_module_too_few(folders: dict[str, Path]) -> None:
    parts = parts_of(folders)
    whole = combine(parts)
    assert deviation(whole, parts) < 1e-6
    name = next(iter(whole))
    changed = whole[name].b.clone()
    changed[0, 0] += 0.01
    assert deviation({**whole, name: Layer(whole[name].a, changed, 1.0)}, parts) > 1e-5
    assert deviation({k: v for k, v in whole.items() if k != name}, parts) == float("inf")
    assert deviation(combine([parts[0], (parts[0][0], -0.7)]), [parts[0], (parts[0][0], -0.7)]) < 1e-6


def test_widths_that_differ_and_ranks_too_high_are_refused() -> None:
    one = {"m": Layer(torch.ones(2, 6), torch.ones(5, 2), 1.0)}
    other = {"m": Layer(torch.ones(2, 7), torch.ones(5, 2), 1.0)}
    for refused in (lambda: combine([(one, 1), (other, 1)]), lambda: overlap(one, other)):
        with pytest.raises(ModelError, match="different widths"):
            refused()
    tall = {"m": Layer(torch.ones(4000, 2), torch.ones(2, 4000), 1.0)}
    with pytest.raises(ModelError, match="add up to 8000"):
        combine([(tall, 1), (tall, 1)])


def test_overlap_is_the_cosine_between_all_that_two_adapters_add(adapted: dict[str, PeftModel]) -> None:
    layers = {n: layers_of(adapter_tensors(m), json.loads(config_text(m))) for n, m in adapted.items()}
    names = list(adapted)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        one, other = dense(adapted[names[first]]), dense(adapted[names[second]])
        inner = sum(float((one[m] * other[m]).sum()) for m in one.keys() & other.keys())
        norms = [sum(float((d**2).sum()) for d in deltas.values()) ** 0.5 for deltas in (one, other)]
        assert overlap(layers[names[first]], layers[names[second]]) == pytest.approx(
            abs(inner) / norms[0] / norms[1], abs=1e-6
        )


def test_overlap_is_one_with_itself_at_any_weight_and_nothing_across() -> None:
    torch.manual_seed(0)
    one = {"m": Layer(torch.randn(3, 8), torch.randn(9, 3), 0.5), "n": Layer(torch.randn(3, 8), torch.randn(9, 3), 2.0)}
    assert overlap(one, one) == pytest.approx(1)
    assert overlap(one, combine([(one, -3.0)])) == pytest.approx(1)
    half = combine([({"m": one["m"]}, 1.0)])
    assert 0 < overlap(one, half) < 1, "what only one of them changes does not overlap"
    assert overlap({"m": one["m"]}, {"n": one["n"]}) == 0
    zero = {"m": Layer(torch.randn(3, 8), torch.zeros(9, 3), 1.0)}
    assert overlap(one, zero) == 0
    left, right = torch.eye(8)[:4], torch.eye(8)[4:]
    assert overlap({"m": Layer(left, torch.randn(9, 4), 1.0)}, {"m": Layer(right, torch.randn(9, 4), 1.0)}) == 0


def test_a_method_without_pairs_has_no_layers(llama: PreTrainedModel) -> None:
    model = get_peft_model(
        copy.deepcopy(llama), IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    )
    assert layers_of(adapter_tensors(model), json.loads(config_text(model))) == {}


def test_the_card_names_every_part_and_says_when_rank_was_cut_afterwards() -> None:
    part = {"name": "law", "weight": -0.5, "method": "lora", "rank": 4, "weights_sha256": "abc"}
    record = {
        "name": "both", "base": {"path": "models/x"}, "combined_from": [part, {**part, "name": "tax", "weight": 2.0}],
        "config": {"lora_rank": 8}, "libraries": {"lora-scripts": "0"}, "made": "2026-01-01T00:00:00",
    }  # fmt: skip
    said = combined_card(record)
    assert "| law | -0.5 | lora, rank 4 | `abc` |" in said and "| tax | 2 |" in said and "rounded away" in said
    assert "changed BA by 1.00%" in combined_card({**record, "shrunk_from": {"relative error": 0.01}})
