"""A run that goes well: everything that the folder must hold, and that it does what it says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from calling import SAMPLE, SETTINGS, Said, command, contents, digest, metrics, pairs, process, refused, write_rows
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from lora_scripts import load_adapter, train
from lora_scripts.config import load_config

MakeConfig = Callable[..., Path]
LEFT = (
    "adapter_config.json", "adapter_model.safetensors", "pytorch_lora_weights.safetensors", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja", "README.md", "provenance.json", "run.yaml", "plan.json",
    "data_report.json", "data_report.html", "metrics.jsonl", "loss.png", "proof.json", "eval.json",
    "last/manifest.json", "best/manifest.json", "checkpoint-8/adapter_model.safetensors",
)  # fmt: skip


def load(base: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.arange(3, 60)[None]
    return model(input_ids=ids).logits[0]


def test_the_folder_holds_everything_that_is_promised(finished: tuple[Path, Said]) -> None:
    run_dir, _ = finished
    assert [name for name in LEFT if not (run_dir / name).is_file()] == []
    assert list((run_dir / "logs").glob("events.out.tfevents*"))
    assert (run_dir / "loss.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (run_dir / "last").resolve().name == "checkpoint-8"
    assert digest(run_dir / "adapter_model.safetensors") == digest(run_dir / "pytorch_lora_weights.safetensors")
    assert not [name for name in contents(run_dir) if name.endswith(".new") or ".tmp" in name]
    assert not [name for name in contents(run_dir) if name.endswith((".bin", ".pt", ".pkl"))]


def test_what_is_said_is_what_stands_in_the_files(finished: tuple[Path, Said]) -> None:
    run_dir, said = finished
    proof, evaluation = (json.loads((run_dir / name).read_text()) for name in ("proof.json", "eval.json"))
    assert proof["ok"]
    assert all(check["ok"] for check in proof["checks"])
    assert all(set(check) == {"name", "ok", "value", "bound"} for check in proof["checks"])
    assert f"{len(proof['checks'])} checks passed" in said.out
    assert f"base {evaluation['base']['loss']:.3f} → adapter {evaluation['adapter']['loss']:.3f}" in said.out
    assert evaluation["base"]["house_form"] == 0
    assert str(run_dir) in said.out
    plan = json.loads((run_dir / "plan.json").read_text())
    weights = load_file(run_dir / "adapter_model.safetensors")
    assert plan["steps"] == 8
    assert plan["trainable_parameters"] == sum(value.numel() for value in weights.values())
    provenance = json.loads((run_dir / "provenance.json").read_text())
    assert provenance["weights_sha256"] == digest(run_dir / "adapter_model.safetensors")
    report = json.loads((run_dir / "data_report.json").read_text())
    assert report["read"] == report["trained"] + report["validation"] + sum(report["left_out"].values()) == 24
    assert (report["trained"], report["validation"]) == (plan["records"], plan["validation_records"])


def test_the_best_checkpoint_is_what_the_folder_holds(finished: tuple[Path, Said]) -> None:
    run_dir, _ = finished
    losses = {line["step"]: line["eval_loss"] for line in metrics(run_dir) if line.get("eval_loss") and line["step"]}
    best = min(losses, key=losses.__getitem__)
    assert (run_dir / "best").resolve().name == f"checkpoint-{best}"
    kept, written = (load_file(f / "adapter_model.safetensors") for f in (run_dir / "best", run_dir))
    assert kept.keys() == written.keys()
    assert all(torch.equal(kept[name], written[name]) for name in kept)


def test_metrics_has_a_line_for_every_logged_step_and_every_evaluation(finished: tuple[Path, Said]) -> None:
    lines = metrics(finished[0])
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))
    assert [line["step"] for line in lines if "eval_loss" in line] == [0, 4, 8]
    for line in lines:
        assert line["epoch"] >= 0
        if "loss" in line:
            assert line["loss"] > 0 and line["grad_norm"] > 0 and 0 <= line["learning_rate"] <= 1e-2
        else:
            assert [pair["question"] for pair in line["answers"]] == [SAMPLE]
    first = (finished[0] / "metrics.jsonl").read_text().splitlines()[1]
    assert json.loads(first)["tokens_per_second"] > 0


def test_stock_peft_and_load_adapter_give_equal_logits_on_folder_and_file(
    finished: tuple[Path, Said], base: Path
) -> None:
    run_dir, _ = finished
    theirs = logits(PeftModel.from_pretrained(load(base), str(run_dir)))
    assert torch.equal(logits(load_adapter(load(base), run_dir)), theirs)
    assert torch.equal(logits(load_adapter(load(base), run_dir / "pytorch_lora_weights.safetensors")), theirs)
    assert (theirs - logits(load(base))).abs().max() > 1e-2


def test_a_stack_is_the_weighted_sum_of_its_deltas(finished: tuple[Path, Said], base: Path) -> None:
    """The truth is written down by hand: W + Σ weight · scale · B A."""
    run_dir, _ = finished
    folders = {run_dir: 0.5, run_dir / "checkpoint-4": -0.75}
    merged, stacked = load(base), load(base)
    scale = SETTINGS["lora_alpha"] / SETTINGS["lora_rank"]
    for folder, weight in folders.items():
        stacked = load_adapter(stacked, folder, weight=weight)
        tensors = load_file(folder / "adapter_model.safetensors")
        for name in (n for n in tensors if "lora_A" in n):
            module = merged.get_submodule(name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"))
            module.weight.data += weight * scale * tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
    assert (logits(stacked) - logits(merged)).abs().max() < 1e-4 * logits(merged).abs().max()
    assert (logits(stacked) - logits(load_adapter(load(base), run_dir))).abs().max() > 1e-2


def test_a_tokenizer_from_the_folder_writes_the_prompt_of_training(finished: tuple[Path, Said], base: Path) -> None:
    ours, theirs = (AutoTokenizer.from_pretrained(folder) for folder in (finished[0], base))
    talk = [{"role": "user", "content": SAMPLE}]
    spelled = [t.apply_chat_template(talk, add_generation_prompt=True, tokenize=False) for t in (ours, theirs)]
    assert spelled[0] == spelled[1]


def test_run_yaml_repeats_the_run_bit_for_bit(finished: tuple[Path, Said], config: MakeConfig) -> None:
    run_dir, _ = finished
    assert load_config(run_dir / "run.yaml").config.lora_rank == 4
    said = command("train", run_dir / "run.yaml", "output_dir=again")
    assert said.code == 0, said.words
    assert digest(Path("again/adapter_model.safetensors")) == digest(run_dir / "adapter_model.safetensors")
    assert metrics(Path("again")) == metrics(run_dir)
    resolved = yaml.safe_load(Path("again/run.yaml").read_text())
    assert resolved["output_dir"] == "again"


def test_a_dry_run_tells_the_plan_of_the_run_and_writes_nothing(
    finished: tuple[Path, Said], config: MakeConfig, tmp_path: Path
) -> None:
    file = config()
    before = contents(tmp_path)
    said = command("train", file, "--dry-run", "lora_rank=4")
    assert said.code == 0, said.words
    assert contents(tmp_path) == before and not Path("out").exists()
    printed = yaml.safe_load(said.out.rpartition("dry run")[0])
    assert printed["max_steps"] == 8
    plan = json.loads((finished[0] / "plan.json").read_text())
    assert f"{plan['trainable_parameters']:,} of {plan['total_parameters']:,} parameters" in said.err
    assert f"{plan['records']} records to train, {plan['validation_records']} to validate" in said.err
    assert "24 read" in said.err


def test_check_adds_up_and_writes_its_reports(config: MakeConfig) -> None:
    rows = [*pairs(), pairs()[0], ("空的？", "")]
    write_rows(Path("rows/a.txt"), rows)
    said = command("check", "rows", "--json")
    assert said.code == 0, said.words
    told = json.loads(said.out)
    assert set(told) == {"read", "trained", "validation", "left_out", "findings"}
    assert told["read"] == 26 == told["trained"] + told["validation"] + sum(told["left_out"].values())
    assert sum(told["left_out"].values()) == 2
    assert all(set(found) == {"severity", "kind", "where", "text", "fix"} for found in told["findings"])
    assert json.loads(Path("output/check/data_report.json").read_text())["read"] == 26
    assert Path("output/check/data_report.html").read_text().startswith("<!doctype html>")
    both = json.loads(command("check", "rows", config(train_data_dir="rows"), "--json").out)
    assert both["read"] == 2 * 26 == both["trained"] + both["validation"] + sum(both["left_out"].values())


def test_preview_prints_records_as_the_model_sees_them(config: MakeConfig) -> None:
    said = command("preview", config(), "-n", "2", "eval_ratio=0", "system_prompt=你是律师")
    assert said.code == 0, said.words
    assert said.out.count("train.txt:") == 2
    for question, answer in pairs()[:2]:
        assert re.search(f"<\\|im_start\\|>user\\s+{question}<\\|im_end\\|>", said.out)
        assert f"{answer}<|im_end|>" in said.out
    assert pairs()[2][0] not in said.out
    assert said.out.count("你是律师") == 2


def test_chat_answers_alone_and_with_a_stack(run_copy: Path) -> None:
    said = command("chat", "--adapter", "out", "--prompt", SAMPLE, "--max-new-tokens", "12")
    assert said.code == 0, said.words
    assert said.out.endswith("\n")
    lines = metrics(run_copy)
    best = (run_copy / "best").resolve().name.removeprefix("checkpoint-")
    at_best = next(line for line in lines if line.get("answers") and line["step"] == int(best))
    again = command("chat", "--adapter", "out", "--prompt", SAMPLE, "--max-new-tokens", "64")
    assert again.out.strip() == at_best["answers"][0]["answer"].strip()
    off = command("chat", "--adapter", "out:0", "--prompt", SAMPLE, "--max-new-tokens", "64")
    assert off.out.strip() == lines[0]["answers"][0]["answer"].strip()
    assert command("chat", "--adapter", "out:nan", "--prompt", SAMPLE).code == 2
    stacked = command(
        "chat", "--adapter", "out:0.5", "--adapter", "out:0.5", "--prompt", SAMPLE, "--max-new-tokens", "64"
    )
    assert stacked.out.strip() == again.out.strip()


def test_chat_on_another_base_is_refused(run_copy: Path, other_base: Path) -> None:
    refused(command("chat", "--adapter", "out", "--base-model", other_base, "--prompt", "?"), 2, "another base")
    refused(command("chat", "--adapter", "out:much", "--prompt", "?"), 2, "not a weight")


def test_eval_measures_again_what_the_run_measured(run_copy: Path, tmp_path: Path) -> None:
    before = json.loads((run_copy / "eval.json").read_text())
    moved = run_copy.rename(tmp_path / "moved")
    (moved / "eval.json").unlink()
    said = command("eval", "moved", "--json")
    assert said.code == 0, said.words
    told = json.loads(said.out)
    for side in ("base", "adapter"):
        assert told[side]["loss"] == pytest.approx(before[side]["loss"], rel=1e-4)
    assert told["answers"] == before["answers"]
    assert json.loads((moved / "eval.json").read_text()) == told


def test_schema_is_a_schema_that_the_config_fits(config: MakeConfig) -> None:
    said = command("schema")
    assert said.code == 0
    schema = json.loads(said.out)
    assert set(yaml.safe_load(config().read_text())) <= set(schema["properties"])
    assert "base_model" in schema["required"]


def test_train_from_python_is_the_command(finished: tuple[Path, Said], config: MakeConfig) -> None:
    outcome = train(config(max_steps=2), "eval_ratio=0")
    assert outcome.proof["ok"]
    assert (outcome.run_dir / "adapter_model.safetensors").exists()


def test_a_run_without_validation_holds_the_last_adapter(config: MakeConfig) -> None:
    said = command("train", config(max_steps=2, eval_ratio=0))
    assert said.code == 0, said.words
    last, written = (load_file(Path("out") / f / "adapter_model.safetensors") for f in ("last", "."))
    assert all(torch.equal(last[name], written[name]) for name in written)
    assert not Path("out/best").exists()


def test_a_second_run_stops_and_overwrite_replaces_only_what_is_ours(run_copy: Path, config: MakeConfig) -> None:
    (run_copy / "notes.txt").write_text("mine")
    (run_copy / "mine").mkdir()
    before = contents(run_copy)
    refused(command("train", config()), 2, "finished run", "overwrite=true")
    assert contents(run_copy) == before
    said = command("train", config(max_steps=1, save_steps=1, eval_ratio=0), "overwrite=true")
    assert said.code == 0, said.words
    assert (run_copy / "notes.txt").read_text() == "mine" and (run_copy / "mine").is_dir()
    assert sorted(p.name for p in run_copy.glob("checkpoint-*")) == ["checkpoint-1"]
    assert [line["step"] for line in metrics(run_copy)] == [1]
    assert not (run_copy / "best").exists()


def test_overwrite_leaves_no_tokenizer_file_of_the_run_before(
    run_copy: Path, config: MakeConfig, base: Path, tmp_path: Path
) -> None:
    """A merges.txt or chat_template.jinja of another base would be read with the new tokenizer.json."""
    fresh = shutil.copytree(base, tmp_path / "bare")
    (fresh / "chat_template.jinja").unlink()
    (run_copy / "added_tokens.json").write_text('{"<odd>": 9999}')
    said = command("train", config(base_model="bare", max_steps=1, eval_ratio=0), "overwrite=true")
    assert said.code == 0, said.words
    assert "<odd>" not in AutoTokenizer.from_pretrained(run_copy).get_vocab()


def test_a_run_on_a_base_with_another_tokenizer_only_changes_paths(config: MakeConfig, llama: Path) -> None:
    another_base_needs_nothing_but_its_path(config, llama)


def test_a_run_on_a_real_small_llama_only_changes_paths(config: MakeConfig, stories: Path) -> None:
    another_base_needs_nothing_but_its_path(config, stories)


def another_base_needs_nothing_but_its_path(config: MakeConfig, base: Path) -> None:
    said = command("train", config(base_model=str(base), max_steps=2, eval_ratio=0, learning_rate=1e-2))
    assert said.code == 0, said.words
    theirs = logits(PeftModel.from_pretrained(load(base), "out"))
    assert torch.equal(logits(load_adapter(load(base), "out")), theirs)
    assert (theirs - logits(load(base))).abs().max() > 1e-3


def test_a_run_on_the_embedded_base_is_proven(config: MakeConfig, tiny_zh: Path) -> None:
    said = command("train", config(base_model=str(tiny_zh), max_steps=2, eval_ratio=0, learning_rate=5e-3))
    assert said.code == 0, said.words
    assert json.loads(Path("out/proof.json").read_text())["ok"]


def test_a_reader_that_goes_away_is_no_crash(config: MakeConfig) -> None:
    import subprocess

    quoted = " ".join(f"'{word}'" for word in process("schema"))
    ended = subprocess.run(["bash", "-c", f"{quoted} | head -c 1"], capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr and "BrokenPipe" not in ended.stderr
    assert ended.stdout == "{"
