"""The remote engine: vLLM servers make the tokens, this gateway keeps all else.

Prompts go out as token ids and answers come back as token ids, so that templates, stop strings, guardrails and the
audit log are the same as with the other engines. Everything that changes runs on one event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lora_scripts.errors import ModelError, UsageError
from lora_scripts.messages import text
from lora_scripts.serve.generation import FAILED, EngineDown, Event, Generation
from lora_scripts.serve.remote.adapters import Pairs, RemoteAdapter, served_name, served_rank, write_served
from lora_scripts.serve.remote.replicas import RefusedAdapter, Replica, in_order, load, probe, unload, words_of
from lora_scripts.serve.remote.wire import ForwardedSchema, LostReplica, events_of, request_body

log = logging.getLogger(__name__)

MOST_STACKS = 32  # that stay loaded although no request runs on them
WATCH_SECONDS = 2.0
CLOSE_SECONDS = 5.0
TIMEOUT = httpx.Timeout(300.0, connect=5.0, pool=None)  # 300 s between two tokens, or until the first


@dataclass(slots=True, eq=False)
class _Served:
    """What vLLM knows under one name. ``uses``: adapters of the store and running answers that need it. A stack stays
    when nothing uses it, unless a part of it was dropped (``is_leaving``)."""

    name: str
    pairs: Pairs
    uses: int = 0
    is_leaving: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RemoteEngine:
    """Answers by the vLLM servers at ``urls``.

    ``folder`` is where adapters are written for them: they must see it under the same path. ``base`` is what those
    name as their base. ``zeros`` is what the base is asked for as (``zeros_for``), None asks for it by its name.
    ``end`` is called when the engine was closed. ``limit_tokens`` is the shortest context of the servers.

    Raises:
        ModelError: No server answers, or one does not take ``zeros``.
    """

    name = "remote"

    def __init__(
        self,
        urls: Sequence[str],
        *,
        folder: Path,
        base: str,
        largest_rank: int,
        zeros: RemoteAdapter | None = None,
        api_key: str = "",
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self.replicas = [Replica(url.rstrip("/")) for url in urls]
        self.limit_tokens = 0
        self._folder, self._base, self._largest_rank, self._end = folder, base, largest_rank, end
        self._zeros = zeros
        self._served: dict[str, _Served] = {}  # the least recently used first
        self._running: dict[str, tuple[Generation, asyncio.Task[None]]] = {}
        self._failed_tries = 0
        self._watcher: asyncio.Task[None] | None = None
        self._closing = threading.Event()
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()
        try:
            self._wait(self._open())
        except BaseException:
            self.close()
            raise

    @property
    def is_ready(self) -> bool:
        """Whether a server is up."""
        return not self._closing.is_set() and any(replica.is_up for replica in self.replicas)

    def submit(self, generation: Generation) -> None:
        """Begin to answer.

        Raises:
            EngineDown: No server is up.
            UsageError: The stack's rank is above what the servers hold.
        """
        if not self.is_ready:
            raise EngineDown
        if generation.grammar is not None and not isinstance(generation.grammar, ForwardedSchema):
            raise UsageError("serve.unknown_field", name="response_format")
        if generation.adapters and (rank := served_rank(generation.adapters)) > self._largest_rank:
            raise UsageError("remote.stack_rank", rank=rank, limit=self._largest_rank)
        self._loop.call_soon_threadsafe(self._begin, generation)

    def cancel(self, generation_id: str) -> None:
        """Stop answering: the connection is closed, which ends the work at the server too."""
        if not self._closing.is_set():
            self._loop.call_soon_threadsafe(self._cancel, generation_id)

    def figures(self) -> dict[str, float]:
        """Answers that run, servers and how many are up, adapters and stacks that are loaded, tries that failed."""
        return {
            "running": len(self._running),
            "replicas": len(self.replicas),
            "replicas_up": sum(replica.is_up for replica in self.replicas),
            "served_adapters": len(self._served),
            "failed_tries": self._failed_tries,
        }

    def take(self, adapter: RemoteAdapter) -> None:
        """Load an adapter on every server that is up. Slow; undone by as many calls of ``drop``.

        Raises:
            EngineDown: No server is up.
            ModelError: A server does not take it.
        """
        if self._closing.is_set():
            raise EngineDown
        self._wait(self._take(adapter))

    def drop(self, adapter: RemoteAdapter) -> None:
        """Let the servers forget an adapter and the stacks that it is part of. Returns at once."""
        if not self._closing.is_set():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._drop(adapter)))

    def close(self) -> None:
        """End the engine; what still runs fails. What was loaded at the servers is unloaded. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._end()

    # on the loop

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._client = httpx.AsyncClient(
            headers=self._headers,
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            trust_env=False,
        )
        await self._look_round()
        up = [replica for replica in self.replicas if replica.is_up]
        if not up:
            raise ModelError("remote.none_up", where=", ".join(replica.url for replica in self.replicas))
        if self._zeros is not None:
            try:
                await self._take(self._zeros)
            except EngineDown:
                raise ModelError("remote.none_up", where=", ".join(replica.url for replica in up)) from None
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self._look_round()

    async def _look_round(self) -> None:
        found = await asyncio.gather(*(probe(self._client, replica, self._folder) for replica in self.replicas))
        if not self.limit_tokens:
            limits = [replica.limit_tokens for replica, is_up in zip(self.replicas, found, strict=True) if is_up]
            self.limit_tokens = min(limits, default=0)
        for replica, is_up in zip(self.replicas, found, strict=True):
            if is_up and replica.limit_tokens < self.limit_tokens:
                log.error(text("remote.short_context", url=replica.url, limit=replica.limit_tokens))
                is_up = False
            self._note(replica, is_up)

    def _note(self, replica: Replica, is_up: bool) -> None:
        if is_up != replica.is_up and self._watcher is not None:
            log.warning(text("remote.is_up" if is_up else "remote.is_down", url=replica.url))
        replica.is_up = is_up

    def _begin(self, generation: Generation) -> None:
        task = self._loop.create_task(self._answer(generation))
        self._running[generation.id] = generation, task
        task.add_done_callback(lambda _: self._running.pop(generation.id, None))

    def _cancel(self, generation_id: str) -> None:
        if generation_id in self._running:
            self._running[generation_id][1].cancel()

    async def _answer(self, generation: Generation) -> None:
        pairs: Pairs = generation.adapters or ([(self._zeros, 1.0)] if self._zeros is not None else [])
        served = self._served_of(pairs) if pairs else None
        if served is not None:
            served.uses += 1
        try:
            reason = await self._tell(generation, served)
        except Exception as error:  # whatever it is, the other answers go on
            log.exception("an answer failed")
            reason = str(error)
        finally:
            if served is not None:
                await self._release(served)
        if reason:
            generation.listen(Event(None, FAILED, detail=reason[:200]))

    async def _tell(self, generation: Generation, served: _Served | None) -> str:
        """Answer at the first replica that does; returns why none did, empty if one did."""
        reason = text("serve.engine_down")
        for replica in in_order(self.replicas, served.name if served else ""):
            said: Event | None = None
            replica.open += 1
            try:
                async with aclosing(self._events(replica, generation, served)) as events:
                    async for said in events:
                        generation.listen(said)
                if said is None or not said.reason:
                    raise LostReplica(text("remote.broke_off"))
                return ""
            except (httpx.HTTPError, LostReplica) as error:
                if said is not None and said.reason:
                    return ""  # all was told
                self._failed_tries += 1
                reason = str(error) or type(error).__name__
                log.warning(text("remote.lost", url=replica.url, reason=reason))
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    self._note(replica, False)
                if said is not None:
                    break
            except RefusedAdapter as error:
                log.error(text("remote.refused", reason=error))
                return str(error)
            finally:
                replica.open -= 1
        return reason

    async def _events(
        self, replica: Replica, generation: Generation, served: _Served | None
    ) -> AsyncGenerator[Event, None]:
        """What the replica says, token by token.

        Raises:
            LostReplica, httpx.HTTPError: Another replica may do better.
            RefusedAdapter: None would.
        """
        body = request_body(generation, served.name if served else replica.base)
        for attempt in (1, 2):
            if served is not None:
                await self._ensure(replica, served)
            async with self._client.stream("POST", f"{replica.url}/v1/completions", json=body) as reply:
                if reply.status_code == 404 and served is not None and attempt == 1:
                    replica.loaded.discard(served.name)  # it was started anew and knows nothing of it
                    continue
                if reply.status_code != 200:
                    words = words_of(await reply.aread())
                    raise LostReplica(f"{reply.status_code} {words}")
                async for line in reply.aiter_lines():
                    for event in events_of(line, generation):
                        yield event
                return

    # adapters

    def _served_of(self, pairs: Pairs) -> _Served:
        name = served_name(pairs)
        served = self._served.pop(name, None) or _Served(name, tuple(pairs))
        self._served[name] = served
        return served

    async def _ensure(self, replica: Replica, served: _Served) -> None:
        async with served.lock:
            if served.name not in replica.loaded:
                await asyncio.to_thread(write_served, self._folder / served.name, served.pairs, self._base)
                await load(self._client, replica, served.name, self._folder)

    async def _take(self, adapter: RemoteAdapter) -> None:
        served = self._served_of([(adapter, 1.0)])
        served.uses += 1
        taken = 0
        try:
            for replica in [replica for replica in self.replicas if replica.is_up]:
                try:
                    await self._ensure(replica, served)
                    taken += 1
                except httpx.HTTPError as error:
                    log.warning(text("remote.lost", url=replica.url, reason=str(error) or type(error).__name__))
            if not taken:
                raise EngineDown
        except RefusedAdapter as error:
            await self._drop(adapter)
            raise ModelError("remote.refused", where=adapter.name, reason=error) from error
        except BaseException:
            await self._drop(adapter)
            raise

    async def _drop(self, adapter: RemoteAdapter) -> None:
        served = self._served.get(served_name([(adapter, 1.0)]))
        if served is None:
            return
        await self._release(served)
        if not served.uses:
            for stack in [s for s in self._served.values() if adapter.digest in {part.digest for part, _ in s.pairs}]:
                stack.is_leaving = True
                await self._forget(stack)

    async def _release(self, served: _Served) -> None:
        """One use has ended. Stacks stay, all but those that nobody has asked for longest."""
        served.uses -= 1
        if served.is_leaving or not _is_stack(served):
            await self._forget(served)
        stacks = [one for one in self._served.values() if _is_stack(one)]
        idle = [stack for stack in stacks if not stack.uses]
        for stack in idle[: max(0, len(stacks) - MOST_STACKS)]:
            await self._forget(stack)

    async def _forget(self, served: _Served) -> None:
        async with served.lock:
            if served.uses:
                return
            for replica in self.replicas:
                if served.name in replica.loaded:
                    await unload(self._client, replica, served.name)
            if not served.uses:
                self._served.pop(served.name, None)
                await asyncio.to_thread(shutil.rmtree, self._folder / served.name, ignore_errors=True)

    async def _close(self) -> None:
        running = list(self._running.values())
        for generation, task in running:
            task.cancel()
            generation.listen(Event(None, FAILED, detail=text("serve.engine_down")))
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)
        if self._watcher is not None:
            self._watcher.cancel()
        for served in self._served.values():
            served.uses = 0
        try:
            await asyncio.wait_for(asyncio.gather(*map(self._forget, list(self._served.values()))), CLOSE_SECONDS)
        except TimeoutError:
            log.warning(text("remote.left_loaded", names=", ".join(self._served)))
        await self._client.aclose()


def _is_stack(served: _Served) -> bool:
    return len(served.pairs) > 1 or served.pairs[0][1] != 1
