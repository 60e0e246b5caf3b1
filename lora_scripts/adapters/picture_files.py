"""Files of Stable Diffusion adapters: diffusers' layout written and read, kohya's read, PEFT folders both.

What stock diffusers 0.42 makes of a file decides how it is written. ``lora_adapter_metadata`` in the header is what
carries alpha, ranks, rsLoRA and DoRA; ``.alpha`` tensors beside it are refused there ("Invalid LoRA checkpoint"). Text
encoders have the older ``lora_linear_layer`` names: with PEFT's, a file of MLP layers alone is refused. Magnitudes end
in ``.weight``: without it those of text encoders are dropped. The dropout is written as 0: diffusers leaves it on while
it draws.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from lora_scripts.adapters.files import CONFIG_FILE, OF_PICTURES, check_config, in_order, plain_key
from lora_scripts.adapters.files import WEIGHTS_FILE as PEFT_WEIGHTS_FILE
from lora_scripts.adapters.kohya import from_kohya, is_kohya, long_name, one_number, short_name
from lora_scripts.adapters.pictures import MAGNITUDE, PARTS, A, B, PictureAdapter, assemble_adapter, layers_of
from lora_scripts.errors import ModelError

WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
HEADER_KEY = "lora_adapter_metadata"
_BEFORE_PEFT = "base_model.model."
_WRITTEN = {A: "lora_linear_layer.down.weight", B: "lora_linear_layer.up.weight", MAGNITUDE: f"{MAGNITUDE}.weight"}
_KEY = re.compile(
    r"(?:(?P<part>unet|text_encoder(?:_2)?)\.)?(?P<module>.+?)(?:"
    r"\.(?P<piece>lora_[AB]\.weight|lora_magnitude_vector(?:\.weight)?)"
    r"|(?P<old>_lora|\.lora|\.lora_linear_layer)\.(?P<side>down|up)\.weight|(?:_lora|\.lora)?\.(?P<alpha>alpha))"
)
_WITHOUT_PART = re.compile(r"(?:down_blocks|up_blocks|mid_block)\.")
_OTHER_KINDS = {"hada_": "LoHa", "lokr_": "LoKr", "boft_": "BOFT", "oft_": "OFT", "ia3_": "IA3", "vera_": "VeRA"}
_PROJECTIONS = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


def write_picture_adapter(folder: Path, adapter: PictureAdapter) -> None:
    """Write ``pytorch_lora_weights.safetensors``, for ``pipe.load_lora_weights(folder)``; the same bytes each time.

    Raises:
        ModelError: A value is not finite; nothing is written.
    """
    _replace(folder / WEIGHTS_FILE, adapter_bytes(adapter))


def adapter_bytes(adapter: PictureAdapter) -> bytes:
    """The content of that file.

    Raises:
        ModelError: A value is not finite.
    """
    tensors = {}
    for (part, module), pieces in layers_of(adapter).items():
        for piece, value in pieces.items():
            name = piece if part == "unet" and piece != MAGNITUDE else _WRITTEN[piece]
            tensors[f"{part}.{long_name(part, module)}.{name}"] = value
    settings = {
        f"{part}.{key}": value
        for part, config in adapter.configs.items()
        for key, value in (config | {"lora_dropout": 0.0}).items()
    }
    return _packed(WEIGHTS_FILE, tensors, {HEADER_KEY: json.dumps(settings, indent=2, sort_keys=True)})


def write_peft_folders(folder: Path, adapter: PictureAdapter, base: str) -> None:
    """Write ``unet/``, ``text_encoder/`` …, each for ``PeftModel.from_pretrained(part, folder / part)``.

    ``base`` is the base's path as the user wrote it.

    Raises:
        ModelError: A value is not finite.
    """
    layers = layers_of(adapter)
    for part, config in adapter.configs.items():
        tensors = {
            f"{_BEFORE_PEFT}{module}.{piece}": value
            for (owner, module), pieces in layers.items()
            if owner == part
            for piece, value in pieces.items()
        }
        place = folder / part
        place.mkdir(parents=True, exist_ok=True)
        _replace(place / PEFT_WEIGHTS_FILE, _packed(place, tensors, {}))
        values = LoraConfig(**config, base_model_name_or_path=base, inference_mode=True).to_dict()
        plain = {key: sorted(value) if isinstance(value, set) else value for key, value in values.items()}
        _replace(place / CONFIG_FILE, (json.dumps(plain, indent=2, sort_keys=True, default=str) + "\n").encode())


def _packed(where: object, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> bytes:
    broken = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise ModelError("picture_adapters.not_finite", where=where, names=", ".join(broken[:3]))
    whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    return _aligned(in_order(save(whole, metadata={"format": "pt", **header})))


def _aligned(raw: bytes) -> bytes:
    """Tensors that begin where torch's own do, at multiples of 64 bytes: others are multiplied by other kernels, and a
    picture would differ in the last bit from the one that the trained model drew."""
    length = int.from_bytes(raw[:8], "little")
    spaces = -(8 + length) % 64
    return (length + spaces).to_bytes(8, "little") + raw[8 : 8 + length] + b" " * spaces + raw[8 + length :]


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def read_picture_adapter(
    path: str | os.PathLike[str], modules: Mapping[str, Collection[str]] | None = None
) -> PictureAdapter:
    """The adapter in a folder or a .safetensors file: diffusers' layout, kohya's, or PEFT folders, found by itself.

    ``modules`` are the full names of the layers of each part of the base. With them every layer of the file must be one
    of them; without them kohya's names are read by the grammar of SD 1.x and SDXL. The settings in a file are data:
    ranks come from the tensors, and no pattern is run.

    Raises:
        ModelError: No adapter, a pickle, an unreadable file, another kind, or anything that is not a whole adapter; a
            file is used to its last tensor or not at all.
    """
    place = Path(path)
    folders = [part for part in PARTS if (place / part / CONFIG_FILE).is_file()]
    if folders and not (place / WEIGHTS_FILE).is_file():
        adapter = _read_peft_folders(place, folders)
    else:
        file = _find(place)
        header, tensors = _open(file)
        if is_kohya(tensors):
            return from_kohya(tensors, header, modules, where=file)
        adapter = _from_diffusers(file, tensors, _settings_in(file, header))
    if modules is not None:
        known = {f"{part}.{long_name(part, name)}" for part, names in modules.items() for name in names}
        strangers = [name for layer in layers_of(adapter) if (name := f"{layer[0]}.{long_name(*layer)}") not in known]
        if strangers:
            raise ModelError("picture_adapters.unknown_layer", where=place, names=strangers[0])
    return adapter


def weights_file(path: Path) -> Path:
    """The file that holds an adapter; of PEFT folders the first.

    Raises:
        ModelError: There is none.
    """
    parts = [file for part in PARTS if (file := path / part / PEFT_WEIGHTS_FILE).is_file()]
    return parts[0] if parts and not (path / WEIGHTS_FILE).is_file() else _find(path)


def is_picture_adapter(path: Path) -> bool:
    """Whether an adapter, whole or not, is one of a picture model, by its folders or the names of its tensors."""
    if any((path / part / CONFIG_FILE).is_file() for part in PARTS):
        return True
    try:
        with safe_open(weights_file(path), "pt") as file:
            return any(name.startswith(OF_PICTURES) for name in file.keys())  # noqa: SIM118
    except (OSError, ValueError, SafetensorError, ModelError):
        return False


def refuse_pictures(path: Path) -> None:
    """For what answers questions, before the base is compared or loaded.

    Raises:
        ModelError: This is a picture adapter.
    """
    if is_picture_adapter(path):
        raise ModelError("adapters.of_pictures", where=path)


def _find(place: Path) -> Path:
    if place.is_file() and place.suffix == ".safetensors":
        return place
    if (place / WEIGHTS_FILE).is_file():
        return place / WEIGHTS_FILE
    if (place / PEFT_WEIGHTS_FILE).is_file():
        return place / PEFT_WEIGHTS_FILE
    files = sorted(place.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if files:
        raise ModelError("picture_adapters.several", where=place, names=", ".join(file.name for file in files[:5]))
    pickled = place.suffix in (".bin", ".pt", ".pth", ".ckpt") or any(place.glob("*.bin"))
    raise ModelError("picture_adapters.pickle" if pickled else "picture_adapters.none_here", where=place)


def _open(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with file.open("rb") as raw:
            begin = raw.read(9)
        if begin.startswith((b"PK", b"\x80")) and begin[8:] != b"{":
            raise ModelError("picture_adapters.pickle", where=file)
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
        return header, load_file(file)
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise ModelError("picture_adapters.unreadable", where=file, reason=str(e)[:160]) from e


def _settings_in(file: Path, header: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What diffusers wrote beside the tensors, by part."""
    try:
        flat = json.loads(header.get(HEADER_KEY) or "{}", parse_int=float)
        parts: dict[str, dict[str, Any]] = {}
        for key, value in flat.items():
            part, _, setting = key.partition(".")
            parts.setdefault(part, {})[setting] = value
    except (ValueError, AttributeError, RecursionError) as e:
        raise ModelError("picture_adapters.unreadable", where=file, reason=f"{HEADER_KEY}: {e}") from e
    return parts


