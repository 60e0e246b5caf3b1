"""The two kinds of runs, on texts and on pictures, behind one face for the road that both take."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lora_scripts.assemble.ahead import Hashed
from lora_scripts.assemble.pictures import parts as pictures
from lora_scripts.assemble.pictures.parts import PictureInputs, PictureParts
from lora_scripts.assemble.text import parts as texts
from lora_scripts.assemble.text.parts import Inputs, Parts
from lora_scripts.config import Config
from lora_scripts.errors import TrainError
from lora_scripts.training.plan import Plan

AnyInputs = Inputs | PictureInputs
AnyParts = Parts | PictureParts


def gather(config: Config, hashed: Hashed | None = None, *, weights: bool = True) -> AnyInputs:
    """Read and check everything that needs no model, for what ``task_type`` says; see ``assemble.ahead``.

    Raises:
        ModelError: The base cannot be used.
        DataError: The data are refused.
    """
    return pictures.gather(config, hashed) if config.draws else texts.gather(config, hashed, weights=weights)


def build(config: Config, inputs: AnyInputs, say: Callable[[str], None]) -> AnyParts:
    """Load the base, put the adapter in, derive the plan; ``say`` hears what takes long."""
    if isinstance(inputs, PictureInputs):
        return pictures.build(config, inputs, say)
    return texts.build(config, inputs)


def predict(config: Config, inputs: AnyInputs) -> tuple[Plan, list[str]]:
    """The plan without loading a weight, and lines about it."""
    if isinstance(inputs, PictureInputs):
        return pictures.predict(config, inputs)
    return texts.predict(config, inputs)


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    return pictures.plan_lines(plan) if plan.unit == "pictures" else texts.plan_lines(plan)


def optimizer_of(config: Config, parts: AnyParts) -> torch.optim.Optimizer:
    """The optimiser of a run over what its adapter trains."""
    if isinstance(parts, PictureParts):
        return pictures.optimizer_of(config, parts.model)
    return texts.optimizer_of(config, parts.model)


def trained_tensors(parts: AnyParts, step: int) -> dict[str, Tensor]:
    """The adapter as it is after ``step``, on the CPU.

    Raises:
        TrainError: A value of it is not finite.
    """
    tensors = parts.tensors()
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise TrainError("train.not_finite_adapter", step=step)
    return tensors
