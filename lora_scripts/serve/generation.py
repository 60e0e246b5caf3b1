"""What an engine is asked and what it says: plain values, without torch.

An engine takes a ``Generation``, and calls its ``listen`` with an ``Event`` for every token. The calls come from the
engine's own thread, in order, and must return at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

STOP, LENGTH, FAILED = "stop", "length", "failed"
NOT_FINITE = "not_finite"
"""``Event.detail`` where logits overflowed, which asking again would not mend."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    ``temperature`` 0 is the most likely token. ``top_p`` (0, 1], ``min_p`` [0, 1) and ``top_k`` (0: all) leave tokens
    out. ``presence_penalty`` and ``frequency_penalty`` (-2 … 2) count what this answer said, ``repetition_penalty``
    (> 0) the prompt too. ``logit_bias`` is added by token id. ``top_logprobs``: None for no log-probabilities, else how
    many of the likeliest tokens come with each. ``seed``: None draws one.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_logprobs: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the likeliest token is all that is asked."""
        return (
            self.temperature == 0
            and not (self.presence_penalty or self.frequency_penalty or self.logit_bias)
            and self.repetition_penalty == 1
            and self.top_logprobs is None
        )


class Grammar(Protocol):
    """What may come next under a grammar; ``serve/engine/grammars.py`` makes them."""

    def allow(self, logits_V: Any) -> Any:
        """The logits, minus infinity where a token may not come."""

    def take(self, token: int) -> None:
        """The next token was ``token``."""


@dataclass(frozen=True, slots=True)
class Event:
    """One token, or the end of an answer.

    ``token`` is None at an end without a token. ``reason`` is empty while the answer goes on, else ``stop``, ``length``
    or ``failed``; then ``detail`` says how. ``logprob`` and ``top`` (token id, log-probability) where asked for.
    """

    token: int | None
    reason: str = ""
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One answer to make.

    ``adapters`` are (loaded adapter, weight) pairs that act together, empty for the base alone; what a loaded adapter
    is, the engine knows. ``stop_ids`` end the answer and are its last token.
    """

    id: str
    prompt_ids: list[int]
    max_new_tokens: int
    stop_ids: frozenset[int]
    sampling: Sampling
    listen: Callable[[Event], None]
    adapters: tuple[tuple[Any, float], ...] = ()
    grammar: Grammar | None = None


class Engine(Protocol):
    """What answers. ``limit_tokens`` is the most that prompt and answer may have together."""

    limit_tokens: int

    @property
    def name(self) -> str:
        """``paged``, ``simple`` or ``remote``."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests now."""

    def submit(self, generation: Generation) -> None:
        """Begin to answer. Raises EngineDown where it cannot."""

    def cancel(self, generation_id: str) -> None:
        """Stop answering; nothing more is heard of it. An unknown id is none of its business."""

    def figures(self) -> dict[str, float]:
        """What /metrics shows of it."""

    def close(self) -> None:
        """End the engine; what still runs fails."""


class EngineDown(Exception):
    """The engine takes no requests; try again later."""
