"""The task of a picture run against diffusers' own arithmetic, and what may not change it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler
from tiny_pipelines import PARTS, tiny_pipeline

from lora_scripts.adapters.pictures import inject_pictures
from lora_scripts.data.pictures.captions import CaptionRules
from lora_scripts.data.pictures.documents import PictureDocument
from lora_scripts.models.picture_targets import find_picture_targets
from lora_scripts.models.prompts import encode_captions
from lora_scripts.training.pictures import EVAL_LEVELS, Look, Noising, PictureTask, Showing, size_numbers

SCALING = 0.2
WORDS = ("a red circle", "a blue star", "a green ring", "a striped red square", "a soft heart", "a cross")


def documents() -> list[PictureDocument]:
    sizes = [(16, 16), (16, 16), (32, 16), (16, 16), (32, 16), (16, 16)]
    return [
        PictureDocument(Path(f"{i}.png"), WORDS[i], f"m:{i}", f"{i:064d}", (w * 3, h * 3), (w, h))
        for i, (w, h) in enumerate(sizes)
    ]


def moments(look: Look) -> torch.Tensor:
    """What a VAE would say: another mean for each picture, mirrored where the look is."""
    width, height = (side // 2 for side in look.document.bucket)
    seed = int(look.document.digest)
    mean = torch.randn(4, height, width, generator=torch.Generator().manual_seed(seed))
    mean = mean.flip(2) if look.flipped else mean
    return torch.cat([mean, torch.full_like(mean, -3.0)])


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def pipeline(request):
    pipe = tiny_pipeline(request.param)
    parts = {name: getattr(pipe, name) for name in PARTS[request.param]}
    inject_pictures(
        {"unet": pipe.unet}, find_picture_targets({"unet": pipe.unet}, None),
        method="lora", rank=4, alpha=8, dropout=0.0, seed=1,
    )  # fmt: skip
    for name, value in pipe.unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    pipe.told = {name: part for name, part in parts.items() if name != "unet"}
    pipe.tokens = {name: getattr(pipe, name.replace("text_encoder", "tokenizer")) for name in pipe.told}
    return pipe


def task_of(pipe, *, prediction="epsilon", snr_gamma=None, offset=0.0, **showing) -> PictureTask:
    schedule = DDPMScheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    return PictureTask(
        unet=pipe.unet.train(),
        documents=documents(),
        moments=moments,
        words=torch.no_grad()(lambda captions: encode_captions(pipe.told, pipe.tokens, captions)),
        noising=Noising(schedule, snr_gamma, offset),
        showing=Showing(**({"rules": CaptionRules()} | showing)),
        scaling=SCALING,
        seed=3,
        device="cpu",
        sized=len(pipe.told) > 1,
    )


def gradients(task: PictureTask, cut: list[list[int]], step: int = 5) -> tuple[float, list[torch.Tensor]]:
    task.begin(step)
    task.unet.zero_grad()
    loss = sum(task.backward(part, 1 / 6) for part in cut)
    return loss, [p.grad.clone() for p in task.unet.parameters() if p.grad is not None]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_the_loss_is_the_one_of_diffusers_own_training_scripts(pipeline, prediction, gamma):
    """Each picture by itself, in the words of examples/text_to_image/train_text_to_image_lora.py."""
    task = task_of(pipeline, prediction=prediction, snr_gamma=gamma)
    schedule = task.noising.schedule
    task.begin(5)
    drawn = [task._draw(i) for i in range(6)]
    total = 0.0
    for one in drawn:
        latents, noise = one.latents_CHW[None], one.noise_CHW[None]
        steps = torch.tensor([one.level])
        noisy = schedule.add_noise(latents, noise, steps)
        target = noise if prediction == "epsilon" else schedule.get_velocity(latents, noise, steps)
        words = encode_captions(pipeline.told, pipeline.tokens, [one.caption])
        more = {}
        if task.sized:
            ids = torch.tensor([size_numbers(one.look)])
            more = {"added_cond_kwargs": {"text_embeds": words.pooled, "time_ids": ids}}
        with torch.no_grad():
            told = pipeline.unet(noisy, steps, words.states, **more).sample
        loss = torch.nn.functional.mse_loss(told.float(), target.float())
        if gamma:
            kept = schedule.alphas_cumprod[one.level]
            snr = (kept.sqrt() / (1 - kept).sqrt()) ** 2  # compute_snr of diffusers.training_utils
            loss = loss * min(snr, gamma) / (snr + 1 if prediction == "v_prediction" else snr)
        total += float(loss) / 6
    found, _ = gradients(task, [[0, 1, 2, 3, 4, 5]])
    assert found == pytest.approx(total, rel=1e-5)


def test_cutting_a_step_changes_nothing(pipeline):
    task = task_of(pipeline, snr_gamma=5.0, offset=0.1, flip=True, rules=CaptionRules("sks", 0.3, True, 0))
    whole_loss, whole = gradients(task, [[0, 1, 3, 5, 2, 4]])
    for cut in ([[0], [1], [3], [5], [2], [4]], [[5, 3, 0], [1, 2], [4]], [[2, 0, 4, 1, 3, 5]]):
        loss, found = gradients(task, cut)
        assert loss == pytest.approx(whole_loss, rel=1e-5)
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(whole, found, strict=True))
    other_loss, _ = gradients(task, [[0, 1, 3, 5, 2, 4]], step=6)
    assert abs(other_loss - whole_loss) > 1e-4


def test_the_same_picture_twice_in_a_step_is_shown_in_two_ways(pipeline):
    task = task_of(pipeline)
    task.begin(1)
    first, second = task._draw(0), task._draw(0)
    assert not torch.equal(first.noise_CHW, second.noise_CHW)
    task.begin(1)
    assert torch.equal(task._draw(0).noise_CHW, first.noise_CHW)


def test_pictures_are_mirrored_half_of_the_time_and_never_unasked(pipeline):
    for flip, low, high in ((True, 240, 360), (False, 0, 0)):
        task = task_of(pipeline, flip=flip)
        count = 0
        for step in range(100):
            task.begin(step)
            count += sum(task._draw(i).look.flipped for i in range(6))
        assert low <= count <= high


def test_crops_go_everywhere_and_xl_is_told_where(pipeline):
    task = task_of(pipeline, random_crop=True)
    places = set()
    for step in range(50):
        task.begin(step)
        places.add(task._draw(2).look.at)
    assert len(places) == 50
    look = Look(replace(documents()[0], size=(96, 48)), at=(1.0, 0.5))
    assert size_numbers(look) == (48, 96, 0, 16, 16, 16)


def test_noise_levels_are_drawn_evenly(pipeline):
    task = task_of(pipeline)
    levels = Counter()
    for step in range(400):
        task.begin(step)
        levels.update(task._draw(i).level // 250 for i in range(6))
    assert all(500 < levels[quarter] < 700 for quarter in range(4))


def test_noise_offset_adds_what_is_the_same_all_over_a_channel(pipeline):
    plain, moved = task_of(pipeline), task_of(pipeline, offset=0.5)
    plain.begin(1), moved.begin(1)
    added = moved._draw(2).noise_CHW - plain._draw(2).noise_CHW
    assert torch.allclose(added, added.mean((1, 2), keepdim=True).expand_as(added), atol=1e-5)
    assert added.abs().max() > 0.05


def test_validation_is_the_same_each_time_whatever_is_drawn_between(pipeline):
    task = task_of(pipeline, flip=True, rules=CaptionRules("sks", 0.9, True, 0))
    task.begin(1)
    first = task.evaluate(documents()[:3], 4)
    torch.manual_seed(random.randrange(1000))
    gradients(task, [[0, 1, 3, 5, 2, 4]])
    again = task.evaluate(documents()[:3], 2)
    assert first[1] == 3 * EVAL_LEVELS
    assert again[0] == pytest.approx(first[0], rel=1e-6)
    assert task.unet.training


def test_prior_pictures_are_shown_without_the_trigger_word(pipeline):
    task = task_of(pipeline, rules=CaptionRules("sks"))
    own, prior = documents()[0], replace(documents()[1], prior=True)
    task = replace(task, documents=[own, prior])
    task.begin(0)
    assert task._draw(0).caption == "sks, a red circle"
    assert task._draw(1).caption == "a blue star"
