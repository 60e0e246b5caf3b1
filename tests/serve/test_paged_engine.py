"""Many requests at once, each under its own adapters: the same tokens as merged weights give, whatever else runs."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_scripts.models.text import load_model
from lora_scripts.serve.engine.paged import PAGE_TOKENS, kv_bytes_of_token
from lora_scripts.serve.engine.segments import attach
from lora_scripts.serve.engine.simple import SimpleEngine
from lora_scripts.serve.engine.weights import load_weights
from lora_scripts.serve.generation import EngineDown, Sampling
from tests.serve.conftest import BASE, SHAPES, STACKS, Rig, make_rig

SETS: list[Any] = [(), *[((name, 1.0),) for name in SHAPES], *STACKS]
LAW = "劳动合同的试用期最长可以约定多久？用人单位应当依照法律规定支付工资，劳动者提前三十日以书面形式通知用人单位。"


@pytest.fixture(scope="module")
def long_prompt(tokenizer: Any) -> list[int]:
    """Some pages long, so that its pages are shared."""
    ids: list[int] = tokenizer(LAW * 6)["input_ids"]
    assert len(ids) > 3 * PAGE_TOKENS
    return ids


def test_a_mixed_batch_says_what_merged_weights_say(rig: Rig, merged: Callable[..., list[int]], tokenizer: Any) -> None:
    prompts = [tokenizer(LAW[: 5 + 3 * i])["input_ids"] for i in range(len(SETS))]
    ears = [rig.ask(p, pairs) for p, pairs in zip(prompts, SETS, strict=True)]
    for prompt, pairs, ear in zip(prompts, SETS, ears, strict=True):
        assert ear.tokens() == merged(pairs, prompt, 16), pairs


@pytest.mark.slow  # test_adapters_that_come_and_go_change_no_answer is the short form
def test_one_beginning_under_all_pairs_of_adapters_and_stacks_is_never_mixed_up(
    rig: Rig, merged: Callable[..., list[int]], long_prompt: list[int]
) -> None:
    wrong = []
    answers = {pairs: merged(pairs, long_prompt, 8) for pairs in SETS}
    assert len({tuple(a) for a in answers.values()}) == len(SETS), "the adapters do not differ"
    for first in SETS:
        others = [pairs for pairs in SETS if pairs != first]
        asked = list(itertools.chain.from_iterable((first, second) for second in others))
        ears = [rig.ask(long_prompt, pairs, 8) for pairs in asked]
        wrong += [p for p, ear in zip(asked, ears, strict=True) if ear.tokens() != answers[p]]
    assert wrong == []


def test_a_beginning_is_shared_under_the_same_adapters_only(rig: Rig, long_prompt: list[int]) -> None:
    cache = rig.engine._manager.batch_processor.cache
    found: dict[str, int] = {}
    search = cache.search_prefix_match

    def noted(request_id: str, ids: list[int]) -> int:
        found[request_id] = search(request_id, ids)
        return found[request_id]

    cache.search_prefix_match = noted
    try:
        prompt = [long_prompt[0] + 1, *long_prompt[1:]]
        for name, pairs in (("x1", (("a0", 1.0),)), ("x2", (("a0", 1.0),)), ("x3", (("a0", 0.5),)), ("x4", ())):
            rig.ask(prompt, pairs, 2, id=name).tokens()
    finally:
        cache.search_prefix_match = search
    assert found["x1"] == found["x3"] == found["x4"] == 0
    assert found["x2"] >= 3 * PAGE_TOKENS


def test_adapters_that_come_and_go_change_no_answer(
    rig: Rig, adapters_dir: Path, merged: Callable[..., list[int]], long_prompt: list[int]
) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for name in ("a1", "a4", "a6"):
                rig.adapters[name] = load_weights(name, adapters_dir / name, rig.model, largest_rank=64)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        chosen = random.Random(0).choices(SETS, k=60)
        ears = [rig.ask(long_prompt, pairs, 8) for pairs in chosen]
        wrong = [p for p, ear in zip(chosen, ears, strict=True) if ear.tokens() != merged(p, long_prompt, 8)]
    finally:
        stop.set()
        thread.join()
    assert wrong == []


def test_the_simple_engine_says_the_same(adapters_dir: Path, merged: Callable[..., list[int]], tokenizer: Any) -> None:
    model = load_model(BASE, dtype=torch.float32, device="cpu")
    layout = attach(model)
    adapters = {n: load_weights(n, adapters_dir / n, model, largest_rank=64) for n in SHAPES}
    rig = Rig(model, layout, SimpleEngine(model, layout, limit_tokens=512), adapters)
    prompt = tokenizer(LAW[:20])["input_ids"]
    try:
        ears = [rig.ask(prompt, pairs, 8) for pairs in SETS]
        assert [ear.tokens() for ear in ears] == [merged(pairs, prompt, 8) for pairs in SETS]
    finally:
        rig.engine.close()
    with pytest.raises(EngineDown):
        rig.ask(prompt)


def test_a_prompt_that_fills_the_cache_is_answered_and_the_pages_come_back(adapters_dir: Path, tokenizer: Any) -> None:
    model = load_model(BASE, dtype=torch.float32, device="cpu")
    pages = 6
    room = kv_bytes_of_token(model) * PAGE_TOKENS * pages
    rig = make_rig(BASE, adapters_dir, ["a0"], kv_cache_bytes=room)
    try:
        assert rig.engine.limit_tokens == (pages - 1) * PAGE_TOKENS
        ids = (tokenizer(LAW)["input_ids"] * 20)[: rig.engine.limit_tokens - 8]
        for _ in range(3):
            assert len(rig.ask(ids, (("a0", 1.0),), 8).tokens()) == 8
        many = [rig.ask(ids[: 40 + i], (("a0", 1.0),) if i % 2 else (), 30) for i in range(12)]
        assert [len(ear.tokens()) for ear in many] == [30] * 12
        assert all_back(rig)
    finally:
        rig.engine.close()


def all_back(rig: Rig, seconds: float = 5) -> bool:
    """Whether every page is free again, and the engine remembers no request."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        figures = rig.engine.figures()
        if figures["kv_cache_free_ratio"] == 1 and not figures["running"] and not rig.engine._writers:
            return True
        time.sleep(0.05)
    return False


