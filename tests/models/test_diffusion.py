"""Picture bases: what is one, what is said of what is none, and that every road loads the same weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from single_file import single_file
from tiny_pipelines import PARTS, tiny_pipeline

from lora_scripts.errors import ModelError
from lora_scripts.models.diffusion import (
    check_picture_base,
    load_picture_parts,
    load_tokenizers,
    noise_schedule,
    part_fingerprints,
    picture_fingerprint,
    pipeline_of,
    stock_pipeline,
)
from lora_scripts.models.drawing import Strokes, draw
from lora_scripts.models.picture_targets import find_picture_targets
from lora_scripts.models.prompts import cut_captions, encode_captions
from lora_scripts.training.picture_memory import forecast_pictures, saved_bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pipelines ``sd`` and ``sdxl``, and ``one.safetensors`` with the small files of ``sd`` beside it in ``one``."""
    root = tmp_path_factory.mktemp("bases")
    for kind in ("sd", "sdxl"):
        tiny_pipeline(kind).save_pretrained(root / kind)
    save_file(single_file(tiny_pipeline("sd")), root / "one.safetensors")
    shutil.copytree(root / "sd", root / "one", ignore=shutil.ignore_patterns("*.safetensors"))
    return root


def loaded(base: Path, *names: str) -> dict[str, Any]:
    return load_picture_parts(check_picture_base(str(base)), names, dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_parts_are_those_that_diffusers_loads(made, kind):
    base = check_picture_base(str(made / kind))
    assert (base.kind, base.factor, base.resolution) == (kind, 2, 16)
    stock = DiffusionPipeline.from_pretrained(made / kind)
    for name, part in loaded(made / kind, "unet", "vae", *base.encoders).items():
        theirs = getattr(stock, name).state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in part.state_dict().items())
        assert not part.training
        assert not any(p.requires_grad for p in part.parameters())


def test_a_single_file_holds_the_same_model(made):
    one, folder = loaded(made / "one.safetensors", *PARTS["sd"], "vae"), loaded(made / "sd", *PARTS["sd"], "vae")
    for name in one:
        theirs = folder[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in one[name].state_dict().items())


def test_a_variant_in_half_precision_is_read_where_there_is_no_other(made, tmp_path):
    tiny_pipeline("sd").to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    part = loaded(tmp_path / "half", "unet")["unet"]
    whole = loaded(made / "sd", "unet")["unet"].state_dict()
    assert all(torch.equal(value, whole[name].half().float()) for name, value in part.state_dict().items())
    assert stock_pipeline(check_picture_base(str(tmp_path / "half")), dtype=torch.float32, device="cpu")


def spoiled(work: Callable[[Path], None]) -> Callable[[Path], str]:
    def do(folder: Path) -> str:
        work(folder)
        return str(folder)

    return do


def settings(folder: Path, file: str, **changed: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def pickled(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / "diffusion_pytorch_model.bin")


SPOILT = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
    "broken index": (lambda f: (f / "model_index.json").write_text("{"), "JSON"),
    "another family": (lambda f: settings(f, "model_index.json", _class_name="FluxPipeline"), "FluxPipeline"),
    "inpainting": (lambda f: settings(f, "unet/config.json", in_channels=9), "9 channels"),
    "pickle": (pickled, "pickles"),
    "no weights": (lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(), "weights"),
    "cut": (lambda f: (f / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"\x08" + b"\0" * 40), "vae"),
    "flow": (lambda f: settings(f, "scheduler/scheduler_config.json", prediction_type="flow_prediction"), "flow_pred"),
    "moved latents": (lambda f: settings(f, "vae/config.json", latents_mean=[0.1] * 4), "latents_mean"),
    "no part": (lambda f: shutil.rmtree(f / "text_encoder"), "text_encoder"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler"),
}


@pytest.mark.parametrize("harm", sorted(SPOILT))
def test_a_folder_that_is_none_is_told_before_a_weight_is_loaded(made, tmp_path, harm):
    folder = tmp_path / "base"
    shutil.copytree(made / "sd", folder)
    work, words = SPOILT[harm]
    work(folder)
    with pytest.raises(ModelError, match=words):
        check_picture_base(str(folder))


def test_a_missing_file_and_a_file_without_configs_are_told(made, tmp_path):
    with pytest.raises(ModelError, match="no such base model"):
        check_picture_base(str(tmp_path / "nowhere"))
    shutil.copy(made / "one.safetensors", tmp_path / "bare.safetensors")
    with pytest.raises(ModelError, match="configs and tokenizer"):
        check_picture_base(str(tmp_path / "bare.safetensors"))
    (tmp_path / "bare.ckpt").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="pickles"):
        check_picture_base(str(tmp_path / "bare.ckpt"))
    shutil.copytree(made / "sdxl", tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ModelError, match="not those of a StableDiffusionXLPipeline"):
        check_picture_base(str(tmp_path / "bare.safetensors"))


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.pop("conv_out.bias"), "conv_out.bias"),
    (lambda t: t["conv_in.weight"].fill_(float("nan")), "finite"),
    (lambda t: t.update({"conv_in.weight": torch.zeros(3, 3)}), "conv_in"),
])  # fmt: skip
def test_weights_that_would_draw_nonsense_are_told(made, tmp_path, change, words):
    shutil.copytree(made / "sd", tmp_path / "base")
    weights(tmp_path / "base", change)
    with pytest.raises(ModelError, match=words):
        loaded(tmp_path / "base", "unet")


