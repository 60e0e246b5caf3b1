"""Each method against stock peft and against weights merged by hand; what cannot be weighed or stacked is refused."""

import copy
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from lora_scripts.adapters.files import (
    CONFIG_FILE,
    LINKED_FILE,
    WEIGHTS_FILE,
    adapter_tensors,
    config_text,
    load_adapter,
    read_adapter,
    restore_adapter,
    write_adapter,
)
from lora_scripts.adapters.inject import METHODS, inject, output_side, trainable
from lora_scripts.errors import ModelError
from lora_scripts.models.targets import find_targets, in_mlp

IDS = torch.tensor([[1, 40, 41, 42, 43, 44]])
PREFIX = "base_model.model."


def base_of(kind: str, llama: Path) -> PreTrainedModel:
    return copy.deepcopy(loaded(kind, llama))


@cache
def loaded(kind: str, llama: Path) -> PreTrainedModel:
    if kind == "llama":
        return AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32)).eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def put_in(model: PreTrainedModel, method: str, seed: int = 0, rank: int = 4) -> PeftModel:
    targets = find_targets(model, "all-linear")
    return inject(
        model, method=method, targets=targets, feedforward=in_mlp(targets), rank=rank, alpha=8, dropout=0.1, base="x",
        seed=seed,
    )  # fmt: skip


def trained(model: PeftModel, seed: int = 0) -> PeftModel:
    torch.manual_seed(seed)
    for parameter in trainable(model):
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def saved(kind: str, llama: Path, method: str, folder: Path, seed: int = 0, rank: int = 4) -> torch.Tensor:
    model = trained(put_in(base_of(kind, llama), method, seed, rank), seed)
    folder.mkdir(exist_ok=True)
    write_adapter(folder, adapter_tensors(model), config_text(model))
    return logits(model)


def merged_logits(base: PreTrainedModel, folder: Path) -> torch.Tensor:
    """By the formulas of the papers, on the weights themselves."""
    config, tensors = read_adapter(folder)
    for key in [k for k in tensors if "lora_A" in k]:
        layer = base.get_submodule(key.removeprefix(PREFIX).removesuffix(".lora_A.weight"))
        scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
        weight = layer.weight + scale * tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
        if config["use_dora"]:
            magnitude = tensors[key.replace("lora_A.weight", "lora_magnitude_vector")]
            weight = magnitude[:, None] * weight / weight.norm(dim=1, keepdim=True)
        layer.weight.data = weight.detach()
    for key in [k for k in tensors if k.endswith("ia3_l")]:
        base.get_submodule(key.removeprefix(PREFIX).removesuffix(".ia3_l")).weight.data *= tensors[key]
    return logits(base)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("method", METHODS)
def test_a_fresh_adapter_is_the_identity_and_stock_peft_loads_the_trained_one(
    kind: str, method: str, llama: Path, tmp_path: Path
) -> None:
    bare = logits(base_of(kind, llama))
    fresh = put_in(base_of(kind, llama), method)
    assert torch.allclose(logits(fresh.eval()), bare, atol=1e-4)
    assert all(("ia3" if method == "ia3" else "lora") in name for name in adapter_tensors(fresh))
    ours = saved(kind, llama, method, tmp_path)
    assert (ours - bare).abs().max() > 0.005
    stock = PeftModel.from_pretrained(base_of(kind, llama), str(tmp_path)).eval()
    assert torch.equal(logits(stock), ours)
    for place in (tmp_path, tmp_path / LINKED_FILE):
        assert torch.equal(logits(load_adapter(base_of(kind, llama), place)), ours)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_what_its_paper_says(method: str, llama: Path, tmp_path: Path) -> None:
    ours = saved("llama", llama, method, tmp_path)
    assert torch.allclose(merged_logits(base_of("llama", llama), tmp_path), ours, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_tensors_go_out_and_in_again(method: str, llama: Path, tmp_path: Path) -> None:
    ours = saved("llama", llama, method, tmp_path)
    again = put_in(base_of("llama", llama), method, seed=5)
    before = trainable(again)
    restore_adapter(again, load_file(tmp_path / WEIGHTS_FILE))
    assert torch.equal(logits(again.eval()), ours)
    assert all(a is b for a, b in zip(before, trainable(again), strict=True))


def test_what_lora_plus_moves_faster_is_what_peft_puts_into_its_group_b(llama: Path) -> None:
    from peft.optimizers import create_loraplus_optimizer

    for method, count in (("lora", 1), ("dora", 2), ("ia3", 0)):
        model = put_in(base_of("llama", llama), method)
        theirs = create_loraplus_optimizer(model, torch.optim.AdamW, lr=1.0, loraplus_lr_ratio=16.0)
        expected = {id(p) for group in theirs.param_groups if group["lr"] == 16 for p in group["params"]}
        assert {id(p) for p in output_side(model)} == expected
        assert len(expected) == count * len(find_targets(base_of("llama", llama), "all-linear"))


# folders of other tools


def foreign(llama: Path, folder: Path, config: LoraConfig | IA3Config) -> torch.Tensor:
    model = trained(get_peft_model(base_of("llama", llama), config))
    model.save_pretrained(str(folder))
    return logits(model)


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_ranks_and_alphas_by_module_are_read_as_peft_reads_them(
    more: dict[str, bool], llama: Path, tmp_path: Path
) -> None:
    config = LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=r".*\.(q|v|down)_proj",
        rank_pattern={"v_proj": 2, "layers.0.self_attn.q_proj": 3},
        alpha_pattern={r"^model\.layers\.1\.self_attn\.q_proj": 20, "v_proj": 5},
        **more,
    )
    theirs = foreign(llama, tmp_path, config)
    assert torch.allclose(logits(load_adapter(base_of("llama", llama), tmp_path)), theirs, atol=1e-5)