def _from_diffusers(
    file: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Mapping[str, Any]]
) -> PictureAdapter:
    """diffusers' layout with settings or without, of PEFT's names or the two older sets of names."""
    found: dict[str, Tensor] = {}
    alphas: dict[str, float] = {}
    if tensors and all(key.startswith(_BEFORE_PEFT) for key in tensors):
        one_part = file.parent.name in PARTS
        raise ModelError("picture_adapters.one_part" if one_part else "picture_adapters.of_texts", where=file)
    for key in sorted(tensors):
        if kind := next((kind for mark, kind in _OTHER_KINDS.items() if mark in key), None):
            raise ModelError("picture_adapters.other_kind", where=file, kind=kind)
        matched = _KEY.fullmatch(key.replace(".processor.", "."))
        if not matched or not (matched["part"] or _WITHOUT_PART.match(matched["module"])):
            raise ModelError("picture_adapters.stray", where=file, names=key)
        layer, piece = _layer(matched), _piece(matched)
        if f"{layer}.{piece}" in found or (matched["alpha"] and layer in alphas):
            raise ModelError("picture_adapters.twice", where=file, names=layer)
        if matched["alpha"]:
            alphas[layer] = one_number(file, layer, tensors[key])
        else:
            found[f"{layer}.{piece}"] = tensors[key]
    return _with_settings(file, found, alphas, settings)


