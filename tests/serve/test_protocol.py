"""Every field that OpenAI's API has either acts or is refused by name; checked against the types of OpenAI's client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params
from pydantic import ValidationError

from lora_scripts.serve.http.failures import Failure
from lora_scripts.serve.http.gate import check_json
from lora_scripts.serve.http.protocol import ChatRequest, CompletionRequest

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
TEXT: dict[str, Any] = {"model": "m", "prompt": "q"}
LABELS = {"user", "safety_identifier", "metadata"}
"""Say who asks, and change no answer at OpenAI either."""
WANTS: dict[str, Any] = {
    "audio": {"voice": "x"}, "best_of": 2, "echo": True, "function_call": {"name": "f"}, "functions": [{"name": "f"}],
    "modalities": ["audio"], "moderation": {"model": "x"}, "parallel_tool_calls": True, "prediction": {"type": "x"},
    "prompt_cache_key": "k", "prompt_cache_options": {"ttl": 1}, "prompt_cache_retention": "24h",
    "reasoning_effort": "high", "service_tier": "priority", "store": True, "suffix": "none", "tool_choice": "required",
    "tools": [{"type": "function"}], "verbosity": "high", "web_search_options": {"x": 1},
}  # fmt: skip
ACTS: dict[str, tuple[Any, str]] = {
    "temperature": (0.3, "temperature"), "top_p": (0.4, "top_p"), "seed": (5, "seed"),
    "presence_penalty": (1.5, "presence_penalty"), "frequency_penalty": (-1.5, "frequency_penalty"),
    "logit_bias": ({"7": -100}, "logit_bias"), "top_k": (3, "top_k"), "min_p": (0.1, "min_p"),
    "repetition_penalty": (1.2, "repetition_penalty"),
}  # fmt: skip
"""Fields that become settings of the sampler."""
ELSEWHERE = {
    "model", "messages", "prompt", "adapters", "n", "stop", "max_tokens", "max_completion_tokens", "logprobs",
    "top_logprobs", "stream", "stream_options", "response_format",
}  # fmt: skip
"""Fields that act outside the sampler: each one has a test in test_http_openai.py or test_http_streams.py."""
KINDS: list[tuple[Any, dict[str, Any], Any]] = [
    (ChatRequest, CHAT, chat_params.CompletionCreateParamsBase),
    (CompletionRequest, TEXT, text_params.CompletionCreateParamsBase),
]


def refused(kind: Any, body: dict[str, Any]) -> list[str]:
    """The fields by which a body is refused."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    return [".".join(map(str, error["loc"])) or error["msg"] for error in caught.value.errors()]


@pytest.mark.parametrize(("kind", "body", "openai"), KINDS)
def test_every_field_of_openai_acts_or_is_refused_by_name(kind: Any, body: dict[str, Any], openai: Any) -> None:
    fields = set(openai.__annotations__) | {"stream"}
    assert len(fields) > 15
    known = set(kind.model_fields)
    assert known <= fields | {"adapters", "top_k", "min_p", "repetition_penalty"} | ({"response_format"})
    assert known == known & ({*ACTS} | ELSEWHERE | LABELS), "a field that acts nowhere"
    for name in fields - known:
        assert refused(kind, body | {name: WANTS[name]}) == [name]


@pytest.mark.parametrize(("kind", "body", "openai"), KINDS)
@pytest.mark.parametrize("name", ACTS)
def test_a_setting_of_the_sampler_reaches_it(kind: Any, body: dict[str, Any], openai: Any, name: str) -> None:
    value, setting = ACTS[name]
    with_it = kind.model_validate(body | {name: value}).sampling(None)
    without = kind.model_validate(body).sampling(None)
    expected = {7: -100.0} if name == "logit_bias" else value
    assert getattr(with_it, setting) == expected != getattr(without, setting)


