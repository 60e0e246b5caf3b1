"""The embedded base with adapters as peft writes them, and what their merged weights answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from greedy import sure_tokens
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, PreTrainedModel

from lora_scripts.adapters.files import load_adapter
from lora_scripts.models.text import load_model, load_tokenizer
from lora_scripts.serve.engine.paged import PagedEngine
from lora_scripts.serve.engine.segments import Layout, attach
from lora_scripts.serve.engine.weights import LoadedAdapter, load_weights
from lora_scripts.serve.generation import Event, Generation, Sampling

BASE = Path(__file__).resolve().parents[2] / "models" / "tiny-zh"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPES: dict[str, dict[str, Any]] = {
    "a0": {"r": 4, "target_modules": ["q_proj", "v_proj"]},
    "a1": {"r": 8, "target_modules": ALL},
    "a2": {"r": 16, "target_modules": ["q_proj", "v_proj"]},
    "a3": {"r": 2, "target_modules": ["gate_proj", "down_proj"]},
    "a4": {"r": 4, "target_modules": ALL, "rank_pattern": {"q_proj": 9}, "alpha_pattern": {"q_proj": 3}},
    "a5": {"r": 8, "target_modules": ["q_proj", "o_proj"], "use_rslora": True},
    "a6": {"r": 4, "target_modules": ["q_proj", "v_proj", "up_proj"], "use_dora": True},
    "a7": {"r": 1, "target_modules": ["v_proj"]},
}
STACKS: list[tuple[tuple[str, float], ...]] = [
    (("a0", 0.7), ("a1", 0.5)),
    (("a2", 1.0), ("a3", -0.5)),
    (("a6", 1.0), ("a5", 0.6)),
    (("a1", 0.3), ("a4", 0.3), ("a7", 2.0)),
]
Pairs = Sequence[tuple[str, float]]


def make_adapters(base: Path, folder: Path, shapes: dict[str, dict[str, Any]], seed: int = 0) -> Path:
    """Adapters with random weights that change what the base says, each a folder of its own."""
    for number, (name, shape) in enumerate(shapes.items(), seed):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        adapted = get_peft_model(model, LoraConfig(lora_alpha=16, task_type="CAUSAL_LM", **shape))
        for module in adapted.modules():
            if isinstance(module, LoraLayer):
                torch.nn.init.normal_(module.lora_A["default"].weight, 0, 0.08)
                torch.nn.init.normal_(module.lora_B["default"].weight, 0, 0.08)
        adapted.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def adapters_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight adapters of all kinds."""
    return make_adapters(BASE, tmp_path_factory.mktemp("adapters"), SHAPES)


@pytest.fixture(scope="session")
def merged(adapters_dir: Path) -> Callable[..., list[int]]:
    """Greedy tokens of stock transformers with the adapters merged by stock peft, remembered."""
    known: dict[Any, list[int]] = {}

    def answer(pairs: Pairs, prompt: Sequence[int], count: int) -> list[int]:
        key = (tuple(pairs), tuple(prompt), count)
        if key not in known:
            known[key] = stock_answer(BASE, adapters_dir, pairs, prompt, count)
        return known[key]

    return answer


def stock_answer(base: Path, adapters: Path, pairs: Pairs, prompt: Sequence[int], count: int) -> list[int]:
    """What stock transformers says with these adapters."""
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for name, weight in pairs:
        model = load_adapter(model, adapters / name, weight=weight)
    if pairs:
        model = model.merge_and_unload()
    return sure_tokens(model, list(prompt), count, min_new_tokens=count, pad_token_id=0)


@dataclass
class Ear:
    """Hears one answer."""

    events: list[Event] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.reason:
            self.ended.set()

    def tokens(self, seconds: float = 60) -> list[int]:
        """Its tokens, once it has ended."""
        assert self.ended.wait(seconds), "no end"
        return [event.token for event in self.events if event.token is not None]


@dataclass
class Rig:
    """A model with segments attached, an engine, and its adapters."""

    model: PreTrainedModel
    layout: Layout
    engine: Any
    adapters: dict[str, LoadedAdapter]
    count: int = 0

    def ask(self, prompt: Sequence[int], pairs: Pairs = (), count: int = 16, **more: Any) -> Ear:
        """Begin an answer."""
        ear = Ear()
        self.count += 1
        self.engine.submit(
            Generation(
                id=more.pop("id", f"r{self.count}"),
                prompt_ids=list(prompt),
                max_new_tokens=count,
                stop_ids=more.pop("stop_ids", frozenset()),
                sampling=more.pop("sampling", Sampling()),
                listen=ear,
                adapters=tuple((self.adapters[name], weight) for name, weight in pairs),
                grammar=more.pop("grammar", None),
            )
        )
        return ear


def make_rig(base: Path, adapters: Path, names: Sequence[str], **settings: Any) -> Rig:
    """A paged engine on ``base``."""
    model = load_model(base, dtype=torch.float32, device="cpu")
    layout = attach(model)
    engine = PagedEngine(model, layout, kv_cache_bytes=settings.pop("kv_cache_bytes", 32 << 20), **settings)
    return Rig(model, layout, engine, {n: load_weights(n, adapters / n, model, largest_rank=64) for n in names})


@pytest.fixture(scope="module")
def rig(adapters_dir: Path) -> Iterator[Rig]:
    """The paged engine on the embedded base."""
    made = make_rig(BASE, adapters_dir, list(SHAPES))
    yield made
    made.engine.close()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded base's tokenizer."""
    return load_tokenizer(BASE)
