"""Answers in JSON, held to a schema token by token, by the library llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from lora_scripts.errors import UsageError

ANY_OBJECT = {"type": "object"}
_READY: dict[tuple[int, frozenset[int]], tuple[Any, LLTokenizer]] = {}
"""By a tokenizer's fast part, which adapters with their own template share with the base, and by what ends answers."""


class JsonGrammar:
    """What may come next in one answer."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allow(self, logits_V: Tensor) -> Tensor:
        """The logits, minus infinity where a token would leave the grammar."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()  # lost, the library would end the answer as if it were whole
        allowed = np.unpackbits(bits, bitorder="little")[: len(logits_V)].astype(bool)
        allowed = np.pad(allowed, (0, len(logits_V) - len(allowed)))
        return logits_V.masked_fill(~torch.from_numpy(allowed).to(logits_V.device), float("-inf"))

    def take(self, token: int) -> None:
        """The next token was ``token``."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RuntimeError(self._matcher.get_error())


def json_grammar(tokenizer: Any, stop_ids: frozenset[int], schema: Mapping[str, Any] | None) -> JsonGrammar:
    """The grammar of JSON under ``schema``, of any object without one. The first call for a tokenizer takes seconds.

    Raises:
        UsageError: The schema asks for what cannot be held token by token.
    """
    part = getattr(tokenizer, "_tokenizer", tokenizer)
    known = (id(part), stop_ids)
    if known not in _READY:
        _READY[known] = part, llguidance.hf.from_tokenizer(tokenizer, eos_token=sorted(stop_ids))
    try:
        # without white space between parts, of which a small model may say nothing else until its limit
        compact: Any = {"whitespace_flexible": False}
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema or ANY_OBJECT), defaults=compact)
    except ValueError as error:
        raise UsageError("serve.bad_schema", reason=str(error).splitlines()[0][:200]) from error
    matcher = LLMatcher(_READY[known][1], grammar)
    matcher.compute_bitmask()  # finds a schema that leads to itself only
    if matcher.is_error():
        raise UsageError("serve.bad_schema", reason=matcher.get_error().splitlines()[0][:200])
    return JsonGrammar(matcher)
