"""A captioner from a local folder: a sentence about a picture (BLIP, arXiv:2201.12086; GIT, arXiv:2205.14100).

The sentences do not depend on chance, nor on what else is in a batch: beams, no drawing, and pictures of one size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL.Image import Image

from lora_scripts.errors import ModelError
from lora_scripts.models.quantize import broken_values
from lora_scripts.models.text import (
    TOKENIZER_FILES,
    load_tokenizer,
    quiet,
    read_header,
    refuse_missing,
    weight_files,
)

CAPTIONERS = {
    "blip": "BlipForConditionalGeneration",
    "blip-2": "Blip2ForConditionalGeneration",
    "git": "GitForCausalLM",
    "vision-encoder-decoder": "VisionEncoderDecoderModel",
}
"""Kinds that say a sentence without being asked, and the class that says it: a BLIP may also be made for answers."""
BEAMS = 3  # as BLIP's own captions were made
MOST_TOKENS = 40
LONGEST_ROUND, ROUNDS = 4, 3  # so many words that stand so often in a row are no sentence
WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a captioner said of a picture. ``flaw``: nothing at all, the same again and again, or not to the end."""

    words: str
    flaw: Literal["", "empty", "repeats", "cut"] = ""


@dataclass(frozen=True, slots=True)
class Captioner:
    """``model`` with what makes its pixels and what reads its tokens."""

    model: Any
    pixels: Any
    tokenizer: Any

    @torch.no_grad()
    def of_pictures(self, pictures: Sequence[Image]) -> list[Sentence]:
        """A sentence of at most ``MOST_TOKENS`` tokens for each RGB picture."""
        inputs = self.pixels(list(pictures), return_tensors="pt")["pixel_values"]
        with quiet():  # a folder's own settings for drawing have no say here, which transformers would remark
            rows = self.model.generate(
                pixel_values=inputs.to(self.model.device, self.model.dtype),
                num_beams=BEAMS,
                do_sample=False,
                num_return_sequences=1,
                max_new_tokens=MOST_TOKENS,
            )
        ends = {*self.tokenizer.all_special_ids, self.model.config.get_text_config(decoder=True).pad_token_id}
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [
            sentence(words, whole=int(row[-1]) in ends)  # a row that ended is filled up, but for the longest one
            for words, row in zip(texts, rows, strict=True)
        ]


def sentence(words: str, *, whole: bool) -> Sentence:
    """``words`` in one line, without a full stop, and what is wrong with them."""
    words = " ".join(words.split()).rstrip(" .。")
    if not WORD.search(words):
        return Sentence("", "empty")
    if repeats(words):
        return Sentence(words, "repeats")
    return Sentence(words, "" if whole else "cut")


def repeats(words: str) -> bool:
    """Whether one to four words (or Chinese characters) stand three times in a row."""
    found = WORD.findall(words.lower())
    for length in range(1, LONGEST_ROUND + 1):
        same = 0  # how many words in a row equal the one ``length`` before
        for before, word in zip(found, found[length:], strict=False):
            same = same + 1 if before == word else 0
            if same == length * (ROUNDS - 1):
                return True
    return False


def load_captioner(folder: Path, device: str) -> Captioner:
    """The captioner in ``folder``, in float32.

    Raises:
        ModelError: There is none, it is of another kind, holds no safetensors, does not load, or a weight lacks or is
            no number.
    """
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

    if not (folder / "config.json").is_file():
        raise ModelError("pictures.no_captioner", where=folder)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(str(folder), **local)
    except Exception as error:  # transformers raises anything here; all of it means that the folder is unusable
        raise _unreadable(folder, error) from error
    _refuse_other_kinds(folder, config)
    if not list(folder.glob("*.safetensors")):
        raise ModelError("pictures.no_safetensors", where=folder)
    for file in weight_files(folder):
        read_header(file)
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):  # transformers would make up an empty one
        raise ModelError("models.no_tokenizer", where=folder)
    tokenizer = load_tokenizer(folder)
    try:
        with quiet():
            model, report = AutoModelForImageTextToText.from_pretrained(
                str(folder), dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
            )
            pixels = AutoImageProcessor.from_pretrained(str(folder), **local)
    except Exception as error:  # as above
        raise _unreadable(folder, error) from error
    refuse_missing(folder, report)
    if broken := broken_values(model):
        raise ModelError("models.not_finite", where=folder, count=len(broken), names=", ".join(broken[:5]))
    return Captioner(model.eval().to(device), pixels, tokenizer)


def _refuse_other_kinds(folder: Path, config: Any) -> None:
    made = [str(name) for name in config.architectures or []]
    wanted = CAPTIONERS.get(config.model_type)
    if wanted is None or (made and wanted not in made):
        kind = ", ".join(made) or config.model_type or "?"
        raise ModelError("pictures.other_captioner", where=folder, kind=kind, kinds=", ".join(CAPTIONERS))


def _unreadable(folder: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ModelError("pictures.captioner_unreadable", where=folder, reason=reason)
