"""The gate in front of every route: keys, sizes and times are checked before anything else looks at a request.

It is plain ASGI, so that a request without a key is answered before its body is read. What is not listed as open needs
a key, if there are keys at all; a route that is added later is therefore closed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_scripts.messages import text
from lora_scripts.serve.http.failures import Failure
from lora_scripts.serve.limits import ApiKey, find_key

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/health/live", "/health/ready")
ADMIN = ("/admin/", "/v1/load_lora_adapter", "/v1/unload_lora_adapter")
READS = ("/metrics",)
"""Routes that either key opens."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """``keys`` empty: anyone may ask. Without ``admin_key`` nobody may change adapters.

    ``hosts`` are the names that a request may be for, empty for any: a page in a browser that makes its own name point
    to this machine still says that name.
    """

    keys: Sequence[ApiKey] = ()
    admin_key: ApiKey | None = None
    max_body_bytes: int = 1 << 20
    body_seconds: float = 20.0
    hosts: Sequence[str] = ()


class Gate:
    """Lets a request through to ``app`` with its body read and its key found, or answers why not."""

    def __init__(self, app: App, settings: GateSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close"})
            return
        try:
            self._check_host(scope)
            scope["state"] = {**scope.get("state", {}), "key": self._key(scope)}
            body = await self._body(scope, receive)
        except Failure as failure:
            await answer(send, failure, close=True)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _check_host(self, scope: Scope) -> None:
        host = _header(scope, b"host").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if self._settings.hosts and name not in self._settings.hosts:
            raise Failure(403, text("serve.strange_host", host=ascii(host[:80])), code="strange_host")

    def _key(self, scope: Scope) -> ApiKey | None:
        path = scope["path"]
        given = _header(scope, b"authorization")
        scheme, _, secret = given.partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        settings = self._settings
        admin = settings.admin_key is not None and find_key([settings.admin_key], secret) is not None
        if path.startswith(ADMIN):
            if admin:
                return settings.admin_key
            if settings.admin_key is None:
                raise Failure(403, text("serve.no_admin_key"), code="no_admin_key")
            status = 403 if find_key(settings.keys, secret) else 401
            raise Failure(status, text("serve.wrong_admin_key"), code="invalid_api_key")
        if path in OPEN or not settings.keys or (admin and path in READS):
            return find_key(settings.keys, secret)
        found = find_key(settings.keys, secret)
        if found is None:
            key = "serve.wrong_key" if given else "serve.no_key"
            raise Failure(401, text(key), code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return found

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
            return b""
        limit = self._settings.max_body_bytes
        length = _header(scope, b"content-length")
        if length and any(key == b"transfer-encoding" for key, _ in scope["headers"]):  # a proxy may believe the other
            raise Failure(400, text("serve.not_json", reason="Content-Length, Transfer-Encoding"), code="two_lengths")
        if length and (not length.isdecimal() or int(length) > limit):
            raise Failure(413, text("serve.body_too_large", limit=limit), code="body_too_large")
        kind = _header(scope, b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Failure(415, text("serve.not_json_type", kind=kind[:60] or "-"), code="unsupported_media_type")
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                body = await _read(receive, limit)
        except TimeoutError:
            words = text("serve.body_too_slow", seconds=self._settings.body_seconds)
            raise Failure(408, words, code="body_too_slow") from None
        check_json(body)
        return body


def check_json(body: bytes) -> None:
    """The body is an object in JSON: UTF-8, not too deep, no key twice, no NaN, no half of a character.

    Raises:
        Failure: It is not.
    """
    try:
        found = json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_each_once)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Failure(400, text("serve.not_json", reason=str(error)[:120]), code="invalid_json") from error
    if not isinstance(found, dict):
        raise Failure(400, text("serve.not_json", reason=type(found).__name__), code="invalid_json")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; of a key that comes twice another reader would take the other value."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"2 × {key[:40]!a}")
        found[key] = value
    return found


def _no_constant(word: str) -> None:
    raise ValueError(word)


async def _read(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Failure(400, text("serve.client_left"))
        body += message.get("body", b"")
        if len(body) > limit:
            raise Failure(413, text("serve.body_too_large", limit=limit), code="body_too_large")
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` as if nothing had been read; after the body it tells of the client's leaving."""
    told = False

    async def again() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _header(scope: Scope, name: bytes) -> str:
    """The value of a header; empty where it is missing or comes twice, since two values are a trick."""
    values = [value for key, value in scope["headers"] if key == name]
    return str(values[0].decode("latin-1")) if len(values) == 1 else ""


async def answer(send: Send, failure: Failure, *, close: bool = False) -> None:
    """Send a failure; ``close`` ends the connection, of which a body may be left unread."""
    body = json.dumps(failure.body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **failure.headers}
    if close:
        headers["Connection"] = "close"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": failure.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
