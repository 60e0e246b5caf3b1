"""`adapters combine`, `list` and `verify`: one folder that equals the stack, and what must not become one."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch
from calling import command, refused
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lora_scripts.adapters.files import adapter_tensors, config_text, load_adapter, write_adapter
from lora_scripts.assemble import combine as room
from lora_scripts.assemble.adapters import shrink_adapter
from lora_scripts.assemble.combine import combine_adapters, overlap_lines, read_part, weighed
from lora_scripts.assemble.serving.talk import open_chat
from lora_scripts.errors import ProofError, UsageError
from lora_scripts.evaluate.prove import Check
from lora_scripts.training.checkpoint import sha256_of

IDS = torch.tensor([[5, 40, 41, 42, 43, 44]])
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def small(finished, tmp_path) -> Path:
    """The finished run at rank 2: another adapter of the same base, with its provenance."""
    return shrink_adapter(finished[0], tmp_path / "small", rank=2, measure=False).folder


def foreign(base, folder, config) -> Path:
    """An adapter of another tool: random values, no provenance."""
    torch.manual_seed(7)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    model.peft_config["default"].base_model_name_or_path = str(base)
    folder.mkdir()
    write_adapter(folder, adapter_tensors(model), config_text(model))
    return folder


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_the_combined_folder_is_the_stack_in_stock_peft(finished, base, small, tmp_path):
    run, out = finished[0], tmp_path / "both"
    said = command("adapters", "combine", f"{run}:0.7", f"{small}:-0.4", out)
    assert said.code == 0, said.words
    assert "rank 6 on 14 modules" in said.out and "proven: stock peft's logits" in said.out
    assert "WARNING" in said.out and "overlap by" in said.out, "the second is the first at a lower rank"
    model = AutoModelForCausalLM.from_pretrained(base)
    stacked = load_adapter(load_adapter(model, run, weight=0.7), small, weight=-0.4)
    combined = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(out))
    assert torch.allclose(logits(combined), logits(stacked), atol=1e-4)
    assert (logits(combined) - logits(AutoModelForCausalLM.from_pretrained(base))).abs().max() > 0.05


def test_the_folder_says_what_it_was_made_of_and_can_be_used_like_any_other(finished, small, tmp_path):
    run, out = finished[0], tmp_path / "both"
    before = json.loads((run / "provenance.json").read_text())
    combine_adapters([f"{run}:0.7", f"{small}:-0.4"], out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both", "small"]
    record = json.loads((out / "provenance.json").read_text())
    parts = record["combined_from"]
    assert [part["weight"] for part in parts] == [0.7, -0.4] and [part["rank"] for part in parts] == [4, 2]
    assert [part["weights_sha256"] for part in parts] == [sha256_of(run / WEIGHTS), sha256_of(small / WEIGHTS)]
    assert record["base"] == before["base"] and record["weights_sha256"] == sha256_of(out / WEIGHTS)
    assert parts[0]["weights_sha256"] in (out / "README.md").read_text()
    proof = json.loads((out / "proof.json").read_text())
    assert proof["ok"] and [check["name"] for check in proof["checks"]] == ["stock_peft_logits_equal_the_stack"]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (run / name).read_bytes()
    assert command("adapters", "verify", out).code == 0
    told = command("adapters", "inspect", out).out
    assert f"combined from {run}, weight 0.7" in told and "weight -0.4" in told
    with closing(open_chat([str(out)], max_new_tokens=2)) as partner:
        assert partner.reply([("user", "加班费怎么算？")]) is not None
    shrunk = command("adapters", "shrink", out, tmp_path / "shrunk", "--rank", "3")
    assert shrunk.code == 0 and "Its rank was lowered afterwards" in (tmp_path / "shrunk" / "README.md").read_text()


def test_without_the_base_the_matrices_are_proven(finished, run_copy, tmp_path):
    record = json.loads((run_copy / "provenance.json").read_text())
    record["base"]["path"] = "gone/base"
    (run_copy / "provenance.json").write_text(json.dumps(record))
    result = combine_adapters([str(run_copy)], tmp_path / "one")
    assert result.signal is None and result.check.name == "matrices_equal_the_weighted_sum" and result.check.ok
    assert any("proven on the matrices instead" in note for note in result.notes)
    refused_base = command("adapters", "combine", run_copy, tmp_path / "two", "--base-model", "gone/base")
    refused(refused_base, 2, "gone/base")
    assert not (tmp_path / "two").exists()


def test_a_base_that_does_not_fit_into_memory_is_not_loaded(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    monkeypatch.setattr(room.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(room, "load_model", None)
    result = combine_adapters([str(finished[0])], tmp_path / "one")
    assert result.signal is None and any("not free" in note for note in result.notes)


def test_memory_that_runs_out_while_the_base_is_loaded_leaves_the_matrices_proven(finished, tmp_path, monkeypatch):
    def full(*words, **more):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(room, "load_model", full)
    result = combine_adapters([str(finished[0])], tmp_path / "one")
    assert result.signal is None and result.check.ok and any("not free" in note for note in result.notes)


def test_what_is_not_the_sum_is_not_kept(finished, tmp_path, monkeypatch):
    as_written = room.as_peft

    def bent(layers, **more):
        tensors, config = as_written(layers, **more)
        name = next(n for n in tensors if "lora_B" in n)
        return {**tensors, name: tensors[name] * 1.5}, config

    monkeypatch.setattr(room, "as_peft", bent)
    with pytest.raises(ProofError, match="not the sum"):
        combine_adapters([str(finished[0])], tmp_path / "one")
    monkeypatch.setattr(room, "_matrices", lambda *parts: Check("skipped", True, 0.0, 0.0))
    with pytest.raises(ProofError, match="not the sum"):
        combine_adapters([str(finished[0])], tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_folder(finished, tmp_path, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        combine_adapters([str(finished[0])], tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_of_another_base_is_refused(finished, run_copy, tmp_path):
    record = json.loads((run_copy / "provenance.json").read_text())
    record["base"] = {"path": "models/other", "fingerprint": "sha256:other"}
    (run_copy / "provenance.json").write_text(json.dumps(record))
    said = command("adapters", "combine", finished[0], f"{run_copy}:0.5", tmp_path / "both")
    refused(said, 2, "models/other", "their weights differ")
    assert not (tmp_path / "both").exists()


def test_an_adapter_without_provenance_is_said(finished, base, tmp_path):
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], task_type="CAUSAL_LM", use_rslora=True)
    other = foreign(base, tmp_path / "other", config)
    result = combine_adapters([str(finished[0]), f"{other}:2"], tmp_path / "both")
    assert any("no provenance.json" in note and "other" in note for note in result.notes)
    assert any("hardly overlap" in note for note in result.notes) and result.signal is not None
    assert json.loads((tmp_path / "both" / "provenance.json").read_text())["combined_from"][1]["method"] == "rslora"


def test_different_system_prompts_are_said(finished, run_copy, tmp_path):
    record = json.loads((run_copy / "provenance.json").read_text())
    record["config"]["system_prompt"] = "你是医生"
    (run_copy / "provenance.json").write_text(json.dumps(record))
    notes = combine_adapters([str(run_copy), str(finished[0])], tmp_path / "both").notes
    assert any("system_prompt" in note and str(run_copy) in note for note in notes)
    kept = json.loads((tmp_path / "both" / "provenance.json").read_text())["config"]["system_prompt"]
    assert kept == "你是医生"


def test_what_is_no_sum_or_no_weight_is_refused(finished, base, tmp_path):
    run = finished[0]
    dora = LoraConfig(r=2, target_modules=["q_proj"], use_dora=True, task_type="CAUSAL_LM")
    ia3 = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")
    for name, config in (("dora", dora), ("ia3", ia3)):
        folder = foreign(base, tmp_path / name, config)
        refused(command("adapters", "combine", run, folder, tmp_path / "out"), 2, f"{name} adapter", "not a sum")
    refused(command("adapters", "combine", f"{run}:much", tmp_path / "out"), 2, "much is not a weight")
    refused(command("adapters", "combine", f"{run}:0", tmp_path / "out"), 2, "0 is not a weight")
    refused(command("adapters", "combine", f"{run}:nan", tmp_path / "out"), 2, "nan is not a weight")
    refused(command("adapters", "combine", run), 2, "a new folder")
    refused(command("adapters", "combine", run, tmp_path / "dora"), 2, "nothing is overwritten")
    refused(command("adapters", "combine", tmp_path / "none", tmp_path / "out"), 2, "no adapter")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dora", "ia3"]


def test_weights_are_read_and_a_colon_in_a_name_is_a_name(tmp_path):
    (tmp_path / "a:2").mkdir()
    assert weighed(f"{tmp_path}/a:2") == (tmp_path / "a:2", 1.0)
    assert weighed(f"{tmp_path}/b:-2.5") == (tmp_path / "b", -2.5)
    with pytest.raises(UsageError):
        weighed("x:inf")


def test_overlap_is_told_for_pairs_only(finished, small):
    parts = [read_part(finished[0]), read_part(small)]
    assert overlap_lines(parts[:1]) == []
    assert len(overlap_lines([*parts, parts[0]])) == 3


def test_a_stack_with_dora_is_measured_and_ia3_has_no_directions(finished, base, tmp_path):
    dora = LoraConfig(r=2, target_modules=["q_proj"], use_dora=True, task_type="CAUSAL_LM")
    ia3 = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")
    parts = [read_part(foreign(base, tmp_path / name, c)) for name, c in (("dora", dora), ("ia3", ia3))]
    lines = overlap_lines([read_part(finished[0]), *parts])
    assert len(lines) == 1 and "dora" in lines[0] and "ia3" not in lines[0]
    assert "WARNING" in overlap_lines([parts[0], parts[0]])[0]


# list


def test_adapters_are_listed_and_broken_ones_named_with_why(finished, small, tmp_path):
    shutil.copytree(finished[0], tmp_path / "deep" / "run", symlinks=True)
    shutil.copytree(small, tmp_path / "broken")
    (tmp_path / "broken" / WEIGHTS).write_bytes(b"nothing")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "adapter_model.bin").write_bytes(b"\x80")
    (tmp_path / "no adapter").mkdir()
    said = command("adapters", "list", tmp_path)
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].startswith("broken: CANNOT BE USED: the adapter cannot be read")
    assert lines[1].startswith("deep/run: lora, rank 4, ") and "tiny-random" in lines[1] and "made 20" in lines[1]
    assert lines[2].startswith("pickled: CANNOT BE USED: adapter_model.bin is a pickle")
    assert lines[3].startswith("small: lora, rank 2")
    count = len(list((tmp_path / "deep" / "run").glob("checkpoint-*")))
    assert count and lines[4:] == [f"{count} checkpoints are not listed"]
    as_json = json.loads(command("adapters", "list", tmp_path, "--json").out)
    assert [one["name"] for one in as_json] == ["broken", "deep/run", "pickled", "small"]
    assert as_json[1]["size"] == (finished[0] / WEIGHTS).stat().st_size and as_json[0]["fault"]


def test_an_empty_folder_and_none_at_all_are_told(tmp_path):
    assert "no adapter below" in command("adapters", "list", tmp_path).out
    refused(command("adapters", "list", tmp_path / "none"), 2, "no such folder")


# verify


def test_a_finished_run_is_verified_down_to_its_base(finished):
    said = command("adapters", "verify", finished[0])
    assert said.code == 0 and "28 tensors, every value finite" in said.out
    assert "the weights are those of provenance.json" in said.out and "is the base that it was trained on" in said.out
    assert said.out.splitlines()[-1] == "nothing is wrong with it"


def test_every_problem_is_told_and_the_command_ends_with_one(run_copy, other_base):
    path = run_copy / WEIGHTS
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(bytes(raw))
    settings = json.loads((run_copy / "adapter_config.json").read_text())
    (run_copy / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 99}))
    (run_copy / "proof.json").write_text('{"ok": false, "checks": []}')
    (run_copy / "pytorch_lora_weights.safetensors").unlink()
    (run_copy / "pytorch_lora_weights.safetensors").write_bytes(b"other")
    said = command("adapters", "verify", run_copy, "--base-model", other_base)
    assert said.code == 1
    for words in (
        "weights changed since provenance.json",
        "other values than these: lora_alpha",
        "does not say that the adapter was proven",
        "not the same as adapter_model.safetensors",
        "on another base than",
    ):
        assert words in said.err
    assert "nothing is wrong" not in said.out


def test_a_value_that_is_not_finite_is_a_problem(run_copy):
    tensors = load_file(run_copy / WEIGHTS)
    next(iter(tensors.values()))[0, 0] = float("nan")
    (run_copy / WEIGHTS).unlink()
    save_file(tensors, run_copy / WEIGHTS)
    said = command("adapters", "verify", run_copy)
    assert said.code == 1 and "not finite" in said.err


def test_what_cannot_be_checked_is_said(run_copy, base, tmp_path):
    record = json.loads((run_copy / "provenance.json").read_text())
    record["base"]["path"] = "gone/base"
    (run_copy / "provenance.json").write_text(json.dumps(record))
    said = command("adapters", "verify", run_copy)
    assert said.code == 0 and "gone/base was not compared" in said.out
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    said = command("adapters", "verify", foreign(base, tmp_path / "other", config))
    assert said.code == 0 and "a change would not be seen" in said.out and "not on record" in said.out
    refused(command("adapters", "verify", tmp_path / "none"), 2, "no adapter")
