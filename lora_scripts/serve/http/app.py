"""The HTTP face: OpenAI's routes, health and metrics. Routes that change adapters are in ``admin.py``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from lora_scripts.messages import text
from lora_scripts.serve.answering import ROUTED, Answers, Asked, Service
from lora_scripts.serve.http.failures import KINDS, Failure, failure_of, failure_of_body
from lora_scripts.serve.http.gate import Gate, GateSettings
from lora_scripts.serve.http.metrics import CONTENT_TYPE, Metrics
from lora_scripts.serve.http.protocol import ChatRequest, CompletionRequest, ResponseFormat
from lora_scripts.serve.http.reply import Form, Reply
from lora_scripts.serve.limits import ApiKey

log = logging.getLogger(__name__)

Audit = Callable[[Mapping[str, object], Mapping[str, str]], None]
"""Writes an event and its texts: ``AuditLog.write``."""


@dataclass(slots=True)
class Face:
    """What the routes share. ``audit`` is told of every request that was answered; ``unnoted`` could not be."""

    service: Service
    metrics: Metrics = field(default_factory=Metrics)
    audit: Audit | None = None
    unnoted: int = 0
    created: int = field(default_factory=lambda: int(time.time()))


def make_app(face: Face, settings: GateSettings, *, more_routes: Callable[[FastAPI, Face], None] | None = None) -> Gate:
    """The ASGI application."""
    app = FastAPI(title="lora-scripts", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.face = face
    _catch(app, face)
    _add_openai(app, face)
    _add_health(app, face)
    if more_routes is not None:
        more_routes(app, face)
    return Gate(app, settings)


def _catch(app: FastAPI, face: Face) -> None:
    """Errors in OpenAI's shape, whoever raises them."""

    @app.exception_handler(RequestValidationError)
    async def _body(_: Request, error: RequestValidationError) -> Response:
        return _failed(face, failure_of_body(error))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        status = error.status_code if error.status_code in KINDS else 400
        return _failed(face, Failure(status, str(error.detail)))

    @app.exception_handler(Exception)
    async def _ours(_: Request, error: Exception) -> Response:
        log.error("a bug of ours", exc_info=error)
        return _failed(face, failure_of(error))


def _failed(face: Face, failure: Failure, model: str = "") -> Response:
    face.metrics.request(model, failure.status)
    return JSONResponse(failure.body, failure.status, dict(failure.headers))


def _add_openai(app: FastAPI, face: Face) -> None:
    @app.post("/v1/chat/completions")
    async def chat(request: Request, body: ChatRequest) -> Response:
        asked = _asked(request, body, messages=tuple(message.turn for message in body.messages))
        return await _answered(face, request, asked, body, chat=True)

    @app.post("/v1/completions")
    async def complete(request: Request, body: CompletionRequest) -> Response:
        asked = _asked(request, body, prompts=body.prompts)
        return await _answered(face, request, asked, body, chat=False)

    @app.get("/v1/models")
    async def models() -> Any:
        return {"object": "list", "data": [_model(face, name) for name in _models(face)]}

    @app.get("/v1/models/{name}")
    async def model(name: str) -> Any:
        short = name.removeprefix(f"{face.service.models.base}:")
        if name not in _models(face) and short not in face.service.store:
            raise HTTPException(404, text("serve.unknown_model", name=name[:80]))
        return _model(face, name)


def _asked(request: Request, body: ChatRequest | CompletionRequest, **question: Any) -> Asked:
    return Asked(
        model=body.model,
        pairs=body.pairs,
        sampling=body.sampling(body.wanted_logprobs),
        choices=body.n or 1,
        stops=tuple(body.stops),
        max_tokens=body.most_tokens,
        schema=_schema(body.response_format),
        headers=dict(request.headers),
        **question,
    )


