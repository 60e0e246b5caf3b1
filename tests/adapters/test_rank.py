"""Effective rank and shrinking, against torch on the dense product and against peft on a model."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from torch import nn

from lora_scripts.adapters.files import adapter_tensors, config_text
from lora_scripts.adapters.rank import effective_ranks, shrink

SIZES = {"narrow": (6, 40), "wide": (40, 24), "other": (24, 24)}


class Net(nn.Module):
    """Three linear layers in a row; the first has fewer inputs than the adapter's rank."""

    def __init__(self) -> None:
        super().__init__()
        for name, (inner, outer) in SIZES.items():
            self.add_module(name, nn.Linear(inner, outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in SIZES:
            x = self.get_submodule(name)(x)
        return x


def _adapted(**settings: Any) -> PeftModel:
    torch.manual_seed(0)
    config = LoraConfig(**{"r": 8, "lora_alpha": 12, "target_modules": list(SIZES)} | settings)
    model = get_peft_model(Net(), config)
    falling = torch.logspace(0, -2, 8)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn_like(value) * falling[: value.shape[1]])
    return model.eval()


def _parts(model: PeftModel) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    return adapter_tensors(model), json.loads(config_text(model))


def _dense(model: PeftModel, module: str) -> torch.Tensor:
    """scaling · BA as peft makes it."""
    return model.base_model.model.get_submodule(module).get_delta_weight("default").detach()


def _reloaded(shrunk: Any) -> PeftModel:
    """A model of the same weights with the shrunk adapter, by stock peft."""
    torch.manual_seed(0)
    known = LoraConfig.from_peft_type(**shrunk.config)
    model = get_peft_model(Net(), known)
    kept = {name.replace(".weight", ".default.weight"): value for name, value in shrunk.tensors.items()}
    missing = model.load_state_dict(kept, strict=False)
    assert not missing.unexpected_keys
    return model.eval()


KINDS = [{}, {"use_rslora": True}, {"alpha_pattern": {"wide": 3}}, {"rank_pattern": {"other": 3}, "use_rslora": True}]


@pytest.mark.parametrize("settings", KINDS)
def test_ranks_are_those_of_the_dense_product(settings):
    model = _adapted(**settings)
    found = effective_ranks(*_parts(model))
    assert set(found) == set(SIZES)
    for module, seen in found.items():
        values = torch.linalg.svdvals(_dense(model, module).double())[: seen.rank]
        shares = values / values.sum()
        entropy = -sum(float(p) * math.log(float(p)) for p in shares if p > 1e-12)
        energy = (values**2).cumsum(0) / (values**2).sum()
        assert seen.rank == settings.get("rank_pattern", {}).get(module, 8)
        assert seen.effective == pytest.approx(math.exp(entropy), rel=1e-4)
        assert seen.holding == next(n for n, share in enumerate(energy, 1) if share >= 0.99)
        assert seen.norm == pytest.approx(float(_dense(model, module).norm()), rel=1e-5)


def test_effective_rank_of_equal_values_is_the_rank_and_of_one_value_is_one():
    config = {"lora_alpha": 4}
    eye = {"m.lora_A.weight": torch.eye(4, 9), "m.lora_B.weight": torch.eye(7, 4)}
    assert effective_ranks(eye, config)["m"].effective == pytest.approx(4)
    assert effective_ranks(eye, config)["m"].holding == 4
    one = {"m.lora_A.weight": torch.ones(4, 9), "m.lora_B.weight": torch.ones(7, 4)}
    assert effective_ranks(one, config)["m"].effective == pytest.approx(1, abs=1e-6)
    assert effective_ranks(one, config)["m"].holding == 1


def test_an_adapter_of_zeros_uses_no_rank():
    config = {"lora_alpha": 4}
    none = {"m.lora_A.weight": torch.ones(4, 9), "m.lora_B.weight": torch.zeros(7, 4)}
    seen = effective_ranks(none, config)["m"]
    assert (seen.effective, seen.holding, seen.norm) == (0, 0, 0)
    small = shrink(none, config, energy=0.9)
    assert small.ranks == {"m": 1} and small.errors == {"m": 0}


def test_a_method_without_pairs_has_no_rank():
    model = get_peft_model(Net(), IA3Config(target_modules=list(SIZES), feedforward_modules=[]))
    tensors = {name: value for name, value in model.state_dict().items() if "ia3" in name}
    assert tensors and effective_ranks(tensors, {"peft_type": "IA3"}) == {}


@pytest.mark.parametrize("settings", KINDS)
def test_a_shrunk_adapter_is_the_best_of_its_rank_and_loads_with_peft(settings):
    model = _adapted(**settings)
    shrunk = shrink(*_parts(model), rank=4)
    other = _reloaded(shrunk)
    for module in SIZES:
        dense, small = _dense(model, module), _dense(other, module)
        kept = min(4, settings.get("rank_pattern", {}).get(module, 8))
        u, s, v = torch.linalg.svd(dense.double(), full_matrices=False)
        best = (u[:, :kept] * s[:kept]) @ v[:kept]
        assert shrunk.ranks[module] == kept
        assert torch.allclose(small.double(), best, atol=1e-5 * float(s[0]))
        assert shrunk.errors[module] == pytest.approx(float((dense - small).norm() / dense.norm()), abs=1e-5)


def test_one_rank_for_all_needs_no_patterns():
    shrunk = shrink(*_parts(_adapted()), rank=2)
    assert (shrunk.config["r"], shrunk.config["lora_alpha"]) == (2, 3)
    assert shrunk.config["rank_pattern"] == shrunk.config["alpha_pattern"] == {}


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}])
def test_energy_gives_each_module_its_own_rank(settings):
    model = _adapted(**settings)
    tensors, config = _parts(model)
    shrunk = shrink(tensors, config, energy=0.99)
    assert shrunk.ranks == {module: seen.holding for module, seen in effective_ranks(tensors, config).items()}
    assert len(set(shrunk.ranks.values())) > 1, "the case must need a pattern"
    assert all(error <= 0.1 + 1e-9 for error in shrunk.errors.values())
    other, x = _reloaded(shrunk), torch.randn(5, SIZES["narrow"][0])
    assert [_dense(other, m).shape for m in SIZES] == [_dense(model, m).shape for m in SIZES]
    for module in SIZES:
        gap = (_dense(model, module) - _dense(other, module)).norm() / _dense(model, module).norm()
        assert float(gap) == pytest.approx(shrunk.errors[module], abs=1e-5)
    assert other(x).shape == model(x).shape
    assert shrunk.config["lora_alpha"] / (shrunk.config["r"] ** (0.5 if settings else 1)) == pytest.approx(
        12 / (8 ** (0.5 if settings else 1))
    )


