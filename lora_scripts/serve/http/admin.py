"""Routes that change what is served: adapters and named stacks. The gate lets only the admin key here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from lora_scripts.errors import UsageError
from lora_scripts.messages import text
from lora_scripts.serve.answering import ROUTED
from lora_scripts.serve.http.app import Face
from lora_scripts.serve.http.failures import KNOWN, Failure, failure_of
from lora_scripts.serve.http.protocol import StackItem
from lora_scripts.serve.stacks import check_kinds, name_stack
from lora_scripts.serve.store import Entry, below, weights_below


class AdapterBody(BaseModel):
    """POST /admin/adapters. ``path`` is relative to the adapter root."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    path: str
    pinned: bool = False


class PinBody(BaseModel):
    """POST /admin/adapters/{name}/pin."""

    model_config = ConfigDict(extra="forbid", strict=True)
    pinned: bool = True


class VllmBody(BaseModel):
    """vLLM's POST /v1/load_lora_adapter and /v1/unload_lora_adapter."""

    model_config = ConfigDict(extra="forbid", strict=True)
    lora_name: str
    lora_path: str = ""
    lora_int_id: int | None = None
    load_inplace: bool = False


class StackBody(BaseModel):
    """POST /admin/stacks."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    adapters: Annotated[list[StackItem], Field(min_length=1)]


def add_admin(app: FastAPI, face: Face, *, root: Path | None, warn: Any = None) -> None:
    """The routes. ``root`` is the folder that adapters may lie below; ``warn`` tells what is odd about a stack."""
    store, models = face.service.store, face.service.models

    async def load(name: str, path: str, pinned: bool) -> Entry:
        if root is None:
            raise UsageError("serve.no_root")
        if name in (models.base, ROUTED) or name in models.stacks:
            raise Failure(409, text("serve.name_taken", name=name), "name")
        folder = below(root, path)
        weights_below(root, folder)
        return await asyncio.to_thread(store.add, name, folder, pinned=pinned)

    def unload(name: str) -> None:
        if not store.remove(name):
            raise Failure(404, text("serve.unknown_model", name=name[:80]), "name")

    @app.get("/admin/adapters")
    async def adapters() -> Any:
        return {"adapters": [_shown(entry) for entry in store.entries()]}

    @app.post("/admin/adapters", status_code=201)
    async def load_adapter(body: AdapterBody) -> Response:
        return JSONResponse(_shown(await load(body.name, body.path, body.pinned)), 201)

    @app.delete("/admin/adapters/{name}")
    async def unload_adapter(name: str) -> Any:
        unload(name)
        return {"name": name, "unloaded": True}

    @app.post("/admin/adapters/{name}/pin")
    async def pin(name: str, body: PinBody) -> Any:
        if name not in store:
            raise Failure(404, text("serve.unknown_model", name=name[:80]), "name")
        store.pin(name, body.pinned)
        return {"name": name, "pinned": body.pinned}

    @app.post("/v1/load_lora_adapter")
    async def load_lora(body: VllmBody) -> Response:
        await load(body.lora_name, body.lora_path, False)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter")
    async def unload_lora(body: VllmBody) -> Response:
        unload(body.lora_name)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    _add_stacks(app, face, warn)
    _catch_known(app)


def _add_stacks(app: FastAPI, face: Face, warn: Any) -> None:
    models = face.service.models

    @app.get("/admin/stacks")
    async def stacks() -> Any:
        return {"stacks": [_stack(name, pairs) for name, pairs in models.stacks.items()]}

    @app.post("/admin/stacks", status_code=201)
    async def make_stack(body: StackBody) -> Any:
        if body.name == ROUTED:
            raise Failure(409, text("serve.name_taken", name=body.name), "name")
        pairs = tuple((item.name, item.weight) for item in body.adapters)
        loaded = {entry.name: entry.loaded for entry in face.service.store.entries() if entry.loaded}
        if all(name in loaded for name, _ in pairs):
            check_kinds({name: getattr(loaded[name], "method", "lora") for name, _ in pairs}, pairs)
        name_stack(models, body.name, pairs)
        warnings = await asyncio.to_thread(warn, pairs) if warn is not None else []
        return {**_stack(body.name, pairs), "warnings": warnings}

    @app.delete("/admin/stacks/{name}")
    async def drop_stack(name: str) -> Any:
        if models.stacks.pop(name, None) is None:
            raise Failure(404, text("serve.unknown_model", name=name[:80]), "name")
        return {"name": name, "deleted": True}


def _catch_known(app: FastAPI) -> None:
    """What these routes raise on purpose."""

    async def told(_: Request, error: Exception) -> Response:
        failure = failure_of(error)
        return JSONResponse(failure.body, failure.status, dict(failure.headers))

    for kind in (*KNOWN, Failure):
        app.add_exception_handler(kind, told)


def _shown(entry: Entry) -> dict[str, Any]:
    loaded: Any = entry.loaded
    return {
        "name": entry.name,
        "digest": f"sha256:{entry.digest}",
        "bytes": entry.nbytes,
        "tier": entry.tier,
        "pinned": entry.pinned,
        "in_use": entry.in_use,
        "method": getattr(loaded, "method", None),
        "rank": getattr(loaded, "rank", None),
    }


def _stack(name: str, pairs: Any) -> dict[str, Any]:
    return {"name": name, "adapters": [{"name": adapter, "weight": weight} for adapter, weight in pairs]}
