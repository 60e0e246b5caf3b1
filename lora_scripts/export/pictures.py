"""The layouts that a picture adapter can be exported to: diffusers', kohya's, PEFT folders, the merged pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor

from lora_scripts.adapters.kohya import base_metadata, to_kohya
from lora_scripts.adapters.picture_files import (
    WEIGHTS_FILE,
    read_picture_adapter,
    write_peft_folders,
    write_picture_adapter,
)
from lora_scripts.adapters.picture_stack import combine_pictures
from lora_scripts.adapters.pictures import PictureAdapter, apply_pictures, merge_pictures
from lora_scripts.export.folders import Written
from lora_scripts.export.verify import Check
from lora_scripts.messages import text
from lora_scripts.models.diffusion import PictureBase, check_picture_base, quiet_diffusers, stock_pipeline
from lora_scripts.models.probe import Probe, pass_of, trained_parts
from lora_scripts.models.text import quiet

TOLERANCE = 1e-5  # of the largest value, in float32: the order of summation
STORED = {torch.float32: TOLERANCE, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Adapters (name, adapter, weight) that are exported together, with the base that they are verified on.

    ``record`` is the provenance of the first, ``named`` the base as it is called in cards.
    """

    name: str
    adapters: Sequence[tuple[str, PictureAdapter, float]]
    base: PictureBase
    named: str
    record: Mapping[str, Any]
    probe: Probe
    device: str

    def one(self) -> PictureAdapter:
        """All of them as one adapter."""
        return combine_pictures(self.adapters)

    def pipeline(self) -> Any:
        """The base, in float32."""
        return stock_pipeline(self.base, dtype=torch.float32, device=self.device)

    def reference(self) -> tuple[Tensor, Tensor]:
        """What base and adapters make of the probe: together, and the base alone."""
        pipeline = self.pipeline()
        bare = pass_of(pipeline, self.probe)
        apply_pictures(trained_parts(pipeline), self.adapters)
        return pass_of(pipeline, self.probe), bare


def write_diffusers(source: PictureSource, folder: Path) -> Written:
    """One file that ``pipe.load_lora_weights`` takes."""
    wanted, bare = source.reference()
    write_picture_adapter(folder, source.one())
    pipeline = source.pipeline()
    with quiet(), quiet_diffusers():
        pipeline.load_lora_weights(str(folder))
    usage = f'```python\npipe.load_lora_weights("THIS FOLDER", weight_name="{WEIGHTS_FILE}")\n```\n'
    return Written(_checks(wanted, bare, pass_of(pipeline, source.probe), TOLERANCE), [], usage)


def write_kohya(source: PictureSource, folder: Path) -> Written:
    """One file for AUTOMATIC1111, ComfyUI and kohya's own scripts."""
    wanted, bare = source.reference()
    adapter = source.one()
    file = folder / f"{source.name}.safetensors"
    base, config = source.base, source.record.get("config", {})
    told = {"ss_sd_model_name": Path(source.named).name, "modelspec.title": source.name}
    told |= base_metadata(
        base.kind,
        cross_attention_dim=base.cross_attention_dim,
        prediction=base.prediction,
        resolution=config.get("resolution") or base.resolution,
    )
    if trigger := config.get("trigger_word"):
        told["modelspec.trigger_phrase"] = str(trigger)
    tensors, metadata = to_kohya(adapter, kind=base.kind, metadata=told)
    save_file(tensors, file, metadata=metadata)
    pipeline = source.pipeline()
    parts = trained_parts(pipeline)
    names = {part: [name for name, _ in model.named_modules()] for part, model in parts.items()}
    again = read_picture_adapter(file, names)
    apply_pictures(parts, [(source.name, again, 1.0)])
    lost = len({*adapter.tensors} ^ {*again.tensors})
    checks = [Check("keys_lost", lost == 0, lost, 0)]
    notes = [text("export.kohya_dora")] if any(c["use_dora"] for c in adapter.configs.values()) else []
    usage = f"Put `{file.name}` into `models/Lora` (AUTOMATIC1111) or `models/loras` (ComfyUI).\n"
    return Written([*checks, *_checks(wanted, bare, pass_of(pipeline, source.probe), TOLERANCE)], notes, usage)


def write_peft(source: PictureSource, folder: Path) -> Written:
    """A PEFT folder for each part."""
    wanted, bare = source.reference()
    write_peft_folders(folder, source.one(), source.named)
    pipeline = source.pipeline()
    for name, part in trained_parts(pipeline).items():
        if (folder / name).is_dir():
            PeftModel.from_pretrained(part, str(folder / name))
    usage = '```python\nPeftModel.from_pretrained(pipe.unet, "THIS FOLDER/unet")\n```\n'
    return Written(_checks(wanted, bare, pass_of(pipeline, source.probe), TOLERANCE), [], usage)


def write_merged(source: PictureSource, folder: Path) -> Written:
    """A pipeline folder of base and adapters in one, in the dtype of the base's files."""
    wanted, bare = source.reference()
    pipeline = source.pipeline()
    merge_pictures(trained_parts(pipeline), source.adapters)
    dtype = _stored(source.base)
    with quiet(), quiet_diffusers():
        pipeline.to(dtype=dtype).save_pretrained(str(folder), safe_serialization=True)
    again = stock_pipeline(check_picture_base(str(folder)), dtype=torch.float32, device=source.device)
    named = str(dtype).removeprefix("torch.")
    usage = f'```python\npipe = DiffusionPipeline.from_pretrained("THIS FOLDER", torch_dtype=torch.{named})\n```\n'
    found = pass_of(again, source.probe)
    return Written(_checks(wanted, bare, found, STORED.get(dtype, TOLERANCE)), [], usage, {"dtype": named})


def _stored(base: PictureBase) -> torch.dtype:
    """The dtype of the U-Net's first weight."""
    from safetensors import safe_open

    with safe_open(base.files["unet"][0], "pt") as file:
        found: torch.dtype = file.get_tensor(next(iter(file.keys()))).dtype
    return found


def _checks(wanted: Tensor, bare: Tensor, found: Tensor, tolerance: float) -> list[Check]:
    scale = max(1.0, float(wanted.abs().max()))
    apart, signal = float((found - wanted).abs().max()), float((wanted - bare).abs().max())
    return [
        Check("denoises_as_the_adapter", apart <= tolerance * scale, apart, tolerance * scale),
        Check("adapter_changes_more_than_that", signal > apart, signal, apart),
    ]
