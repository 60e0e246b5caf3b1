"""Adapter files against stock peft, and files that must not be loaded."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from lora_scripts.adapters.files import (
    CONFIG_FILE,
    HEADER_KEY,
    LINKED_FILE,
    WEIGHTS_FILE,
    adapter_tensors,
    config_text,
    load_adapter,
    read_adapter,
    restore_adapter,
    write_adapter,
)
from lora_scripts.adapters.inject import inject
from lora_scripts.errors import ModelError
from lora_scripts.models.targets import find_targets

IDS = torch.tensor([[1, 40, 41, 42, 43, 44]])


def _base(llama: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def _adapter(llama: Path, folder: Path, seed: int = 0, rank: int = 4) -> torch.Tensor:
    """Write an adapter with random B and return its logits."""
    base = _base(llama)
    model = inject(base, targets=find_targets(base, None), rank=rank, alpha=8, dropout=0.1, base=str(llama), seed=seed)
    torch.manual_seed(seed + 100)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    folder.mkdir(exist_ok=True)
    write_adapter(folder, adapter_tensors(model), config_text(model))
    return _logits(model.eval())


def test_stock_peft_and_ours_load_the_folder_and_the_file_to_equal_logits(llama: Path, tmp_path: Path) -> None:
    ours = _adapter(llama, tmp_path)
    assert torch.equal(_logits(PeftModel.from_pretrained(_base(llama), str(tmp_path)).eval()), ours)
    assert torch.equal(_logits(load_adapter(_base(llama), tmp_path)), ours)
    assert torch.equal(_logits(load_adapter(_base(llama), tmp_path / LINKED_FILE)), ours)
    assert (ours - _logits(_base(llama))).abs().max() > 0.1


def test_a_weight_file_alone_is_enough(llama: Path, tmp_path: Path) -> None:
    ours = _adapter(llama, tmp_path / "a")
    alone = tmp_path / "moved.safetensors"
    alone.write_bytes((tmp_path / "a" / LINKED_FILE).read_bytes())
    assert torch.equal(_logits(load_adapter(_base(llama), alone)), ours)


def test_a_stack_is_the_weighted_sum_of_its_adapters(llama: Path, tmp_path: Path) -> None:
    for name, seed, rank in (("a", 0, 4), ("b", 1, 2)):
        _adapter(llama, tmp_path / name, seed, rank)
    stacked = load_adapter(load_adapter(_base(llama), tmp_path / "a", weight=0.7), tmp_path / "b", weight=-0.5)
    merged = _base(llama)
    for name, weight in (("a", 0.7), ("b", -0.5)):
        config, tensors = read_adapter(tmp_path / name)
        scale = weight * config["lora_alpha"] / config["r"]
        for key in (k for k in tensors if "lora_A" in k):
            module = merged.get_submodule(key.removeprefix("base_model.model.").removesuffix(".lora_A.weight"))
            module.weight.data += scale * tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
    assert torch.allclose(_logits(stacked), _logits(merged), atol=1e-3)


def test_the_same_adapter_makes_the_same_bytes(llama: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _adapter(llama, tmp_path / name)
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / WEIGHTS_FILE).read_bytes() == (tmp_path / "a" / LINKED_FILE).read_bytes()
    assert json.loads((tmp_path / "a" / CONFIG_FILE).read_text())["base_model_name_or_path"] == str(llama)


def test_an_adapter_with_a_value_that_is_not_finite_is_neither_written_nor_loaded(llama: Path, tmp_path: Path) -> None:
    _adapter(llama, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    name = next(iter(tensors))
    tensors[name][0, 0] = float("inf")
    (tmp_path / "new").mkdir()
    with pytest.raises(ModelError, match="not finite"):
        write_adapter(tmp_path / "new", tensors, "{}")
    assert not list((tmp_path / "new").iterdir())
    save_file(tensors, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="not finite"):
        load_adapter(_base(llama), tmp_path)


@pytest.mark.parametrize(
    "fault", ["half a pair", "foreign name", "wrong rank", "no place", "wrong width", "cut", "ia3"]
)
def test_an_adapter_that_cannot_be_bound_whole_is_refused(llama: Path, tmp_path: Path, fault: str) -> None:
    _adapter(llama, tmp_path)
    path = tmp_path / WEIGHTS_FILE
    tensors = load_file(path)
    a = next(k for k in tensors if "lora_A" in k)
    b = a.replace("lora_A", "lora_B")
    if fault == "half a pair":
        del tensors[b]
    elif fault == "foreign name":
        tensors["base_model.model.extra"] = tensors[a].clone()
    elif fault == "wrong rank":
        tensors[b] = torch.ones(tensors[b].shape[0], 3)
    elif fault == "no place":
        tensors = {k.replace("layers.0", "layers.77"): v for k, v in tensors.items()}
    elif fault == "wrong width":
        tensors[a] = torch.ones(4, 5)
    save_file(tensors, path)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    if fault == "ia3":
        (tmp_path / CONFIG_FILE).write_text('{"peft_type": "IA3"}')
    with pytest.raises(ModelError):
        load_adapter(_base(llama), tmp_path)


def test_a_pattern_in_a_foreign_config_is_not_run(llama: Path, tmp_path: Path) -> None:
    ours = _adapter(llama, tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "target_modules": "(a+)+$"}))
    assert torch.equal(_logits(load_adapter(_base(llama), tmp_path)), ours)


def test_a_pickle_is_not_read(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="pickle"):
        load_adapter(_base(llama), tmp_path)


def test_tensors_that_were_taken_out_go_back(llama: Path, tmp_path: Path) -> None:
    base = _base(llama)
    model = inject(base, targets=find_targets(base, None), rank=4, alpha=8, dropout=0, base="x", seed=0)
    wanted = {name: torch.randn_like(value) for name, value in adapter_tensors(model).items()}
    restore_adapter(model, wanted)
    assert all(torch.equal(wanted[k], v) for k, v in adapter_tensors(model).items())
    with pytest.raises(ModelError):
        restore_adapter(model, dict(list(wanted.items())[1:]))


def test_the_header_carries_the_config(llama: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    _adapter(llama, tmp_path)
    with safe_open(tmp_path / LINKED_FILE, "pt") as file:
        assert json.loads(file.metadata()[HEADER_KEY])["r"] == 4
