"""The response whose words come from an engine: whole or as a stream, and given up when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from lora_scripts.serve.answering import Answers, Delta
from lora_scripts.serve.http.failures import Failure, failure_of
from lora_scripts.serve.http.gate import Receive, Scope, Send
from lora_scripts.serve.http.responses import DONE, Chunks, event, whole

CLIENT_LEFT = 499
_HEADERS = [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


@dataclass(frozen=True, slots=True)
class Form:
    """How a reply looks. ``more`` are our fields beside OpenAI's."""

    chat: bool
    stream: bool
    with_usage: bool
    more: Mapping[str, Any]


class Reply(Response):
    """Sends ``answers``. ``ended`` is called once with the status and what each choice said."""

    def __init__(self, answers: Answers, form: Form, ended: Callable[[int, Mapping[int, str]], None]) -> None:
        self.background = None
        self._answers, self._form, self._ended = answers, form, ended
        self._said: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        work = asyncio.ensure_future(self._stream(send) if self._form.stream else self._whole(send))
        left = asyncio.ensure_future(_left(receive))
        status = CLIENT_LEFT
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                status = work.result()
        except OSError:
            pass  # the client left while we wrote
        finally:
            for task in (work, left):
                task.cancel()
            self._answers.close()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            self._ended(status, self._said)

    def _note(self, delta: Delta) -> None:
        self._said[delta.index] = self._said.get(delta.index, "") + delta.text

    async def _whole(self, send: Send) -> int:
        deltas: dict[int, list[Delta]] = {}
        try:
            async for delta in self._answers:
                deltas.setdefault(delta.index, []).append(delta)
                self._note(delta)
        except Exception as error:
            return await _fail(send, failure_of(error))
        body = whole(self._answers, deltas, chat=self._form.chat, more=self._form.more)
        await _start(send, 200, b"application/json")
        await send({"type": "http.response.body", "body": json.dumps(body, ensure_ascii=False).encode()})
        return 200

    async def _stream(self, send: Send) -> int:
        """The first words decide the status; what fails later is an event in the stream."""
        form = self._form
        chunks = Chunks(self._answers, chat=form.chat, with_usage=form.with_usage, more=form.more)
        begun = False
        try:
            async for delta in self._answers:
                if not begun:
                    begun = True
                    await _start(send, 200, b"text/event-stream; charset=utf-8")
                self._note(delta)
                await _more(send, chunks.chunk(delta))
        except OSError:
            raise
        except Exception as error:
            failure = failure_of(error)
            if not begun:
                return await _fail(send, failure)
            await _more(send, event(failure.body) + DONE, last=True)
            return failure.status
        await _more(send, chunks.end(), last=True)
        return 200


async def _left(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, status: int, kind: bytes, more: Mapping[str, str] | None = None) -> None:
    given = [(name.lower().encode(), value.encode()) for name, value in (more or {}).items()]
    headers = [(b"content-type", kind), *_HEADERS, *given]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _more(send: Send, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


async def _fail(send: Send, failure: Failure) -> int:
    await _start(send, failure.status, b"application/json", failure.headers)
    await _more(send, json.dumps(failure.body, ensure_ascii=False).encode(), last=True)
    return failure.status
