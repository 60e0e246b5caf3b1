"""What is said to vLLM and what it answers: ``POST /v1/completions`` with token ids, streamed (vLLM 0.32)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_scripts.messages import text
from lora_scripts.serve.engine.grammars import ANY_OBJECT, json_grammar
from lora_scripts.serve.generation import LENGTH, STOP, Event, Generation
from lora_scripts.serve.remote.replicas import words_of


class LostReplica(Exception):
    """A replica did not answer, or broke off; another one may."""


@dataclass(frozen=True, slots=True)
class ForwardedSchema:
    """A JSON schema that vLLM holds an answer to, as ``Generation.grammar`` of a remote engine."""

    schema: Mapping[str, Any]

    def allow(self, logits_V: Any) -> Any:
        """The logits as they are: vLLM looks after them."""
        return logits_V

    def take(self, token: int) -> None:
        """Nothing: vLLM keeps count."""


def remote_grammar(tokenizer: Any, stop_ids: frozenset[int], schema: Mapping[str, Any] | None) -> ForwardedSchema:
    """``grammars.json_grammar`` for a remote engine: the schema is checked here, and kept to there.

    Raises:
        UsageError: The schema asks for what cannot be held token by token.
    """
    json_grammar(tokenizer, stop_ids, schema)
    return ForwardedSchema(schema or ANY_OBJECT)


def request_body(generation: Generation, model: str) -> dict[str, Any]:
    """A generation as the body of vLLM's ``POST /v1/completions``."""
    settings = generation.sampling
    body: dict[str, Any] = {
        "model": model,
        "prompt": generation.prompt_ids,
        "stream": True,
        "return_token_ids": True,
        "max_tokens": generation.max_new_tokens,
        "stop_token_ids": sorted(generation.stop_ids),
        "ignore_eos": True,  # stop_ids alone end an answer
        "skip_special_tokens": False,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": settings.min_p,
        "presence_penalty": settings.presence_penalty,
        "frequency_penalty": settings.frequency_penalty,
        "repetition_penalty": settings.repetition_penalty,
    }
    if settings.seed is not None:
        body["seed"] = settings.seed
    if settings.logit_bias:
        body["logit_bias"] = {str(token): value for token, value in settings.logit_bias.items()}
    if settings.top_logprobs is not None:
        body |= {"logprobs": settings.top_logprobs, "return_tokens_as_token_ids": True}
    if isinstance(generation.grammar, ForwardedSchema):
        # the end of a grammar is the tokenizer's own end, which need not be one of stop_ids
        body |= {"structured_outputs": {"json": generation.grammar.schema}, "ignore_eos": False}
    return body


def events_of(line: str, generation: Generation) -> list[Event]:
    """The events that one line of vLLM's stream holds; none in a line without tokens.

    Raises:
        LostReplica: The line is an error, or none of vLLM's.
    """
    if not line.startswith("data:") or line == "data: [DONE]":
        return []
    try:
        chunk = json.loads(line.removeprefix("data:"))
        if "error" in chunk:
            raise LostReplica(words_of(line.removeprefix("data:").encode()))
        choices = chunk["choices"]
        return _tokens_of(choices[0], generation) if choices else []
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LostReplica(text("remote.not_vllm", line=line[:120])) from error


def _tokens_of(choice: Mapping[str, Any], generation: Generation) -> list[Event]:
    tokens = choice.get("token_ids") or []
    logprobs = choice.get("logprobs")
    finish = choice.get("finish_reason")
    events = []
    for place, token in enumerate(tokens):
        logprob: float | None = None
        top: tuple[tuple[int, float], ...] = ()
        if logprobs:
            logprob = logprobs["token_logprobs"][place]
            top = _likeliest(logprobs["top_logprobs"][place], generation.sampling.top_logprobs or 0)
        events.append(Event(int(token), "", logprob, top))
    if not finish:
        return events
    if finish not in (STOP, LENGTH) or not events:
        raise LostReplica(text("remote.ended", reason=finish))
    last = events[-1]
    return [*events[:-1], Event(last.token, finish, last.logprob, last.top)]


def _likeliest(found: Mapping[str, float], count: int) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens of one place; vLLM adds the chosen one where it is none of them."""
    pairs = sorted(((int(name.removeprefix("token_id:")), value) for name, value in found.items()), key=lambda p: -p[1])
    return tuple(pairs[:count])
