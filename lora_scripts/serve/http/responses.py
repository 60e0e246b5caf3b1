"""Answers in OpenAI's shapes: whole, in chunks of a stream, and as errors.

https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming, …/completions/object
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lora_scripts.serve.answering import Answers, Delta, TokenLogprob

DONE = b"data: [DONE]\n\n"


def usage_of(answers: Answers) -> dict[str, int]:
    """Counts of tokens."""
    prompt, completion = answers.prompt_tokens, answers.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def whole(
    answers: Answers, deltas: Mapping[int, Sequence[Delta]], *, chat: bool, more: Mapping[str, Any]
) -> dict[str, Any]:
    """The response of a request that did not stream; ``deltas`` by choice."""
    choices = []
    for index in sorted(deltas):
        words = "".join(delta.text for delta in deltas[index])
        logprobs = [entry for delta in deltas[index] for entry in delta.logprobs]
        finish = deltas[index][-1].finish
        said = {"message": {"role": "assistant", "content": words, "refusal": None}} if chat else {"text": words}
        choices.append({"index": index, **said, "logprobs": _logprobs(logprobs, chat, 0), "finish_reason": finish})
    return {
        "id": _id(answers, chat),
        "object": "chat.completion" if chat else "text_completion",
        "created": answers.created,
        "model": answers.model,
        "choices": choices,
        "usage": usage_of(answers),
        **more,
    }


class Chunks:
    """Writes the chunks of one stream."""

    def __init__(self, answers: Answers, *, chat: bool, with_usage: bool, more: Mapping[str, Any]) -> None:
        self._answers, self._chat, self._with_usage, self._more = answers, chat, with_usage, more
        self._begun: set[int] = set()
        self._offsets: dict[int, int] = {}

    def chunk(self, delta: Delta) -> bytes:
        """One server-sent event; a choice of a chat begins with its role, and ends with a chunk of its own."""
        out = b""
        if self._chat and delta.index not in self._begun:
            self._begun.add(delta.index)
            out += self._event([self._choice(delta.index, {"role": "assistant", "content": ""}, None, None)])
        if delta.text or delta.logprobs:
            offset = self._offsets.get(delta.index, 0)
            self._offsets[delta.index] = offset + len(delta.text)
            logprobs = _logprobs(delta.logprobs, self._chat, offset)
            said = {"content": delta.text} if self._chat else delta.text
            out += self._event([self._choice(delta.index, said, logprobs, None)])
        if delta.finish:
            out += self._event([self._choice(delta.index, {} if self._chat else "", None, delta.finish)])
        return out

    def end(self) -> bytes:
        """The last chunks: usage where it was asked for, then the mark of the end."""
        return (self._event([], usage_of(self._answers)) if self._with_usage else b"") + DONE

    def _choice(self, index: int, said: Any, logprobs: Any, finish: str | None) -> dict[str, Any]:
        named = {"delta": said} if self._chat else {"text": said}
        return {"index": index, **named, "logprobs": logprobs, "finish_reason": finish}

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        body: dict[str, Any] = {
            "id": _id(self._answers, self._chat),
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "created": self._answers.created,
            "model": self._answers.model,
            "choices": choices,
            **self._more,
        }
        if self._with_usage:
            body["usage"] = usage
        return event(body)


def event(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _id(answers: Answers, chat: bool) -> str:
    return ("chatcmpl-" if chat else "cmpl-") + answers.id


def _logprobs(entries: Sequence[TokenLogprob], chat: bool, offset: int) -> dict[str, Any] | None:
    if not entries:
        return None
    if chat:
        return {"content": [_token(e) | {"top_logprobs": [*map(_token, e.top)]} for e in entries], "refusal": None}
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry.text)
    return {
        "tokens": [entry.text for entry in entries],
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [{other.text: other.logprob for other in entry.top} for entry in entries],
        "text_offset": offsets,
    }


def _token(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.text, "logprob": entry.logprob, "bytes": list(entry.raw)}


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
