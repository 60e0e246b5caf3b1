"""The gateway in front of vLLM, put together in the test's process and asked without a socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from lora_scripts.assemble.serving.guardrails import open_guardrails
from lora_scripts.assemble.serving.remote import open_remote
from lora_scripts.config.serving import load_serve_config
from lora_scripts.serve.answering import Service
from lora_scripts.serve.http.admin import add_admin
from lora_scripts.serve.http.app import Face, make_app
from lora_scripts.serve.http.gate import GateSettings
from lora_scripts.serve.limits import Admission, ApiKey, digest_of_key
from lora_scripts.serve.remote.wire import remote_grammar
from lora_scripts.serve.stacks import Models
from tests.serve.conftest import BASE

ADMIN = "boss"


@dataclass
class Gateway:
    """``said`` are the lines that its user reads."""

    client: TestClient
    service: Service
    said: list[str]

    @property
    def engine(self) -> Any:
        return self.service.engine

    def ask(self, model: str, **more: Any) -> Any:
        """A short greedy chat."""
        body = {"model": model, "messages": [{"role": "user", "content": "你好"}], "max_tokens": 4, "temperature": 0}
        return self.client.post("/v1/chat/completions", json=body | more)

    def load(self, name: str, path: str) -> Any:
        """Load an adapter from below the root."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return self.client.post("/admin/adapters", json={"name": name, "path": path}, headers=headers)

    def unload(self, name: str) -> Any:
        """Forget an adapter."""
        return self.client.delete(f"/admin/adapters/{name}", headers={"Authorization": f"Bearer {ADMIN}"})


def config_of(**given: Any) -> Any:
    """serve.yaml with these keys, on the embedded base."""
    return load_serve_config(None, {"base_model": str(BASE), "engine": "vllm", **given}).config


@contextlib.contextmanager
def open_gateway(root: Path, rules: Path | None = None, **given: Any) -> Iterator[Gateway]:
    """A gateway with ``root`` as its adapter root."""
    said: list[str] = []
    engine, store, voice, vocabulary = open_remote(config_of(adapter_root=str(root), **given), BASE, said.append)
    service = Service(
        engine, store, Models(BASE.name, store), voice, Admission(64), open_guardrails(rules),
        vocabulary=vocabulary, grammar=remote_grammar,
    )  # fmt: skip
    app = make_app(
        Face(service),
        GateSettings(keys=[], admin_key=ApiKey("admin", digest_of_key(ADMIN)), max_body_bytes=1 << 20),
        more_routes=lambda inner, face: add_admin(inner, face, root=root),
    )
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Gateway(client, service, said)
    finally:
        engine.close()
