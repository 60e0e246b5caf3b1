"""Requests that no honest client sends: each one gets a 4xx at once, none leads to a file outside, and the next honest
request is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.serve.http.gate import Gate, GateSettings
from tests.serve.conftest import BASE
from tests.serve.http_server import ADMIN, Answer, Server, get, post, serving, sha256

KEY = "client-secret"
CHAT, TEXT, LOAD = "/v1/chat/completions", "/v1/completions", "/admin/adapters"
BODY_SECONDS = 0.5
QUICK_SECONDS = 1.0  # ten times what a slow processor needs; what these requests are made for takes minutes
TRIES = 4  # the machine may be busy with something else
AS_CLIENT, AS_ADMIN = f"Authorization: Bearer {KEY}", f"Authorization: Bearer {ADMIN}"


@dataclass
class Opened:
    """Files that this process opened, by Python's own report; safetensors are read after their sha256 was taken so."""

    watching: bool = False
    paths: set[Path] = field(default_factory=set)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in ("open", "os.listdir", "os.scandir"):
            with contextlib.suppress(TypeError, ValueError):
                self.paths.add(Path(os.path.realpath(arguments[0])))

    def outside(self, *allowed: Path) -> list[Path]:
        return sorted(p for p in self.paths if not any(p.is_relative_to(a) for a in allowed))


OPENED = Opened()
PYTHON = [Path(sys.prefix), Path(sysconfig.get_path("stdlib")), Path(__file__).parents[2] / "lora_scripts"]
sys.addaudithook(OPENED.hook)  # there is no way to take it away again: it only looks at one flag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, adapters_dir: Path) -> Path:
    """``root`` with an adapter, and links in it that lead to the working adapter in ``outside``."""
    top = tmp_path_factory.mktemp("hostile")
    root, outside = top / "root", top / "outside"
    root.mkdir()
    shutil.copytree(adapters_dir / "a0", root / "a0")
    shutil.copytree(adapters_dir / "a1", outside / "a1")
    (root / "link").symlink_to(outside / "a1")
    (root / "up").symlink_to(top)
    (root / "ring").symlink_to(root / "ring")
    half = root / "half"
    half.mkdir()
    shutil.copy(outside / "a1" / "adapter_config.json", half)
    (half / "adapter_model.safetensors").symlink_to(outside / "a1" / "adapter_model.safetensors")
    talks = root / "talks"
    shutil.copytree(root / "a0", talks)
    (talks / "chat_template.jinja").symlink_to("/etc/passwd")
    return top


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with serving(
        place / "root",
        body_seconds=BODY_SECONDS,
        adapters={"a0": str(place / "root" / "a0")},
        api_keys={"client": {"key": KEY}},
        admin_key_sha256=sha256(ADMIN),
    ) as made:
        yield made


def chat(**more: Any) -> str:
    return json.dumps({"model": "a0", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1} | more)


def text(**more: Any) -> str:
    return json.dumps({"model": "a0", "prompt": "x", "max_tokens": 1} | more)


def asks(path: str, body: bytes | str, *headers: str) -> bytes:
    return post(path, body, AS_CLIENT, *headers)


def loads(name: Any, path: Any) -> bytes:
    return post(LOAD, json.dumps({"name": name, "path": path}), AS_ADMIN)


def shaped(schema: Any) -> bytes:
    return asks(CHAT, chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}))


JSON_TYPE = "Content-Type: application/json"
MESSAGE = '"messages": [{"role": "user", "content": "x"}]'
BASIC = "Authorization: Basic Y2xpZW50LXNlY3JldDo="
NESTED: Any = {}
for _ in range(200):
    NESTED = {"type": "object", "properties": {"a": NESTED}}