@pytest.mark.parametrize("value", [None, False, [], {}, "", "auto", "none"])
def test_a_field_that_asks_for_nothing_may_come(value: Any) -> None:
    for name in ("tools", "tool_choice", "store", "audio", "function_call"):
        ChatRequest.model_validate(CHAT | {name: value})
    CompletionRequest.model_validate(TEXT | {"best_of": 1, "echo": False, "suffix": ""})


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"temprature": 1}, ["temprature"]),
        ({"messages": []}, ["messages"]),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, ["messages.0.role"]),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, []),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, []),
        ({"temperature": -0.1}, ["temperature"]),
        ({"temperature": 2.1}, ["temperature"]),
        ({"temperature": "1"}, ["temperature"]),
        ({"temperature": True}, ["temperature"]),
        ({"temperature": float("nan")}, ["temperature"]),
        ({"top_p": 1.1}, ["top_p"]),
        ({"top_k": -2}, ["top_k"]),
        ({"n": 0}, ["n"]),
        ({"n": 17}, ["n"]),
        ({"n": 1.0}, ["n"]),
        ({"n": True}, ["n"]),
        ({"seed": 1 << 63}, ["seed"]),
        ({"max_tokens": 0}, ["max_tokens"]),
        ({"max_tokens": -1}, ["max_tokens"]),
        ({"max_tokens": "5"}, ["max_tokens"]),
        ({"presence_penalty": 2.5}, ["presence_penalty"]),
        ({"frequency_penalty": -2.5}, ["frequency_penalty"]),
        ({"repetition_penalty": 0}, ["repetition_penalty"]),
        ({"logit_bias": {"a": 1}}, ["logit_bias"]),
        ({"logit_bias": {"-1": 1}}, ["logit_bias"]),
        ({"logit_bias": {"²": 1}}, ["logit_bias"]),
        ({"logit_bias": {"9" * 5000: 1}}, ["logit_bias"]),
        ({"logit_bias": {"1": 101}}, ["logit_bias.1"]),
        ({"stop": ["x"] * 17}, ["stop"]),
        ({"stop": ""}, ["stop"]),
        ({"stop": ["a", ""]}, ["stop"]),
        ({"stream": "yes"}, ["stream"]),
        ({"response_format": {"type": "xml"}}, ["response_format.type"]),
        ({"response_format": {"type": "text", "x": 1}}, ["response_format.x"]),
        ({"adapters": [{"name": "a", "weight": "1"}]}, ["adapters.0.weight"]),
        ({"adapters": [{"name": "a", "wieght": 1}]}, ["adapters.0.wieght"]),
        ({"adapters": "a"}, ["adapters"]),
        ({"model": None}, ["model"]),
        ({"model": 5}, ["model"]),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], names: list[str]) -> None:
    found = refused(ChatRequest, CHAT | more)
    assert found[: len(names)] == names
    if not names:
        assert all(name.startswith("messages.0.") for name in found)


@pytest.mark.parametrize(
    "more",
    [
        {"stream_options": {"include_usage": True}},
        {"top_logprobs": 2},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_object", "json_schema": {"name": "a", "schema": {}}}},
        {"max_tokens": 5, "max_completion_tokens": 6},
    ],
)
def test_fields_that_belong_together_come_together(more: dict[str, Any]) -> None:
    assert refused(ChatRequest, CHAT | more)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("q", ("q",)),
        (["q", "r"], ("q", "r")),
        ([1, 2], ([1, 2],)),
        ([[1], [2, 3]], ([1], [2, 3])),
    ],
)
def test_a_prompt_is_text_or_ids_or_several(prompt: Any, prompts: Any) -> None:
    assert CompletionRequest.model_validate(TEXT | {"prompt": prompt}).prompts == prompts


@pytest.mark.parametrize("prompt", [[], None, 5, [1.5], ["a", 1], [[1], "a"], [True], [None], {"a": 1}, [[["a"]]]])
def test_a_prompt_that_is_neither_is_refused(prompt: Any) -> None:
    assert refused(CompletionRequest, TEXT | {"prompt": prompt})


def test_an_answer_is_as_long_as_asked() -> None:
    assert ChatRequest.model_validate(CHAT | {"max_tokens": 7}).most_tokens == 7
    assert ChatRequest.model_validate(CHAT | {"max_completion_tokens": 8}).most_tokens == 8
    assert ChatRequest.model_validate(CHAT).most_tokens is None
    assert CompletionRequest.model_validate(TEXT).most_tokens == 16


def test_parts_of_a_message_are_put_together_and_developer_is_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "s"}, {"role": "user", "content": parts}]
    turns = [m.turn for m in ChatRequest.model_validate(CHAT | {"messages": messages}).messages]
    assert turns == [("system", "s"), ("user", "ab")]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"1", b'"a"', b"null", b"{", b"{} {}", b"{'a': 1}", b'{"a": NaN}', b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}', b'{"\\udfff": 1}', '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 500_000, b'{"a":' * 100_000, b"{" + b'"a": 1, ' * 100_000 + b'"a": 1}', b'{"a": "\x00"}', b'{"a": 1,}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Failure) as caught:
        check_json(body)
    assert caught.value.status == 400
    assert len(json.dumps(caught.value.body).encode()) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*CHAT, *ACTS, *ELSEWHERE, *WANTS]) | st.text(max_size=5), JSON, max_size=5))
def test_any_body_is_taken_or_refused_in_words(more: dict[str, Any]) -> None:
    for kind, body, _ in KINDS:
        try:
            taken = kind.model_validate(body | more)
        except ValidationError:
            continue
        sampling = taken.sampling(taken.wanted_logprobs)
        assert 0 <= sampling.temperature <= 2
        assert taken.stops == [s for s in taken.stops if s]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4))
def test_any_json_object_passes_the_gate(body: dict[str, Any]) -> None:
    for escaped in (True, False):
        text = json.dumps(body, ensure_ascii=escaped)
        if "Infinity" not in text:
            check_json(text.encode())
