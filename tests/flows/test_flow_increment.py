"""A resume that knows what was meant: new records train on from earlier weights, what cannot go on is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import Killed, Said, command, contents, digest, metrics, refused, write_rows
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lora_scripts.training import loop

MakeConfig = Callable[..., Path]
NEW = [(f"第{n}号新问题怎么办？", f"依据《新规》第{n}条，应当在{n}日内办理。") for n in range(1, 13)]


@pytest.fixture
def grown(rows: Path, run_copy: Path, config: MakeConfig, tmp_path: Path) -> MakeConfig:
    """A config over the rows of the finished run in ``out`` and twelve new ones."""
    folder = Path(shutil.copytree(rows, tmp_path / "grown"))
    write_rows(folder / "more.txt", NEW)

    def make(**changed: Any) -> Path:
        settings = {"train_data_dir": str(folder), "output_dir": "on", "resume_from_checkpoint": "out", "max_steps": 4}
        return config(**settings | changed)

    return make


def plan(folder: str = "on") -> dict[str, Any]:
    return dict(json.loads(Path(folder, "plan.json").read_text()))


def state(checkpoint: str) -> dict[str, Any]:
    return dict(json.loads(Path(checkpoint, "state.json").read_text()))


def test_only_new_records_are_trained_from_the_weights_as_they_were(grown: MakeConfig) -> None:
    said = command("train", grown(replay=0))
    assert said.code == 0, said.words
    assert "incremental: " in said.err
    assert plan()["records"] < len(NEW) + 1
    assert plan()["steps"] == 4 and metrics(Path("on"))[0]["step"] == 0
    before, after = (load_file(f"{folder}/adapter_model.safetensors") for folder in ("out", "on"))
    fresh = load_file("out/checkpoint-2/adapter_model.safetensors") if Path("out/checkpoint-2").exists() else {}
    apart = {name: float((after[name] - before[name]).norm() / before[name].norm()) for name in before}
    assert max(apart.values()) > 0 and min(apart.values()) < 0.5, "near the earlier weights, not a new start"
    assert not fresh or set(fresh) == set(before)


def test_replay_adds_its_share_of_the_earlier_records(grown: MakeConfig) -> None:
    command("train", grown(replay=0, output_dir="none"))
    command("train", grown(replay=1, output_dir="all"))
    trained = json.loads(Path("out/plan.json").read_text())["records"]
    assert plan("all")["records"] - plan("none")["records"] == trained


def test_forgetting_is_a_number_of_the_earlier_validation_records(grown: MakeConfig) -> None:
    said = command("train", grown())
    found = json.loads(Path("on/eval.json").read_text())["incremental"]
    old = found["validation"]["old"]
    assert old["records"] == json.loads(Path("out/plan.json").read_text())["validation_records"]
    best = state("out/best")["best_loss"]
    assert old["before"] == pytest.approx(best, rel=1e-5), "measured with the weights that the run started from"
    assert f"earlier validation records ({old['records']})" in said.out
    assert found["validation"]["new"]["after"] < found["validation"]["new"]["before"]


def test_no_earlier_record_validates_and_no_validated_one_is_trained(grown: MakeConfig) -> None:
    command("train", grown(replay=1))
    earlier, now = (load_file(f"{p}/last/documents.safetensors") for p in ("out", "on"))
    for side, other in (("training", "validation"), ("validation", "training")):
        assert set(earlier[side].tolist()) <= set(now[side].tolist())
        assert not set(earlier[side].tolist()) & set(now[other].tolist())


def test_new_files_alone_are_enough_since_the_earlier_ones_are_read_again(
    run_copy: Path, config: MakeConfig, tmp_path: Path
) -> None:
    write_rows(tmp_path / "only_new/more.txt", NEW)
    said = command(
        "train",
        config(train_data_dir="only_new", output_dir="on", resume_from_checkpoint="out", replay=0.5, max_steps=2),
    )
    assert said.code == 0, said.words
    assert json.loads(Path("on/eval.json").read_text())["incremental"]["replayed"] > 5


def test_new_files_alone_train_where_the_earlier_ones_are_gone_and_that_is_said(
    grown: MakeConfig, run_copy: Path, tmp_path: Path
) -> None:
    run_yaml = (run_copy / "run.yaml").read_text()
    place = next(line for line in run_yaml.splitlines() if line.startswith("train_data_dir:"))
    (run_copy / "run.yaml").write_text(run_yaml.replace(place, "train_data_dir: gone"))
    write_rows(tmp_path / "only_new/more.txt", NEW)
    said = command("train", grown(train_data_dir="only_new", max_steps=2))
    assert said.code == 0, said.words
    assert "could not be read again" in said.err and "cannot be replayed" in said.err


def test_auto_on_a_finished_run_with_new_records_sets_it_aside_and_trains_on(grown: MakeConfig, run_copy: Path) -> None:
    weights = digest(run_copy / "adapter_model.safetensors")
    said = command("train", grown(output_dir="out", resume_from_checkpoint="auto"))
    assert said.code == 0, said.words
    assert "incremental: " in said.err and "moved to out/earlier-1" in said.err
    assert digest(run_copy / "earlier-1/adapter_model.safetensors") == weights
    assert digest(run_copy / "adapter_model.safetensors") != weights
    again = command("train", grown(output_dir="out", resume_from_checkpoint="auto"))
    assert again.code == 0 and "finished already" in again.words, again.words
    assert not Path("out/earlier-2").exists()


def test_an_interrupted_incremental_run_goes_on_bit_for_bit(grown: MakeConfig) -> None:
    assert command("train", grown(output_dir="whole")).code == 0

    def killing(done: int, **settings: Any) -> float:
        if done == 3:
            raise Killed
        return rate_at(done, **settings)

    rate_at = loop.rate_at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "rate_at", killing)
        with pytest.raises(Killed):
            said = command("train", grown())
            raise AssertionError(said.words)
    said = command("train", grown())
    assert said.code == 0 and "on/checkpoint-2 (resume)" in said.err, said.words
    assert digest(Path("on/adapter_model.safetensors")) == digest(Path("whole/adapter_model.safetensors"))


def test_killed_between_setting_aside_and_its_first_checkpoint_it_starts_from_what_was_set_aside(
    grown: MakeConfig, run_copy: Path
) -> None:
    file = grown(output_dir="out", resume_from_checkpoint="auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "rate_at", lambda *a, **k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            command("train", file)
    assert not list(run_copy.glob("checkpoint-*"))
    said = command("train", file)
    assert said.code == 0 and "incremental: " in said.err and "out/earlier-1" in said.err, said.words


def test_another_base_rank_or_template_is_refused_with_the_difference(
    grown: MakeConfig, other_base: Path, run_copy: Path
) -> None:
    before = contents(run_copy)
    refused(command("train", grown(base_model=str(other_base))), 2, "base (sha256:", " → ")
    refused(command("train", grown(lora_rank=8)), 2, "lora_rank (4 → 8)")
    refused(command("train", grown(system_prompt="你是律师")), 2, "system_prompt")
    refused(command("train", grown(lora_rank=8, resume_from_checkpoint="out/checkpoint-8")), 2, "lora_rank (4 → 8)")
    assert contents(run_copy) == before and not Path("on/checkpoint-4").exists()


def test_a_finished_run_without_new_records_is_trained_again_from_its_weights_and_that_is_said(
    run_copy: Path, config: MakeConfig
) -> None:
    said = command("train", config(output_dir="on", resume_from_checkpoint="out", max_steps=2, learning_rate=1e-3))
    assert said.code == 0, said.words
    assert "no record is new" in said.err
    assert plan()["records"] == plan("out")["records"]


def test_any_peft_folder_gives_its_weights(config: MakeConfig, base: Path) -> None:
    torch.manual_seed(3)
    names = ["q_proj", "v_proj"]
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, lora_alpha=8, target_modules=names)
    )
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    model.save_pretrained("theirs")
    keys: dict[str, Any] = {"target_modules": names, "resume_from_checkpoint": "theirs", "max_steps": 1}
    said: Said = command("train", config(learning_rate=1e-6, **keys))
    assert said.code == 0, said.words
    assert "not on record" in said.err
    theirs, ours = load_file("theirs/adapter_model.safetensors"), load_file("out/adapter_model.safetensors")
    assert set(theirs) == set(ours)
    assert all(torch.allclose(theirs[name], ours[name], atol=1e-5) for name in theirs)
    refused(command("train", config(output_dir="o2", **keys | {"lora_rank": 8})), 2, "lora_rank (4 → 8)")
    refused(command("train", config(output_dir="o3", **keys | {"target_modules": "mlp"})), 2, "theirs")
    refused(command("train", config(output_dir="o4", resume_from_checkpoint="nowhere")), 2, "nowhere")
