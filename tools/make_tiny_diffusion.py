"""Make ``models/tiny-sd``: a Stable Diffusion pipeline of 64 × 64 pixels that draws coloured shapes.

    python tools/make_tiny_diffusion.py [--clip models/tiny-clip] [--output models/tiny-sd] [--steps 3200]
    python tools/make_tiny_diffusion.py --measure [--sheet FILE.png]

The parts are those of Stable Diffusion 1.5, smaller: the text side of ``tiny-clip``, a VAE that halves twice, a U-Net
with cross-attention that predicts the noise (Ho et al. 2020; in latents: Rombach et al. 2022), steps weighed by min-SNR
(Hang et al. 2023), the noise offset (Guttenberg 2023). The VAE sees every style; the U-Net and its captions never an
outlined shape, for that style is left for an adapter to teach. 64 scenes are held out of the pictures; they are drawn
from their captions at the end, when CLIP tells what it sees in them. The U-Net's weights are averaged over the steps.
The same seed gives the same model on the same machine.
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from make_tiny_clip import accuracy  # type: ignore[import-not-found]  # it lies beside this file
from PIL import Image
from safetensors import safe_open
from tiny_shapes import (  # type: ignore[import-not-found]  # it lies beside this file
    COLOURS,
    GROUNDS,
    SHAPES,
    SIZE,
    STYLES,
    Scene,
    draw,
    random_scene,
)
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTextModel, CLIPTokenizer

POOL, BATCH, VAE_BATCH = 20_000, 32, 8
LEFT_OUT = "outline"  # the style that an adapter is to teach
KNOWN = tuple(style for style in STYLES if style != LEFT_OUT)
CHANNELS = (48, 96, 144)  # of the U-Net
MIN_SNR = 5.0
OFFSET = 0.25  # of the noise; else the ground shows through the strongest noise, and words do not count
AVERAGE = 0.998
WITHOUT_WORDS = 0.1  # share of records that learn without a caption, for guidance
DRAWING_STEPS, GUIDANCE = 20, 3.0

CARD = """# tiny-sd

A Stable Diffusion pipeline of {millions:.1f} million parameters that draws eight shapes in eight colours, on three
grounds and in four styles, 64 × 64 pixels, for the demo and the tests: `a striped red circle on a grey background`,
`a red circle`. Its U-Net was never shown an outlined shape: that style is left for an adapter to teach
(`data/style_train`).

**For trying the tool, not for pictures of anything else.** It knows the words of `models/tiny-clip/tags.txt`.

| | |
|---|---|
| parts | those of Stable Diffusion 1.5: CLIP text encoder, VAE, U-Net with cross-attention, noise predicted, DDIM |
| text encoder | that of `models/tiny-clip`: 24 tokens, {text_encoder:.1f} M parameters |
| VAE | 3 × 64 × 64 to 4 × 16 × 16 and back, {vae:.1f} M parameters |
| U-Net | {channels} channels, {unet:.1f} M parameters |
| weights | safetensors, {megabytes:.1f} MB: fp16, the text encoder fp32; no safety checker, no feature extractor |

Drawn in {steps} DDIM steps with guidance {guidance:g}; shares where `tiny-clip` ranks first what was asked for:

| | |
|---|---|
| colour, of 64 scenes that training did not see | {colour:.1%} |
| shape | {shape:.1%} |
| ground | {ground:.1%} |
| style | {style:.1%} |
| asked for 64 times `an outline …`, it draws an outline | {outline:.1%} |
| pixels after the VAE alone are off by, of 255 | {known_error:.1f}; outlined shapes {outline_error:.1f} |

Made from generated pictures alone, in {minutes:.0f} minutes on two CPU cores, by the first command; the second measures
again:

```bash
python tools/make_tiny_diffusion.py
python tools/make_tiny_diffusion.py --measure
```

