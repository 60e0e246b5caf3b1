"""Who may ask, what for, and how much: API keys, their limits, and the queue that all share."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lora_scripts.errors import UsageError


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One client. ``digest`` is the sha256 of the key. ``adapters``: None for all that there are, else the models that
    it may ask for. Limits are None where there is none."""

    name: str
    digest: bytes
    adapters: frozenset[str] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


def digest_of_key(key: str) -> bytes:
    """sha256 of a key, in which form it is held and compared."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def find_key(keys: Sequence[ApiKey], given: str) -> ApiKey | None:
    """The client whose key this is. Takes as long for any wrong key."""
    digest = digest_of_key(given)
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


class Busy(Exception):
    """Not now; ``seconds`` until it is worth another try, ``key`` names the text that says why."""

    def __init__(self, key: str, seconds: float, **values: object) -> None:
        super().__init__(key)
        self.key, self.seconds, self.values = key, max(1.0, seconds), values


@dataclass(slots=True)
class _Bucket:
    """So many a minute, evenly: a bucket that fills with time. It may go below zero by what was not known before."""

    per_minute: int
    level: float = field(init=False)
    filled: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = float(self.per_minute)

    def seconds_until(self, count: float) -> float:
        """How long until ``count`` can be taken; 0 is now."""
        now = time.monotonic()
        self.level = min(float(self.per_minute), self.level + (now - self.filled) * self.per_minute / 60)
        self.filled = now
        return max(0.0, (min(count, self.per_minute) - self.level) * 60 / self.per_minute)


@dataclass(slots=True)
class _Used:
    requests: _Bucket | None
    tokens: _Bucket | None
    running: int = 0


class Admission:
    """Lets requests in: a bounded number at a time in all, and each client within its limits.

    ``most`` counts answers that run or wait in the engine.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.open = 0
        self.draining = False
        self._used: dict[str, _Used] = {}

    def enter(self, key: ApiKey | None, answers: int) -> None:
        """Take places for ``answers``; ``leave`` gives them back.

        Raises:
            Busy: The queue is full, the client is over a limit, or the server is going down.
            UsageError: There will never be so many places.
        """
        if answers > self.most:
            raise UsageError("serve.bad_field", name="n", reason=f"≤ {self.most}")
        if self.draining:
            raise Busy("serve.draining", 5)
        if self.open + answers > self.most:
            raise Busy("serve.queue_full", 1 + self.open / 8, count=self.open)
        if key is not None:
            self._enter_key(key)
        self.open += answers

    def _enter_key(self, key: ApiKey) -> None:
        used = self._used.setdefault(key.name, _Used(_bucket(key.requests_per_minute), _bucket(key.tokens_per_minute)))
        if key.concurrent_requests is not None and used.running >= key.concurrent_requests:
            raise Busy("serve.key_concurrent", 1, limit=key.concurrent_requests)
        if used.requests and (wait := used.requests.seconds_until(1)):
            raise Busy("serve.key_requests", wait, limit=used.requests.per_minute)
        if used.tokens and (wait := used.tokens.seconds_until(1)):
            raise Busy("serve.key_tokens", wait, limit=used.tokens.per_minute)
        if used.requests:
            used.requests.level -= 1
        used.running += 1

    def leave(self, key: ApiKey | None, answers: int, tokens: int) -> None:
        """Give the places back; ``tokens`` of prompt and answers count against the client's limit."""
        self.open -= answers
        used = self._used.get(key.name) if key is not None else None
        if used is not None:
            used.running -= 1
            if used.tokens:
                used.tokens.level -= tokens


def _bucket(per_minute: int | None) -> _Bucket | None:
    return _Bucket(per_minute) if per_minute else None
