"""Adapters of Stable Diffusion models: put into a pipeline's parts, trained there, stacked, taken off, merged.

A pipeline's parts are its U-Net and its text encoders. PEFT's layers do the arithmetic, as they do in diffusers, so
that what is drawn here is drawn there, bit for bit. Modules are always told to PEFT by their full names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import Parameter

from lora_scripts.adapters.files import LARGEST_RANK
from lora_scripts.errors import ModelError

PARTS = ("unet", "text_encoder", "text_encoder_2")
TRAINED = "default"
A, B, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
TENSOR_NAME = re.compile(
    r"(?P<layer>(?P<part>unet|text_encoder(?:_2)?)\.(?P<module>.+))"
    r"\.(?P<piece>lora_[AB]\.weight|lora_magnitude_vector)"
)
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_METHODS = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}

Layers = dict[tuple[str, str], dict[str, Tensor]]
"""An adapter's tensors by (part, module), then by piece: ``lora_A.weight``, ``lora_B.weight``, the magnitudes."""


@dataclass(frozen=True, slots=True)
class PictureAdapter:
    """An adapter of a Stable Diffusion model.

    ``tensors`` are named "<part>.<module>.<piece>": part one of ``PARTS``, piece lora_A.weight, lora_B.weight or
    lora_magnitude_vector. ``configs`` holds the settings of each part's LoraConfig as plain values; its targets and the
    keys of its two patterns are full module names.
    """

    tensors: dict[str, Tensor]
    configs: dict[str, dict[str, Any]]


def layers_of(adapter: PictureAdapter) -> Layers:
    """The tensors of each layer, in the adapter's order."""
    layers: Layers = {}
    for name, value in adapter.tensors.items():
        matched = TENSOR_NAME.fullmatch(name)
        if not matched:
            raise ModelError("picture_adapters.stray", names=name)
        layers.setdefault((matched["part"], matched["module"]), {})[matched["piece"]] = value
    return layers


def alpha_of(config: Mapping[str, Any], module: str) -> float:
    """alpha of one module; what BA is scaled by is alpha / rank, of rsLoRA alpha / √rank."""
    return float(config["alpha_pattern"].get(module, config["lora_alpha"]))


def assemble_adapter(
    where: object,
    tensors: Mapping[str, Tensor],
    alphas: Mapping[str, float | None],
    *,
    rslora: Collection[str] = (),
) -> PictureAdapter:
    """An adapter from its tensors, checked, and from alpha of each "<part>.<module>" (none: alpha = rank).

    ``rslora`` are the parts that divide by √rank.

    Raises:
        ModelError: Values that are not finite numbers, halves of pairs, shapes that do not fit together, a rank beyond
            ``LARGEST_RANK``, or magnitudes of a few layers only.
    """
    if not tensors:
        raise ModelError("picture_adapters.empty", where=where)
    for name, value in tensors.items():
        if value.dtype not in _DTYPES or not torch.isfinite(value).all():
            raise ModelError("picture_adapters.not_finite", where=where, names=name)
    adapter = PictureAdapter({name: tensors[name] for name in sorted(tensors)}, {})
    layers = layers_of(adapter)
    if alone := sorted(layer for layer in alphas if f"{layer}.{A}" not in tensors):
        raise ModelError("picture_adapters.incomplete", where=where, names=alone[0], missing=A)
    for (part, module), pieces in layers.items():
        _check_pieces(where, f"{part}.{module}", pieces)
    for part in PARTS:
        mine = {module: pieces for (owner, module), pieces in layers.items() if owner == part}
        if not mine:
            continue
        dora = {MAGNITUDE in pieces for pieces in mine.values()}
        if len(dora) > 1:
            bare = next(module for module, pieces in mine.items() if MAGNITUDE not in pieces)
            raise ModelError("picture_adapters.incomplete", where=where, names=f"{part}.{bare}", missing=MAGNITUDE)
        ranks = {module: pieces[A].shape[0] for module, pieces in mine.items()}
        scales: dict[str, float] = {}
        for module, rank in ranks.items():
            told = alphas.get(f"{part}.{module}")
            scales[module] = rank if told is None else told
        method = {"use_rslora": part in rslora, "use_dora": dora == {True}}
        adapter.configs[part] = _settings(ranks, scales, 0.0) | method
    return adapter


def _check_pieces(where: object, layer: str, pieces: Mapping[str, Tensor]) -> None:
    for piece in (A, B):
        if piece not in pieces:
            raise ModelError("picture_adapters.incomplete", where=where, names=layer, missing=piece)
    a, b = pieces[A], pieces[B]
    linear = a.dim() == b.dim() == 2
    conv = a.dim() == b.dim() == 4 and b.shape[2:] == (1, 1)
    fits = (linear or conv) and a.shape[0] == b.shape[1] and a.numel() and b.numel()
    if fits and MAGNITUDE in pieces:
        fits = pieces[MAGNITUDE].shape == (b.shape[:1] if linear else (1, b.shape[0], 1, 1))
    if not fits:
        shapes = ", ".join(f"{piece} {list(value.shape)}" for piece, value in pieces.items())
        raise ModelError("picture_adapters.shapes", where=where, names=layer, shapes=shapes)
    if a.shape[0] > LARGEST_RANK:
        raise ModelError("picture_adapters.rank", where=where, names=layer, rank=a.shape[0], limit=LARGEST_RANK)


