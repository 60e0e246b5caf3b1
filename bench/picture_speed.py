"""Picture training against diffusers' example script: seconds a step, and from the start to the end of the first one.

    python bench/picture_speed.py [--cases tiny,sd15] [--runs 3] [--resolution 512] [--device cpu]

Case tiny: models/tiny-sd on the pictures of data/style_train, 64 × 64, batches of 4. Case sd15: a random U-Net, VAE and
text encoder of Stable Diffusion 1.5's shape on eight random pictures, batches of 1 (of 4 on a card).

Each side is a process of its own, as a user starts it, and the sides take turns: the peer (bench/picture_peer.py) does
at each step what diffusers' train_text_to_image_lora.py does, started by ``accelerate launch``, as the documentation of
diffusers says, and once more by Python alone; ours is ``lora-scripts train`` with the same pictures, size, batch, rank
and target layers. The peer's steps are timed by the lines that it prints (of Python alone, which is not slower), ours
by what the run writes to metrics.jsonl; the first two are not counted. ``first start`` of ours makes latents and words;
``second start`` finds them on the disk. The last line is JSON: medians over the runs of the peer's time over ours, for
a step and for what a start takes to the end of the first step, less one step; of the peer's starts those by
``accelerate launch`` and, as ``by_python``, those by Python alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RANK = 16
SKIPPED = 2


def tiny_case(folder: Path) -> tuple[Path, int, int, int]:
    """Base, resolution, batch, steps; the pictures go into ``folder``."""
    shutil.copytree(ROOT / "data" / "style_train", folder)
    _write_lines(folder)
    return ROOT / "models" / "tiny-sd", 64, 4, 60


def sd15_case(folder: Path, base: Path, resolution: int, card: bool) -> tuple[Path, int, int, int]:
    """The same of a random base that has Stable Diffusion 1.5's shape."""
    import numpy as np
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from PIL import Image
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(ROOT / "models" / "tiny-clip")
    blocks = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8,
        down_block_types=blocks, up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    encoder = CLIPTextModel(
        CLIPTextConfig(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                       num_attention_heads=12, bos_token_id=tokenizer.bos_token_id,
                       eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(base)
    folder.mkdir()
    rows = ["filename,prompt"]
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 255, (resolution // 8, resolution // 8, 3), np.uint8)
        Image.fromarray(pixels).resize((resolution, resolution)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,a red circle {i}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _write_lines(folder)
    return base, resolution, 4 if card else 1, 12 if card else 5


def _write_lines(folder: Path) -> None:
    """The table as datasets' imagefolder reads it, in a folder of its own."""
    from lora_scripts.data.pictures.metadata import read_table

    other = folder.with_name(folder.name + "-peer")
    other.mkdir()
    lines = []
    for line in read_table(folder / "metadata.csv").lines:
        shutil.copy(folder / line.name, other)
        lines.append(json.dumps({"file_name": line.name, "text": line.caption}))
    (other / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_peer(base: Path, folder: Path, resolution: int, batch: int, steps: int, *, launch: bool) -> list[float]:
    """Seconds from the start of the process to the end of each step."""
    words = [str(base), f"{folder}-peer", str(resolution), str(batch), str(steps)]
    threads = ["--num_cpu_threads_per_process", str(os.cpu_count())]  # it takes one thread where nothing is said
    launcher = ["-m", "accelerate.commands.launch", *threads] if launch else []
    command = [sys.executable, *launcher, str(ROOT / "bench" / "picture_peer.py"), *words]
    began = time.perf_counter()
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": f"{folder}-cache"}
    log = Path(f"{folder}-peer.txt")
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=quiet) as process,
    ):
        assert process.stdout
        ends = [time.perf_counter() - began for line in process.stdout if line.startswith("step ")]
    if len(ends) != steps:
        raise SystemExit(f"the peer stopped:\n{log.read_text()[-3000:]}")
    return ends


def run_ours(
    base: Path, folder: Path, resolution: int, batch: int, steps: int, cache: Path
) -> tuple[float, list[float]]:
    """Seconds to the end of the first step, and those of each step as the run itself tells; it is ended then."""
    import yaml

    place = Path(tempfile.mkdtemp(dir=folder.parent))
    settings: dict[str, Any] = {
        "task_type": "image-generation", "train_data_dir": str(folder), "base_model": str(base), "lora_rank": RANK,
        "lora_alpha": RANK, "lora_dropout": 0.0, "batch_size": batch, "max_steps": 100_000, "log_steps": 1,
        "eval_ratio": 0, "save_steps": 100_000, "resolution": resolution, "learning_rate": 1e-4, "weight_decay": 1e-2,
        "output_dir": str(place / "out"), "precision": "fp32", "gradient_checkpointing": False,
    }  # fmt: skip
    (place / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    code = "from lora_scripts.cli import main; main()"
    env = {**os.environ, "LORA_SCRIPTS_CACHE": str(cache)}
    began = time.perf_counter()
    command = [sys.executable, "-c", code, "train", str(place / "run.yaml")]
    log = place / "said.txt"
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said, env=env) as process:
        metrics = place / "out" / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
            time.sleep(0.02)
        first = time.perf_counter() - began
        while process.poll() is None and metrics.read_text(encoding="utf-8").count('"loss"') < steps:
            time.sleep(0.5)  # seldom: whoever watches takes from those who compute
        process.kill()
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    speeds = [row["pictures_per_second"] for row in map(json.loads, lines) if "loss" in row]
    if len(speeds) < steps:
        raise SystemExit(f"ours stopped:\n{log.read_text()[-3000:]}")
    return first, [batch / speed for speed in speeds[:steps]]


def compare(case: str, runs: int, resolution: int, card: bool) -> dict[str, float]:
    """Run both sides in turns and print what was seen."""
    with tempfile.TemporaryDirectory() as holder:
        folder = Path(holder) / "pictures"
        given = tiny_case(folder) if case == "tiny" else sd15_case(folder, Path(holder) / "base", resolution, card)
        base, side, batch, steps = given
        seen: list[dict[str, float]] = []
        for run in range(runs):
            cache = Path(holder) / f"cache-{run}"
            first, _ = run_ours(base, folder, side, batch, 1, cache)
            second, each = run_ours(base, folder, side, batch, steps, cache)
            peer = run_peer(base, folder, side, batch, steps, launch=False)
            launched = run_peer(base, folder, side, batch, 1, launch=True)[0]
            theirs = (peer[-1] - peer[SKIPPED - 1]) / (steps - SKIPPED)
            own = sum(each[SKIPPED:]) / (steps - SKIPPED)
            print(
                f"{case}, {side} × {side}, batch {batch}: seconds a step {theirs:.3f} / {own:.3f}; to the end of the "
                f"first step {launched:.1f} (by Python alone {peer[0]:.1f}) / {first:.1f} first start, "
                f"{second:.1f} second start",
                flush=True,
            )
            seen.append({
                "step": theirs / own,
                "first_start": (launched - theirs) / (first - own),
                "second_start": (launched - theirs) / (second - own),
                "first_start_by_python": (peer[0] - theirs) / (first - own),
                "second_start_by_python": (peer[0] - theirs) / (second - own),
            })  # fmt: skip
    return {name: round(median(one[name] for one in seen), 2) for name in seen[0]}


def main() -> None:
    """Compare, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", default="tiny,sd15")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args()
    names = ("torch", "diffusers", "peft", "accelerate")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          + ", ".join(f"{name} {version(name)}" for name in names))  # fmt: skip
    print("the peer / ours")
    cases = given.cases.split(",")
    print(json.dumps({case: compare(case, given.runs, given.resolution, given.device == "cuda") for case in cases}))


if __name__ == "__main__":
    main()