def test_what_is_small_enough_stays_bit_for_bit():
    tensors, config = _parts(_adapted())
    shrunk = shrink(tensors, config, rank=8)
    assert all(torch.equal(tensors[name], shrunk.tensors[name]) for name in tensors)
    assert set(shrunk.errors.values()) == {0.0}


def test_magnitudes_of_dora_stay():
    model = _adapted(use_dora=True)
    tensors, config = _parts(model)
    shrunk = shrink(tensors, config, rank=3)
    magnitudes = [name for name in tensors if "magnitude" in name]
    assert len(magnitudes) == 3 and all(torch.equal(tensors[n], shrunk.tensors[n]) for n in magnitudes)
    assert all(v.shape[0] == 3 for n, v in shrunk.tensors.items() if "lora_A" in n)


def test_a_convolution_keeps_its_shape():
    a, b = torch.randn(4, 3, 3, 3), torch.randn(8, 4, 1, 1)
    tensors = {"c.lora_A.weight": a, "c.lora_B.weight": b}
    shrunk = shrink(tensors, {"lora_alpha": 4, "r": 4}, rank=2)
    assert shrunk.tensors["c.lora_A.weight"].shape == (2, 3, 3, 3)
    assert shrunk.tensors["c.lora_B.weight"].shape == (8, 2, 1, 1)
    values = torch.linalg.svdvals((b.flatten(1) @ a.flatten(1)).double())
    assert shrunk.errors["c"] == pytest.approx(float(values[2:].norm() / values.norm()), rel=1e-4)
