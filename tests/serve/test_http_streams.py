"""Streams and settings of an answer: what comes in pieces is what comes whole; who leaves, leaves nothing behind."""

from __future__ import annotations

import json
import math
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.serve.conftest import BASE
from tests.serve.http_server import Server, post, serving

jsonschema = pytest.importorskip("jsonschema")
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
PROMPT = "劳动合同的试用期最长可以约定多久？"


@pytest.fixture(scope="module")
def server(adapters_dir: Path) -> Iterator[Server]:
    adapters = {name: str(adapters_dir / name) for name in ("a0", "a1")}
    with serving(adapters_dir, adapters=adapters) as made:
        yield made


def ask(server: Server, path: str = TEXT, **more: Any) -> Any:
    body: dict[str, Any] = {"model": "a0", "max_tokens": 16, "temperature": 0}
    body |= {"messages": [{"role": "user", "content": PROMPT}]} if path == CHAT else {"prompt": PROMPT}
    with server.http() as http:
        answered = http.post(path, json=body | more)
    assert answered.status_code == 200, answered.text
    return answered.json()


def said(server: Server, **more: Any) -> str:
    return str(ask(server, **more)["choices"][0]["text"])


def pieces(server: Server, path: str = TEXT, **more: Any) -> list[Any]:
    """The choices of a stream, in order."""
    body: dict[str, Any] = {"model": "a0", "max_tokens": 16, "temperature": 0, "stream": True}
    body |= {"messages": [{"role": "user", "content": PROMPT}]} if path == CHAT else {"prompt": PROMPT}
    with server.http() as http, http.stream("POST", path, json=body | more) as answered:
        lines = [line.removeprefix("data: ") for line in answered.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [choice for line in lines[:-1] for choice in json.loads(line)["choices"]]


# characters, stops, ends


def split_character(tokenizer: Any) -> tuple[str, list[int]]:
    """A character that the vocabulary spells in several tokens, with their ids."""
    for sign in "魑魅魍魉𠮷😀龘":
        ids = tokenizer(sign, add_special_tokens=False)["input_ids"]
        if len(ids) > 1 and len(set(ids)) == len(ids):
            return sign, ids
    raise AssertionError("every character is one token")


def test_a_character_of_several_tokens_comes_whole(server: Server, tokenizer: Any) -> None:
    sign, ids = split_character(tokenizer)
    word = f"{sign * 4}法{sign}"
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": [word]}}}
    for path in (TEXT, CHAT):
        found = pieces(server, path, response_format=shape, max_tokens=60)
        texts = [c["text"] if path == TEXT else c["delta"].get("content") or "" for c in found]
        assert json.loads("".join(texts)) == word
        assert len([text for text in texts if text]) >= 5, "it came in one piece"
        assert not any("\ufffd" in text for text in texts)
        assert len(ids) > 1


def test_a_stream_says_what_the_whole_says_where_no_token_is_likely(server: Server) -> None:
    for seed in range(3):
        hot: dict[str, Any] = {"temperature": 2, "seed": seed, "max_tokens": 60}
        assert "".join(c["text"] for c in pieces(server, **hot)) == said(server, **hot)


def test_a_stop_string_over_several_tokens_ends_the_answer_before_it(server: Server) -> None:
    whole = said(server, max_tokens=40)
    for begin in range(2, 12, 3):
        stop = whole[begin : begin + 5]
        expected = whole[: whole.index(stop)]
        answer = ask(server, max_tokens=40, stop=[stop, "☃"])
        assert answer["choices"][0] | {"logprobs": None} == {
            "index": 0, "text": expected, "logprobs": None, "finish_reason": "stop",
        }  # fmt: skip
        found = pieces(server, max_tokens=40, stop=stop)
        assert "".join(c["text"] for c in found) == expected
        assert found[-1]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] < 40
    assert server.back_to_rest()


def test_the_end_says_why(server: Server) -> None:
    assert ask(server, max_tokens=3)["choices"][0]["finish_reason"] == "length"
    assert ask(server, max_tokens=3)["usage"]["completion_tokens"] == 3
    ended = ask(server, CHAT, logit_bias={str(stop_id()): 100}, max_tokens=5)
    assert (ended["choices"][0]["finish_reason"], ended["choices"][0]["message"]["content"]) == ("stop", "")


def stop_id() -> int:
    from lora_scripts.models.text import load_tokenizer
    from lora_scripts.serve.voices import Voice

    return min(Voice(load_tokenizer(BASE)).stop_ids)


# choices, seeds, settings


