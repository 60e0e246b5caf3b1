"""The task of a picture run: the U-Net tells the noise in a picture's latents, given its caption.

Everything drawn at random for a picture (flip, crop, noise, how much of it, its words) follows from the seed, the step
and the picture alone: neither micro-batches, nor ranks, nor a resumed run change it.

Shapes: N pictures of one bucket, C latent channels, H × W latents, L tokens, D features.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from lora_scripts.data.pictures.buckets import fit
from lora_scripts.data.pictures.captions import CaptionRules, shown_caption
from lora_scripts.data.pictures.documents import PictureDocument
from lora_scripts.models.out_of_memory import in_batches
from lora_scripts.models.prompts import Words

EVAL_LEVELS = 8
"""Amounts of noise, evenly spread, at which each validation picture is measured, always with the same noise."""
LOSS_SCALE = 1024.0  # keeps gradients representable in float16


@dataclass(frozen=True, slots=True)
class Look:
    """One way in which a picture is shown: mirrored or not, cut at ``at`` (see ``buckets.fit``)."""

    document: PictureDocument
    flipped: bool = False
    at: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Noising:
    """How pictures become noise. ``schedule`` is diffusers' DDPMScheduler; see ``config.picture_keys``."""

    schedule: Any
    snr_gamma: float | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Showing:
    """How pictures and captions are varied."""

    rules: CaptionRules
    flip: bool = False
    random_crop: bool = False


@dataclass(frozen=True, slots=True)
class _Drawn:
    look: Look
    caption: str
    level: int
    noise_CHW: Tensor
    latents_CHW: Tensor


