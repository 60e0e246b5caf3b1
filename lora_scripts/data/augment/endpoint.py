"""Variants from a model that the user names: an OpenAI-compatible endpoint, asked for paraphrases of questions.

Only the first question of a record is sent, masked by the caller's ``screen``; answers stay here. Redirects are
not followed, so that nothing goes to a host that was not announced. What comes back is checked before it is used.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from http.client import HTTPException
from itertools import islice
from threading import Event
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from lora_scripts.data.augment.rules import Growth, Variant, originals, unfaithful, variant_of
from lora_scripts.data.augment.wordings import asks, language_of
from lora_scripts.data.clean import normal, visible
from lora_scripts.data.records import Record
from lora_scripts.errors import LoraScriptsError, UsageError
from lora_scripts.messages import text

KEY_VARIABLE = "LORA_SCRIPTS_API_KEY"
_AGAIN = (408, 429, 500, 502, 503, 504)
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds
_MOST_BYTES = 2**21
_GIVE_UP = 8  # questions in a row without a usable reply
_NEAR = 0.95
_PLACES = 64  # where a reply is searched for its JSON
_TASK = {
    "zh": (
        "你负责改写提问，不要回答它。给出 {count} 种意思完全相同、说法各不相同的问法。"
        "数字、人名、机构名、法律条文、方括号里的占位符和否定词必须原样保留，不得增加新的事实。"
        '只输出 JSON：{{"paraphrases": ["…", "…"]}}'
    ),
    "en": (
        "You reword questions; do not answer them. Give {count} ways to ask the very same thing in different words. "
        "Keep every number, name, citation, placeholder in brackets and negation as it is, and add no fact. "
        'Write JSON only: {{"paraphrases": ["...", "..."]}}'
    ),
}


class _NoRedirect(HTTPRedirectHandler):
    """Turns a redirect into an `HTTPError`."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Where and how to ask. ``wait`` sleeps so many seconds; after ``stop`` nothing is tried again."""

    url: str
    host: str
    local: bool
    model: str
    timeout: float
    retries: int
    wait: Callable[[float], object]
    stop: Event
    opener: OpenerDirector
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came of one question: the reply's body, or the ``fault`` and the last thing heard."""

    body: str = ""
    fault: str = ""
    last: str = ""
    status: int = 0


def ask_endpoint(
    records: Sequence[Record],
    *,
    endpoint: str,
    model: str,
    per_record: int,
    screen: Callable[[str], str],
    say: Callable[[str], None],
    growth: Growth | None = None,
    concurrency: int = 4,
    timeout: float = 60.0,
    retries: int = 4,
    wait: Callable[[float], object] | None = None,
) -> Iterator[Variant]:
    """Up to ``per_record`` variants of each record, in the order of ``records``, by the model at ``endpoint``.

    A variant of a question that held personal data keeps the masked places. Where the endpoint fails for good after
    something was made, that is said and what was made stays.

    Args:
        records: Originals; synthetic ones among them are passed over.
        endpoint: ``https://host/v1`` or the whole address of chat completions. The key comes from the
            environment variable ``LORA_SCRIPTS_API_KEY``.
        model: Its name there.
        per_record: Wanted number for each.
        screen: Masks personal data; a text without any comes back as it was.
        say: Takes the lines for the user; the first one, before anything is sent, names the host.
        growth: Is filled; see `augment_records`.
        concurrency: Requests under way at once.
        timeout: Seconds without a byte from the endpoint.
        retries: Further tries after 408, 429, 5xx or a broken connection, each after a longer wait.
        wait: In place of sleeping so many seconds.

    Raises:
        UsageError: The address or the key cannot be used.
        LoraScriptsError: The endpoint gave nothing at all.
    """
    account = growth if growth is not None else Growth()
    where = _endpoint(endpoint, model, timeout, retries, wait)
    say(text("augment.stays" if where.local else "augment.leaves", count=len(records), host=where.host, model=model))
    if where.url.startswith("http:") and not where.local:
        say(text("augment.not_encrypted", host=where.host))
    todo = deque(originals(records, account))
    pending: deque[tuple[Record, str, Future[_Reply]]] = deque()
    failed = 0
    pool = ThreadPoolExecutor(concurrency)
    try:
        while todo or pending:
            while todo and len(pending) < 2 * concurrency:
                record = todo.popleft()
                asked = screen(record.question)
                account.masked += asked != record.question
                pending.append((record, asked, pool.submit(_ask, where, asked, per_record)))
            record, asked, coming = pending.popleft()
            reply = coming.result()
            failed = failed + 1 if reply.fault else 0
            if reply.fault:
                account.refuse("no_answer" if reply.fault in ("denied", "not_there") else reply.fault)
            else:
                yield from _accepted(record, asked, reply.body, per_record, f"endpoint:{model}", screen, account)
            if failed == _GIVE_UP or reply.fault in ("denied", "not_there") or (failed and not todo and not pending):
                fault = _fatal(where, reply, failed)
                if not account.made[f"endpoint:{model}"]:
                    raise fault
                if left := len(todo) + len(pending):
                    account.refuse("not_asked", left)
                    say(text("augment.stopped", left=left, fault=str(fault)))
                return
    finally:
        where.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _endpoint(
    address: str, model: str, timeout: float, retries: int, wait: Callable[[float], object] | None
) -> _Endpoint:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise UsageError("augment.bad_endpoint", where="--endpoint", why=text("augment.why_host")) from None
    if parts.scheme not in ("http", "https"):
        raise UsageError("augment.bad_endpoint", where="--endpoint", why=text("augment.why_scheme"))
    if not parts.hostname or not address.isascii() or any(c.isspace() for c in address):
        raise UsageError("augment.bad_endpoint", where="--endpoint", why=text("augment.why_host"))
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError("augment.bad_endpoint", where="--endpoint", why=text("augment.why_secret"))
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError("augment.bad_key", where=KEY_VARIABLE)
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    local = parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127.")
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    # a proxy of the environment would carry what is meant for this machine out of it
    opener = build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))
    url = f"{parts.scheme}://{parts.netloc}{path}"
    stop = Event()
    return _Endpoint(url, host, local, model, timeout, retries, wait or stop.wait, stop, opener, key)