def _layer(matched: re.Match[str]) -> str:
    part, module = matched["part"] or "unet", matched["module"]
    parent, _, name = module.rpartition(".")
    if matched["old"] == "_lora" and part != "unet":
        module = f"{parent}.{_PROJECTIONS.get(name, name)}"
    elif matched["old"] == "_lora" and name == "to_out":
        module += ".0"
    return f"{part}.{short_name(part, module)}"


def _piece(matched: re.Match[str]) -> str:
    if matched["side"]:
        return A if matched["side"] == "down" else B
    return (matched["piece"] or "alpha").replace(f"{MAGNITUDE}.weight", MAGNITUDE)


def _with_settings(
    where: Path, tensors: Mapping[str, Tensor], alphas: dict[str, float], settings: Mapping[str, Mapping[str, Any]]
) -> PictureAdapter:
    """The adapter by its tensors and, where a part has settings, by those; they have to agree."""
    for part, config in settings.items():
        if part not in PARTS:
            raise ModelError("picture_adapters.stray", where=where, names=part)
        check_config(where, {"peft_type": "LORA", **config})
        for name, value in tensors.items():
            layer = name.removesuffix(f".{A}")
            if layer == name or not layer.startswith(f"{part}."):
                continue
            module = layer.removeprefix(f"{part}.")
            rank, alpha = (_said(part, config, *keys, module) for keys in (("rank_pattern", "r"), _ALPHA))
            if value.shape[:1] != (rank,):
                size = list(value.shape[:1])
                raise ModelError("picture_adapters.other_rank", where=where, names=layer, rank=size, said=rank)
            if alphas.setdefault(layer, alpha) != alpha:
                raise ModelError(
                    "picture_adapters.two_alphas", where=where, names=layer, tensor=alphas[layer], said=alpha
                )
    adapter = assemble_adapter(
        where,
        tensors,
        alphas,
        rslora=[part for part, config in settings.items() if config.get("use_rslora")],
    )
    for part, config in adapter.configs.items():
        if part in settings and config["use_dora"] != bool(settings[part].get("use_dora")):
            raise ModelError("picture_adapters.incomplete", where=where, names=part, missing=MAGNITUDE)
    return adapter


_ALPHA = ("alpha_pattern", "lora_alpha")


def _said(part: str, config: Mapping[str, Any], pattern: str, default: str, module: str) -> float:
    """What the settings say of one module: by the first key that is its name or the end of it, as peft has it."""
    for key, value in (config.get(pattern) or {}).items():
        name = short_name(part, plain_key(key))
        if module == name or (module.endswith(f".{name}") and not key.startswith("^")):
            return float(value)
    return float(config[default])


def _read_peft_folders(place: Path, folders: Collection[str]) -> PictureAdapter:
    tensors: dict[str, Tensor] = {}
    settings = {}
    for part in folders:
        file = place / part / PEFT_WEIGHTS_FILE
        if not file.is_file():
            raise ModelError("picture_adapters.none_here", where=place / part)
        try:
            config = json.loads((place / part / CONFIG_FILE).read_text(encoding="utf-8"), parse_int=float)
        except (OSError, ValueError, RecursionError) as e:
            raise ModelError("picture_adapters.unreadable", where=place / part, reason=str(e)[:160]) from e
        kind = config.get("peft_type") if isinstance(config, dict) else type(config).__name__
        if kind != "LORA":
            raise ModelError("picture_adapters.other_kind", where=place / part, kind=kind)
        settings[part] = config
        for key, value in _open(file)[1].items():
            if not key.startswith(_BEFORE_PEFT):
                raise ModelError("picture_adapters.stray", where=file, names=key)
            tensors[f"{part}.{key.removeprefix(_BEFORE_PEFT)}"] = value
    return _from_diffusers(place, tensors, settings)
