"""A random base and real ones: one long beginning under all pairs of adapters, also while adapters come and go."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.models.text import load_tokenizer
from lora_scripts.serve.engine.weights import digest_of, load_weights
from lora_scripts.serve.store import AdapterStore
from tests.serve.conftest import SHAPES, STACKS, Rig, make_adapters, make_rig, stock_answer

ROOT = Path(__file__).resolve().parents[2]
REAL = {
    "smollm2-135m": ROOT / "models" / "smollm2-135m",  # `lora-scripts base get smollm2-135m`
    "lm_stories260k": ROOT.parent / "shared" / "data" / "lm_stories260k" / "hf",
}
BASES = ["random", *(name for name, folder in REAL.items() if (folder / "config.json").exists())]
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her dog. One "
    "day, she saw a big, red ball near the tree, and she wanted to bring it home and show it to her mother. "
)
SETS: list[Any] = [(), *[((name, 1.0),) for name in SHAPES], *STACKS]
COUNT = 12
SWAPPED = ("a0", "a2", "a7")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=BASES)
def base(request: pytest.FixtureRequest, llama: Path) -> Path:
    """A random one, and those real ones that are at hand."""
    return REAL.get(request.param, llama)


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its adapters; those under ``other`` have the same shapes and other weights."""
    made = make_adapters(base, tmp_path_factory.mktemp("real"), SHAPES)
    return make_adapters(base, made, {f"other/{name}": SHAPES[name] for name in SWAPPED}, seed=100)


@pytest.fixture(scope="module")
def real(base: Path, folder: Path) -> Iterator[Rig]:
    """The paged engine on it."""
    made = make_rig(base, folder, list(SHAPES), kv_cache_bytes=256 << 20)
    yield made
    made.engine.close()


@pytest.fixture(scope="module")
def prompt(base: Path) -> list[int]:
    """Several pages."""
    ids: list[int] = load_tokenizer(base)(STORY * 2)["input_ids"]
    return ids


@pytest.fixture(scope="module")
def answers(base: Path, folder: Path, prompt: list[int]) -> dict[Any, list[int]]:
    """What merged weights say; each set says something of its own."""
    found = {pairs: stock_answer(base, folder, pairs, prompt, COUNT) for pairs in SETS}
    assert len({tuple(a) for a in found.values()}) == len(SETS)
    return found


def test_all_pairs_are_kept_apart(real: Rig, prompt: list[int], answers: dict[Any, list[int]]) -> None:
    wrong = []
    for first in SETS:
        asked = list(itertools.chain.from_iterable((first, second) for second in SETS if second != first))
        ears = [real.ask(prompt, pairs, COUNT) for pairs in asked]
        wrong += [(first, p) for p, ear in zip(asked, ears, strict=True) if ear.tokens(300) != answers[p]]
    assert wrong == []


def test_the_same_while_adapters_are_loaded_unloaded_and_replaced(
    real: Rig, base: Path, folder: Path, prompt: list[int], answers: dict[Any, list[int]]
) -> None:
    swapped = {name: stock_answer(base, folder / "other", ((name, 1.0),), prompt, COUNT) for name in SWAPPED}
    assert all(swapped[name] != answers[((name, 1.0),)] for name in swapped)
    store = AdapterStore(lambda name, path: load_weights(name, path, real.model, largest_rank=64), device_bytes=1 << 30)
    for name in SHAPES:
        store.add(name, folder / name)
    stop, churned = threading.Event(), itertools.count()

    def churn() -> None:
        draw = random.Random(1)
        while not stop.is_set():
            name = draw.choice(list(swapped))
            store.add(name, draw.choice([folder, folder / "other"]) / name)  # replaced, perhaps by other weights
            store.add("guest", folder / "a1")
            store.remove("guest")
            next(churned)

    thread = threading.Thread(target=churn)
    thread.start()
    wrong = []
    try:
        draw = random.Random(0)
        for _ in range(12):
            asked = []
            for pairs in draw.choices(SETS, k=16):
                held = [store.fetch(name) for name, _ in pairs]
                real.adapters.update({entry.name: entry.loaded for entry in held})  # as it is now
                changed = any(e.loaded.digest != digest_of(folder / e.name) for e in held if e.name in swapped)
                asked.append((pairs, changed, held, real.ask(prompt, pairs, COUNT)))
            for pairs, changed, held, ear in asked:
                tokens = ear.tokens(300)
                if changed and len(pairs) == 1:
                    wrong += [] if tokens == swapped[pairs[0][0]] else [("replaced", pairs)]
                elif not changed:
                    wrong += [] if tokens == answers[pairs] else [("as it was", pairs)]
                for entry in held:
                    store.release(entry)
    finally:
        stop.set()
        thread.join()
    assert next(churned) > 20
    assert wrong == []