def _ask(where: _Endpoint, question: str, count: int) -> _Reply:
    """One question to the endpoint, again after a wait where that may help."""
    task = _TASK[language_of(question) or "en"].format(count=count)
    asked = json.dumps({"question": question}, ensure_ascii=False)
    messages = [{"role": "system", "content": task}, {"role": "user", "content": asked}]
    body = json.dumps({"model": where.model, "messages": messages}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "lora-scripts"}
    if where.key:
        headers["Authorization"] = f"Bearer {where.key}"
    last = ""
    for attempt in range(where.retries + 1):
        pause = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * random.uniform(0.8, 1.2)
        try:
            with where.opener.open(Request(where.url, body, headers), timeout=where.timeout) as response:
                return _Reply(response.read(_MOST_BYTES).decode("utf-8", "replace"))
        except HTTPError as e:
            e.close()
            last = text("augment.last_status", status=e.code)
            if e.code not in _AGAIN:
                fatal = "denied" if e.code in (401, 403) else "not_there" if e.code == 404 or e.code < 400 else ""
                return _Reply(fault=fatal or "rejected", last=last, status=e.code)
            asked_for = (e.headers.get("Retry-After") or "").strip()
            pause = min(_LONGEST_WAIT, float(asked_for)) if asked_for.isdecimal() else pause
        except (OSError, HTTPException) as e:
            last = str(getattr(e, "reason", "") or e) or type(e).__name__
        if where.stop.is_set():
            break
        if attempt < where.retries:
            where.wait(pause)
    return _Reply(fault="no_answer", last=last)


def _fatal(where: _Endpoint, reply: _Reply, failed: int) -> LoraScriptsError:
    if reply.fault == "denied":
        return UsageError("augment.denied", where=where.host, status=reply.status)
    if reply.fault == "not_there":
        return UsageError("augment.not_there", where=where.host, status=reply.status, model=where.model)
    return LoraScriptsError("augment.down", where=where.host, count=failed, last=reply.last)


def _accepted(
    record: Record, asked: str, body: str, per_record: int, by: str, screen: Callable[[str], str], growth: Growth
) -> Iterator[Variant]:
    """The paraphrases of one reply that are faithful and new; the others are counted with their reasons."""
    offered = _paraphrases(body)
    if offered is None:
        growth.refuse("malformed")
    kept = [normal(asked)]
    for raw in offered or []:
        words = visible(raw)[0]
        if len(kept) > per_record:
            growth.refuse("surplus")
        elif reason := _why_refused(asked, words, kept, screen, growth):
            growth.refuse(reason)
        else:
            kept.append(normal(words))
            yield variant_of(record, words, by, growth)
    growth.short += len(kept) <= per_record


def _why_refused(asked: str, words: str, kept: list[str], screen: Callable[[str], str], growth: Growth) -> str:
    if not words:
        return "empty"
    if len(words) > 3 * len(asked) + 40:
        return "too_long"
    if language_of(words) != language_of(asked):
        return "language"
    if reason := unfaithful(asked, words):
        return reason
    if asks(asked) and not asks(words):
        return "statement"
    if screen(words) != words:
        return "personal"
    bare = normal(words)
    if bare in growth.seen:
        return "duplicate"
    near = any(SequenceMatcher(None, bare, other, autojunk=False).ratio() >= _NEAR for other in kept)
    return "near_copy" if near else ""


def _paraphrases(body: str) -> list[str] | None:
    """The texts of a reply: a JSON list of texts, alone or in an object, whatever stands around it; None without."""
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
        content = content.rpartition("</think>")[2]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    for found in islice(re.finditer(r"[{[]", content), _PLACES):
        try:
            told, _ = json.JSONDecoder().raw_decode(content, found.start())
        except (ValueError, RecursionError):
            continue
        lists = [told] if isinstance(told, list) else [v for v in told.values() if isinstance(v, list)]
        texts = [one for one in (lists[0] if lists else []) if isinstance(one, str)]
        if texts:
            return texts
    return None