FORMED = chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}})
METHODS = ["GET", "PUT", "DELETE", "OPTIONS", "TRACE"]
NAMES: list[Any] = [
    "../x",
    "..",
    ".",
    "",
    "a/b",
    "/etc/passwd",
    "%2e%2e",
    "a\0b",
    "适配器",
    "x" * 65,
    "a b",
    "a\n",
    "auto",
    BASE.name,
    f"{BASE.name}:a0",
    "\u202ea0",
    "a0\u200b",
    "а0",
    5,
    None,
    ["a0"],
]
PATHS: list[Any] = [
    "../outside/a1",
    "a0/../../outside/a1",
    "..",
    ".",
    "",
    "/",
    "/etc",
    "/etc/passwd",
    "link",
    "up/outside/a1",
    "up",
    "ring",
    "half",
    "half/adapter_model.safetensors",
    "talks",
    "talks/adapter_model.safetensors",
    "a0\0",
    "..%2foutside%2fa1",
    "%2e%2e/outside/a1",
    "file:///etc",
    "~",
    "~root",
    "$HOME",
    "a0/*",
    "..\\outside",
    "x" * 300,
    "a0/" * 2000,
    "nobody",
    "a0/adapter_config.json",
    "\\\\host\\share",
    5,
    None,
    {"a": 1},
]
MODELS = ["../outside/a1", "..", "", "/etc/passwd", "link", f"{BASE.name}:../a0", "a0\0", "A0", "x" * 5000, "模型"]

