"""A trainable adapter put into a frozen base."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import Parameter
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def inject(
    model: PreTrainedModel, *, targets: Sequence[str], rank: int, alpha: float, dropout: float, base: str, seed: int
) -> PeftModel:
    """``model`` with a fresh LoRA adapter (Hu et al. 2021) on the modules ``targets``; the base is frozen.

    A is drawn from ``seed``, B is zero, so that the model's answers are the base's until the first step.
    ``base`` is the base's path as the user wrote it: servers compare it as a string.
    """
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=sorted(targets),
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in targets),
        task_type="CAUSAL_LM",
    )
    adapted: PeftModel = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def trainable(model: PeftModel) -> list[Parameter]:
    """The parameters that training changes, in the model's order."""
    return [p for p in model.parameters() if p.requires_grad]
