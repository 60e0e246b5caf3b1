"""The picture base: a Stable Diffusion 1.x or XL pipeline in diffusers' layout, or one .safetensors file beside it.

What is wrong with it is found before a weight is loaded. Parts are loaded one by one, since most runs need few of
them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Collection, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_scripts.errors import ModelError
from lora_scripts.models.text import PICKLES, add_blocks, quiet, read_header, read_json, refuse_missing, some_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

KINDS = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
ENCODERS = {"sd": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2")}
INDEX = "model_index.json"
LATENT_CHANNELS = 4
PREDICTIONS = ("epsilon", "v_prediction")
SHIFTS = ("latents_mean", "latents_std", "shift_factor")
"""Keys by which a VAE says that its latents are more than scaled."""
_SDXL_KEY = "conditioner.embedders.1.model.text_projection"
_SD_KEY = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"


@dataclass(frozen=True, slots=True)
class PictureBase:
    """What the files of a base tell.

    Attributes:
        path: As the user named it: the folder, or the single file.
        folder: Where configs and tokenizers lie.
        kind: ``sd`` or ``sdxl``.
        files: The weight files of each part; of a single file that one for all.
        factor: Pixels a side that one latent stands for.
        unit: Multiple of pixels that sides must be for the U-Net to halve and double them evenly.
        resolution: Side of the pictures that it was made for.
        prediction: ``epsilon`` or ``v_prediction``.
        scaling: What latents are multiplied by, to be about as large as noise.
        cross_attention_dim: Values of each token that the U-Net reads; 768 in 1.x, 1024 in 2.x, 2048 in XL; 0 unknown.
    """

    path: Path
    folder: Path
    kind: str
    files: Mapping[str, tuple[Path, ...]]
    factor: int
    unit: int
    resolution: int
    prediction: str
    scaling: float
    cross_attention_dim: int

    @property
    def encoders(self) -> tuple[str, ...]:
        """The names of its text encoders."""
        return ENCODERS[self.kind]


def check_picture_base(path: str) -> PictureBase:
    """The base that ``path`` names; looks at files only, never at the network.

    Raises:
        ModelError: It is no Stable Diffusion pipeline that can be trained; says what it is instead.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise ModelError("diffusion.missing", where=path)
    single = place if place.is_file() else None
    folder = place.with_suffix("") if single else place
    if single and any(single.match(pattern) for pattern in PICKLES):
        raise ModelError("diffusion.pickle", where=single, files=single.name)
    if not (folder / INDEX).is_file():
        if single:
            raise ModelError("diffusion.no_configs", where=single, folder=folder)
        raise ModelError("diffusion.no_pipeline", where=folder)
    named = str(read_json(folder / INDEX).get("_class_name"))
    if named not in KINDS:
        raise ModelError("diffusion.other_pipeline", where=folder / INDEX, found=named, names=", ".join(KINDS))
    kind = KINDS[named]
    parts = ("unet", "vae", *ENCODERS[kind])
    configs = {name: read_json(folder / name / "config.json") for name in parts}
    files = {name: (single,) if single else _weights(folder / name) for name in parts}
    for file in {file for each in files.values() for file in each}:
        header = read_header(file)
        if single and kind != ("sdxl" if _SDXL_KEY in header else "sd" if _SD_KEY in header else ""):
            raise ModelError("diffusion.other_single_file", where=single, found=named)
    unet, vae = configs["unet"], configs["vae"]
    if unet.get("in_channels") != LATENT_CHANNELS or vae.get("latent_channels") != LATENT_CHANNELS:
        raise ModelError("diffusion.other_channels", where=folder, channels=unet.get("in_channels"))
    prediction = str(read_json(folder / "scheduler" / "scheduler_config.json").get("prediction_type", "epsilon"))
    if prediction not in PREDICTIONS:
        raise ModelError("diffusion.other_prediction", where=folder / "scheduler", found=prediction)
    if moved := [key for key in SHIFTS if vae.get(key)]:
        raise ModelError("diffusion.other_latents", where=folder / "vae", found=", ".join(moved))
    factor = 2 ** (len(vae.get("block_out_channels", [])) - 1)
    size = unet.get("sample_size")
    return PictureBase(
        path=place,
        folder=folder,
        kind=kind,
        files=files,
        factor=factor,
        unit=factor * 2 ** (len(unet.get("block_out_channels", [])) - 1),
        resolution=factor * int(size if isinstance(size, int) else 64),
        prediction=prediction,
        scaling=float(vae.get("scaling_factor", 0.18215)),
        cross_attention_dim=width if isinstance(width := unet.get("cross_attention_dim"), int) else 0,
    )


