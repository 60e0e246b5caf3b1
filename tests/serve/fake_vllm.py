"""A server that speaks vLLM's HTTP without a model, and can be told to fail. What it answers depends on the model asked
for, so that a test sees whose answer it heard."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BASE_NAME = "tiny-zh"


def eventually(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it becomes so."""
    until = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    return is_so()


@dataclass
class FakeVllm:
    """``adapters`` by name; ``bodies`` of completions as they came. ``hold`` makes answers wait, ``break_at`` ends them
    without an end after so many tokens, ``refuse`` is what a load is answered with."""

    key: str = ""
    limit: int = 1024
    adapters: dict[str, str] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    unloads: list[str] = field(default_factory=list)
    hold: threading.Event | None = None
    break_at: int | None = None
    status: int = 200
    refuse: str = ""
    left: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> FakeVllm:
        """Listen, on the port that it had before."""
        fake = self

        class Handler(_Handler):
            vllm = fake

        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Go away and forget all adapters, as a process that is started anew does."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        self.adapters.clear()

    def tokens_of(self, body: dict[str, Any]) -> list[int]:
        """What it says: numbers that follow from the model, as many as were asked for."""
        first = 100 + sum(map(ord, body["model"])) % 1000
        return [first + i for i in range(body["max_tokens"])]


class _Handler(BaseHTTPRequestHandler):
    vllm: FakeVllm
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: Any) -> None:
        pass

    def _say(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _fail(self, status: int, words: str) -> None:
        self._say(status, {"error": {"message": words, "type": "x", "param": None, "code": status}})

    def do_GET(self) -> None:
        if self.path == "/health":
            return self._say(200, {})
        if self.vllm.key and self.headers["Authorization"] != f"Bearer {self.vllm.key}":
            return self._say(401, {"error": "Unauthorized"})
        base = {"id": BASE_NAME, "root": f"/models/{BASE_NAME}", "parent": None, "max_model_len": self.vllm.limit}
        more = [{"id": n, "root": p, "parent": BASE_NAME} for n, p in self.vllm.adapters.items()]
        return self._say(200, {"object": "list", "data": [base, *more]})

    def do_POST(self) -> None:
        vllm = self.vllm
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            vllm.loads.append(body["lora_name"])
            if vllm.refuse:
                return self._fail(500, vllm.refuse)
            if body["lora_name"] in vllm.adapters:
                return self._fail(400, "has already been loaded")
            if not (Path(body["lora_path"]) / "adapter_model.safetensors").exists():
                return self._fail(404, "No adapter found")
            vllm.adapters[body["lora_name"]] = body["lora_path"]
            return self._say(200, "Success")
        if self.path == "/v1/unload_lora_adapter":
            vllm.unloads.append(body["lora_name"])
            known = vllm.adapters.pop(body["lora_name"], None)
            return self._say(200, "Success") if known else self._fail(404, "cannot be found")
        vllm.bodies.append(body)
        if vllm.status != 200:
            return self._fail(vllm.status, "not now")
        if body["model"] not in (BASE_NAME, *vllm.adapters):
            return self._fail(404, f"The model `{body['model']}` does not exist.")
        return self._stream(body)

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        tokens = self.vllm.tokens_of(body)
        try:
            for place, token in enumerate(tokens):
                if place == self.vllm.break_at:
                    return
                if self.vllm.hold is not None and place:
                    self._wait()
                stops = token in body["stop_token_ids"]
                finish = "stop" if stops else "length" if token == tokens[-1] else None
                choice = {"index": 0, "text": "?", "token_ids": [token], "finish_reason": finish, "logprobs": None}
                self._line(json.dumps({"choices": [choice]}))
                if finish:
                    break
            self._line("[DONE]")
        except OSError:
            self.vllm.left.set()

    def _wait(self) -> None:
        """Until it may go on; a client that leaves meanwhile is noticed by writing."""
        assert self.vllm.hold is not None
        until = time.monotonic() + 20
        while not self.vllm.hold.wait(0.02) and time.monotonic() < until:
            self.wfile.write(b": waiting\n\n")

    def _line(self, words: str) -> None:
        self.wfile.write(f"data: {words}\n\n".encode())
        with contextlib.suppress(ValueError):
            self.wfile.flush()
