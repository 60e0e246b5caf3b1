"""What went wrong, as HTTP status and OpenAI's error. What the client can mend is a 4xx: clients try a 5xx again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError

from lora_scripts.errors import LoraScriptsError
from lora_scripts.messages import text
from lora_scripts.serve.answering import AnswerFailed, NotAllowed, TooLong
from lora_scripts.serve.generation import NOT_FINITE, EngineDown
from lora_scripts.serve.http.responses import error_body
from lora_scripts.serve.limits import Busy
from lora_scripts.serve.stacks import UnknownModel
from lora_scripts.serve.store import StoreFull

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    405: "invalid_request_error", 408: "timeout_error", 409: "conflict_error", 411: "invalid_request_error",
    413: "invalid_request_error", 415: "invalid_request_error", 429: "rate_limit_error", 431: "invalid_request_error",
    500: "server_error", 503: "server_error",
}  # fmt: skip
KNOWN = (
    LoraScriptsError, UnknownModel, Busy, NotAllowed, TooLong, StoreFull, EngineDown, AnswerFailed,
)  # fmt: skip


@dataclass(eq=False)
class Failure(Exception):
    """An answer that is an error."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's shape."""
        return error_body(self.message, kind=KINDS[self.status], param=self.param, code=self.code)


def failure_of(error: Exception) -> Failure:
    """The failure to answer with; what is no error of ours is not told to the client."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, UnknownModel):
        return Failure(404, text("serve.unknown_model", name=str(error)[:80]), "model", "model_not_found")
    if isinstance(error, NotAllowed):
        return Failure(403, text("serve.not_allowed", name=str(error)[:80]), "model", "model_not_allowed")
    if isinstance(error, TooLong):
        words = text("serve.too_long", prompt=error.prompt, answer=error.answer, limit=error.limit)
        return Failure(400, words, "messages", "context_length_exceeded")
    if isinstance(error, Busy):
        status = 503 if error.key == "serve.draining" else 429
        wait = {"Retry-After": str(math.ceil(error.seconds))}
        return Failure(status, text(error.key, **error.values), code=error.key.partition(".")[2], headers=wait)
    if isinstance(error, StoreFull):
        return Failure(503, text("serve.store_full", name=str(error)), code="store_full", headers={"Retry-After": "2"})
    if isinstance(error, AnswerFailed) and str(error) == NOT_FINITE:
        return Failure(400, text("serve.not_finite"), "model", "not_finite")
    if isinstance(error, EngineDown | AnswerFailed):
        return Failure(503, text("serve.engine_down"), code="engine_down", headers={"Retry-After": "2"})
    if isinstance(error, LoraScriptsError):
        return Failure(400, "; ".join(problem.text for problem in error.problems))
    return Failure(500, text("serve.our_bug"))


def failure_of_body(error: RequestValidationError) -> Failure:
    """The first wrong field of a body, by name, and how many more there are."""
    first, *more = error.errors()
    loc = [str(part) for part in first["loc"] if part != "body"]
    param = ".".join(part for part in loc if not part.startswith(("function-", "list[", "str")))[:80]
    if first["type"] == "extra_forbidden":
        message = text("serve.unknown_field", name=param)
    else:
        message = text("serve.bad_field", name=param or "body", reason=first["msg"])
    if more:
        message += " " + text("serve.more_fields", count=len(more))
    return Failure(400, message, param or None, "invalid_field")
