"""vLLM servers as the gateway sees them: which are up, what they have loaded, which one a request should go to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

FEW = 4  # so many answers at once do not yet make a replica busy
SPREAD = 1.25  # of the average load, which a preferred replica may have before the next one is asked
PROBE_SECONDS = 5.0
LOAD_SECONDS = 120.0


class RefusedAdapter(Exception):
    """vLLM does not take an adapter; says why in its own words."""


@dataclass(slots=True, eq=False)
class Replica:
    """One vLLM server. ``base`` is the name of its base model, ``limit_tokens`` its context, ``open`` the answers that
    run there, ``loaded`` the adapters of ours that it holds."""

    url: str
    is_up: bool = False
    base: str = ""
    root: str = ""
    limit_tokens: int = 0
    open: int = 0
    loaded: set[str] = field(default_factory=set)


def in_order(replicas: Sequence[Replica], key: str) -> list[Replica]:
    """The replicas that are up, in the order in which a request for ``key`` should try them.

    One key prefers one replica, where its adapter and the beginnings of its prompts are warm (rendezvous hashing: a
    replica that goes or comes moves only its own share of the keys). One that has clearly more than its share of the
    running answers comes last, so a key that everybody asks for spreads (bounded loads, arXiv:1608.01350).
    """
    up = sorted((r for r in replicas if r.is_up), key=lambda r: _score(r.url, key), reverse=True)
    if not up:
        return []
    most = max(FEW, math.ceil(SPREAD * (sum(r.open for r in up) + 1) / len(up)))
    return sorted(up, key=lambda r: r.open >= most)


def _score(url: str, key: str) -> bytes:
    return hashlib.sha256(f"{url}\0{key}".encode()).digest()


async def probe(client: httpx.AsyncClient, replica: Replica, folder: Path) -> bool:
    """Whether the replica answers; what it is and holds is noted when it comes up. ``folder`` is where ours lie."""
    try:
        health = await client.get(f"{replica.url}/health", timeout=PROBE_SECONDS)
        if health.status_code != 200:
            return False
        if not replica.is_up:
            await look(client, replica, folder)
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False
    return True


async def look(client: httpx.AsyncClient, replica: Replica, folder: Path) -> None:
    """Note what the replica serves. Raises httpx.HTTPError, or what an answer of another shape leads to."""
    reply = await client.get(f"{replica.url}/v1/models", timeout=PROBE_SECONDS)
    reply.raise_for_status()
    models: list[dict[str, Any]] = reply.json()["data"]
    base, *_ = [m for m in models if not m.get("parent")]
    replica.base, replica.root = base["id"], str(base.get("root") or base["id"])
    replica.limit_tokens = int(base["max_model_len"])
    replica.loaded = {m["id"] for m in models if m.get("root") == str(folder / m["id"])}


async def load(client: httpx.AsyncClient, replica: Replica, name: str, folder: Path) -> None:
    """Let the replica load the adapter ``folder / name``.

    Raises:
        RefusedAdapter: It does not take it.
        httpx.HTTPError: It does not answer.
    """
    body = {"lora_name": name, "lora_path": str(folder / name)}
    reply = await client.post(f"{replica.url}/v1/load_lora_adapter", json=body, timeout=LOAD_SECONDS)
    if reply.status_code == 400:
        await look(client, replica, folder)  # it has it already, as after a restart of the gateway, or refuses it
    elif reply.status_code == 200:
        replica.loaded.add(name)
    if name not in replica.loaded:
        raise RefusedAdapter(words_of(reply.content))


async def unload(client: httpx.AsyncClient, replica: Replica, name: str) -> None:
    """Let the replica forget an adapter; one that does not answer has forgotten it when it is back."""
    replica.loaded.discard(name)
    try:
        await client.post(f"{replica.url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=PROBE_SECONDS)
    except httpx.HTTPError:
        return


def words_of(body: bytes) -> str:
    """What vLLM says is wrong, one line of at most 300 characters."""
    words = body.decode(errors="replace")
    try:
        error = json.loads(body)["error"]
        words = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError):
        pass  # the body as it is says most
    return " ".join(words.split())[:300]
