"""What the U-Net of a picture run is shown: latents of pictures from the VAE, states of captions from text encoders.

Both are made once and kept (``training.kept``), so that neither VAE nor text encoders are loaded where nothing is new.

Shapes: C latent channels, H × W latents, L tokens, D and P features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lora_scripts.data.cache import cache_key
from lora_scripts.data.pictures.buckets import fit, fitted
from lora_scripts.data.pictures.documents import PictureDocument
from lora_scripts.data.pictures.opening import open_picture
from lora_scripts.errors import DataError
from lora_scripts.models.prompts import Words, encode_captions
from lora_scripts.training.kept import Entry, Kept
from lora_scripts.training.pictures import Look

PIXELS_AT_ONCE = 512 * 512
CAPTIONS_AT_ONCE = 32


@dataclass(slots=True)
class Latents:
    """Mean and log-variance of what the VAE makes of a look. ``print`` is the fingerprint of the VAE.

    ``load`` gives the VAE, in float32; with ``anew`` it is asked at every look.
    """

    load: Callable[[], Any]
    kept: Kept
    print: str
    anew: bool = False

    def fill(self, documents: Iterable[PictureDocument], *, flip: bool) -> int:
        """Make what is missing of these documents, mirrored too where ``flip``; how many were made."""
        if self.anew:
            return 0
        unique = {(d.digest, d.bucket): d for d in documents}
        made = 0
        for bucket in sorted({bucket for _, bucket in unique}):
            looks = [Look(d, f) for d in unique.values() if d.bucket == bucket for f in ((False, True)[: 1 + flip])]
            at_once = max(1, PIXELS_AT_ONCE // (bucket[0] * bucket[1]))
            wanted = {self._key(look): look for look in looks}
            made += self.kept.fill(wanted, self._encode, at_once=at_once, told="picture_run.encoding")
        return made

    def moments(self, look: Look) -> Tensor:
        """[2C, H, W] on the CPU."""
        entry = self._encode([look])[0] if self.anew else self.kept[self._key(look)]
        return entry["moments"]

    def _key(self, look: Look) -> str:
        d = look.document
        return cache_key(vae=self.print, picture=d.digest, bucket=list(d.bucket), flipped=look.flipped)

    @torch.no_grad()
    def _encode(self, looks: Sequence[Look]) -> list[Entry]:
        vae = self.load()
        pixels_N3HW = torch.stack([pixels_of(look) for look in looks]).to(vae.device, vae.dtype)
        moments = vae.encode(pixels_N3HW).latent_dist.parameters.float().cpu()
        return [{"moments": one} for one in moments]


def pixels_of(look: Look) -> Tensor:
    """The picture of a look [3, H, W], from -1 to 1.

    Raises:
        DataError: The file is no longer the one that was read.
    """
    d = look.document
    if sha256(d.path.read_bytes()).hexdigest() != d.digest:
        raise DataError("run.files_changed", where=d.path)
    image = fitted(open_picture(d.path).image, fit(d.size, d.bucket, look.at))
    if look.flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 127.5 - 1


@dataclass(slots=True)
class Captions:
    """What the U-Net is told of captions. ``print`` is the fingerprint of the text encoders.

    With ``trained`` the encoders carry an adapter, so nothing can be kept.
    """

    load: Callable[[], Mapping[str, Any]]
    tokenizers: Mapping[str, Any]
    kept: Kept
    print: str
    device: str
    trained: bool = False

    def fill(self, captions: Iterable[str]) -> int:
        """Make what is missing of these captions, and keep it; how many were made."""
        if self.trained:
            return 0
        wanted = {self._key(caption): caption for caption in sorted(set(captions))}
        return self.kept.fill(wanted, self._encode, at_once=CAPTIONS_AT_ONCE, told="picture_run.reading")

    def words(self, captions: Sequence[str]) -> Words:
        """States and pooled states of ``captions``, on the device; those that nobody foresaw are made now."""
        if self.trained:
            return encode_captions(self.load(), self.tokenizers, captions)
        keys = [self._key(caption) for caption in captions]
        unforeseen = [caption for caption, key in zip(captions, keys, strict=True) if key not in self.kept]
        made = dict(zip(unforeseen, self._encode(unforeseen), strict=True)) if unforeseen else {}
        entries = [made[c] if c in made else self.kept[key] for c, key in zip(captions, keys, strict=True)]
        pooled = [entry["pooled"] for entry in entries if "pooled" in entry]
        states = torch.stack([entry["states"].to(self.device) for entry in entries])
        return Words(states, torch.stack([one.to(self.device) for one in pooled]) if pooled else None)

    def _key(self, caption: str) -> str:
        return cache_key(encoders=self.print, caption=caption)

    @torch.no_grad()
    def _encode(self, captions: Sequence[str]) -> list[Entry]:
        words = encode_captions(self.load(), self.tokenizers, captions)
        found = [{"states": states} for states in words.states]
        if words.pooled is not None:
            for entry, pooled in zip(found, words.pooled, strict=True):
                entry["pooled"] = pooled
        return found