REQUESTS: dict[str, bytes] = {
    # keys
    "no key": post(CHAT, chat()),
    "wrong key": post(CHAT, chat(), "Authorization: Bearer guess"),
    "empty key": post(CHAT, chat(), "Authorization: Bearer "),
    "key without a scheme": post(CHAT, chat(), f"Authorization: {KEY}"),
    "another scheme": post(CHAT, chat(), BASIC),
    "key in the query": post(f"{CHAT}?api_key={KEY}", chat()),
    "key in another header": post(CHAT, chat(), f"X-Api-Key: {KEY}", f"Cookie: Authorization={KEY}"),
    "two keys, the wrong one last": post(CHAT, chat(), AS_CLIENT, "Authorization: Bearer guess"),
    "two keys, the right one last": post(CHAT, chat(), "Authorization: Bearer guess", AS_CLIENT),
    "the same key twice": post(CHAT, chat(), AS_CLIENT, AS_CLIENT),
    "two keys in one header": post(CHAT, chat(), f"Authorization: Bearer guess, Bearer {KEY}"),
    "key with a NUL": post(CHAT, chat(), f"Authorization: Bearer {KEY}\0"),
    "key with more": post(CHAT, chat(), f"Authorization: Bearer {KEY} x"),
    "key in bytes that are no text": post(CHAT, chat(), "Authorization: Bearer \udcff\udcfe"),
    "long key": post(CHAT, chat(), "Authorization: Bearer " + "k" * 10_000),
    "digest of the key": post(CHAT, chat(), f"Authorization: Bearer {sha256(KEY)}"),
    "admin key for a chat": post(CHAT, chat(), AS_ADMIN),
    "models without a key": get("/v1/models"),
    "figures without a key": get("/metrics"),
    "schema without a key": get("/openapi.json"),
    # admin routes
    "load without a key": post(LOAD, '{"name": "x", "path": "a0"}'),
    "load with a client's key": post(LOAD, '{"name": "x", "path": "a0"}', AS_CLIENT),
    "vLLM's load with a client's key": asks("/v1/load_lora_adapter", '{"lora_name": "x", "lora_path": "a0"}'),
    "vLLM's unload with a client's key": asks("/v1/unload_lora_adapter", '{"lora_name": "a0"}'),
    "list with a client's key": get(LOAD, AS_CLIENT),
    "unload with a client's key": get(f"{LOAD}/a0", AS_CLIENT, method="DELETE"),
    "admin in capitals": get("/ADMIN/adapters", AS_CLIENT),
    "admin, one letter encoded": get("/%61dmin/adapters", AS_CLIENT),
    "admin, slash encoded": get("/admin%2fadapters", AS_CLIENT),
    "admin, twice encoded": get("/%2561dmin/adapters", AS_CLIENT),
    "admin by way of v1": get("/v1/../admin/adapters", AS_CLIENT),
    "admin by way of v1, encoded": get("/v1/%2e%2e/admin/adapters", AS_CLIENT),
    "admin by way of an open path": get("/health/live/../../admin/adapters"),
    "admin behind two slashes": get("//admin/adapters", AS_CLIENT),
    "admin with a dot": get("/./admin/adapters", AS_CLIENT),
    "admin with a slash at its end": get("/admin/adapters/", AS_CLIENT),
    "admin with a semicolon": get("/admin;x/adapters", AS_CLIENT),
    "admin with a backslash": get("/v1\\..\\admin/adapters", AS_CLIENT),
    "admin with a NUL": get("/admin%00/adapters", AS_CLIENT),
    "admin as an absolute URL": get("http://127.0.0.1/admin/adapters", AS_CLIENT),
    "admin by a forwarded path": get("/health/live2", "X-Original-URL: /admin/adapters", "X-Forwarded-Prefix: /admin"),
    "open path with more": get("/health/live%2f..%2f..%2fv1%2fmodels"),
    # names and paths of adapters
    **{
        f"load under the name {name!a:.20}": loads(name, "a0")
        for name in NAMES
    },
    **{
        f"load from {path!a:.30}": loads("x", path)
        for path in PATHS
    },
    "load with an unknown field": post(LOAD, '{"name": "x", "path": "a0", "root": "/"}', AS_ADMIN),
    "load a surrogate": post(LOAD, '{"name": "x", "path": "\\ud800"}', AS_ADMIN),
    "unload two dots": get(f"{LOAD}/..", AS_ADMIN, method="DELETE"),
    "unload two encoded dots": get(f"{LOAD}/%2e%2e%2foutside", AS_ADMIN, method="DELETE"),
    "pin what is not there": post(f"{LOAD}/nobody/pin", "{}", AS_ADMIN),
    "pin with a word": post(f"{LOAD}/a0/pin", '{"pinned": "no"}', AS_ADMIN),
    "pin with an unknown field": post(f"{LOAD}/a0/pin", '{"pined": true}', AS_ADMIN),
    "a stack of a stranger": post("/admin/stacks", '{"name": "s", "adapters": [{"name": "../x"}]}', AS_ADMIN),
    "a stack under a path": post("/admin/stacks", '{"name": "../s", "adapters": [{"name": "a0"}]}', AS_ADMIN),
    **{
        f"ask the model {model!a:.20}": asks(CHAT, chat(model=model))
        for model in MODELS
    },
    "model of two dots": get("/v1/models/..", AS_CLIENT),
    "model of encoded dots": get("/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", AS_CLIENT),
    "model of bytes that are no text": get("/v1/models/%ff%fe", AS_CLIENT),
    "model that is long": get("/v1/models/" + "x" * 12_000, AS_CLIENT),
    # lengths
    "two lengths": asks(CHAT, chat(), "Content-Length: 5", "Content-Length: 6"),
    "negative length": asks(CHAT, chat(), "Content-Length: -1"),
    "a length with a sign": asks(CHAT, chat(), "Content-Length: +9"),
    "a length in hex": asks(CHAT, chat(), "Content-Length: 0x9"),
    "a length with 5000 digits": asks(CHAT, chat(), "Content-Length: " + "9" * 5000),
    "a length of full-width digits": asks(CHAT, chat(), "Content-Length: ９"),
    "a length beyond the limit": asks(CHAT, "{}", "Content-Length: 1048577"),
    "a length that is too short": asks(CHAT, chat(), "Content-Length: 9"),
    "length and chunks": asks(CHAT, b"", "Content-Length: 3", "Transfer-Encoding: chunked")
    + f"{len(chat()):x}\r\n{chat()}\r\n0\r\n\r\n".encode(),
    "chunks, twice": asks(CHAT, b"0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunks with a space": asks(CHAT, b"0\r\n\r\n", "Transfer-Encoding : chunked"),
    "chunks and gzip": asks(CHAT, b"0\r\n\r\n", "Transfer-Encoding: gzip, chunked"),
    "chunks that are none": asks(CHAT, b"zz\r\n\r\n", "Transfer-Encoding: chunked"),
    "a chunk of negative size": asks(CHAT, b"-1\r\n\r\n", "Transfer-Encoding: chunked"),
    "a chunk beyond the limit": asks(CHAT, b"200000\r\n" + b"x" * (2 << 20), "Transfer-Encoding: chunked"),
    "an unknown coding": asks(CHAT, chat(), "Transfer-Encoding: xchunked"),
    "a compressed body": asks(CHAT, b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"),
    # heads
    "a long header": asks(CHAT, chat(), "X-Long: " + "x" * (1 << 20)),
    "many headers": asks(CHAT, chat(), *(f"X-{i}: {'y' * 200}" for i in range(5000))),
    "a header without a colon": asks(CHAT, chat(), "nonsense"),
    "a folded header": post(CHAT, chat(), "Authorization: Bearer", f" {KEY} x"),
    "no host": f"GET /v1/models HTTP/1.1\r\n{AS_CLIENT}\r\n\r\n".encode(),
    "two hosts": get("/v1/models", AS_CLIENT, "Host: elsewhere"),
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/1.0 without a length": f"POST {CHAT} HTTP/1.0\r\n{AS_CLIENT}\r\n{JSON_TYPE}\r\n\r\n".encode(),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a path that is no ASCII": "GET /v1/模型 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a NUL in the path": b"GET /v1/\0models HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # methods and types
    **{f"{method} of a chat": get(CHAT, AS_CLIENT, method=method) for method in METHODS},
    "CONNECT": get("127.0.0.1:22", AS_CLIENT, method="CONNECT"),
    "a made-up method": get("/v1/models", AS_CLIENT, method="GIMME"),
    "POST to a list": asks("/v1/models", "{}"),
    "a list behind two slashes": get("//v1/models", AS_CLIENT),
    "a list with a slash at its end": get("/v1/models/", AS_CLIENT),
    "no type": post(CHAT, chat(), AS_CLIENT, "Content-Type: "),
    "a form": post(CHAT, "model=a0", AS_CLIENT, "Content-Type: application/x-www-form-urlencoded"),
    "plain text, as a page of another site can send": post(CHAT, chat(), AS_CLIENT, "Content-Type: text/plain"),
    "two types": post(CHAT, chat(), AS_CLIENT, "Content-Type: text/plain", "Content-Type: application/json"),
    # bodies
    "no body": asks(CHAT, b""),
    "500 thousand brackets": asks(CHAT, b"[" * 500_000),
    "100 thousand objects": asks(CHAT, b'{"a":' * 100_000),
    "not a number": asks(CHAT, f'{{"model": "a0", {MESSAGE}, "temperature": NaN}}'),
    "infinity": asks(CHAT, f'{{"model": "a0", {MESSAGE}, "temperature": 1e999}}'),
    "a number of 5000 digits": asks(CHAT, f'{{"model": "a0", {MESSAGE}, "seed": {"9" * 5000}}}'),
    "a number of 4000 digits": asks(CHAT, f'{{"model": "a0", {MESSAGE}, "max_tokens": {"9" * 4000}}}'),
    "bytes that are no text": asks(CHAT, b'{"model": "a0\xff"}'),
    "UTF-16": asks(CHAT, chat().encode("utf-16")),
    "half of a character": asks(CHAT, '{"model": "a0", "messages": [{"role": "user", "content": "\\ud800"}]}'),
    "half of a character as a model": asks(CHAT, f'{{"model": "\\ud800", {MESSAGE}}}'),
    "half of a character as a field": asks(CHAT, f'{{"model": "a0", {MESSAGE}, "\\ud800": 1}}'),
    "a key that comes twice": asks(CHAT, f'{{"model": "nobody", "model": "a0", {MESSAGE}, "max_tokens": 1}}'),
    "two objects": asks(CHAT, chat() + chat()),
    # fields
    "10 thousand messages": asks(CHAT, chat(messages=[{"role": "user", "content": "x"}] * 10_000)),
    "5 thousand turns": asks(
        CHAT, chat(messages=[{"role": r, "content": "x"} for r in ["user", "assistant"] * 5000 + ["user"]])
    ),
    "a prompt of a megabyte": asks(TEXT, text(prompt="x" * 1_000_000)),
    "a question of a megabyte": asks(CHAT, chat(messages=[{"role": "user", "content": "x y " * 250_000}])),
    "a megabyte of Chinese": asks(TEXT, json.dumps({"model": "a0", "prompt": "劳" * 340_000}, ensure_ascii=False)),
    "200 thousand prompts": asks(TEXT, text(prompt=["x"] * 200_000)),
    "200 thousand ids": asks(TEXT, text(prompt=[1] * 200_000)),
    "an empty prompt": asks(TEXT, text(prompt="")),
    "an empty list of prompts": asks(TEXT, text(prompt=[])),
    "an empty list of ids": asks(TEXT, text(prompt=[[1], []])),
    "an id below zero": asks(TEXT, text(prompt=[-1])),
    "an id beyond the vocabulary": asks(TEXT, text(prompt=[1, 10**6])),
    "an id of 30 digits": asks(TEXT, text(prompt=[10**30])),
    "a bias of an id beyond": asks(CHAT, chat(logit_bias={"1000000": 1})),
    "a bias of no id": asks(CHAT, chat(logit_bias={"-1": 1})),
    "a bias of 5000 digits": asks(CHAT, chat(logit_bias={"9" * 5000: 1})),
    "many answers": asks(CHAT, chat(n=10**9)),
    "more answers than places": asks(TEXT, text(prompt=["x"] * 100, n=16)),
    "a long answer": asks(CHAT, chat(max_tokens=10**9)),
    "a very long answer": asks(CHAT, chat(max_tokens=10**30)),
    "many stops": asks(CHAT, chat(stop=["x"] * 100_000)),
    "a stop of nothing": asks(CHAT, chat(stop=[""])),
    "many logprobs": asks(CHAT, chat(logprobs=True, top_logprobs=10**6)),
    "a long field": asks(CHAT, chat(**{"x" * 100_000: 1})),
    "10 thousand unknown fields": asks(CHAT, chat(**{f"x{i}": 1 for i in range(10_000)})),
    "a stack of nine": asks(CHAT, chat(model=BASE.name, adapters=[{"name": "a0"}] * 9)),
    "a stack of no weight": asks(CHAT, chat(model=BASE.name, adapters=[{"name": "a0", "weight": 1e308}])),
    "a schema in a file": shaped({"$ref": "file:///etc/passwd"}),
    "a schema elsewhere": shaped({"$ref": "http://127.0.0.1:9/schema"}),
    "a schema without end": shaped({"$ref": "#"}),
    "a schema that nothing fits": shaped(False),
    "a deep schema": shaped(NESTED),
    "a schema with infinity": asks(CHAT, FORMED.replace("{}", '{"const": 1e999}')),
}  # fmt: skip


def honest(server: Server) -> None:
    answered = server.send(asks(CHAT, chat(max_tokens=2, temperature=0)))
    assert answered.status == 200
    assert b"chat.completion" in answered.body


def quickest(server: Server, raw: bytes) -> Answer:
    """The answer of the quickest of some tries."""
    best = server.send(raw)
    for _ in range(TRIES - 1):
        if best.seconds < QUICK_SECONDS:
            break
        again = server.send(raw)
        assert again.status == best.status
        best = min(best, again, key=lambda answer: answer.seconds)
    return best


def watched(server: Server, place: Path, ask: Callable[[], Answer]) -> Answer:
    """The answer, if no file was opened that is neither the root's nor the base's nor Python's."""
    OPENED.paths.clear()
    OPENED.watching = True
    try:
        answered = ask()
    finally:
        OPENED.watching = False
    assert OPENED.outside(place / "root", BASE, *PYTHON, Path("/proc"), Path("/dev"), Path("/sys")) == []
    return answered


def test_there_are_enough_of_them() -> None:
    assert len(REQUESTS) >= 150


@pytest.mark.parametrize("name", REQUESTS)
def test_a_hostile_request_is_refused_at_once(server: Server, place: Path, name: str) -> None:
    before = server.opened.face.service.store.names()
    answered = watched(server, place, lambda: quickest(server, REQUESTS[name]))
    assert 400 <= answered.status < 500, answered
    assert answered.seconds < QUICK_SECONDS
    assert len(answered.body) < 8000
    assert KEY.encode() not in answered.body
    if answered.headers["content-type"].startswith("application/json"):
        error = answered.json["error"]
        assert error["message"]
        assert set(error) == {"message", "type", "param", "code"}
        assert str(place.parent).encode() not in answered.body, "a path of the machine is told"
    assert server.opened.face.service.store.names() == before
    honest(server)


def test_the_watcher_sees_what_is_opened(server: Server, place: Path) -> None:
    def load() -> Answer:
        return server.send(loads("seen", "a0"))

    assert watched(server, place, load).status == 201
    assert place / "root" / "a0" / "adapter_model.safetensors" in OPENED.paths
    server.send(get(f"{LOAD}/seen", AS_ADMIN, method="DELETE"))
    OPENED.watching = True
    (place / "outside" / "a1" / "adapter_config.json").read_bytes()
    OPENED.watching = False
    assert OPENED.outside(place / "root", BASE, *PYTHON)


@pytest.mark.parametrize("request_of", ["post", "chunks"])
def test_a_body_that_drips_is_given_up(server: Server, request_of: str) -> None:
    head = (
        asks(CHAT, b"", "Content-Length: 1000")
        if request_of == "post"
        else asks(CHAT, b"", "Transfer-Encoding: chunked")
    )
    began = time.monotonic()

    def drip(sock: socket.socket) -> None:
        sock.settimeout(0.05)
        while time.monotonic() - began < 5:
            try:
                sock.sendall(b" " if request_of == "post" else b"1\r\n \r\n")
                if sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        sock.settimeout(10)

    answered = server.send(head, then=drip)
    assert answered.status == 408
    assert answered.json["error"]["code"] == "body_too_slow"
    assert BODY_SECONDS <= time.monotonic() - began < 5  # it drips for so long
    honest(server)


def test_bodies_that_never_come_keep_nobody_waiting(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            sock.sendall(asks(CHAT, b"", "Content-Length: 1000"))
        began = time.monotonic()
        honest(server)
        assert time.monotonic() - began < 50 * BODY_SECONDS  # one after another
    honest(server)


def test_an_honest_request_of_an_old_client_is_answered(server: Server) -> None:
    for version in ("1.0", "1.1"):
        assert server.send(get("/health/live", version=version)).status == 200
        assert server.send(post(CHAT, chat(), AS_CLIENT, version=version)).status == 200
    lower = post(CHAT, chat(), f"authorization: bearer {KEY}", "content-type: application/json; charset=utf-8")
    assert server.send(lower).status == 200


def test_two_requests_in_one_piece_are_two_requests(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(get("/v1/models", AS_CLIENT) + get(LOAD, AS_CLIENT, "Connection: close"))
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.count(b"HTTP/1.1 200") == 1
    assert data.count(b"HTTP/1.1 403") == 1


def test_what_comes_after_a_refused_body_is_not_read_as_a_request(server: Server) -> None:
    smuggled = get("/health/live")
    raw = asks(CHAT, b"", "Content-Length: 2000000") + smuggled
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(raw)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                data += piece
    assert data.count(b"HTTP/1.1 ") == 1
    assert b"HTTP/1.1 413" in data


def test_a_web_socket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("asked")

    scope = {"type": "websocket", "path": "/v1/models", "headers": []}
    asyncio.run(Gate(nothing, GateSettings())(scope, nothing, send))
    assert sent == [{"type": "websocket.close"}]
