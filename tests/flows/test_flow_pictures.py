"""A folder of pictures to a style that draws, through the commands: what a run leaves, resumes, refuses, converts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calling import Killed, Said, command, contents, digest, metrics, refused, write_config
from diffusers import DiffusionPipeline
from photos import write_photos
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from single_file import single_file
from tiny_pipelines import tiny_pipeline

import lora_scripts.assemble.pictures.parts as parts_room
from lora_scripts.assemble import run as run_room
from lora_scripts.config.picture_keys import PictureKeys
from lora_scripts.data.pictures.aigc_label import read_label
from lora_scripts.data.pictures.metadata import write_table
from lora_scripts.models import diffusion
from lora_scripts.training import loop

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from tiny_shapes import COLOURS, SHAPES, Scene, draw

SETTINGS: dict[str, Any] = {
    "task_type": "image-generation", "lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1, "batch_size": 2,
    "gradient_accumulation_steps": 2, "max_steps": 6, "learning_rate": 1e-2, "save_steps": 2, "eval_steps": 3,
    "eval_ratio": 0.2, "log_steps": 1, "device": "cpu", "resolution": 16, "trigger_word": "sks", "flip": True,
    "caption_dropout": 0.2, "sample_prompts": ["a red circle"],
}  # fmt: skip
Make = Callable[..., Path]
TINY_ZH = Path(__file__).parents[2] / "models" / "tiny-zh"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Pipelines ``sd`` and ``sdxl`` of random weights, and twelve pictures of shapes in three proportions."""
    root = tmp_path_factory.mktemp("studio")
    for kind in ("sd", "sdxl"):
        tiny_pipeline(kind).save_pretrained(root / kind)
    (root / "pictures").mkdir()
    rows = []
    for i, (colour, shape) in enumerate(zip([*COLOURS, *COLOURS], [*SHAPES[::-1], *SHAPES], strict=True)):
        if i < 12:
            scene = Scene(colour, shape)
            picture = draw(scene, 64).resize([(64, 64), (96, 48), (48, 96)][i % 3])
            picture.save(root / "pictures" / f"{i:02d}.png")
            rows.append((f"{i:02d}.png", scene.caption()))
    write_table(root / "pictures" / "metadata.csv", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_SCRIPTS_CACHE", str(root / "cache"))
        yield root


@pytest.fixture
def config(studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write a config into a fresh working directory, with some keys changed; the run goes to ``out``."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "config.yaml", **changed: Any) -> Path:
        paths = {"train_data_dir": str(studio / "pictures"), "base_model": str(studio / "sd"), "output_dir": "out"}
        return write_config(tmp_path / name, paths | SETTINGS | changed)

    return make


@pytest.fixture(scope="module")
def trained(studio: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run that many tests look at."""
    folder = tmp_path_factory.mktemp("trained")
    paths = {"train_data_dir": str(studio / "pictures"), "base_model": str(studio / "sd")}
    file = write_config(folder / "config.yaml", paths | SETTINGS | {"output_dir": str(folder / "out")})
    done = command("train", file)
    assert done.code == 0, done.words
    return folder / "out"


def stock(base: Path, adapter: Path | None = None) -> Any:
    pipe = DiffusionPipeline.from_pretrained(base, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    if adapter:
        pipe.load_lora_weights(str(adapter))
    return pipe


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def drawn(pipe: Any, prompt: str, seed: int, **more: Any) -> Any:
    settings = {"num_inference_steps": 3, "guidance_scale": 5.0} | more
    return np.asarray(pipe(prompt, generator=torch.Generator().manual_seed(seed), **settings).images[0])


def test_a_run_leaves_a_file_that_stock_diffusers_draws_with_bit_for_bit_as_we_do(studio, trained, tmp_path):
    proof = json.loads((trained / "proof.json").read_text())
    assert proof["ok"]
    assert {c["name"] for c in proof["checks"]} >= {"stock_diffusers_denoises_as_ours", "merged_equals_adapter"}
    words = ["--prompt", "sks, a red circle", "--steps", 3, "--seed", 5, "--output", tmp_path]
    done = command("generate", "--adapter", trained, *words)
    assert done.code == 0, done.words
    (ours,) = tmp_path.glob("*.png")
    with_it, without = stock(studio / "sd", trained), stock(studio / "sd")
    theirs = drawn(with_it, "sks, a red circle", 5)
    assert np.array_equal(pixels(ours), theirs)
    bare = drawn(without, "sks, a red circle", 5)
    assert not np.array_equal(theirs, bare)
    with_it.unload_lora_weights()
    assert np.array_equal(drawn(with_it, "sks, a red circle", 5), bare)


def test_a_run_leaves_what_the_contract_names(trained):
    for name in ("pytorch_lora_weights.safetensors", "README.md", "provenance.json", "run.yaml", "plan.json",
                 "data_report.json", "data_report.html", "metrics.jsonl", "loss.png", "proof.json", "eval.json",
                 "samples/base-and-adapter.png", "samples/prompts.txt", "samples/step-000006.png"):  # fmt: skip
        assert (trained / name).is_file(), name
    with safe_open(trained / "pytorch_lora_weights.safetensors", "pt") as file:
        told = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (told["unet.r"], told["unet.lora_alpha"]) == (4, 8)
    lines = metrics(trained)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert '"pictures_per_second": ' in (trained / "metrics.jsonl").read_text()
    assert [line["step"] for line in lines if "eval_loss" in line] == [0, 3, 6]
    plan = json.loads((trained / "plan.json").read_text())
    assert plan["buckets"] and plan["predicted_peak_bytes"] > 0
    report = json.loads((trained / "data_report.json").read_text())
    assert report["read"] == 12 == report["trained"] + report["validation"]


MUCH = {"train_text_encoder": True, "text_encoder_learning_rate": 1e-3, "snr_gamma": 5, "noise_offset": 0.05,
        "shuffle_tags": True, "keep_tags": 1, "method": "dora", "target_modules": "attention, conv1"}  # fmt: skip


@pytest.mark.parametrize("changed", [{}, pytest.param(MUCH, marks=pytest.mark.slow)], ids=["plain", "all at once"])
def test_a_resumed_run_equals_an_unbroken_one(config, changed):
    assert command("train", config(output_dir="whole", **changed)).code == 0
    for step in (3, 5):
        killed_at(step, config(**changed), "resume_from_checkpoint=auto")
    done = command("train", config(**changed), "resume_from_checkpoint=auto")
    assert done.code == 0, done.words
    assert "checkpoint-4 (resume)" in done.err
    weights = "pytorch_lora_weights.safetensors"
    assert digest(Path("out", weights)) == digest(Path("whole", weights))
    assert contents(Path("out/checkpoint-6")) == contents(Path("whole/checkpoint-6"))
    assert metrics(Path("out")) == metrics(Path("whole"))
    assert digest(Path("out/samples/base-and-adapter.png")) == digest(Path("whole/samples/base-and-adapter.png"))


def killed_at(step: int, *words: object) -> None:
    """Run the command, which ends like a killed process in the middle of ``step``."""
    rate_at = loop.rate_at

    def acting(done: int, **settings: object) -> float:
        if done + 1 == step:
            raise Killed
        return rate_at(done, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "rate_at", acting)
        with pytest.raises(Killed):
            command("train", *words)


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_files_finishes(config, monkeypatch):
    def kill(*given: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run_room, "finish_pictures", kill)
        with pytest.raises(Killed):
            command("train", config())
    done = command("train", config(), "resume_from_checkpoint=auto")
    assert done.code == 0, done.words
    assert json.loads(Path("out/proof.json").read_text())["ok"]
    assert "finished already" in command("train", config(), "resume_from_checkpoint=auto").out


def test_a_second_start_needs_neither_vae_nor_text_encoder(config, monkeypatch):
    plain = {"eval_ratio": 0, "max_steps": 1, "eval_steps": None, "sample_prompts": None}
    assert command("train", config(**plain)).code == 0
    real, loaded = diffusion.load_picture_parts, []

    def noted(base: Any, names: Any, **more: Any) -> Any:
        loaded.extend(names)
        return real(base, names, **more)

    def stop(*given: object) -> None:
        raise Killed

    monkeypatch.setattr(parts_room, "load_picture_parts", noted)
    monkeypatch.setattr(run_room, "finish_pictures", stop)
    with pytest.raises(Killed):
        command("train", config(output_dir="again", **plain))
    assert loaded == ["unet"]


def test_other_pictures_stop_a_resumed_run(config, studio):
    killed_at(3, config())
    other = Path("others")
    shutil.copytree(studio / "pictures", other)
    (other / "00.png").unlink()
    refused(command("train", config(train_data_dir=str(other)), "resume_from_checkpoint=auto"), 2, "data")
    refused(command("train", config(trigger_word="ink"), "resume_from_checkpoint=auto"), 2, "trigger_word (", "ink")
    refused(command("train", config(resume_from_checkpoint=str(studio))), 2, "own checkpoints")


PLAIN = {"max_steps": 2, "save_steps": 2, "eval_steps": 2, "eval_ratio": 0, "sample_prompts": None}
LEARNED = "checkpoint-2/adapter_model.safetensors"


@pytest.fixture(scope="module")
def plain(studio: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What two steps learn with the settings of all."""
    folder = tmp_path_factory.mktemp("plain")
    paths = {"train_data_dir": str(studio / "pictures"), "base_model": str(studio / "sd")}
    file = write_config(folder / "config.yaml", paths | SETTINGS | PLAIN | {"output_dir": str(folder / "out")})
    assert command("train", file, "--strict").code == 0
    return digest(folder / "out" / LEARNED)


FAST = [{"flip": False}, {"prior_images": "PICTURES"}]
SLOW = [
    {}, {"resolution": 24}, {"trigger_word": "ink"}, {"caption_dropout": 0.9}, {"random_crop": True},
    {"snr_gamma": 1.0},
    {"noise_offset": 0.5}, {"repeats": 2}, {"shuffle_tags": True, "caption_dropout": 0.5}, {"train_text_encoder": True},
    {"train_text_encoder": True, "text_encoder_learning_rate": 1e-4}, {"seed": 7}, {"lora_plus_ratio": 8},
]  # fmt: skip
SEEN_ELSEWHERE = {"keep_tags", "sample_prompts", "cache_latents"}
"""keep_tags: tests/data/test_captions.py; sample_prompts: the files of a run; cache_latents: a second start."""


def test_every_key_of_pictures_stands_in_a_table():
    assert {key for keys in (*FAST, *SLOW) for key in keys} | SEEN_ELSEWHERE >= set(PictureKeys.model_fields)


@pytest.mark.parametrize("key", [*FAST, *(pytest.param(key, marks=pytest.mark.slow) for key in SLOW)])
def test_every_key_changes_what_is_learned(config, studio, plain, key):
    changed = {name: str(studio / "pictures") if value == "PICTURES" else value for name, value in key.items()}
    assert command("train", config(**(PLAIN | changed)), "--strict").code == 0
    assert (digest(Path("out", LEARNED)) == plain) is not bool(key)


@pytest.mark.slow
def test_xl_trains_both_text_encoders_and_proves_it(config, studio):
    done = command("train", config(base_model=str(studio / "sdxl"), train_text_encoder=True, max_steps=2))
    assert done.code == 0, done.words
    pipe = stock(studio / "sdxl", Path("out"))
    assert set(pipe.get_list_adapters()) == {"unet", "text_encoder", "text_encoder_2"}
    assert command("export", "out", "--to", "kohya").code == 0


@pytest.mark.parametrize("layout", ["diffusers", "kohya", "peft", "merged"])
def test_each_export_is_the_same_adapter_and_comes_back_as_such(studio, trained, tmp_path, layout):
    target = tmp_path / layout
    done = command("export", trained, "--to", layout, "--output", target)
    assert done.code == 0, done.words
    assert json.loads((target / "export.json").read_text())["ok"]
    words = ["--prompt", "sks, a blue star", "--steps", 3, "--output", tmp_path / "drawn"]
    assert command("generate", "--adapter", trained, *words).code == 0
    if layout == "merged":
        assert command("generate", "--base-model", target, *words).code == 0
    else:
        held = target / "out.safetensors" if layout == "kohya" else target
        if layout == "kohya":
            told = safe_open(held, "pt").metadata()
            assert told["ss_base_model_version"] == "sd_v1" and told["modelspec.resolution"] == "16x16"
        assert command("generate", "--adapter", held, "--base-model", studio / "sd", *words).code == 0
        back = command(
            "export", held, "--to", "diffusers", "--base-model", studio / "sd", "--output", tmp_path / "back"
        )
        assert back.code == 0, back.words
        assert same_tensors(tmp_path / "back", trained)
    one, other = sorted((tmp_path / "drawn").glob("*.png"))
    assert np.abs(pixels(one).astype(int) - pixels(other)).max() <= (1 if layout == "merged" else 0)


def same_tensors(one: Path, other: Path) -> bool:
    files = [safe_open(folder / "pytorch_lora_weights.safetensors", "pt") for folder in (one, other)]
    names = [sorted(file.keys()) for file in files]
    return names[0] == names[1] and all(torch.equal(files[0].get_tensor(n), files[1].get_tensor(n)) for n in names[0])


def test_weighed_adapters_drawn_together_equal_their_export_as_one(studio, trained, tmp_path):
    words = ["--prompt", "sks, a blue star", "--steps", 3, "--output", tmp_path / "drawn"]
    pair = [f"{trained}:0.7", f"{trained}/checkpoint-4:-0.4"]
    together = command("generate", "--adapter", pair[0], "--adapter", pair[1], *words)
    assert together.code == 0, together.words
    one = command("export", pair[0], "--adapter", pair[1], "--to", "diffusers", "--output", tmp_path / "one")
    assert one.code == 0, one.words
    assert command("generate", "--adapter", tmp_path / "one", "--base-model", studio / "sd", *words).code == 0
    first, second = sorted((tmp_path / "drawn").glob("*.png"))
    assert np.abs(pixels(first).astype(int) - pixels(second)).max() <= 1
    pipe = stock(studio / "sd")
    pipe.load_lora_weights(str(trained), adapter_name="a")
    pipe.load_lora_weights(str(trained / "checkpoint-4"), adapter_name="b")
    pipe.set_adapters(["a", "b"], [0.7, -0.4])
    assert np.abs(drawn(pipe, "sks, a blue star", 0).astype(int) - pixels(first)).max() <= 1


def test_what_is_generated_carries_the_label_and_how_it_was_made(trained, tmp_path):
    words = ["--prompt", "sks, a <red> & 红 circle", "--negative", "blue", "--steps", 2, "--count", 2, "--seed", 8]
    more = ["--mark", "--producer", "律所", "--output", tmp_path, "--width", 64, "--height", 64]
    done = command("generate", "--adapter", f"{trained}:0.5", *words, *more)
    assert done.code == 0, done.words
    files = sorted(tmp_path.glob("*.png"))
    assert [str(f) for f in files] == done.out.split("\n")[:2]
    labels = [read_label(file) for file in files]
    assert [label.producer for label in labels] == ["律所", "律所"]
    assert labels[0].produce_id != labels[1].produce_id
    with Image.open(files[1]) as image:
        told = image.text["parameters"]
    assert told.startswith(
        "sks, a <red> & 红 circle\nNegative prompt: blue\nSteps: 2, CFG scale: 5, Seed: 9, Size: 64x64"
    )


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--adapter", "OUT"], 2, "nothing to draw"),
    (["--prompt", "x"], 2, "no base is named"),
    (["--prompt", "x", "--adapter", "nowhere"], 2, "nowhere"),
    (["--prompt", "x", "--adapter", "OUT:much"], 2, "much"),
    (["--prompt", "x", "--adapter", "OUT", "--base-model", "XL"], 2, "no place"),
    (["--prompt", "x", "--adapter", "OUT", "--width", "63"], 2, "63 pixels"),
    (["--prompt", "x", "--adapter", "OUT", "--height", "2"], 2, "2 pixels"),
    (["--prompt", "x", "--base-model", "OUT"], 2, "no model_index.json"),
    (["--prompt", "", "--prompt", "x", "--adapter", "OUT"], 2, "nothing to draw"),
    (["--prompt", "x", "--adapter", "OUT", "--negative", "y", "--guidance", "1"], 2, "has no effect"),
    (["--prompt", "x", "--adapter", "TEXT"], 2, "adapter of a text model"),
    (["--prompt", "sks", "--adapter", "OUT:1e30", "--steps", "2"], 1, "no finite numbers"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_told(studio, trained, tmp_path, words, code, said):
    of_texts = tmp_path / "adapter_model.safetensors"
    save_file({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 2)}, of_texts)
    save_file({"step": torch.ones(2)}, tmp_path / "optimizer.safetensors")
    place = {"OUT": str(trained), "XL": str(studio / "sdxl"), "TEXT": str(tmp_path)}
    place |= {f"OUT:{weight}": f"{trained}:{weight}" for weight in ("much", "1e30")}
    refused(command("generate", *[place.get(w, w) for w in words], "--output", tmp_path), code, said)


def test_a_checkpoint_is_drawn_with_by_what_its_run_knows(trained, tmp_path):
    checkpoint = tmp_path / "unfinished" / "checkpoint-4"
    shutil.copytree(trained / "checkpoint-4", checkpoint)
    shutil.copy(trained / "run.yaml", checkpoint.parent)
    for path in (trained / "checkpoint-4", checkpoint):
        done = command("generate", "--adapter", path, "--prompt", "x", "--steps", 1, "--output", tmp_path / "drawn")
        assert done.code == 0 and "does not hold “sks”" in done.err, done.words


def test_an_export_of_peft_folders_knows_its_base_and_a_part_is_no_adapter(trained, tmp_path):
    peft = tmp_path / "peft"
    assert command("export", trained, "--to", "peft", "--output", peft).code == 0
    done = command("export", peft, "--to", "kohya", "--output", tmp_path / "kohya")
    assert done.code == 0, done.words
    listed = command("adapters", "list", tmp_path).out.splitlines()
    assert [line.split(":")[0] for line in listed if "pictures" in line] == ["kohya/peft.safetensors", "peft"]
    words = ["--prompt", "sks", "--output", tmp_path / "drawn"]
    refused(command("generate", "--adapter", peft / "unet", *words), 2, "one part of a picture adapter")
    for folder in (peft, peft / "unet", tmp_path / "kohya"):
        said = command("chat", "--adapter", folder, "--base-model", TINY_ZH, "--prompt", "x")
        refused(said, 2, "answers no questions")
    refused(command("adapters", "verify", peft / "unet"), 2, "one part of a picture adapter")


def test_doubts_are_told_before_drawing(studio, trained, tmp_path):
    done = command(
        "generate", "--adapter", trained, "--prompt", "a red circle " * 12, "--steps", 1, "--output", tmp_path
    )
    assert "does not hold “sks”" in done.err
    assert "does not see its end" in done.err


@pytest.mark.parametrize(("changed", "code", "said"), [
    ({"base_model": "nowhere"}, 2, "no such base model"),
    ({"base_model": "PICTURES"}, 2, "no model_index.json"),
    ({"train_data_dir": "nowhere"}, 3, "nowhere"),
    ({"target_modules": "to_x"}, 2, "to_x names no layer"),
    ({"target_modules": "to_q", "train_text_encoder": True}, 2, "text_encoder"),
    ({"quantization": "nf4"}, 2, "is for texts"),
    ({"eval_data": "PICTURES", "train_data_dir": "COPY"}, 3, "every validation picture"),
    ({"prior_images": "nowhere"}, 3, "nowhere"),
    ({"metadata_path": "PICTURES"}, 3, "no file of that name"),
])  # fmt: skip
def test_what_cannot_be_trained_is_told(config, studio, changed, code, said):
    shutil.copytree(studio / "pictures", "copy")
    place = {"PICTURES": str(studio / "pictures"), "COPY": "copy"}
    refused(command("train", config(**{k: place.get(v, v) for k, v in changed.items()})), code, said)


def test_captions_that_all_hold_personal_data_are_refused_with_the_lines(config, studio):
    shutil.copytree(studio / "pictures", "copy")
    write_table(Path("copy/metadata.csv"), [(f"{i:02d}.png", f"ring 1381234567{i % 10}") for i in range(12)])
    refused(command("train", config(train_data_dir="copy", desensitize="drop")), 3, "metadata.csv:2", "phone")


def test_what_is_not_validated_and_not_seen_of_a_sample_is_told(config, studio):
    shutil.copytree(studio / "pictures", "copy")
    for file in sorted(Path("copy").glob("*.png"))[5:]:
        file.unlink()
    write_table(Path("copy/metadata.csv"), [(f"{i:02d}.png", "a ring") for i in range(5)])
    keys = {"train_data_dir": "copy", "sample_prompts": ["sks, a red circle " * 20]}
    done = command("train", config(**keys), "--dry-run")
    assert done.code == 0, done.words
    assert "none of 5 pictures is set aside" in done.words
    assert "sample_prompts" in done.words and "does not see its end" in done.words


def test_text_commands_say_that_they_are_for_texts(config, trained):
    for words in (["eval", trained], ["sweep", config()]):
        said: Said = command(*words)
        assert said.code == 2, said.words
    for words in (
        ["chat", "--adapter", trained, "--prompt", "x"],
        ["chat", "--adapter", trained, "--base-model", TINY_ZH, "--prompt", "x"],
        ["serve", "--base-model", TINY_ZH, "--adapter", f"a={trained}", "--port", 0],
    ):
        refused(command(*words), 2, "answers no questions")
    assert "answers no questions" in command("adapters", "shrink", trained, "x").err
    assert "layout of text models" in command("export", trained, "--to", "gguf").err


def test_check_preview_and_dry_run_tell_what_a_run_would_do(config):
    checked = command("check", config(), "--json")
    told = json.loads(checked.out)
    assert told["read"] == told["trained"] + told["validation"] == 12
    assert any("go into" in finding["text"] for finding in told["findings"])
    preview = command("preview", config(), "-n", 2)
    assert "sks, a" in preview.out
    dry = command("train", config(), "--dry-run")
    assert dry.code == 0
    assert "sizes: " in dry.err and "memory: about" in dry.err
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_single_file_trains_and_draws_as_its_folder_does(config, studio, tmp_path):
    save_file(single_file(tiny_pipeline("sd")), tmp_path / "one.safetensors")
    shutil.copytree(studio / "sd", tmp_path / "one", ignore=shutil.ignore_patterns("*.safetensors"))
    for name, base in (("single", tmp_path / "one.safetensors"), ("folder", studio / "sd")):
        done = command("train", config(base_model=str(base), output_dir=name, **PLAIN))
        assert done.code == 0, done.words
        words = ["--prompt", "sks, a blue star", "--steps", 2, "--output", tmp_path / f"{name}-drawn"]
        assert command("generate", "--adapter", name, *words).code == 0
    assert digest(Path("single", LEARNED)) == digest(Path("folder", LEARNED))
    one, other = (next(Path(f"{name}-drawn").glob("*.png")) for name in ("single", "folder"))
    assert np.array_equal(pixels(one), pixels(other))


def test_adapters_verify_and_inspect_know_pictures(trained, tmp_path):
    assert command("adapters", "verify", trained).code == 0
    assert "unet" in command("adapters", "inspect", trained).out
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy, symlinks=True)
    file = copy / "pytorch_lora_weights.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.write_bytes(raw)
    assert command("adapters", "verify", copy).code == 1
    assert "pictures" in command("adapters", "list", tmp_path).out


@pytest.mark.slow
def test_photos_with_broken_ones_among_them_are_labelled_and_trained(project_root, config, tmp_path):
    write_photos(tmp_path / "photos")
    photos_with_broken_ones_are_labelled_and_trained(tmp_path / "photos", 12, project_root, config)


@pytest.mark.slow
def test_real_photos_with_broken_ones_among_them_are_labelled_and_trained(shared_data, project_root, config, tmp_path):
    shutil.copytree(shared_data / "images_dreambooth" / "img", tmp_path / "photos")
    photos_with_broken_ones_are_labelled_and_trained(tmp_path / "photos", 40, project_root, config)


def photos_with_broken_ones_are_labelled_and_trained(photos, count, project_root, config):
    first = next(photos.glob("*.jpg")).read_bytes()
    broken = {"cut.jpg": first[: len(first) // 2], "empty.png": b"", "text.png": b"hello", "pickle.png": b"\x80\x04"}
    for name, raw in broken.items():
        (photos / name).write_bytes(raw)
    labelled = command("label", photos, "--clip-model", project_root / "models" / "tiny-clip")
    assert labelled.code == 0, labelled.words
    done = command("train", config(train_data_dir=str(photos), max_steps=2, save_steps=2, eval_steps=2, repeats=2))
    assert done.code == 0, done.words
    report = json.loads(Path("out/data_report.json").read_text())
    assert report["read"] == count + 4 == report["trained"] + report["validation"] + 4
    assert sum(report["left_out"].values()) == 4
    assert json.loads(Path("out/proof.json").read_text())["ok"]


@pytest.mark.slow
def test_two_ranks_take_the_same_steps_as_one(config):
    """By torchrun, as users start them."""
    root = Path(__file__).parents[2]
    for ranks in (1, 2):
        file = config(output_dir=f"of-{ranks}", lora_dropout=0.0)
        command_line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--standalone"]
        done = subprocess.run(
            [*command_line, str(root / "train.py"), "--config", str(file)],
            capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = ([line.get("loss", line.get("eval_loss")) for line in metrics(Path(f"of-{n}"))] for n in (1, 2))
    assert one == pytest.approx(two, rel=1e-5)