def test_a_seed_gives_the_same_answer_again_and_each_choice_its_own(server: Server) -> None:
    hot: dict[str, Any] = {"temperature": 1.5, "seed": 7, "n": 3, "max_tokens": 24}
    first, second = (ask(server, **hot)["choices"] for _ in range(2))
    texts = [choice["text"] for choice in first]
    assert texts == [choice["text"] for choice in second]
    assert len(set(texts)) == 3
    assert [choice["index"] for choice in first] == [0, 1, 2]
    streamed = pieces(server, **hot)
    for index in range(3):
        assert "".join(c["text"] for c in streamed if c["index"] == index) == texts[index]
    assert said(server, **hot | {"seed": 1000, "n": 1}) not in texts
    assert len({said(server, temperature=1.5, max_tokens=24) for _ in range(4)}) > 1


def test_a_seed_gives_the_same_answer_whoever_else_asks(server: Server) -> None:
    hot: dict[str, Any] = {"temperature": 1.2, "seed": 3, "max_tokens": 24}
    alone = said(server, **hot)
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(said, server, model="a1", temperature=1.0) for _ in range(8)]
        same = [pool.submit(said, server, **hot) for _ in range(4)]
        assert {done.result() for done in same} == {alone}
        assert all(done.result() is not None for done in others)


def test_settings_act_on_the_answer(server: Server, tokenizer: Any) -> None:
    greedy = said(server, max_tokens=24)
    hot: dict[str, Any] = {"temperature": 1.5, "max_tokens": 24, "seed": 5}
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 0.999999}):
        assert said(server, **hot, **narrow) == greedy
    assert said(server, **hot) != greedy
    first = tokenizer(PROMPT + greedy)["input_ids"][len(tokenizer(PROMPT)["input_ids"])]
    assert said(server, logit_bias={str(first): -100}) != greedy[:16]
    forced = said(server, logit_bias={"519": 100}, max_tokens=3)
    assert forced == "人民法院" * 3
    penalised = said(server, logit_bias={"519": 30}, max_tokens=8, frequency_penalty=2)
    assert penalised != "人民法院" * 8 or said(server, logit_bias={"519": 30}, max_tokens=8) == penalised
    assert said(server, max_tokens=40, repetition_penalty=5) != said(server, max_tokens=40)
    assert said(server, max_tokens=40, presence_penalty=2) != said(server, max_tokens=40)


# logprobs