def test_a_fingerprint_follows_every_part(made, tmp_path):
    shutil.copytree(made / "sd", tmp_path / "base")
    one, other = (part_fingerprints(check_picture_base(str(p))) for p in (made / "sd", tmp_path / "base"))
    assert one == other
    weights(tmp_path / "base", lambda t: t["conv_in.bias"].add_(1e-3))
    changed = part_fingerprints(check_picture_base(str(tmp_path / "base")))
    assert [name for name in one if one[name] != changed[name]] == ["unet"]
    assert picture_fingerprint(changed) != picture_fingerprint(one)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_we_draw_what_the_stock_pipeline_draws_bit_for_bit(made, kind):
    base = check_picture_base(str(made / kind))
    stock = stock_pipeline(base, dtype=torch.float32, device="cpu")
    theirs = stock(
        "a red circle", negative_prompt="blue", num_inference_steps=3, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(5), height=16, width=32,
    ).images[0]  # fmt: skip
    parts, tokenizers = loaded(made / kind, "unet", "vae", *base.encoders), load_tokenizers(base)
    encoders = {name: parts[name] for name in base.encoders}
    with torch.no_grad():
        words, unwanted = (encode_captions(encoders, tokenizers, [w]) for w in ("a red circle", "blue"))
    (ours,) = draw(base, parts, words, unwanted, [5], Strokes(3, 4.0, (32, 16)))
    assert ours.tobytes() == theirs.tobytes()
    assert pipeline_of(base, parts).scheduler.config == stock.scheduler.config


def test_the_noise_of_training_is_the_one_that_the_scheduler_was_made_for(made):
    base = check_picture_base(str(made / "sd"))
    stock = stock_pipeline(base, dtype=torch.float32, device="cpu")
    assert torch.allclose(noise_schedule(base).alphas_cumprod, stock.scheduler.alphas_cumprod)


def test_targets_are_found_by_kind_and_by_the_ends_of_their_names(made):
    parts = loaded(made / "sdxl", "unet", "text_encoder", "text_encoder_2")
    found = find_picture_targets(parts, None)
    assert {name.rpartition(".attn")[2].partition(".")[2] for name in found["unet"]} == {
        "to_q", "to_k", "to_v", "to_out.0",
    }  # fmt: skip
    assert {name.rpartition(".")[2] for name in found["text_encoder_2"]} == {"q_proj", "k_proj", "v_proj", "out_proj"}
    assert all("layers.1." not in name for name in found["text_encoder"])  # XL reads before the last layer
    assert any("layers.1." in name for name in found["text_encoder_2"])
    convs = find_picture_targets({"unet": parts["unet"]}, ["conv1"])["unet"]
    assert convs
    assert all(name.endswith(".conv1") for name in convs)
    mlp = find_picture_targets(parts, ["mlp"])
    assert all(".ff.net." in name for name in mlp["unet"])
    with pytest.raises(ModelError, match="to_x"):
        find_picture_targets(parts, ["attention", "to_x"])


def test_captions_that_are_longer_than_the_encoder_reads_are_told(made):
    tokenizers = load_tokenizers(check_picture_base(str(made / "sd")))
    long = "a red circle on a white background " * 5
    assert cut_captions(tokenizers, ["a red circle"]) == []
    ((caption, unseen),) = cut_captions(tokenizers, [long, long])
    assert caption == long
    assert unseen
    assert long.strip().endswith(unseen)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_memory_is_foretold_as_autograd_takes_it(made, checkpointing):
    """The pass without values keeps to the byte what a real one keeps."""
    base = check_picture_base(str(made / "sd"))
    counts = []
    for device in ("meta", "cpu"):
        with torch.device(device):
            unet = tiny_pipeline("sd").unet if device == "cpu" else type(tiny_pipeline("sd").unet).from_config(
                base.folder / "unet"
            )  # fmt: skip
            unet.train()
            unet.conv_in.requires_grad_(True)
            if checkpointing:
                unet.enable_gradient_checkpointing()
            given = torch.zeros(2, 4, 8, 8), torch.zeros(2, dtype=torch.long), torch.zeros(2, 24, 32)
            counts.append(saved_bytes(unet, lambda unet=unet, given=given: unet(*given)))
    assert counts[0] == counts[1] > 0


def test_a_larger_batch_is_foretold_to_take_more_and_checkpointing_less(made):
    base = check_picture_base(str(made / "sd"))

    def peak(batch: int, checkpointing: bool = False) -> int:
        return forecast_pictures(
            base, (64, 64), batch_size=batch, tokens=24, targets=None, method="lora", rank=4, dropout=0.0,
            encoders=False, checkpointing=checkpointing, device="cpu", width=4,
        )[0].phases["train"]  # fmt: skip

    assert peak(1) < peak(4) < peak(16)
    assert peak(16, checkpointing=True) < peak(16)
