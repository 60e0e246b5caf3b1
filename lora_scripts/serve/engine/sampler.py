"""The next token of each request, by its own settings.

Order as in vLLM: bias, grammar, penalties, temperature, then min-p, top-k and top-p. Log-probabilities are those of the
logits as the model gave them. Shapes: V words of the vocabulary, N requests with a new token.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lora_scripts.serve.generation import FAILED, LENGTH, NOT_FINITE, STOP, Event, Generation, Sampling

log = logging.getLogger(__name__)

FEW = 1024  # the likeliest tokens that are looked at first: sorting a whole vocabulary costs more than a small step


@dataclass(slots=True, eq=False)
class Writer:
    """What is remembered of one answer: how often it said which token, and its own random generator.

    ``is_over``: its end was told, or nobody listens any more.
    """

    generation: Generation
    said: Counter[int] = field(default_factory=Counter)
    length: int = 0
    random: torch.Generator | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        if self.generation.sampling.temperature > 0:
            seed = self.generation.sampling.seed
            self.random = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed % (1 << 63))

    def tell(self, event: Event) -> None:
        """Hand on what happened, unless the answer is over."""
        if not self.is_over:
            self.is_over = bool(event.reason)
            self.generation.listen(event)


def write(logits_NV: Tensor, writers: Sequence[Writer]) -> list[int]:
    """Choose one token a row and tell each listener. What goes wrong with one answer ends that answer only."""
    plain = [i for i, w in enumerate(writers) if w.generation.sampling.is_plain and w.generation.grammar is None]
    events: dict[int, Event] = {}
    if plain:
        rows = logits_NV if len(plain) == len(writers) else logits_NV[plain]
        events = {i: Event(token) for i, token in zip(plain, rows.argmax(-1).tolist(), strict=True)}
    finite = torch.isfinite(logits_NV.amax(-1)).tolist()  # NaN is the largest to it
    for i, writer in enumerate(writers):
        try:
            if not finite[i]:
                events[i] = Event(None, FAILED, detail=NOT_FINITE)
            else:
                events[i] = _noted(events.get(i) or _choose(logits_NV[i].float(), writer), writer)
        except Exception as error:  # whatever it is, the other answers of the batch go on
            log.exception("an answer failed")
            events[i] = Event(min(writer.generation.stop_ids, default=0), FAILED, detail=str(error)[:200])
        writer.tell(events[i])
    return [events[i].token or 0 for i in range(len(writers))]


def _noted(event: Event, writer: Writer) -> Event:
    """The event with the reason to end, if this token is the last one."""
    generation, token = writer.generation, event.token
    assert token is not None
    writer.length += 1
    writer.said[token] += 1
    if token in generation.stop_ids:
        return replace(event, reason=STOP)
    if generation.grammar is not None:
        generation.grammar.take(token)
    return replace(event, reason=LENGTH) if writer.length >= generation.max_new_tokens else event


def _choose(logits_V: Tensor, writer: Writer) -> Event:
    settings = writer.generation.sampling
    token = _pick(_shaped(logits_V, writer), settings, writer.random)
    if settings.top_logprobs is None:
        return Event(token)
    logprobs_V = torch.log_softmax(logits_V, -1)
    values, ids = logprobs_V.topk(min(settings.top_logprobs, len(logprobs_V)))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return Event(token, logprob=float(logprobs_V[token]), top=top)


def _shaped(logits_V: Tensor, writer: Writer) -> Tensor:
    """Logits under bias, grammar and penalties; a copy where one of them acts."""
    settings, generation = writer.generation.sampling, writer.generation
    shaped_V = logits_V
    if settings.logit_bias:
        ids = torch.tensor(list(settings.logit_bias), device=logits_V.device)
        shaped_V = shaped_V.index_add(0, ids, torch.tensor(list(settings.logit_bias.values())).to(logits_V))
    if settings.repetition_penalty != 1:
        ids = torch.tensor(sorted({*generation.prompt_ids, *writer.said}), device=logits_V.device)
        seen = shaped_V[ids]
        penalty = settings.repetition_penalty
        shaped_V = shaped_V.index_copy(0, ids, torch.where(seen > 0, seen / penalty, seen * penalty))
    if writer.said and (settings.presence_penalty or settings.frequency_penalty):
        ids = torch.tensor(list(writer.said), device=logits_V.device)
        counts = torch.tensor(list(writer.said.values())).to(logits_V)
        shaped_V = shaped_V.index_add(0, ids, -(settings.presence_penalty + settings.frequency_penalty * counts))
    return shaped_V if generation.grammar is None else generation.grammar.allow(shaped_V)


def _pick(logits_V: Tensor, settings: Sampling, random: torch.Generator | None) -> int:
    if settings.temperature == 0:
        return int(logits_V.argmax())
    scaled_V = logits_V / max(settings.temperature, 1e-4)
    if settings.top_k or settings.top_p < 1 or settings.min_p > 0:
        values, ids = _likeliest(scaled_V, settings)
        return int(ids[_draw(torch.softmax(values, -1), random)])
    return _draw(torch.softmax(scaled_V, -1), random)


def _likeliest(logits_V: Tensor, settings: Sampling) -> tuple[Tensor, Tensor]:
    """Logits and ids that min-p, top-k and top-p leave, the likeliest first; never none."""
    whole = torch.logsumexp(logits_V, -1)
    count = min(settings.top_k or len(logits_V), len(logits_V))
    values, ids = logits_V.topk(min(count, FEW))
    if count > FEW and not _holds(values, whole, settings):
        values, ids = logits_V.topk(count)
    shares = torch.exp(values - whole)
    keep = torch.ones_like(shares, dtype=torch.bool)
    if settings.min_p > 0:
        keep &= shares >= settings.min_p * shares[0]
    if settings.top_p < 1:
        within = shares / shares.sum() if settings.top_k else shares  # top-p is taken of what top-k left
        keep &= within.cumsum(-1) - within < settings.top_p
    keep[0] = True
    return values[keep], ids[keep]


def _holds(values: Tensor, whole: Tensor, settings: Sampling) -> bool:
    """Whether what is left out of the first few would be left out anyway."""
    shares = torch.exp(values - whole)
    by_top_p = settings.top_p < 1 and float(shares.sum()) >= settings.top_p and not settings.top_k
    by_min_p = settings.min_p > 0 and float(shares[-1]) < settings.min_p * float(shares[0])
    return by_top_p or by_min_p


def _draw(shares: Tensor, random: torch.Generator | None) -> int:
    """An index with the probability of its share."""
    return int(torch.multinomial(shares.cpu(), 1, generator=random))
