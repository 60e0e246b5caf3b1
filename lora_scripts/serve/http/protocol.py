"""What a client may send: OpenAI's requests, and our few fields beside them.

A field that is not known, or known but not supported here, is refused by name: a client that is told nothing would
take it for granted. Ranges are OpenAI's. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lora_scripts.serve.generation import Sampling

NOTHING: tuple[Any, ...] = (None, False, [], {}, "", "auto", "default", "none", ["text"])
"""Values by which a client says that it wants nothing of a field."""
MOST_CHOICES, MOST_STOPS, MOST_TOP_LOGPROBS, MOST_DIGITS = 16, 16, 20, 9


_NAMES = """
audio best_of echo function_call functions modalities moderation parallel_tool_calls prediction prompt_cache_key
prompt_cache_options prompt_cache_retention reasoning_effort service_tier store suffix tool_choice tools verbosity
web_search_options
"""
UNSUPPORTED = frozenset(_NAMES.split())
"""OpenAI's fields that nothing here acts on; they may come with a value that asks for nothing."""


def _asks_nothing(name: str, value: Any) -> bool:
    """Whether a field is as good as absent: 1 is so for ``best_of`` only, and a suffix may be any word."""
    if name == "best_of":
        return value is None or (value == 1 and value is not True)
    return value in ((None, "") if name == "suffix" else NOTHING)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StackItem(_Request):
    """One adapter of a stack."""

    name: str
    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0


class StreamOptions(_Request):
    """``include_usage``: a last chunk with the count of tokens."""

    include_usage: bool = False
    include_obfuscation: Literal[False, None] = None


class TextPart(_Request):
    """A part of a message; only text."""

    type: Literal["text"]
    text: str


class ChatMessage(_Request):
    """One turn of a conversation; ``developer`` is the newer name of ``system``."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None
    refusal: None = None

    @property
    def turn(self) -> tuple[str, str]:
        """(role, content)."""
        words = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return ("system" if self.role == "developer" else self.role), words


class JsonSchema(_Request):
    """A schema that the answer must fit."""

    name: str = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(_Request):
    """text, json_object, or json_schema with its schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with the type json_schema")
        return self


Texts = Annotated[list[str], Field(fail_fast=True)]  # or a long list of ids would be as many errors first
Ids = Annotated[list[int], Field(fail_fast=True)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Common(_Request):
    """Fields of chat and of completions."""

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {key: value for key, value in body.items() if key not in UNSUPPORTED or not _asks_nothing(key, value)}

    model: str
    adapters: list[StackItem] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[Number, Field(ge=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0, le=10)] | None = None
    logit_bias: dict[str, Annotated[Number, Field(ge=-100, le=100)]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if isinstance(stop, list) and len(stop) > MOST_STOPS:
            raise ValueError(f"at most {MOST_STOPS}")
        if stop == "" or (isinstance(stop, list) and "" in stop):
            raise ValueError("a stop string has a character at least")
        return stop

    @field_validator("logit_bias")
    @classmethod
    def _ids(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        if any(not key.isdecimal() or len(key) > MOST_DIGITS for key in bias or {}):
            raise ValueError("keys are token ids")
        return bias

    @model_validator(mode="after")
    def _stream_options_of_a_stream(self) -> _Common:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options goes with stream")
        return self

    @property
    def stops(self) -> list[str]:
        """Stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def pairs(self) -> list[tuple[str, float]] | None:
        """The request's own stack."""
        return None if self.adapters is None else [(item.name, item.weight) for item in self.adapters]

    def sampling(self, top_logprobs: int | None) -> Sampling:
        """Settings for the sampler; OpenAI's default temperature is 1."""
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=self.top_p or 1.0,
            top_k=max(0, self.top_k or 0),
            min_p=self.min_p or 0.0,
            seed=self.seed,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            logit_bias={int(key): value for key, value in (self.logit_bias or {}).items()},
            top_logprobs=top_logprobs,
        )


class ChatRequest(_Common):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP_LOGPROBS)] | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None

    @model_validator(mode="after")
    def _go_together(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs goes with logprobs")
        if self.max_tokens is not None and self.max_completion_tokens not in (None, self.max_tokens):
            raise ValueError("max_tokens is the older name of max_completion_tokens: give one of them")
        return self

    @property
    def most_tokens(self) -> int | None:
        """How long the answer may be."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        """None, or how many alternatives come with each token."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(_Common):
    """POST /v1/completions: text, several texts, or token ids."""

    prompt: str | Annotated[Texts | Ids | list[Ids], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=MOST_TOP_LOGPROBS)] | None = None

    @property
    def prompts(self) -> tuple[str | list[int], ...]:
        """One prompt or several, each text or ids."""
        if isinstance(self.prompt, str):
            return (self.prompt,)
        if self.prompt and isinstance(self.prompt[0], int):
            return ([i for i in self.prompt if isinstance(i, int)],)
        return tuple(p for p in self.prompt if not isinstance(p, int))

    @property
    def most_tokens(self) -> int | None:
        """How long the answer may be; OpenAI's default here is 16."""
        return self.max_tokens or 16

    @property
    def wanted_logprobs(self) -> int | None:
        """None, or how many alternatives come with each token."""
        return self.logprobs
