"""An adapter in memory, ready to act on rows: read, checked against the base, scales folded in.

Everything that can be wrong is found here, before a request meets it: a tensor without a layer, a shape that does not
fit, a rank above the cap, another base, a layer that does not see each token once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lora_scripts.adapters.files import find_weights, parts_by_module, read_adapter, scaling_of
from lora_scripts.errors import ModelError
from lora_scripts.serve.engine.parts import Directed, Factors, InnerFactors, LowRank

_ROWS_AT_ONCE = 1 << 24  # values of a weight that are in fp32 at once while a DoRA norm is computed


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedAdapter:
    """``parts`` by full module name on the device; ``digest`` is the sha256 of the weight file and its config.

    ``method`` is lora, rslora, dora or ia3; ``comes_first`` in a stack, since it rescales what the base says.
    """

    name: str
    parts: Mapping[str, Any]
    digest: str
    method: str
    rank: int
    nbytes: int

    @property
    def comes_first(self) -> bool:
        """Whether it acts before the others of a stack."""
        return self.method == "dora"

    @property
    def is_low_rank(self) -> bool:
        """Whether it only adds products of two factors."""
        return self.method in ("lora", "rslora")


def digest_of(path: Path) -> str:
    """sha256 of an adapter's weights and config: two adapters with one digest are the same."""
    weights = find_weights(path)
    whole = hashlib.sha256()
    for file in (weights, weights.parent / "adapter_config.json"):
        if file.exists():
            with file.open("rb") as content:
                whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()


def load_weights(
    name: str, path: Path, model: PreTrainedModel, *, largest_rank: int, unfit: Collection[str] = ()
) -> LoadedAdapter:
    """The adapter of ``path`` for ``model``.

    ``unfit`` are modules whose rows are not the batch's tokens, on which no segment can act.

    Raises:
        ModelError: It cannot be read, or does not fit the model.
    """
    digest = digest_of(path)
    try:
        config, tensors = read_adapter(path)
    except RuntimeError as error:  # a kind of number that torch cannot look at, a config nested without end
        raise ModelError("adapters.unreadable", where=path, reason=str(error)[:160]) from error
    modules = parts_by_module(tensors)
    layers = {
        n: m for n, m in model.named_modules() if n in modules and (hasattr(m, "in_features") or hasattr(m, "nx"))
    }
    if strangers := sorted(set(modules) - set(layers)):
        raise ModelError("adapters.no_place", where=path, names=", ".join(strangers[:3]))
    if odd := sorted(set(modules) & set(unfit)):
        raise ModelError("serve.unfit_layers", where=path, names=", ".join(odd[:3]))
    ranks = [parts["lora_A.weight"].shape[0] for parts in modules.values() if "lora_A.weight" in parts]
    if max(ranks, default=0) > largest_rank:
        raise ModelError("serve.rank_too_high", where=path, rank=max(ranks), limit=largest_rank)
    make = _factors if config["peft_type"] == "IA3" else _low_rank
    parts: dict[str, Any] = {
        module: make(_Where(path, module), layers[module], config, own, model.dtype) for module, own in modules.items()
    }
    return LoadedAdapter(
        name=name,
        parts=parts,
        digest=digest,
        method=_method(config),
        rank=max(ranks, default=0),
        nbytes=sum(part.nbytes for part in parts.values()),
    )


def moved(adapter: LoadedAdapter, device: str) -> LoadedAdapter:
    """The same adapter with its tensors on another device."""
    return replace(adapter, parts={name: _part_to(part, device) for name, part in adapter.parts.items()})


def _part_to(part: Any, device: str) -> Any:
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    if isinstance(part, Directed):
        return replace(part, low_rank=_part_to(part.low_rank, device), magnitude_O=part.magnitude_O.to(device))
    return replace(part, **{name: value.to(device) for name, value in values.items()})


def _method(config: Mapping[str, Any]) -> str:
    if config["peft_type"] == "IA3":
        return "ia3"
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"


@dataclass(frozen=True, slots=True)
class _Where:
    path: Path
    module: str


def _device(layer: nn.Module) -> torch.device:
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight.device


def _features(layer: nn.Module) -> tuple[int, int]:
    """Inner and outer features."""
    if isinstance(layer, Conv1D):
        return int(layer.nx), int(layer.nf)
    return int(layer.in_features), int(layer.out_features)  # type: ignore[arg-type]


def _low_rank(
    where: _Where, layer: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype
) -> LowRank | Directed:
    a_RI, b_OR = tensors["lora_A.weight"], tensors["lora_B.weight"]
    inner, outer = _features(layer)
    if (a_RI.shape[1], b_OR.shape[0]) != (inner, outer):
        found = f"{where.module}: {a_RI.shape[1]} → {b_OR.shape[0]}"
        raise ModelError("serve.other_shape", where=where.path, found=found, expected=f"{inner} → {outer}")
    device = _device(layer)
    scaled_OR = b_OR.float() * scaling_of(config, where.module, a_RI.shape[0])
    low_rank = LowRank(a_RI.to(device, dtype).t().contiguous(), scaled_OR.to(device, dtype).t().contiguous())
    if not (torch.isfinite(low_rank.a_IR).all() and torch.isfinite(low_rank.b_RO).all()):
        raise ModelError("adapters.not_finite", where=where.path, names=where.module)
    if "lora_magnitude_vector" not in tensors:
        return low_rank
    norm_O = _norms(layer, a_RI.float().to(device), scaled_OR.to(device))
    magnitude_O = tensors["lora_magnitude_vector"].float().to(device) / norm_O
    bias: Tensor | None = layer.bias  # type: ignore[assignment]
    return Directed(low_rank, magnitude_O.to(dtype), bias)


@torch.no_grad()
def _norms(layer: nn.Module, a_RI: Tensor, b_OR: Tensor) -> Tensor:
    """‖W + BA‖ of each outer feature, some of them at a time. [O], fp32."""
    weight_OI = dequantize_module_weight(layer)
    weight_OI = weight_OI.t() if isinstance(layer, Conv1D) else weight_OI
    count = max(1, _ROWS_AT_ONCE // weight_OI.shape[1])
    pieces = [
        torch.linalg.vector_norm(weight_OI[i : i + count].float() + b_OR[i : i + count] @ a_RI, dim=1)
        for i in range(0, weight_OI.shape[0], count)
    ]
    return torch.cat(pieces)


def _factors(
    where: _Where, layer: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype
) -> Factors | InnerFactors:
    factors = tensors["ia3_l"]
    inner, outer = _features(layer)
    is_inner = factors.shape[0] == 1
    if factors.numel() != (inner if is_inner else outer):
        found = f"{where.module}: {factors.numel()}"
        raise ModelError("serve.other_shape", where=where.path, found=found, expected=f"{inner} → {outer}")
    flat = factors.flatten().to(_device(layer), dtype)
    return InnerFactors(flat) if is_inner else Factors(flat)
