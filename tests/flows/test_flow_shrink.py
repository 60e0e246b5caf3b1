"""A shrunk adapter is the nearest one of its rank, loads in stock peft, and its loss is the one that was told."""

import json
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from lora_scripts.adapters.files import adapter_tensors, config_text, read_adapter, write_adapter
from lora_scripts.assemble.adapters import inspect_adapter, rank_lines, shrink_adapter, shrink_lines
from lora_scripts.assemble.text.parts import gather
from lora_scripts.config import load_config
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.training.tasks import TextTask


def products(folder) -> dict[str, np.ndarray]:
    """scaling · BA of every layer."""
    config, tensors = read_adapter(folder)
    scaling = config["lora_alpha"] / config["r"]
    assert not config.get("alpha_pattern")
    return {
        name: scaling * (tensors[name.replace("lora_A", "lora_B")] @ tensors[name]).double().numpy()
        for name in tensors
        if "lora_A" in name
    }


def test_the_shrunk_adapter_is_the_nearest_of_its_rank_and_stock_peft_loads_it(finished, base, tmp_path):
    result = shrink_adapter(finished[0], tmp_path / "small", rank=2)
    whole, small = products(finished[0]), products(tmp_path / "small")
    lost, all_of_it, worst = 0.0, 0.0, 0.0
    for name, dense in whole.items():
        left, values, right = np.linalg.svd(dense)
        nearest = (left[:, :2] * values[:2]) @ right[:2]
        np.testing.assert_allclose(small[name], nearest, atol=1e-5 * abs(dense).max())
        lost, all_of_it = lost + (values[2:] ** 2).sum(), all_of_it + (values**2).sum()
        worst = max(worst, np.sqrt((values[2:] ** 2).sum() / (values**2).sum()))
    assert result.error == pytest.approx(np.sqrt(lost / all_of_it), rel=1e-3)
    assert result.worst[1] == pytest.approx(worst, rel=1e-3)
    assert (result.rank_before, result.rank_after) == (4, 2)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tmp_path / "small"))
    assert model.peft_config["default"].r == 2
    layer = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    np.testing.assert_allclose(layer.get_delta_weight("default").detach().numpy(), small[name], atol=1e-6)


def test_the_losses_told_are_those_of_the_files(finished, base, tmp_path):
    run, _ = finished
    result = shrink_adapter(run, tmp_path / "small", rank=1)
    known = json.loads((run / "eval.json").read_text())
    assert result.losses.note == ""
    assert result.losses.base == pytest.approx(known["base"]["loss"], rel=1e-5)
    assert result.losses.before == pytest.approx(known["adapter"]["loss"], rel=1e-5)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tmp_path / "small")).eval()
    held_out = gather(load_config(run / "run.yaml").config).rendered.validation
    total, count = TextTask(model.get_base_model(), [], flat=False).evaluate(held_out, 2)
    assert result.losses.after == pytest.approx(total / count, rel=1e-4)
    assert result.losses.after != pytest.approx(result.losses.before, rel=1e-4)
    told = "\n".join(shrink_lines(result))
    assert "rank 4 → 1" in told and f"after {result.losses.after:.4f}" in told and f"{result.error * 100:.2f} %" in told


def test_the_folder_says_where_it_came_from_and_can_be_talked_to(finished, tmp_path):
    run, _ = finished
    before = json.loads((run / "provenance.json").read_text())
    result = shrink_adapter(run, tmp_path / "small", rank=2)
    record = json.loads((tmp_path / "small" / "provenance.json").read_text())
    assert record["shrunk_from"]["weights_sha256"] == before["weights_sha256"] != record["weights_sha256"]
    assert record["shrunk_from"]["validation loss after"] == record["result"]["validation loss"] == result.losses.after
    assert record["base"] == before["base"] and record["config"]["lora_rank"] == 2
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "small" / name).read_bytes() == (run / name).read_bytes()
    assert "rank, alpha, dropout | 2, 4.0, 0.1" in (tmp_path / "small" / "README.md").read_text()
    assert not (tmp_path / "small" / "run.yaml").exists(), "a run of these settings would not make this adapter"
    assert [p.name for p in tmp_path.iterdir()] == ["small"]
    told = "\n".join(inspect_adapter(tmp_path / "small"))
    assert "lora on 14 layers" in told and "rank 2, alpha 4.0" in told and "which had rank 4" in told
    assert f"base: {before['base']['path']}" in told and "provenance.json speaks of" not in told


