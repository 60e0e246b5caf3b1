"""A trainable adapter put into a frozen base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn import Parameter
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """What the methods are told. ``feedforward`` are those of ``targets`` whose input IA3 scales, not their output."""

    targets: Sequence[str]
    feedforward: Sequence[str]
    rank: int
    alpha: float
    dropout: float
    fan_in_fan_out: bool


def _lora(shape: AdapterShape, *, rslora: bool = False, dora: bool = False) -> PeftConfig:
    return LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        target_modules=sorted(shape.targets),
        fan_in_fan_out=shape.fan_in_fan_out,
        use_rslora=rslora,
        use_dora=dora,
        task_type="CAUSAL_LM",
    )


def _ia3(shape: AdapterShape) -> PeftConfig:
    return IA3Config(
        target_modules=sorted(shape.targets),
        feedforward_modules=sorted(shape.feedforward),
        fan_in_fan_out=shape.fan_in_fan_out,
        task_type="CAUSAL_LM",
    )


METHODS: dict[str, Callable[[AdapterShape], PeftConfig]] = {
    "lora": _lora,  # Hu et al. 2021
    "rslora": partial(_lora, rslora=True),  # Kalajdzievski 2023: alpha / √rank
    "dora": partial(_lora, dora=True),  # Liu et al. 2024: a magnitude of its own beside the direction
    "ia3": _ia3,  # Liu et al. 2022: one factor a feature; has no rank, alpha or dropout
}


def inject(
    model: PreTrainedModel,
    *,
    targets: Sequence[str],
    rank: int,
    alpha: float,
    dropout: float,
    base: str,
    seed: int,
    method: str = "lora",
    feedforward: Sequence[str] = (),
) -> PeftModel:
    """``model`` with a fresh adapter of this ``method`` on the modules ``targets``; the base is frozen.

    Every method starts as the identity, so that the model's answers are the base's until the first step; what is
    random in it is drawn from ``seed``. ``feedforward`` are those of ``targets`` in an MLP, which IA3 asks for.
    ``base`` is the base's path as the user wrote it: servers compare it as a string.
    """
    torch.manual_seed(seed)
    transposed = any(isinstance(model.get_submodule(name), Conv1D) for name in targets)
    config = METHODS[method](AdapterShape(targets, feedforward, rank, alpha, dropout, transposed))
    adapted: PeftModel = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def trainable(model: nn.Module) -> list[Parameter]:
    """The parameters that training changes, in the model's order."""
    return [p for p in model.parameters() if p.requires_grad]


def output_side(model: nn.Module) -> list[Parameter]:
    """Those of ``trainable`` that LoRA+ moves faster: B, and DoRA's magnitudes. None of them in IA3."""
    faster = ("lora_B", "lora_magnitude_vector")
    return [p for name, p in model.named_parameters() if p.requires_grad and any(side in name for side in faster)]