def _schema(wanted: ResponseFormat | None) -> Mapping[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    return wanted.json_schema.schema_ if wanted.json_schema is not None else {}


def _models(face: Face) -> list[str]:
    service = face.service
    routed = [ROUTED] if service.router is not None else []
    return [service.models.base, *service.store.names(), *service.models.stacks, *routed]


def _model(face: Face, name: str) -> dict[str, Any]:
    base = face.service.models.base
    parent = {} if name == base else {"parent": base}
    return {"id": name, "object": "model", "created": face.created, "owned_by": "lora-scripts", **parent}


async def _answered(
    face: Face, request: Request, asked: Asked, body: ChatRequest | CompletionRequest, *, chat: bool
) -> Response:
    await asyncio.to_thread(face.service.guardrails.refresh)
    if face.unnoted and not _note(face, {"event": "resumed", "unnoted": face.unnoted}, {}):
        return _failed(face, Failure(503, text("serve.audit_broken"), code="audit_broken"))
    answers = Answers(face.service, asked, request.state.key)
    try:
        await answers.begin()
    except Exception as error:
        answers.close()
        failure = failure_of(error)
        if failure.status == 500:
            raise
        return _failed(face, failure)
    options = body.stream_options
    form = Form(chat, bool(body.stream), bool(options and options.include_usage), _ours(face, answers))
    return Reply(answers, form, lambda status, said: _ended(face, answers, asked, request.state.key, status, said))


def _ended(
    face: Face, answers: Answers, asked: Asked, key: ApiKey | None, status: int, said: Mapping[int, str]
) -> None:
    """Count and note a request whose answers have ended."""
    face.metrics.request(answers.model, status)
    face.metrics.answers(answers, time.monotonic() - answers.began)
    if face.audit is None:
        return
    event = {
        "request": answers.id,
        "status": status,
        "client": key.name if key is not None else None,
        "model": answers.model,
        "adapters": [{"name": name, "weight": weight} for name, weight in answers.pairs],
        "digests": answers.digests,
        "route": answers.route or None,
        "rules": face.service.guardrails.version,
        "hits": [{"rule": h.rule, "action": h.action, "where": h.where, "count": h.count} for h in answers.hits],
        "prompt_tokens": answers.prompt_tokens,
        "completion_tokens": answers.completion_tokens,
        "finish": [answers.finishes.get(i) for i in sorted(answers.finishes)],
    }
    asked_words = [words for _, words in asked.messages] or [p for p in asked.prompts if isinstance(p, str)]
    texts = {f"asked_{i}": words for i, words in enumerate(asked_words)}
    _note(face, event, texts | {f"said_{i}": words for i, words in said.items()})


def _note(face: Face, event: Mapping[str, object], texts: Mapping[str, str]) -> bool:
    """Write to the audit log; while that fails, nothing more is answered."""
    assert face.audit is not None
    try:
        face.audit(event, texts)
    except OSError as error:
        face.unnoted += "event" not in event
        log.error(text("serve.audit_failed", reason=error.strerror or error))
        return False
    face.unnoted = 0
    return True


def _ours(face: Face, answers: Answers) -> dict[str, Any]:
    """Our fields of a response: what answered, and the label that generated content must bear."""
    guardrails = face.service.guardrails
    found: dict[str, Any] = {}
    if guardrails.label:
        found["content_label"] = {"generated": True, "label": guardrails.label}
    if answers.route:
        found["route"] = answers.route
    return found


def _add_health(app: FastAPI, face: Face) -> None:
    @app.get("/health/live")
    async def live() -> Any:
        return {"status": "live"}

    @app.get("/health/ready")
    async def ready() -> Response:
        service = face.service
        if service.admission.draining:
            return JSONResponse({"status": "draining"}, 503)
        if not service.engine.is_ready or face.unnoted:
            return JSONResponse({"status": "down"}, 503)
        return JSONResponse({"status": "ready", "engine": service.engine.name})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(face.metrics.page(face.service), media_type=CONTENT_TYPE)
