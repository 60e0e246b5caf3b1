"""The real server in a thread of the test process, asked over a real socket; and bytes sent as no client would."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from lora_scripts.assemble.serving import listen
from lora_scripts.assemble.serving.server import Opened, open_server
from lora_scripts.config.serving import load_serve_config
from tests.serve.conftest import BASE

ADMIN = "admin-secret"
SECONDS = 60


@dataclass
class Server:
    """A server that listens; ``terminate`` is what SIGTERM does."""

    opened: Opened
    port: int
    root: Path
    said: list[str]
    terminate: Callable[[], None]
    thread: threading.Thread
    failed: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def engine(self) -> Any:
        return self.opened.face.service.engine

    def openai(self, key: str = "none", **more: Any) -> OpenAI:
        """The official client, which tries nothing twice."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=SECONDS, **more)

    def http(self, key: str | None = None) -> httpx.Client:
        """A plain client."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)

    def send(self, raw: bytes, *, seconds: float = 10, then: Callable[[socket.socket], None] | None = None) -> Answer:
        """Send bytes as they are and read until the server closes or the answer is whole."""
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(raw)
                if then is not None:
                    then(sock)
            found = _read_answer(sock)
        return replace(found, seconds=time.perf_counter() - began)

    def back_to_rest(self, seconds: float = 10) -> bool:
        """Whether nothing runs, nothing is held and all pages are free."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            figures, service = self.engine.figures(), self.opened.face.service
            idle = not service.admission.open and not figures["running"] and not figures["waiting"]
            if idle and figures.get("kv_cache_free_ratio", 1) == 1 and not self.engine._writers:
                return not any(entry.in_use for entry in service.store.entries())
            time.sleep(0.02)
        return False


@dataclass(frozen=True)
class Answer:
    """An HTTP response read off a socket; status 0 where the server only closed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _read_answer(sock: socket.socket) -> Answer:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while not _is_whole(data) and (piece := sock.recv(65536)):
            data += piece
    if not data:
        return Answer(0, {}, b"")
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), headers, body)


def _is_whole(data: bytes) -> bool:
    head, mark, body = data.partition(b"\r\n\r\n")
    length = next((row[15:] for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")), None)
    if not mark:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    return length is not None and len(body) >= int(length)


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def post(path: str, body: bytes | str, *headers: str, version: str = "1.1") -> bytes:
    """A POST of JSON as bytes; ``headers`` beside Host and Content-Type."""
    raw = body.encode() if isinstance(body, str) else body
    given = {line.partition(":")[0].lower() for line in headers}
    lines = [f"POST {path} HTTP/{version}", "Host: 127.0.0.1", *headers]
    if "content-type" not in given:
        lines.append("Content-Type: application/json")
    if not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + raw


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body as bytes."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", *headers, "", ""]).encode("latin-1")


@contextlib.contextmanager
def serving(root: Path, *, body_seconds: float | None = None, **settings: Any) -> Iterator[Server]:
    """The server on the embedded base, ``root`` as its adapter root, on a free port."""
    given = {"base_model": str(BASE), "adapter_root": str(root), "port": 0, "kv_cache_gib": 0.06, "device": "cpu"}
    opened = open_server(load_serve_config(None, given | settings), lambda _: None)
    if body_seconds is not None:
        opened.app._settings = replace(opened.app._settings, body_seconds=body_seconds)
    listener = listen._listen("127.0.0.1", 0)
    said: list[str] = []
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stops: list[Callable[[], None]] = []
    # signals are for the main thread only: note what would be called
    loop.add_signal_handler = lambda _, stop: stops.append(stop)  # type: ignore[method-assign,assignment,misc]

    def run() -> None:
        try:
            loop.run_until_complete(listen._run(opened, listener, said.append))
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()
            listener.close()
            opened.close()

    def terminate() -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(stops[0])

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    until = time.monotonic() + SECONDS
    while not said and not failed and time.monotonic() < until:
        time.sleep(0.01)
    assert said, failed
    server = Server(opened, listener.getsockname()[1], root, said, terminate, thread, failed)
    try:
        yield server
    finally:
        terminate()
        thread.join(SECONDS)
        assert not thread.is_alive(), "the server did not end"
        assert not failed, failed
