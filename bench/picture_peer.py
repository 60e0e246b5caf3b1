"""The peer of bench/picture_speed.py: the step of diffusers' example script for LoRA training, on plain files.

    python bench/picture_peer.py BASE PICTURES RESOLUTION BATCH STEPS

What it does at each step is what examples/text_to_image/train_text_to_image_lora.py of diffusers 0.42 does at its
defaults, in the same libraries (accelerate, datasets, diffusers, peft): pictures and captions of a folder with
metadata.jsonl through a DataLoader, the VAE and the text encoder run at every step, LoRA with ``gaussian`` start on
to_k, to_q, to_v and to_out.0, AdamW, clipping, a progress bar, TensorBoard. torchvision's transforms are done by Pillow
and torch, since it is not needed for anything else. After each step it prints a line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, set_seed
from datasets import load_dataset
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

RANK, RATE = 16, 1e-4


def prepare(base: str) -> tuple[Any, ...]:
    """The base's parts, frozen, the U-Net with its adapter."""
    noise_scheduler = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(base, subfolder="text_encoder", dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(base, subfolder="vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", torch_dtype=torch.float32)
    for part in (unet, vae, text_encoder):
        part.requires_grad_(False)
    targets = ["to_k", "to_q", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=targets))
    return noise_scheduler, tokenizer, text_encoder, vae, unet


def loader(folder: str, tokenizer: Any, side: int, batch: int) -> DataLoader[Any]:
    """Shuffled batches of pixels and token ids."""
    rows = load_dataset("imagefolder", data_dir=folder)["train"]

    def transform(examples: dict[str, Any]) -> dict[str, Any]:
        pictures = [image.convert("RGB").resize((side, side)) for image in examples["image"]]
        pixels = [torch.from_numpy(np.array(p, np.float32)).permute(2, 0, 1) / 127.5 - 1 for p in pictures]
        ids = tokenizer(
            examples["text"],
            max_length=tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return {"pixel_values": pixels, "input_ids": list(ids)}

    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.stack([e[name] for e in examples]) for name in ("pixel_values", "input_ids")}

    return DataLoader(rows.with_transform(transform), shuffle=True, collate_fn=collate, batch_size=batch)


def main() -> None:
    """Train so many steps."""
    base, folder, side, batch, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    place = Path(f"{folder}-out")
    project = ProjectConfiguration(project_dir=str(place), logging_dir=str(place / "logs"))
    accelerator = Accelerator(log_with="tensorboard", project_config=project)
    set_seed(0)
    noise_scheduler, tokenizer, text_encoder, vae, unet = prepare(base)
    for part in (text_encoder, vae):
        part.to(accelerator.device)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=1e-2)
    rows = loader(folder, tokenizer, side, batch)
    schedule = get_scheduler("constant", optimizer=optimizer)
    unet, optimizer, rows, schedule = accelerator.prepare(unet, optimizer, rows, schedule)
    accelerator.init_trackers("text2image-fine-tune", config={"rank": RANK, "learning_rate": RATE})
    bar, done = tqdm(range(steps), desc="Steps"), 0
    while done < steps:
        unet.train()
        for example in rows:
            with accelerator.accumulate(unet):
                latents = vae.encode(example["pixel_values"]).latent_dist.sample() * vae.config.scaling_factor
                noise = torch.randn_like(latents)
                levels = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(latents),)).long()
                noisy = noise_scheduler.add_noise(latents, noise, levels)
                states = text_encoder(example["input_ids"], return_dict=False)[0]
                told = unet(noisy, levels, states, return_dict=False)[0]
                loss = F.mse_loss(told.float(), noise.float(), reduction="mean")
                mean = accelerator.gather(loss.repeat(batch)).mean().item()
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            done += 1
            bar.update(1)
            accelerator.log({"train_loss": mean}, step=done)
            bar.set_postfix(step_loss=loss.detach().item(), lr=schedule.get_last_lr()[0])
            print(f"step {done} {loss.detach().item():.6f}", flush=True)
            if done == steps:
                break


if __name__ == "__main__":
    main()