def test_a_pattern_of_ia3_is_not_needed(llama: Path, tmp_path: Path) -> None:
    config = IA3Config(target_modules=r".*\.(k|v|down)_proj", feedforward_modules=r".*\.down_proj")
    theirs = foreign(llama, tmp_path, config)
    path = tmp_path / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "feedforward_modules": "(a+)+$"}))
    assert torch.equal(logits(load_adapter(base_of("llama", llama), tmp_path)), theirs)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"alpha_pattern": {"(a+)+$": 4}}, "pattern"),
        ({"alpha_pattern": [1]}, "cannot be read"),
        ({"alpha_pattern": 3}, "cannot be read"),
        ({"r": "8"}, "cannot be read"),
        ({"lora_alpha": float("nan")}, "cannot be read"),
        ({"r": 5}, "has rank 4"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa"),
        ({"use_dora": True}, "whole adapter"),
        ({"peft_type": "LOKR"}, "LOKR"),
        ({"peft_type": "IA3"}, "whole adapter"),
    ],
)
def test_a_config_that_means_more_than_its_tensors_is_refused(
    changed: dict[str, object], says: str, llama: Path, tmp_path: Path
) -> None:
    saved("llama", llama, "lora", tmp_path)
    path = tmp_path / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(ModelError, match=says):
        read_adapter(tmp_path)


@pytest.mark.parametrize(
    ("method", "part", "shape"),
    [
        ("dora", "lora_magnitude_vector", (3,)),
        ("ia3", "ia3_l", (2, 2)),
        ("ia3", "ia3_l", (7,)),
        ("lora", "lora_A", (4,)),
    ],
)
def test_a_tensor_of_another_shape_is_refused(
    method: str, part: str, shape: tuple[int, ...], llama: Path, tmp_path: Path
) -> None:
    saved("llama", llama, method, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    tensors[next(k for k in tensors if part in k)] = torch.ones(shape)
    save_file(tensors, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="whole adapter"):
        load_adapter(base_of("llama", llama), tmp_path)


# weights and stacks


def test_a_weighed_ia3_goes_that_part_of_the_way(llama: Path, tmp_path: Path) -> None:
    saved("llama", llama, "ia3", tmp_path)
    weighed = logits(load_adapter(base_of("llama", llama), tmp_path, weight=0.3))
    (tmp_path / "part").mkdir()
    tensors = {k: 0.7 * torch.ones_like(v) + 0.3 * v for k, v in load_file(tmp_path / WEIGHTS_FILE).items()}
    write_adapter(tmp_path / "part", tensors, (tmp_path / CONFIG_FILE).read_text())
    assert torch.allclose(weighed, merged_logits(base_of("llama", llama), tmp_path / "part"), atol=1e-3)


def test_a_stack_of_ia3_multiplies_by_each(llama: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        saved("llama", llama, "ia3", tmp_path / str(seed), seed)
    stacked = load_adapter(load_adapter(base_of("llama", llama), tmp_path / "0"), tmp_path / "1")
    base = base_of("llama", llama)
    merged_logits(base, tmp_path / "0")
    assert torch.allclose(logits(stacked), merged_logits(base, tmp_path / "1"), atol=1e-3)


def test_lora_on_top_of_dora_is_the_sum_and_dora_on_top_is_refused(llama: Path, tmp_path: Path) -> None:
    for seed, method in enumerate(("dora", "lora")):
        saved("llama", llama, method, tmp_path / method, seed)
    stacked = load_adapter(load_adapter(base_of("llama", llama), tmp_path / "dora"), tmp_path / "lora")
    base = base_of("llama", llama)
    merged_logits(base, tmp_path / "dora")
    assert torch.allclose(logits(stacked), merged_logits(base, tmp_path / "lora"), atol=1e-3)
    for first in ("dora", "lora"):
        with pytest.raises(ModelError, match="only be the first"):
            load_adapter(load_adapter(base_of("llama", llama), tmp_path / first), tmp_path / "dora")


def test_dora_has_no_weight_and_kinds_are_not_mixed(llama: Path, tmp_path: Path) -> None:
    for method in ("dora", "ia3", "lora"):
        saved("llama", llama, method, tmp_path / method)
    with pytest.raises(ModelError, match=r"cannot count for 0\.5"):
        load_adapter(base_of("llama", llama), tmp_path / "dora", weight=0.5)
    with pytest.raises(ModelError, match="IA3, LORA"):
        load_adapter(load_adapter(base_of("llama", llama), tmp_path / "lora"), tmp_path / "ia3")