def _weights(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of one part; those of a variant (``….fp16.safetensors``) where there are no others."""
    found = sorted(folder.glob("*.safetensors"))
    plain = [file for file in found if ".fp16." not in file.name]
    if chosen := plain or found:
        return tuple(chosen)
    pickles = [file.name for pattern in PICKLES for file in sorted(folder.glob(pattern))]
    if pickles:
        raise ModelError("diffusion.pickle", where=folder, files=", ".join(pickles[:3]))
    raise ModelError("models.no_weights", where=folder)


def part_fingerprints(base: PictureBase) -> dict[str, str]:
    """``sha256:…`` of config and weights of each part; see ``models.text.base_fingerprint``."""
    found: dict[str, str] = {}
    for name in sorted(base.files):
        digest = hashlib.sha256((base.folder / name / "config.json").read_bytes())
        if base.path.is_file() and found:  # one file holds all parts
            found[name] = f"{next(iter(found.values()))} {digest.hexdigest()}"
            continue
        sampled = add_blocks(digest, base.files[name], base.folder)
        found[name] = f"sha256{'-sampled' if sampled else ''}:{digest.hexdigest()}"
    return found


def picture_fingerprint(prints: Mapping[str, str]) -> str:
    """One fingerprint from those of the parts."""
    told = " ".join(f"{name} {value}" for name, value in sorted(prints.items()))
    return f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"


def load_picture_parts(base: PictureBase, names: Collection[str], *, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """The parts ``names`` of ``base`` in ``dtype`` on ``device``, frozen, in eval mode.

    Raises:
        ModelError: One cannot be loaded, lacks a weight, or holds one that is not finite.
    """
    from lora_scripts.models.quantize import broken_values

    try:
        with quiet(), quiet_diffusers():
            found = _from_file(base, names, dtype) if base.path.is_file() else _from_folder(base, names, dtype)
    except ModelError:
        raise
    except Exception as error:  # whatever the libraries raise here, the files are unusable
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError("models.load_failed", where=base.path, reason=reason) from error
    for name, part in found.items():
        if broken := broken_values(part):
            raise ModelError("models.not_finite", where=base.folder / name, count=len(broken), names=some_of(broken))
        part.requires_grad_(False)
        part.eval().to(device)
    return found


def _from_folder(base: PictureBase, names: Collection[str], dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    classes = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    found = {}
    for name in names:
        variant = "fp16" if all(".fp16." in file.name for file in base.files[name]) else None
        kind: Any = classes[name]
        part, report = kind.from_pretrained(
            str(base.folder),
            subfolder=name,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **{"torch_dtype" if name in ("unet", "vae") else "dtype": dtype},
        )
        refuse_missing(base.folder / name, report)
        found[name] = part
    return found


def stock_pipeline(base: PictureBase, *, dtype: torch.dtype, device: str) -> Any:
    """The base as diffusers itself loads it, with everything that it has."""
    options: dict[str, Any] = {"torch_dtype": dtype, "local_files_only": True}
    if base.kind == "sd":
        options |= {"safety_checker": None, "requires_safety_checker": False}
    with quiet(), quiet_diffusers():
        kind = _class(_named(base))
        if base.path.is_file():
            pipeline = kind.from_single_file(str(base.path), config=str(base.folder), **options)
        else:
            variant = "fp16" if all(".fp16." in file.name for file in base.files["unet"]) else None
            pipeline = kind.from_pretrained(str(base.folder), use_safetensors=True, variant=variant, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _named(base: PictureBase) -> str:
    return next(name for name, kind in KINDS.items() if kind == base.kind)


def _class(name: str) -> Any:
    """A class of diffusers; at its first import transformers says what it does without torchvision."""
    import diffusers

    with quiet():
        return getattr(diffusers, name)


def empty_parts(base: PictureBase, names: Collection[str]) -> dict[str, Any]:
    """The parts ``names`` as their configs describe them, with weights that mean nothing."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    found: dict[str, Any] = {}
    for name in names:
        settings = read_json(base.folder / name / "config.json")
        if name == "unet":
            found[name] = UNet2DConditionModel.from_config(settings)
        else:
            kind = CLIPTextModel if name == "text_encoder" else CLIPTextModelWithProjection
            found[name] = kind(CLIPTextConfig(**settings))
    return found


def parameters_of(base: PictureBase) -> dict[str, int]:
    """How many values each part has, by the headers of its files; of a single file all under ``unet``."""
    parts = {"unet": base.files["unet"]} if base.path.is_file() else base.files
    return {
        name: sum(
            math.prod(entry["shape"]) for file in files for key, entry in read_header(file).items() if key[:2] != "__"
        )
        for name, files in parts.items()
    }


def _from_file(base: PictureBase, names: Collection[str], dtype: torch.dtype) -> dict[str, Any]:
    pipeline = stock_pipeline(base, dtype=dtype, device="cpu")
    return {name: getattr(pipeline, name) for name in names}


def load_tokenizers(base: PictureBase) -> dict[str, Any]:
    """The tokenizer of each text encoder, by the encoder's name.

    Raises:
        ModelError: One cannot be read.
    """
    from transformers import CLIPTokenizer

    found = {}
    for name in base.encoders:
        folder = base.folder / name.replace("text_encoder", "tokenizer")
        try:
            found[name] = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError("models.tokenizer_failed", where=folder, reason=reason) from error
    return found


def pipeline_of(base: PictureBase, parts: Mapping[str, Any], tokenizers: Mapping[str, Any] | None = None) -> Any:
    """The stock pipeline that draws with these parts, and with the scheduler that the base names.

    Text encoders that are not among ``parts`` are left out of it: then it draws from states of captions alone.
    """
    named = str(read_json(base.folder / INDEX)["scheduler"][1])
    scheduler = _class(named).from_pretrained(str(base.folder), subfolder="scheduler", local_files_only=True)
    given = {"vae": parts["vae"], "unet": parts["unet"], "scheduler": scheduler}
    for name in base.encoders:
        given[name] = parts.get(name)
        given[name.replace("text_encoder", "tokenizer")] = (tokenizers or {}).get(name)
    if base.kind == "sd":
        given |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    else:
        given["add_watermarker"] = False
    with quiet_diffusers():
        pipeline = _class(_named(base))(**given)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def quiet_diffusers() -> Iterator[None]:
    """While diffusers loads: no bars, no advice about what is missing on purpose."""
    from diffusers.utils import logging as diffusers_logging

    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.ERROR)
    diffusers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        diffusers_logging.set_verbosity(level)
        diffusers_logging.enable_progress_bar()


def noise_schedule(base: PictureBase) -> Any:
    """How much noise each step adds: diffusers' DDPMScheduler with the base's own betas."""
    from diffusers import DDPMScheduler

    settings = json.loads((base.folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    kept = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
            "rescale_betas_zero_snr")  # fmt: skip
    return DDPMScheduler(**{name: settings[name] for name in kept if settings.get(name) is not None})