@pytest.fixture(scope="module")
def scored(tokenizer: Any) -> Callable[[str, list[int]], list[Any]]:
    """Log-probabilities of the base by stock transformers, at each of some tokens after a prompt."""
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()

    def score(prompt: str, answer: list[int]) -> list[Any]:
        ids = tokenizer(prompt)["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
        return list(torch.log_softmax(logits, -1))

    return score


def test_logprobs_are_those_of_stock_transformers(server: Server, tokenizer: Any, scored: Any) -> None:
    body: dict[str, Any] = {"model": "tiny-zh", "max_tokens": 8, "logit_bias": {str(stop_id()): -100}}
    answer = ask(server, **body, logprobs=3)["choices"][0]
    found = answer["logprobs"]
    ids = tokenizer(PROMPT + answer["text"])["input_ids"][len(tokenizer(PROMPT)["input_ids"]) :]
    assert "".join(found["tokens"]) == answer["text"]
    assert [tokenizer.decode([i]) for i in ids] == found["tokens"]
    for token, value, top, expected in zip(
        ids, found["token_logprobs"], found["top_logprobs"], scored(PROMPT, ids), strict=True
    ):
        assert value == pytest.approx(float(expected[token]), abs=2e-3)
        likeliest = sorted(expected.tolist(), reverse=True)[: len(top)]
        assert sorted(top.values(), reverse=True) == pytest.approx(likeliest, abs=2e-3)
        assert len(top) == 3
    assert found["text_offset"] == [len("".join(found["tokens"][:i])) for i in range(len(found["tokens"]))]


def test_logprobs_of_a_chat_come_with_their_tokens_in_a_stream_too(server: Server) -> None:
    body: dict[str, Any] = {"model": "tiny-zh", "max_tokens": 10, "logprobs": True, "top_logprobs": 2}
    answer = ask(server, CHAT, **body)["choices"][0]
    content = answer["logprobs"]["content"]
    assert len(content) == 10
    for entry in content:
        assert len(entry["top_logprobs"]) == 2
        assert entry["logprob"] <= 0
        assert math.isclose(entry["top_logprobs"][0]["logprob"], entry["logprob"], abs_tol=1e-6), "greedy"
    streamed = [e for c in pieces(server, CHAT, **body) for e in (c["logprobs"] or {"content": []})["content"]]
    assert streamed == content
    assert ask(server, CHAT, model="tiny-zh")["choices"][0]["logprobs"] is None


def test_bytes_of_logprobs_together_are_the_text(server: Server, tokenizer: Any) -> None:
    sign, ids = split_character(tokenizer)
    body: dict[str, Any] = {"logit_bias": {str(ids[0]): 100}, "max_tokens": 1, "logprobs": True}
    (entry,) = ask(server, CHAT, **body)["choices"][0]["logprobs"]["content"]
    known = sign.encode()
    assert bytes(entry["bytes"]) == known[: len(entry["bytes"])], (
        "the bytes of a token, not of the sign for no character"
    )


# JSON


SCHEMAS: list[Any] = [
    {"type": "object", "required": ["a", "b"], "additionalProperties": False,
     "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["是", "否"]}}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    {"type": "string", "enum": ["工伤", "加班费"]},
    {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 1, "maximum": 9}]},
    {"type": "object", "properties": {"t": {"type": "string", "maxLength": 6}}, "required": ["t"],
     "additionalProperties": False},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_under_a_schema_is_json_that_fits_it(server: Server, schema: Any, stream: bool) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    ended = 0
    for seed in range(3):
        more: dict[str, Any] = {"response_format": shape, "temperature": 1.2, "seed": seed, "max_tokens": 60}
        if stream:
            found = pieces(server, CHAT, model="a1", **more)
            text, finish = "".join(c["delta"].get("content") or "" for c in found), found[-1]["finish_reason"]
        else:
            choice = ask(server, CHAT, model="a1", **more)["choices"][0]
            text, finish = choice["message"]["content"], choice["finish_reason"]
        if finish == "stop":  # else its limit came first
            jsonschema.validate(json.loads(text), schema)
            ended += 1
    assert ended >= 2


def test_an_answer_in_json_is_an_object(server: Server, tokenizer: Any) -> None:
    likely = {str(tokenizer(sign)["input_ids"][0]): 20 for sign in ('"', "}")}  # or a small model finds no end
    shape: dict[str, Any] = {"response_format": {"type": "json_object"}, "temperature": 1, "logit_bias": likely}
    answers = [ask(server, CHAT, seed=seed, max_tokens=60, **shape)["choices"][0] for seed in range(3)]
    whole = [json.loads(c["message"]["content"]) for c in answers if c["finish_reason"] == "stop"]
    assert whole
    assert all(isinstance(found, dict) for found in whole)
    assert all(c["message"]["content"].startswith("{") for c in answers)


def test_a_schema_holds_one_answer_and_not_its_neighbours(server: Server) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMAS[2]}}
    alone = said(server, max_tokens=12)
    with ThreadPoolExecutor(8) as pool:
        free = [pool.submit(said, server, max_tokens=12) for _ in range(4)]
        held = [pool.submit(said, server, response_format=shape, max_tokens=30) for _ in range(4)]
        assert {done.result() for done in free} == {alone}
        assert {json.loads(done.result()) for done in held} <= {"工伤", "加班费"}


# who leaves


@pytest.mark.parametrize("stream", [False, True])
def test_clients_that_leave_leave_nothing_behind(server: Server, stream: bool) -> None:
    body = json.dumps({"model": "a1", "prompt": PROMPT, "max_tokens": 900, "n": 2, "stream": stream})
    socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
    for sock in socks:
        sock.sendall(post(TEXT, body))
    until = time.monotonic() + 10
    while server.opened.face.service.admission.open < 12 and time.monotonic() < until:
        time.sleep(0.01)
    assert server.opened.face.service.admission.open == 12
    if stream:
        assert all(b"data: " in sock.recv(4096, socket.MSG_WAITALL) for sock in socks)
    for number, sock in enumerate(socks):
        if number % 2:  # as a process that is killed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        sock.close()
    assert server.back_to_rest()
    assert said(server) == said(server)


def test_clients_that_leave_at_any_moment_leave_nothing_behind(server: Server) -> None:
    chance = random.Random(1)

    def leave(number: int) -> None:
        body = json.dumps(
            {"model": "a0", "prompt": PROMPT * (1 + number % 3), "max_tokens": 60, "stream": number % 2 == 0}
        )
        raw = post(TEXT, body)
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(raw[: chance.randrange(1, len(raw))] if number % 5 == 0 else raw)
            time.sleep(chance.random() * 0.4)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(leave, range(48)))
    assert server.back_to_rest()
    assert server.engine.figures()["restarts"] == 0
    assert said(server) == said(server)
