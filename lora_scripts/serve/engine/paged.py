"""The paged engine: transformers' continuous batching with adapters for each request.

The library packs the tokens of all running requests into one batch and keeps their keys and values in pages. Two hooks
on the model add what it lacks: before a forward pass, which adapters act on which rows; after it, the token that each
request's own settings choose, which is handed back as the only logit that can win. Pages are shared between requests
with one beginning; the adapters are part of a page's identity, since they change keys and values.

What is used beside the library's public face is listed in ``PRIVATE`` and looked for at the start
(tests/serve/test_paged_contract.py); where something is missing, the simple engine takes over and says so.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel

from lora_scripts.messages import text
from lora_scripts.serve.engine.sampler import Writer, write
from lora_scripts.serve.engine.segments import Layout
from lora_scripts.serve.generation import FAILED, EngineDown, Event, Generation, Sampling

log = logging.getLogger(__name__)

PAGE_TOKENS = 32
WATCH_SECONDS = 0.1
START_SECONDS = 120.0
STEADY_SECONDS = 60.0  # a loop that ran so long may be started once more
_HASH_IDS = 1 << 31
_PROBES = ((5, 6, 7, 8, 9, 10, 11, 12), (21, 20, 19, 18, 17))  # ids that every vocabulary has
_PROBE_TOKENS, _TIE = 4, 1e-3

PRIVATE = {
    "manager": ("batch_processor", "output_router", "background_thread_status", "input_queue", "cancel_queue"),
    "processor": ("inputs_and_outputs", "scheduler", "cache"),
    "inputs_and_outputs": ("requests_in_batch",),
    "scheduler": ("active_requests", "waiting_requests"),
    "cache": ("search_prefix_match", "use_prefix_sharing", "free_blocks"),
}
"""Attributes that are no part of transformers' public face, by the object that has them."""
MARK_COMPLETE = ("mark_complete_blocks", "mark_shareable_blocks_as_complete")  # since 5.19, and before