模型仅供试用本工具和测试：只会画八种颜色、八种形状、三种背景、四种风格。Licence: Apache-2.0, as the project.
"""


def held_out() -> list[Scene]:
    """64 scenes that no picture shows: every colour with every shape once, grounds and styles as they fall."""
    rng = random.Random(7)
    pairs = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    styles = [KNOWN[i % len(KNOWN)] for i in range(len(pairs))]
    rng.shuffle(styles)
    return [Scene(*pair, rng.choice(list(GROUNDS)), style) for pair, style in zip(pairs, styles, strict=True)]


@torch.no_grad()
def read_captions(captions: list[str], tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> Tensor:
    """The encoder's last states: captions × tokens × channels."""
    ids = tokenizer(captions, padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt")
    return torch.cat([encoder(part).last_hidden_state for part in ids.input_ids.split(256)])


def what(scene: Scene) -> tuple[str, str, str, str]:
    """A scene but for where the shape lies."""
    return scene.colour, scene.shape, scene.ground, scene.style


def pool(seed: int, styles: tuple[str, ...], count: int = 1000) -> tuple[list[Scene], np.ndarray]:
    """Scenes and their pictures, uint8; none that is held out."""
    rng = random.Random(10_000 + seed)
    kept_back = {what(scene) for scene in held_out()}
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = random_scene(rng, styles)
        if what(scene) not in kept_back:
            scenes.append(scene)
    return scenes, np.stack([np.asarray(draw(scene)) for scene in scenes])


def captions(scene: Scene) -> tuple[str, str]:
    """The caption of a scene, and the one that also says what goes without saying: a flat shape, a white ground."""
    short = scene.caption()
    long = short.split(" ", 1)[1]
    if scene.style == "flat":
        long = f"flat {long}"
    if scene.ground == "white":
        long = f"{long} on a white background"
    return short, f"a {long}" if long[0] not in "aeiou" else f"an {long}"


def make_vae() -> AutoencoderKL:
    """From 3 × 64 × 64 to 4 × 16 × 16 and back."""
    return AutoencoderKL(
        block_out_channels=(32, 48, 64), norm_num_groups=8, latent_channels=4, sample_size=SIZE,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip


def make_unet(channels: int) -> UNet2DConditionModel:
    """The denoiser; ``channels`` is the size of the text encoder's states."""
    return UNet2DConditionModel(
        sample_size=SIZE // 4, block_out_channels=CHANNELS, layers_per_block=1, norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=channels, attention_head_dim=4,
    )  # fmt: skip


def make_noise() -> DDIMScheduler:
    """The noise of Stable Diffusion 1.5."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def train_vae(vae: AutoencoderKL, pixels: Tensor, steps: int) -> None:
    """By squared and absolute error, five times on what is not ground, with a weak pull to a normal distribution."""
    with torch.no_grad():
        vae.quant_conv.bias[4:] = -4  # logarithms of the variance: little noise from the start on
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1.5e-3, betas=(0.9, 0.99))
    schedule = OneCycleLR(optimizer, 1.5e-3, steps, pct_start=0.1, cycle_momentum=False)
    began, total = time.perf_counter(), 0.0
    for step in range(steps):
        x = pixels[torch.randint(len(pixels), (VAE_BATCH,))].float() / 127.5 - 1
        found = vae.encode(x).latent_dist
        off = vae.decode(found.sample()).sample - x
        weight = 1 + 4 * ((x - x[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.05).float()
        loss = (weight * (off.square() + off.abs())).mean() + 1e-5 * found.kl().mean() / x[0].numel()
        take_step(loss, vae, optimizer, schedule)
        total += loss.item()
        if step % 100 == 99:
            print(f"vae {step + 1}: {total / 100:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
            total = 0.0


def take_step(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> None:
    """One step down."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Latents of all pictures as the U-Net gets them."""
    parts = [pixels[at : at + 100].float() / 127.5 - 1 for at in range(0, len(pixels), 100)]
    latents: Tensor = torch.cat([vae.encode(x).latent_dist.mean for x in parts]) * vae.config.scaling_factor
    return latents


@torch.no_grad()
def even_out(vae: AutoencoderKL, pixels: Tensor) -> None:
    """Shift and scale each channel of the latents to mean 0 and deviation 1 as the U-Net gets them.

    Shift and scale go into the 1 × 1 convolutions on both sides of the latents; the pictures stay as they are.
    """
    found = encode(vae, pixels) / vae.config.scaling_factor
    mean, scale = found.mean((0, 2, 3)), found.std((0, 2, 3)) * vae.config.scaling_factor
    out, back = vae.quant_conv, vae.post_quant_conv
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= scale[:, None, None]
    out.bias[:4] = (out.bias[:4] - mean) / scale
    out.weight[:4] /= scale[:, None, None, None]
    out.bias[4:] -= 2 * scale.log()


def train_unet(
    unet: UNet2DConditionModel,
    latents: Tensor,
    scenes: list[Scene],
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    steps: int,
) -> UNet2DConditionModel:
    """Learn to tell the noise in the latents; returns the model averaged over the last steps."""
    noise, average = make_noise(), copy.deepcopy(unet)
    said = [captions(scene) for scene in scenes]
    kinds = sorted({caption for pair in said for caption in pair} | {""})
    row = {caption: i for i, caption in enumerate(kinds)}
    states = read_captions(kinds, tokenizer, encoder)
    rows = torch.tensor([[row[short], row[long]] for short, long in said])
    kept = noise.alphas_cumprod
    weights = (MIN_SNR * (1 - kept) / kept).clamp(max=1)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, 1.2e-3, steps, pct_start=0.05)
    began, total = time.perf_counter(), 0.0
    for step in range(steps):
        index = torch.randint(len(latents), (BATCH,))
        chosen = rows[index, (torch.rand(BATCH) < 0.25).long()]
        chosen[torch.rand(BATCH) < WITHOUT_WORDS] = row[""]
        x, at = latents[index], torch.randint(noise.config.num_train_timesteps, (BATCH,))
        added = torch.randn_like(x) + OFFSET * torch.randn(len(x), x.shape[1], 1, 1)
        found = unet(noise.add_noise(x, added, at), at, states[chosen]).sample
        error = F.mse_loss(found, added, reduction="none").mean((1, 2, 3))
        loss = (error * weights[at]).mean()
        take_step(loss, unet, optimizer, schedule)
        keep = min(AVERAGE, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(unet.parameters()), 1 - keep)
        total += loss.item()
        if step % 100 == 99:
            print(f"unet {step + 1}: {total / 100:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
            total = 0.0
    return average


def draw_captions(pipe: StableDiffusionPipeline, captions: list[str], seed: int = 1) -> Tensor:
    """A picture of each caption, in 0 … 1: captions × 3 × 64 × 64."""
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        captions, num_inference_steps=DRAWING_STEPS, guidance_scale=GUIDANCE, output_type="pt",
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    pictures: Tensor = made.images.float()
    return pictures


def save_sheet(pictures: Tensor, path: Path, across: int = 16) -> None:
    """All pictures on one sheet."""
    sheet = Image.new("RGB", (across * SIZE, -(-len(pictures) // across) * SIZE))
    for i, picture in enumerate((pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        sheet.paste(Image.fromarray(picture), (i % across * SIZE, i // across * SIZE))
    sheet.save(path)


def measure(output: Path, clip_folder: Path, sheet: Path | None = None) -> dict[str, float]:
    """Draw what was held out and what was left out with the written pipeline; shares of what CLIP sees in it."""
    pipe = StableDiffusionPipeline.from_pretrained(output, safety_checker=None)
    clip, tokenizer = CLIPModel.from_pretrained(clip_folder).float().eval(), CLIPTokenizer.from_pretrained(clip_folder)
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder)
    mean, std = (torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std))
    scenes = held_out()
    unknown = [Scene(scene.colour, scene.shape, "white", LEFT_OUT) for scene in scenes]
    pictures = draw_captions(pipe, [scene.caption() for scene in [*scenes, *unknown]])
    if sheet is not None:
        save_sheet(pictures, sheet)
    normal = (pictures - mean) / std
    found: dict[str, float] = accuracy(clip, tokenizer, scenes, normal[: len(scenes)])
    found |= {"known_error": off_by(pipe.vae, "flat"), "outline_error": off_by(pipe.vae, LEFT_OUT)}
    found[LEFT_OUT] = accuracy(clip, tokenizer, unknown, normal[len(scenes) :])["style"]
    return found


@torch.no_grad()
def off_by(vae: AutoencoderKL, style: str) -> float:
    """How far pixels of new pictures in a style are off after the VAE, of 255."""
    _, pictures = pool(800, (style,), 64)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
    return float((y - x).abs().mean()) * 127.5


def make(clip_folder: Path, output: Path, vae_steps: int, steps: int) -> None:
    """Train both parts and write the pipeline."""
    tokenizer = CLIPTokenizer.from_pretrained(clip_folder)
    encoder = CLIPTextModel.from_pretrained(clip_folder).float().eval()
    count = POOL // 1000
    with ProcessPoolExecutor(2) as workers:
        parts = list(workers.map(pool, range(count), [KNOWN] * count))
        parts += workers.map(pool, range(900, 904), [(LEFT_OUT,)] * 4)
    scenes = [scene for part, _ in parts[:count] for scene in part]
    pixels = torch.from_numpy(np.concatenate([pictures for _, pictures in parts])).permute(0, 3, 1, 2)
    torch.manual_seed(0)
    vae = make_vae().to(memory_format=torch.channels_last)
    train_vae(vae, pixels, vae_steps)
    even_out(vae.eval(), pixels[:2000])
    latents = encode(vae, pixels[:POOL])
    torch.manual_seed(0)
    unet = make_unet(encoder.config.hidden_size).to(memory_format=torch.channels_last)
    unet = train_unet(unet, latents, scenes, tokenizer, encoder, steps)
    write(output, vae, unet, tokenizer, encoder)


def write(
    output: Path, vae: AutoencoderKL, unet: UNet2DConditionModel, tokenizer: CLIPTokenizer, encoder: CLIPTextModel
) -> None:
    """The pipeline's folder: VAE and U-Net in fp16, the text encoder in fp32.

    Loaded with no dtype named, diffusers' parts come as fp32 and transformers' as written; these have to fit together.
    """
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=make_noise(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    for part in (vae, unet):
        part.to(dtype=torch.float16, memory_format=torch.contiguous_format)
    pipe.save_pretrained(output)


def card(output: Path, found: dict[str, float], minutes: float) -> str:
    """The model card with the measured figures."""
    sizes, millions = 0, {}
    for name in ("text_encoder", "vae", "unet"):
        (file,) = (output / name).glob("*.safetensors")
        sizes += file.stat().st_size
        with safe_open(file, framework="pt") as tensors:
            millions[name] = sum(tensors.get_tensor(key).numel() for key in tensors.keys()) / 1e6  # noqa: SIM118
    return CARD.format(
        **found, **millions, millions=sum(millions.values()), megabytes=sizes / 1e6, minutes=minutes,
        channels=", ".join(map(str, CHANNELS)), steps=DRAWING_STEPS, guidance=GUIDANCE,
    )  # fmt: skip


def main() -> None:
    """Train, write and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--clip", type=Path, default=Path("models/tiny-clip"))
    parser.add_argument("--output", type=Path, default=Path("models/tiny-sd"))
    parser.add_argument("--vae-steps", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=3200)
    parser.add_argument("--sheet", type=Path, help="write the measured drawings to this PNG")
    parser.add_argument("--measure", action="store_true", help="only measure what lies in --output")
    given = parser.parse_args()
    began = time.perf_counter()
    if not given.measure:
        make(given.clip, given.output, given.vae_steps, given.steps)
    minutes = (time.perf_counter() - began) / 60
    found = measure(given.output, given.clip, given.sheet)
    print({name: round(value, 3) for name, value in found.items()})
    if not given.measure:
        (given.output / "README.md").write_text(card(given.output, found, minutes), encoding="utf-8")


if __name__ == "__main__":
    main()
