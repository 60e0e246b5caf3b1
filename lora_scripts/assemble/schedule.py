"""What a config says of a run's course, whatever the run learns."""

from __future__ import annotations

import torch

from lora_scripts.config import Config
from lora_scripts.training.plan import Schedule

NOTED_KEYS = (
    "epochs", "max_steps", "early_stopping_patience", "coach", "eval_steps", "gradient_checkpointing", "shard",
)  # fmt: skip
"""Keys that may differ on resume, which is said: they change how far the run goes, or how it is watched."""


def schedule_of(config: Config, device: str, weights: torch.dtype) -> Schedule:
    """What the config says of a run, whatever it learns; ``weights`` is the dtype of the base."""
    names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
    return Schedule(
        batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        epochs=config.epochs,
        max_steps=config.max_steps,
        warmup_ratio=config.warmup_ratio,
        eval_steps=config.eval_steps,
        save_steps=config.save_steps,
        log_steps=config.log_steps,
        learning_rate=config.learning_rate,
        lr_schedule=config.lr_schedule,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        early_stopping_patience=config.early_stopping_patience,
        save_total_limit=config.save_total_limit,
        seed=config.seed,
        device=device,
        precision=names[weights],
    )