def _settings(ranks: Mapping[str, int], alphas: Mapping[str, float], dropout: float) -> dict[str, Any]:
    """Rank and alpha that most modules have, and patterns for the others; whole numbers are written as such."""
    whole = {module: int(alpha) if alpha == int(alpha) else alpha for module, alpha in alphas.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    alpha = Counter(whole.values()).most_common(1)[0][0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": sorted(ranks),
        "rank_pattern": {module: r for module, r in sorted(ranks.items()) if r != rank},
        "alpha_pattern": {module: a for module, a in sorted(whole.items()) if a != alpha},
    }


def inject_pictures(
    parts: Mapping[str, nn.Module],
    targets: Mapping[str, Sequence[str]],
    *,
    method: str,
    rank: int,
    alpha: float,
    dropout: float,
    seed: int,
) -> None:
    """Freeze all ``parts`` and put a fresh trainable adapter on the full module names ``targets[part]``.

    ``method`` is lora, rslora or dora. The adapter is float32 whatever the base is, starts as the identity, and is
    drawn from ``seed`` alone; the caller's random numbers are left where they were.

    Raises:
        ModelError: A target that is not a linear or convolution layer of its part.
    """
    for model in parts.values():
        model.requires_grad_(False)
    for part, names in targets.items():
        known = _base_layers(parts[part]) if part in PARTS and part in parts else {}
        if strangers := sorted(set(names) - set(known)):
            raise ModelError("picture_adapters.no_place", names=f"{part}.{strangers[0]}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not those of the devices, which would not be put back
        for part in PARTS:
            if not targets.get(part):
                continue
            settings = _settings(dict.fromkeys(targets[part], rank), dict.fromkeys(targets[part], alpha), dropout)
            _inject(parts[part], TRAINED, settings | _METHODS[method], empty=False)
            for value in parts[part].parameters():
                if value.requires_grad:
                    value.data = value.data.float()


def _inject(part: nn.Module, name: str, settings: Mapping[str, Any], *, empty: bool) -> None:
    """``empty``: the values are on the meta device until they are set, so none is drawn for nothing."""
    escaped = {key: {re.escape(m): v for m, v in settings[key].items()} for key in ("rank_pattern", "alpha_pattern")}
    exactly = {f"{module}.{A}": torch.empty(0) for module in settings["target_modules"]}
    inject_adapter_in_model(
        LoraConfig(**{**settings, **escaped}), part, name, low_cpu_mem_usage=empty, state_dict=exactly
    )


def _adapted(part: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    for name, module in part.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _base_layers(part: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that can carry an adapter, by full name, whether they carry one or not."""
    carried = dict(_adapted(part))
    layers = {name: layer.get_base_layer() for name, layer in carried.items()}
    for name, module in part.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not any(name.startswith(f"{c}.") for c in carried):
            layers[name] = module
    return layers


def _pieces(layer: LoraLayer, name: str) -> dict[str, Parameter]:
    """The adapter's own parameters in one layer, by piece."""
    pieces = {A: layer.lora_A[name].weight, B: layer.lora_B[name].weight}
    if name in layer.lora_magnitude_vector:
        pieces[MAGNITUDE] = layer.lora_magnitude_vector[name].weight
    return pieces


def _parameters(parts: Mapping[str, nn.Module]) -> dict[str, Parameter]:
    """The trained adapter's parameters by name, sorted."""
    found = {
        f"{part}.{module}.{piece}": value
        for part, model in parts.items()
        for module, layer in _adapted(model)
        if TRAINED in layer.lora_A
        for piece, value in _pieces(layer, TRAINED).items()
    }
    return {name: found[name] for name in sorted(found)}


def picture_adapter(parts: Mapping[str, nn.Module]) -> PictureAdapter:
    """The adapter that ``inject_pictures`` put in, as it is now: a copy on the CPU, in a fixed order."""
    configs = {}
    for part in PARTS:
        layers = {m: layer for m, layer in _adapted(parts[part]) if TRAINED in layer.lora_A} if part in parts else {}
        if layers:
            ranks = {module: layer.r[TRAINED] for module, layer in layers.items()}
            alphas = {module: layer.lora_alpha[TRAINED] for module, layer in layers.items()}
            any_layer = next(iter(layers.values()))
            configs[part] = _settings(ranks, alphas, getattr(any_layer.lora_dropout[TRAINED], "p", 0.0)) | {
                "use_rslora": any_layer.use_rslora[TRAINED],
                "use_dora": any_layer.use_dora[TRAINED],
            }
    tensors = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in _parameters(parts).items()}
    return PictureAdapter(tensors, configs)


def restore_pictures(parts: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of ``picture_adapter`` back into the parts that they came from.

    Raises:
        ModelError: Names or shapes differ; nothing is changed.
    """
    wanted = _parameters(parts)
    if differing := sorted(set(wanted) ^ set(tensors)):
        raise ModelError("picture_adapters.stray", names=", ".join(differing[:3]))
    for name, value in wanted.items():
        if value.shape != tensors[name].shape:
            shapes = f"{list(tensors[name].shape)}, {list(value.shape)}"
            raise ModelError("picture_adapters.shapes", names=name, shapes=shapes)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])


def apply_pictures(parts: Mapping[str, nn.Module], adapters: Sequence[tuple[str, PictureAdapter, float]]) -> None:
    """Draw with several adapters (name, adapter, weight): output = base + Σ weight × scale × BA.

    What was applied before is taken off first. Ranks, targets and signs of weights may differ. DoRA rescales the whole
    weight, so it is applied alone, at weight 1. Parts are set to eval mode; there is no dropout. The adapters'
    parameters keep ``requires_grad``, as in training and in diffusers: torch multiplies by other kernels without it,
    and pictures would differ in the last bit.

    Raises:
        ModelError: A layer that the parts do not have, or of another shape; DoRA that is weighed or stacked. Nothing is
            changed then.
    """
    for name, adapter, weight in adapters:
        if any(config["use_dora"] for config in adapter.configs.values()) and (weight != 1 or len(adapters) > 1):
            raise ModelError("picture_adapters.dora_alone", where=name, weight=weight)
    placed = [_placed(parts, name, adapter) for name, adapter, _ in adapters]
    remove_pictures(parts)
    for index, (_, adapter, weight) in enumerate(adapters):
        for part, config in adapter.configs.items():
            _add(parts[part], f"stack_{index}", config, placed[index][part], weight)
    for model in parts.values():
        for _, layer in _adapted(model):
            layer.set_adapter([f"stack_{index}" for index in range(len(adapters))])
        model.eval()


def _placed(parts: Mapping[str, nn.Module], name: str, adapter: PictureAdapter) -> dict[str, dict[str, Any]]:
    """For each part, each of the adapter's modules: its name in this very model, and its tensors; shapes checked.

    transformers 5 knows a CLIP text model's layers without the "text_model." that older ones and other tools have.
    """
    known = {part: _base_layers(model) for part, model in parts.items()}
    placed: dict[str, dict[str, Any]] = {part: {} for part in adapter.configs}
    for (part, module), pieces in layers_of(adapter).items():
        short = module.removeprefix("text_model.")
        homes = [home for home in (module, short, f"text_model.{short}") if home in known.get(part, {})]
        if not homes:
            raise ModelError("picture_adapters.no_place", where=name, names=f"{part}.{module}")
        base = known[part][homes[0]].weight.shape
        a, b = pieces[A].shape, pieces[B].shape
        if len(a) != len(base) or a[1:] != base[1:] or b[0] != base[0] or a[0] != b[1]:
            shapes = f"{A} {list(a)}, {B} {list(b)}, {list(base)}"
            raise ModelError("picture_adapters.shapes", where=name, names=f"{part}.{module}", shapes=shapes)
        placed[part][module] = homes[0], pieces
    return placed


def _add(part: nn.Module, name: str, config: Mapping[str, Any], placed: Mapping[str, Any], weight: float) -> None:
    ranks = {home: pieces[A].shape[0] for home, pieces in placed.values()}
    alphas = {home: alpha_of(config, module) for module, (home, _) in placed.items()}
    method = {key: config[key] for key in ("use_rslora", "use_dora")}
    _inject(part, name, _settings(ranks, alphas, 0.0) | method, empty=True)
    del part.peft_config  # else peft warns of the next adapter of a stack
    tensors = dict(placed.values())
    for module, layer in _adapted(part):
        if module not in tensors:
            continue
        base = layer.get_base_layer().weight
        for piece in _pieces(layer, name):
            owner = {A: layer.lora_A, B: layer.lora_B, MAGNITUDE: layer.lora_magnitude_vector}[piece][name]
            owner.weight = Parameter(tensors[module][piece].to(base.device, base.dtype))
        layer.set_scale(name, weight)


def remove_pictures(parts: Mapping[str, nn.Module]) -> None:
    """Take every adapter off: the base's own layers again, which were never changed. They stay frozen."""
    for part in parts.values():
        for name, layer in list(_adapted(part)):
            part.set_submodule(name, layer.get_base_layer())
        if hasattr(part, "peft_config"):
            del part.peft_config


def merge_pictures(parts: Mapping[str, nn.Module], adapters: Sequence[tuple[str, PictureAdapter, float]]) -> None:
    """Work the adapters into the base's own weights, convolutions too, and leave plain layers.

    Raises:
        ModelError: As ``apply_pictures``.
    """
    apply_pictures(parts, adapters)
    for part in parts.values():
        for _, layer in _adapted(part):
            layer.merge()
    remove_pictures(parts)
