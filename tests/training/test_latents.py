"""Latents and words are what the stock pipeline makes, made once for a content, and never used broken."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import PARTS, tiny_pipeline

from lora_scripts.data.pictures.documents import PictureDocument
from lora_scripts.errors import DataError
from lora_scripts.training.kept import SUFFIX, Kept
from lora_scripts.training.latents import Captions, Latents
from lora_scripts.training.pictures import Look


@pytest.fixture(scope="module")
def sd():
    return tiny_pipeline("sd")


def picture(folder: Path, seed: int, size: tuple[int, int] = (32, 32), bucket=(16, 16)) -> PictureDocument:
    path = folder / f"{seed}.png"
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PictureDocument(path, "a cat", f"m:{seed}", digest, size, bucket)


def latents_of(sd, home: Path | None, said: list[str], **more) -> Latents:
    return Latents(lambda: sd.vae, Kept(home, said.append), "vae-1", **more)


def test_latents_are_those_of_the_vae(sd, tmp_path):
    document = picture(tmp_path, 1)
    made = latents_of(sd, None, [])
    made.fill([document], flip=True)
    with Image.open(document.path) as image:
        small = image.convert("RGB").resize((16, 16), Image.Resampling.LANCZOS)
    pixels = sd.image_processor.preprocess(small)
    with torch.no_grad():
        wanted = sd.vae.encode(pixels).latent_dist
        mirrored = sd.vae.encode(pixels.flip(3)).latent_dist
    mean, log_variance = made.moments(Look(document)).chunk(2)
    assert torch.allclose(mean, wanted.mean[0], atol=1e-6)
    assert torch.allclose(log_variance.clamp(-30, 20), wanted.logvar[0], atol=1e-6)
    assert torch.allclose(made.moments(Look(document, True)).chunk(2)[0], mirrored.mean[0], atol=1e-6)


def test_a_second_start_makes_nothing_and_reads_the_same(sd, tmp_path):
    documents = [picture(tmp_path, i) for i in range(3)] + [picture(tmp_path, 9, (48, 32), (24, 16))]
    first, again = latents_of(sd, tmp_path / "home", []), latents_of(sd, tmp_path / "home", said := [])
    assert first.fill(documents, flip=True) == 8
    assert again.fill(documents, flip=True) == 0
    assert said == []
    for d in documents:
        assert torch.equal(first.moments(Look(d)), again.moments(Look(d)))
    assert latents_of(sd, tmp_path / "home", []).fill([*documents, picture(tmp_path, 4)], flip=False) == 1


def test_another_vae_or_bucket_is_another_entry(sd, tmp_path):
    document = picture(tmp_path, 1)
    latents_of(sd, tmp_path / "home", []).fill([document], flip=False)
    other = Latents(lambda: sd.vae, Kept(tmp_path / "home", lambda line: None), "vae-2")
    assert other.fill([document], flip=False) == 1
    moved = PictureDocument(document.path, "", "m:1", document.digest, (32, 32), (24, 16))
    assert latents_of(sd, tmp_path / "home", []).fill([moved], flip=False) == 1


@pytest.mark.parametrize("harm", ["cut", "bit", "empty", "other"])
def test_a_broken_entry_is_said_and_made_again(sd, tmp_path, harm):
    document = picture(tmp_path, 1)
    first = latents_of(sd, tmp_path / "home", [])
    first.fill([document], flip=False)
    (file,) = (tmp_path / "home").glob(f"*{SUFFIX}")
    raw = bytearray(file.read_bytes())
    raw[-9] ^= 1
    file.write_bytes({"cut": raw[:-20], "bit": bytes(raw), "empty": b"", "other": b"\x80\x04hello world"}[harm])
    again = latents_of(sd, tmp_path / "home", said := [])
    assert again.fill([document], flip=False) == 1
    assert any(str(file) in line for line in said)
    assert torch.equal(again.moments(Look(document)), first.moments(Look(document)))


def test_a_disk_that_refuses_is_said_and_memory_serves(sd, tmp_path):
    (tmp_path / "home").write_text("a file where the folder should be")
    made = latents_of(sd, tmp_path / "home", said := [])
    documents = [picture(tmp_path, i) for i in range(2)]
    assert made.fill(documents, flip=False) == 2
    assert sum("home" in line for line in said) == 1
    assert made.moments(Look(documents[1])).shape == (8, 8, 8)


def test_a_picture_that_was_replaced_meanwhile_stops_the_run(sd, tmp_path):
    document = picture(tmp_path, 1)
    Image.new("RGB", (32, 32)).save(document.path)
    with pytest.raises(DataError, match="changed"):
        latents_of(sd, None, []).fill([document], flip=False)


def test_random_crops_ask_the_vae_anew(sd, tmp_path):
    wide = picture(tmp_path, 1, (64, 32), (16, 16))
    made = latents_of(sd, tmp_path / "home", [], anew=True)
    assert made.fill([wide], flip=False) == 0
    left, right = made.moments(Look(wide, at=(0, 0.5))), made.moments(Look(wide, at=(1, 0.5)))
    assert not torch.allclose(left, right)
    assert not list((tmp_path / "home").glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_words_are_those_of_the_stock_pipeline(kind, tmp_path):
    pipe = tiny_pipeline(kind)
    encoders = {name: getattr(pipe, name) for name in PARTS[kind] if name != "unet"}
    tokenizers = {name: getattr(pipe, name.replace("text_encoder", "tokenizer")) for name in encoders}
    asked = []

    def load():
        asked.append(1)
        return encoders

    captions = Captions(load, tokenizers, Kept(tmp_path / "home", lambda line: None), "text-1", "cpu")
    captions.fill(["a red circle", "", "a red circle"])
    told = captions.words(["a red circle", "", "unforeseen", "a red circle"])
    with torch.no_grad():
        stock = pipe.encode_prompt(
            "a red circle", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
    assert torch.allclose(told.states[0], stock[0][0], atol=1e-6)
    if kind == "sdxl":
        assert torch.allclose(told.pooled[0], stock[2][0], atol=1e-6)
    assert torch.equal(told.states[0], told.states[3])
    asked.clear()
    again = Captions(load, tokenizers, Kept(tmp_path / "home", lambda line: None), "text-1", "cpu")
    assert again.fill(["a red circle", ""]) == 0
    assert torch.equal(again.words(["", "a red circle"]).states, told.states[[1, 0]])
    assert asked == []


def test_what_a_run_needs_is_never_pruned_what_others_left_is(sd, tmp_path, monkeypatch):
    latents_of(sd, tmp_path / "home", []).fill([picture(tmp_path, 1)], flip=False)
    (old,) = (tmp_path / "home").iterdir()
    monkeypatch.setattr("lora_scripts.data.cache.prune.__defaults__", (1,))
    monkeypatch.setattr("lora_scripts.training.kept.HELD_BYTES", 0)
    made = latents_of(sd, tmp_path / "home", said := [])
    documents = [picture(tmp_path, i) for i in (2, 3)]
    made.fill(documents, flip=False)
    assert not old.exists()
    assert [line for line in said if line.startswith("1 old entries")]
    assert all(made.moments(Look(d)).shape == (8, 8, 8) for d in documents)


def test_entries_are_for_their_owner_alone(sd, tmp_path):
    latents_of(sd, tmp_path / "home", []).fill([picture(tmp_path, 1)], flip=False)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert [file.suffix for file in (tmp_path / "home").iterdir()] == [SUFFIX]