@dataclass(slots=True)
class PictureTask:
    """Mean squared error of the predicted noise (Ho et al. 2020, arXiv:2006.11239), or of v (Salimans and Ho 2022).

    ``moments`` gives mean and log-variance of a look's latents side by side [2C, H, W], ``words`` what the U-Net is
    told of captions, with gradients where a text encoder is trained. ``sized`` says that it is told sizes too (XL).
    """

    unet: nn.Module
    documents: Sequence[PictureDocument]
    moments: Callable[[Look], Tensor]
    words: Callable[[Sequence[str]], Words]
    noising: Noising
    showing: Showing
    scaling: float
    seed: int
    device: str
    sized: bool = False
    autocast: torch.dtype | None = None
    trained: Sequence[nn.Module] = ()
    _step: int = 0
    _times: Counter[int] = field(default_factory=Counter)

    def begin(self, step: int) -> None:
        """What is drawn from here on belongs to ``step``."""
        self._step = step
        self._times.clear()

    def count(self, micro_batch: Sequence[int]) -> int:
        """Pictures."""
        return len(micro_batch)

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """Pictures, which is what the speed of such a run is stated in."""
        return len(micro_batch)

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        return LOSS_SCALE if self.autocast == torch.float16 else 1.0

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of these pictures, weighted; return their weighted summed loss."""
        total = 0.0
        for some in _of_one_bucket([self._draw(i) for i in micro_batch]):
            loss = (self._losses(some) * self._weights(some)).sum() * weight
            (loss * self.loss_scale).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    @torch.no_grad()
    def evaluate(
        self,
        documents: Sequence[PictureDocument],
        batch_size: int,
        halved: Callable[[int], None] = lambda size: None,
    ) -> tuple[float, int]:
        """Summed loss and number of measurements over ``documents``: whole captions, fixed noise, nothing mirrored.

        Raises:
            TrainError: One picture alone does not fit.
        """
        drawn = [self._measured(d, level) for d in documents for level in range(EVAL_LEVELS)]
        drawn.sort(key=lambda one: one.look.document.bucket)

        def loss_of(begin: int, end: int) -> float:
            return sum(float(self._losses(some).sum()) for some in _of_one_bucket(drawn[begin:end]))

        models = (self.unet, *self.trained)
        for model in models:
            model.eval()
        try:
            total = sum(in_batches(len(drawn), batch_size, loss_of, halved))
        finally:
            for model in models:
                model.train()
        return total, len(drawn)

    def _draw(self, index: int) -> _Drawn:
        """Picture ``index`` as it is shown in this step; the second time in a step in another way."""
        document, nth = self.documents[index], self._times[index]
        self._times[index] += 1
        chance = random.Random(f"{self.seed}/{self._step}/{index}/{nth}")
        flipped = self.showing.flip and chance.random() < 0.5
        at = (chance.random(), chance.random()) if self.showing.random_crop else (0.5, 0.5)
        rules = CaptionRules() if document.prior else self.showing.rules
        caption = shown_caption(document.caption, rules, chance)
        level = chance.randrange(len(self.noising.schedule.alphas_cumprod))
        return self._noised(Look(document, flipped, at), caption, level, chance.getrandbits(63))

    def _measured(self, document: PictureDocument, number: int) -> _Drawn:
        levels = len(self.noising.schedule.alphas_cumprod)
        level = round((number + 0.5) / EVAL_LEVELS * levels)
        seed = sha256(f"{document.digest}/{number}".encode()).digest()[:7]
        rules = CaptionRules() if document.prior else CaptionRules(self.showing.rules.trigger)
        caption = shown_caption(document.caption, rules, random.Random(0))
        return self._noised(Look(document), caption, level, int.from_bytes(seed))

    def _noised(self, look: Look, caption: str, level: int, seed: int) -> _Drawn:
        """Latents and noise, drawn on the CPU so that every device sees the same."""
        chance = torch.Generator().manual_seed(seed)
        mean_CHW, log_variance_CHW = self.moments(look).chunk(2)
        spread_CHW = torch.randn(mean_CHW.shape, generator=chance) * (0.5 * log_variance_CHW.clamp(-30, 20)).exp()
        noise_CHW = torch.randn(mean_CHW.shape, generator=chance)
        if self.noising.offset:
            noise_CHW = noise_CHW + self.noising.offset * torch.randn(mean_CHW.shape[0], 1, 1, generator=chance)
        return _Drawn(look, caption, level, noise_CHW, (mean_CHW + spread_CHW) * self.scaling)

    def _losses(self, drawn: Sequence[_Drawn]) -> Tensor:
        """Squared error of each picture [N], the mean over its latents."""
        latents_NCHW = torch.stack([one.latents_CHW for one in drawn]).to(self.device)
        noise_NCHW = torch.stack([one.noise_CHW for one in drawn]).to(self.device)
        levels_N = torch.tensor([one.level for one in drawn], device=self.device)
        schedule = self.noising.schedule
        noisy_NCHW = schedule.add_noise(latents_NCHW, noise_NCHW, levels_N)
        wanted_NCHW = noise_NCHW
        if schedule.config.prediction_type == "v_prediction":
            wanted_NCHW = schedule.get_velocity(latents_NCHW, noise_NCHW, levels_N)
        cast: AbstractContextManager[object] = nullcontext()
        if self.autocast:
            cast = torch.autocast(torch.device(self.device).type, self.autocast)
        with cast:
            words = self.words([one.caption for one in drawn])
            more: dict[str, Any] = {}
            if self.sized:
                sizes_N6 = torch.tensor([size_numbers(one.look) for one in drawn], device=self.device)
                more["added_cond_kwargs"] = {"text_embeds": words.pooled, "time_ids": sizes_N6}
            told_NCHW = self.unet(noisy_NCHW, levels_N, words.states, **more, return_dict=False)[0]
        losses_N: Tensor = (told_NCHW.float() - wanted_NCHW).square().mean((1, 2, 3))
        return losses_N

    def _weights(self, drawn: Sequence[_Drawn]) -> Tensor:
        """Min-SNR weights [N] (Hang et al. 2023, arXiv:2303.09556): min(SNR, γ) / SNR, of v / (SNR + 1)."""
        if self.noising.snr_gamma is None:
            return torch.ones(len(drawn), device=self.device)
        kept_N = self.noising.schedule.alphas_cumprod[[one.level for one in drawn]].to(self.device)
        snr_N = kept_N / (1 - kept_N)
        divisor_N = snr_N + 1 if self.noising.schedule.config.prediction_type == "v_prediction" else snr_N
        weights_N: Tensor = snr_N.clamp(max=self.noising.snr_gamma) / divisor_N.clamp(min=1e-8)
        return weights_N


def size_numbers(look: Look) -> tuple[float, ...]:
    """What XL is told of a picture: its own height and width, where it was cut, height and width as shown."""
    width, height = look.document.size
    how = fit(look.document.size, look.document.bucket, look.at)
    return (height, width, how.top, how.left, how.bucket[1], how.bucket[0])


def _of_one_bucket(drawn: Sequence[_Drawn]) -> list[list[_Drawn]]:
    """``drawn`` in order, parted where the bucket changes."""
    parted: list[list[_Drawn]] = []
    for one in drawn:
        if not parted or parted[-1][0].look.document.bucket != one.look.document.bucket:
            parted.append([])
        parted[-1].append(one)
    return parted