def test_cancelled_requests_leave_nothing_behind(rig: Rig, long_prompt: list[int]) -> None:
    ears = [rig.ask(long_prompt, STACKS[0], 200, id=f"c{i}") for i in range(8)]
    time.sleep(0.3)
    for i in range(8):
        rig.engine.cancel(f"c{i}")
    rig.engine.cancel("nobody")
    assert all_back(rig)
    heard = [len(ear.events) for ear in ears]
    time.sleep(0.2)
    assert [len(ear.events) for ear in ears] == heard
    assert not any(ear.ended.is_set() for ear in ears)


def test_a_loop_that_dies_fails_what_it_held_and_starts_once_more(
    adapters_dir: Path, merged: Callable[..., list[int]], long_prompt: list[int]
) -> None:
    rig = make_rig(BASE, adapters_dir, ["a0"])
    try:
        ears = [rig.ask(long_prompt, (), 400) for _ in range(4)]
        rig.layout.clear()
        processor = rig.engine._manager.batch_processor

        def broken(*_: Any) -> None:
            raise RuntimeError("injected")

        processor.prepare_next_batch = broken
        for ear in ears:
            assert ear.ended.wait(30)
            assert ear.events[-1].reason == "failed"
        until = time.monotonic() + 30
        while not rig.engine.is_ready and time.monotonic() < until:
            time.sleep(0.05)
        assert rig.ask(long_prompt, (("a0", 1.0),), 8).tokens() == merged((("a0", 1.0),), long_prompt, 8)
        assert rig.engine.figures()["restarts"] == 1
        rig.engine._manager.batch_processor.prepare_next_batch = broken
        last = rig.ask(long_prompt)
        assert last.ended.wait(30)
        assert last.events[-1].reason == "failed"
        assert not rig.engine.is_ready
        with pytest.raises(EngineDown):
            rig.ask(long_prompt)
    finally:
        rig.engine.close()


def test_each_request_is_sampled_by_its_own_settings(rig: Rig, long_prompt: list[int]) -> None:
    hot = {"temperature": 1.5, "seed": 7}
    greedy = rig.ask(long_prompt, (), 24)
    first, same = (rig.ask(long_prompt, (), 24, sampling=Sampling(**hot)) for _ in range(2))
    other = rig.ask(long_prompt, (), 24, sampling=Sampling(temperature=1.5, seed=8))
    assert first.tokens() == same.tokens()
    assert len({tuple(ear.tokens()) for ear in (greedy, first, other)}) == 3
    narrow = rig.ask(long_prompt, (), 24, sampling=Sampling(temperature=1.5, seed=3, top_k=1))
    assert narrow.tokens() == greedy.tokens()


def test_an_answer_that_goes_wrong_ends_alone(
    rig: Rig, merged: Callable[..., list[int]], long_prompt: list[int]
) -> None:
    class Broken:
        def allow(self, logits: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("injected")

    good = rig.ask(long_prompt, (("a2", 1.0),), 8)
    bad = rig.ask(long_prompt, (), 8, grammar=Broken())
    assert good.tokens() == merged((("a2", 1.0),), long_prompt, 8)
    assert bad.ended.wait(10)
    assert bad.events[-1].reason == "failed"
    assert all_back(rig)