class PagedEngine:
    """Answers many requests at once, each under its own adapters and settings.

    ``kv_cache_bytes`` is what keys and values may take; ``limit_tokens`` follows from it and from the model.
    """

    name = "paged"

    def __init__(
        self,
        model: PreTrainedModel,
        layout: Layout,
        *,
        kv_cache_bytes: int,
        max_requests: int = 64,
        max_batch_tokens: int = 512,
    ) -> None:
        pages = max(2, kv_cache_bytes // (kv_bytes_of_token(model) * PAGE_TOKENS))
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or pages * PAGE_TOKENS
        self.limit_tokens = min(int(longest), (pages - 1) * PAGE_TOKENS)
        self._model, self._layout = model, layout
        self._settings = _settings(pages, max_requests, max_batch_tokens)
        self._writers: dict[str, Writer] = {}
        self._salts: dict[tuple[tuple[str, float], ...], int] = {}
        self._salt_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._restarts = 0
        expected = [greedy(model, prompt) for prompt in _PROBES]
        self._hooks = [
            model.register_forward_pre_hook(self._before, with_kwargs=True),
            model.register_forward_hook(self._after, with_kwargs=True),
        ]
        try:
            self._manager = self._start()
        except BaseException:
            self._unhook()
            raise
        self._watcher = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._watcher.start()
        if not self._agrees(expected):
            self.close()
            raise UnfitEngine(text("serve.answers_differ"))

    @property
    def is_ready(self) -> bool:
        """Whether the loop runs."""
        return not self._closing.is_set() and self._is_alive()

    def _is_alive(self) -> bool:
        status = self._manager.background_thread_status
        return bool(self._manager.is_running()) and status.fatal_error is None

    def submit(self, generation: Generation) -> None:
        """Begin to answer.

        Raises:
            EngineDown: The loop does not run.
        """
        with self._lock:
            if not self.is_ready:
                raise EngineDown
            self._writers[generation.id] = Writer(generation)
            taken = self._manager.add_request(
                generation.prompt_ids,
                request_id=generation.id,
                max_new_tokens=generation.max_new_tokens,
                eos_token_id=sorted(generation.stop_ids) or -1,
            )
            if taken is None:
                del self._writers[generation.id]
                raise EngineDown

    def cancel(self, generation_id: str) -> None:
        """Stop answering. The loop lets go of it before its next step."""
        writer = self._writers.get(generation_id)
        if writer is not None:
            writer.is_over = True
            self._manager.cancel_request(generation_id)

    def figures(self) -> dict[str, float]:
        """Requests that run and wait, pages that are free, starts of the loop after the first."""
        processor = self._manager.batch_processor
        running = len(processor.scheduler.active_requests) if processor else 0
        waiting = len(processor.scheduler.waiting_requests) if processor else 0
        return {
            "running": running,
            "waiting": waiting + self._manager.input_queue.qsize(),
            "kv_cache_free_ratio": free_ratio(processor.cache) if processor else 0.0,
            "restarts": self._restarts,
        }

    def close(self) -> None:
        """End the loop; what still runs fails."""
        self._closing.set()
        self._watcher.join()
        running = list(self._writers)
        self._fail_all()
        for request_id in running:
            self._manager.cancel_request(request_id)
        self._manager.stop(block=True, timeout=30)
        self._unhook()

    # the loop's life

    def _start(self) -> Any:
        manager: Any = None
        try:
            manager = self._model.init_continuous_batching(
                generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=1),
                continuous_batching_config=self._settings,
            )
        except Exception as error:  # attention that cannot be paged, too little memory: it says which
            raise UnfitEngine(str(error)[:300]) from error
        if missing := [f"manager.{name}" for name in PRIVATE["manager"] if not hasattr(manager, name)]:
            raise UnfitEngine(text("serve.missing_parts", names=", ".join(missing)))
        manager.start()
        until = time.monotonic() + START_SECONDS
        while manager.batch_processor is None:
            fatal = manager.background_thread_status.fatal_error
            if fatal is not None or time.monotonic() > until:
                raise UnfitEngine(str(fatal or text("serve.slow_start", seconds=START_SECONDS)))
            time.sleep(0.01)
        if missing := missing_parts(manager):
            manager.stop(block=True)
            raise UnfitEngine(text("serve.missing_parts", names=", ".join(missing)))
        self._salt_pages(manager.batch_processor.cache)
        return manager

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _watch(self) -> None:
        """Let go of what has ended; when the loop dies, fail what it held and start it once more."""
        started = time.monotonic()
        while not self._closing.is_set():
            result = self._manager.get_result(timeout=WATCH_SECONDS)
            if result is not None:
                self._ended(result.request_id, result.error)
                continue
            if self._is_alive():
                self._sweep()
                continue
            if self._closing.is_set():
                return
            log.error(text("serve.loop_died", reason=self._manager.background_thread_status.fatal_error))
            self._fail_all()
            if time.monotonic() - started < STEADY_SECONDS and self._restarts:
                log.error(text("serve.loop_stays_down"))
                return
            self._restarts += 1
            started = time.monotonic()
            with self._lock:
                self._manager = self._start()

    def _ended(self, request_id: str, error: str | None) -> None:
        writer = self._writers.pop(request_id, None)
        if writer is not None and error:
            writer.tell(Event(None, FAILED, detail=error[:200]))

    def _fail_all(self) -> None:
        with self._lock:
            writers, self._writers = list(self._writers.values()), {}
        for writer in writers:
            writer.tell(Event(None, FAILED, detail=text("serve.engine_down")))

    def _sweep(self) -> None:
        """Forget cancelled requests, of which the loop tells nothing, once it holds them no more."""
        processor = self._manager.batch_processor
        if processor is None or not self._manager.input_queue.empty() or not self._manager.cancel_queue.empty():
            return
        held = processor.scheduler
        for request_id, writer in list(self._writers.items()):
            if writer.is_over and request_id not in held.active_requests and request_id not in held.waiting_requests:
                self._writers.pop(request_id, None)

    def _agrees(self, expected: Sequence[Sequence[int]]) -> bool:
        """Whether two prompts at once are answered as the model alone answers them: it is asked what it computes, so
        that an architecture that pages do not suit is found whatever its name."""
        heard: list[list[int]] = [[] for _ in expected]
        ended = threading.Semaphore(0)

        def ear(number: int) -> Callable[[Event], None]:
            def listen(event: Event) -> None:
                heard[number] += [] if event.token is None else [event.token]
                if event.reason:
                    ended.release()

            return listen

        for number, (prompt, tokens) in enumerate(zip(_PROBES, expected, strict=True)):
            settings: dict[str, Any] = {"max_new_tokens": len(tokens), "stop_ids": frozenset(), "sampling": Sampling()}
            self.submit(Generation(f"probe-{number}", list(prompt), listen=ear(number), **settings))
        return all(ended.acquire(timeout=START_SECONDS) for _ in expected) and heard == list(expected)

    # on the loop's thread

    def _before(self, _model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        adapted, first = [], 0
        for request in self._manager.batch_processor.inputs_and_outputs.requests_in_batch:
            writer = self._writers.get(request.state.request_id)
            if writer is not None and writer.generation.adapters:
                adapted.append((first, request.query_length, writer.generation.adapters))
            first += request.query_length
        like = self._model.get_input_embeddings().weight
        self._layout.arrange(adapted, first, like)

    def _after(self, _model: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        self._layout.clear()
        batch = self._manager.batch_processor.inputs_and_outputs.requests_in_batch
        ids = [request.state.request_id for request in batch if request.has_new_token]
        known = [(i, self._writers[r]) for i, r in enumerate(ids) if r in self._writers]
        if not known:
            return output
        rows = torch.arange(len(ids)) if "logits_to_keep" in kwargs else kwargs["logits_indices"]
        places = rows[[i for i, _ in known]].to(output.logits.device, torch.long)
        logits_NV: Tensor = output.logits[0, places]
        tokens = write(logits_NV, [writer for _, writer in known])
        output.logits[0, places, torch.tensor(tokens, device=places.device)] = float(
            "inf"
        )  # the library takes the largest
        return output

    # keys and values are those of a prompt under its adapters

    def _salt_pages(self, cache: Any) -> None:
        """Make the adapters part of a page's identity: a page is found again by the ids that it was filled from, so the
        first id of a prompt under adapters is another one, and no vocabulary has it."""
        if not cache.use_prefix_sharing:
            return
        mark = next(name for name in MARK_COMPLETE if hasattr(cache, name))
        search, complete = cache.search_prefix_match, getattr(cache, mark)

        def salted_search(request_id: str, prompt_ids: list[int]) -> int:
            ids = self._salted(request_id, prompt_ids[:-1])  # the last one is computed in any case, for its logits
            found: int = search(request_id, [*ids, prompt_ids[-1]]) if ids else 0
            return found

        def salted_complete(state: Any, blocks: Any) -> None:
            ids = self._salted(state.request_id, state.initial_tokens + state.generated_tokens)
            if ids:
                told = SimpleNamespace(
                    request_id=state.request_id, initial_tokens=ids, generated_tokens=[], status=state.status
                )
                complete(told, blocks)

        cache.search_prefix_match = salted_search
        setattr(cache, mark, salted_complete)

    def _salted(self, request_id: str, ids: list[int]) -> list[int]:
        """``ids`` as the pages of these adapters know them; none where nothing may be shared."""
        writer = self._writers.get(request_id)
        if writer is None or not ids:
            return []
        key = tuple((adapter.digest, weight) for adapter, weight in writer.generation.adapters)
        if not key:
            return ids
        words = self._model.get_input_embeddings().weight.shape[0]
        salt = self._salts.get(key)
        if salt is None:
            salt = self._salts[key] = next(self._salt_numbers)
        first = salt * words + ids[0]
        return [first, *ids[1:]] if first < _HASH_IDS else []


@torch.no_grad()
def greedy(model: PreTrainedModel, prompt: Sequence[int]) -> list[int]:
    """The likeliest tokens, whole prompts through the plain model; up to where two are equally likely."""
    ids = list(prompt)
    tokens: list[int] = []
    for _ in range(_PROBE_TOKENS):
        best = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1].float().topk(2)
        if tokens and float(best.values[0] - best.values[1]) < _TIE:
            break
        tokens.append(int(best.indices[0]))
        ids.append(tokens[-1])
    return tokens


class UnfitEngine(Exception):
    """This model or this version of transformers cannot be served in pages; says why."""


def kv_bytes_of_token(model: PreTrainedModel) -> int:
    """Bytes of keys and values of one token in all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * model.dtype.itemsize)


def _settings(pages: int, max_requests: int, max_batch_tokens: int) -> Any:
    known = {field.name for field in fields(ContinuousBatchingConfig)}
    size = "page_size" if "page_size" in known else "block_size"  # renamed in 5.19
    return ContinuousBatchingConfig(
        **{size: PAGE_TOKENS},
        num_blocks=pages,
        max_batch_tokens=min(max_batch_tokens, pages * PAGE_TOKENS),
        max_requests_per_batch=min(max_requests, max_batch_tokens, pages * PAGE_TOKENS),
        use_async_batching=False,
        use_cuda_graph=False,
    )


def missing_parts(manager: Any) -> list[str]:
    """Which of the private attributes that this engine uses a manager whose loop runs does not have."""
    processor = manager.batch_processor
    owners = {
        "manager": manager,
        "processor": processor,
        "inputs_and_outputs": getattr(processor, "inputs_and_outputs", None),
        "scheduler": getattr(processor, "scheduler", None),
        "cache": getattr(processor, "cache", None),
    }
    missing = [f"{o}.{n}" for o, names in PRIVATE.items() for n in names if not hasattr(owners[o], n)]
    cache = owners["cache"]
    return missing + ([] if any(hasattr(cache, name) for name in MARK_COMPLETE) else [f"cache.{MARK_COMPLETE[0]}"])


def free_ratio(cache: Any) -> float:
    """The share of pages that hold nothing of a running request; pages kept for a beginning to come count as free."""
    if hasattr(cache, "compute_free_capacity"):
        kept = sum(len(a.ledger.cached_blocks) * a.bytes_per_block for a in cache.cache_allocators.values())
        whole = cache.num_sectors * cache.bytes_per_sector
        return float(cache.compute_free_capacity() + kept / whole)
    return float(cache.get_num_free_blocks() / cache.num_blocks)