def test_energy_keeps_as_much_of_every_layer(finished, tmp_path):
    result = shrink_adapter(finished[0], tmp_path / "small", energy=0.9, measure=False)
    assert result.losses.before is None and "not measured" in "\n".join(shrink_lines(result))
    _, whole = read_adapter(finished[0])
    _, small = read_adapter(tmp_path / "small")
    kept = {name: value.shape[0] for name, value in small.items() if "lora_A" in name}
    assert len(set(kept.values())) > 1, "layers differ in what they need"
    for name, rank in kept.items():
        values = np.linalg.svd((whole[name.replace("lora_A", "lora_B")] @ whole[name]).double().numpy())[1]
        share = np.cumsum(values**2) / (values**2).sum()
        assert share[rank - 1] >= 0.9 > (share[rank - 2] if rank > 1 else 0.0)


def test_what_makes_no_sense_is_refused_and_nothing_is_written(finished, tmp_path):
    run, _ = finished
    for wanted, words in (
        ({"rank": 4}, "rank 4 and would stay as it is"),
        ({"rank": 0}, "would stay as it is"),
        ({}, "would stay as it is"),
        ({"energy": 1.5}, "between 0 and 1"),
    ):
        with pytest.raises(UsageError) as refused:
            shrink_adapter(run, tmp_path / "small", **wanted)
        assert words in str(refused.value)
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError) as refused:
        shrink_adapter(run, tmp_path / "there", rank=2)
    assert "nothing is overwritten" in str(refused.value)
    with pytest.raises(ModelError):
        shrink_adapter(tmp_path / "none", tmp_path / "small", rank=2)
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_without_data_it_shrinks_and_says_why_nothing_was_measured(run_copy, tmp_path):
    kept = (run_copy / "run.yaml").read_text()
    changed = "\n".join("train_data_dir: gone" if "train_data_dir" in line else line for line in kept.splitlines())
    (run_copy / "run.yaml").write_text(changed)
    result = shrink_adapter(run_copy, tmp_path / "small", rank=2)
    assert "gone" in result.losses.note and result.losses.after is None
    (run_copy / "run.yaml").unlink()
    (run_copy / "provenance.json").unlink()
    result = shrink_adapter(run_copy / "adapter_model.safetensors", tmp_path / "smaller", rank=1)
    assert "there is no run.yaml" in result.losses.note
    record = json.loads((tmp_path / "smaller" / "provenance.json").read_text())
    assert record["shrunk_from"]["rank"] == 4
    assert "which had rank 4" in "\n".join(inspect_adapter(tmp_path / "smaller"))


def test_losses_on_other_data_are_told_as_such(run_copy, tmp_path):
    record = json.loads((run_copy / "provenance.json").read_text())
    record["fingerprints"]["data"] = "sha256:other"
    (run_copy / "provenance.json").write_text(json.dumps(record))
    result = shrink_adapter(run_copy, tmp_path / "small", rank=2)
    assert "changed since: data" in result.losses.note and result.losses.after is not None
    assert result.losses.note in shrink_lines(result)


def adapter_of(base, folder, **settings):
    """A PEFT folder with random values, whose BA has rank 3 whatever r is."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings.pop("config"))
    tensors = adapter_tensors(model)
    torch.manual_seed(0)
    for name, value in tensors.items():
        if "lora_" in name and value.dim() == 2:
            tensors[name] = torch.randn_like(value)
            tensors[name][(slice(3, None),) if "lora_A" in name else (slice(None), slice(3, None))] = 0
    folder.mkdir()
    write_adapter(folder, tensors, config_text(model))
    return folder


def test_the_rank_that_is_used_is_told(base, tmp_path):
    config = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj"], use_rslora=True)
    folder = adapter_of(base, tmp_path / "a", config=config)
    told = inspect_adapter(folder)
    assert told[0] == "rslora on 4 layers: q_proj, v_proj" and "no provenance.json" in told[-1]
    lines = rank_lines(*reversed(read_adapter(folder)))
    assert [line.split()[0] for line in lines[:2]] == ["q_proj", "v_proj"]
    assert lines[2] == "rank 16 used about 3; 3 would hold 99 % of every layer" and "lora_rank: 4" in lines[3]
    assert all(line in told for line in lines)
    result = shrink_adapter(folder, tmp_path / "b", rank=3)
    assert result.error < 1e-6
    assert read_adapter(tmp_path / "b")[0]["lora_alpha"] == pytest.approx(32 / 4 * 3**0.5)


def test_a_method_without_rank_is_told_and_not_shrunk(base, tmp_path):
    from peft import IA3Config

    config = IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
    folder = adapter_of(base, tmp_path / "a", config=config)
    assert inspect_adapter(folder)[0] == "ia3 on 6 layers: down_proj, k_proj, v_proj"
    assert rank_lines(*reversed(read_adapter(folder))) == []
    with pytest.raises(UsageError) as refused:
        shrink_adapter(folder, tmp_path / "b", rank=2)
    assert "ia3 has no rank" in str(refused.value)


def test_a_failed_write_leaves_no_folder(finished, tmp_path, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        shrink_adapter(finished[0], tmp_path / "small", rank=2, measure=False)
    assert list(tmp_path.iterdir()) == []
