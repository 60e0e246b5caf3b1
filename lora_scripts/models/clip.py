"""A CLIP model from a local folder: what pictures and words have in common, as vectors of length 1.

Shapes: N pictures, W words, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor

from lora_scripts.errors import ModelError
from lora_scripts.models.text import quiet, refuse_missing

WORDS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Clip:
    """``model`` and its ``processor``; ``logit_scale`` is what it learned to multiply similarities with."""

    model: Any
    processor: Any
    logit_scale: float

    @torch.no_grad()
    def of_pictures(self, pictures: Sequence[Image]) -> Tensor:
        """[N, D] on the CPU."""
        pixels = self.processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        return self._unit(self.model.get_image_features(pixel_values=pixels.to(self.model.device, self.model.dtype)))

    @torch.no_grad()
    def of_words(self, words: Sequence[str]) -> Tensor:
        """[W, D] on the CPU.

        Raises:
            ModelError: Some are longer than the model reads.
        """
        most = self.model.config.text_config.max_position_embeddings
        lengths = [len(ids) for ids in self.processor.tokenizer(list(words)).input_ids]
        if long := [word for word, length in zip(words, lengths, strict=True) if length > most]:
            raise ModelError("pictures.long_words", where=long[0], count=len(long), most=most)
        found = []
        for i in range(0, len(words), WORDS_AT_ONCE):
            some = list(words[i : i + WORDS_AT_ONCE])
            tokens = self.processor(text=some, padding=True, return_tensors="pt")
            found.append(self._unit(self.model.get_text_features(**tokens.to(self.model.device))))
        return torch.cat(found)

    def _unit(self, output: Any) -> Tensor:
        features: Tensor = getattr(output, "pooler_output", output)  # transformers before 5.2 gave the tensor itself
        return torch.nn.functional.normalize(features.float(), dim=-1).cpu()


def load_clip(folder: Path, device: str) -> Clip:
    """The CLIP model in ``folder``, in float32.

    Raises:
        ModelError: There is none, it holds no safetensors, does not load, or lacks a weight.
    """
    from transformers import AutoConfig, AutoModel, AutoProcessor

    if not (folder / "config.json").is_file():
        raise ModelError("pictures.no_clip", where=folder)
    if not list(folder.glob("*.safetensors")):
        raise ModelError("pictures.no_safetensors", where=folder)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(str(folder), **local).model_type
        if "clip" not in kind:
            raise ModelError("pictures.other_model", where=folder, kind=kind)
        with quiet():
            model, report = AutoModel.from_pretrained(
                str(folder), dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
            )
        processor = AutoProcessor.from_pretrained(str(folder), **local)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError("pictures.clip_unreadable", where=folder, reason=" ".join(str(error).split())[:200]) from error
    refuse_missing(folder, report)
    return Clip(model.eval().to(device), processor, float(model.logit_scale.detach().exp()))
