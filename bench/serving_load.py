"""Mixed load on the real server: is any request hung, lost, or answered under another adapter? Is all memory back?

    python bench/serving_load.py                # 10 minutes
    python bench/serving_load.py --minutes 1 --disconnects 0.5 --clients 48

Clients ask under adapters, stacks and the base, whole and in streams; some leave in the middle, some send prompts that
are too long or ask for models that are not there. Meanwhile adapters are loaded, replaced and unloaded, corrupt ones
are offered. Greedy answers are compared with those of stock transformers on weights that peft merged. At the end
SIGTERM comes under load. The last line is JSON; exit code 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lora_scripts.adapters.files import load_adapter

ADMIN = "bench-admin"
PROMPTS = ("劳动合同的试用期最长可以约定多久？", "用人单位应当", "加班费怎么算？", "工伤认定的申请时限是" * 8)
STACK = (("a0", 0.7), ("a1", 0.5))
SHAPES: dict[str, dict[str, Any]] = {
    "a0": {"r": 4, "target_modules": ["q_proj", "v_proj"]},
    "a1": {"r": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]},
    "a2": {"r": 16, "target_modules": ["q_proj", "v_proj"]},
    "a3": {"r": 4, "target_modules": ["q_proj", "v_proj", "up_proj"], "use_dora": True},
}
TOKENS = 24
HUNG_SECONDS = 60.0
Pairs = tuple[tuple[str, float], ...]


@dataclass
class Tally:
    """How requests ended. ``lost`` and ``wrong`` hold what was seen."""

    answered: int = 0
    cut_by_us: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    offered_corrupt: int = 0
    changes: int = 0
    hung: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def make_adapters(base: Path, folder: Path) -> None:
    """Adapters with random weights, a folder each, and below ``corrupt`` some that must be refused."""
    for number, (name, shape) in enumerate(SHAPES.items()):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        adapted = get_peft_model(model, LoraConfig(lora_alpha=16, task_type="CAUSAL_LM", **shape))
        for module in adapted.modules():
            if isinstance(module, LoraLayer):
                torch.nn.init.normal_(module.lora_A["default"].weight, 0, 0.08)
                torch.nn.init.normal_(module.lora_B["default"].weight, 0, 0.08)
        adapted.save_pretrained(folder / name)
    for kind, spoil in CORRUPT.items():
        spoilt = folder / "corrupt" / kind
        shutil.copytree(folder / "a0", spoilt)
        spoil(spoilt / "adapter_model.safetensors")


def _not_finite(weights: Path) -> None:
    tensors = load_file(weights)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, weights)


def _cut(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:5000])


def _too_few(weights: Path) -> None:
    tensors = load_file(weights)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, weights)


CORRUPT: dict[str, Callable[[Path], None]] = {"nan": _not_finite, "cut": _cut, "few": _too_few, "none": Path.unlink}


def right_answers(base: Path, folder: Path, sets: Sequence[Pairs]) -> dict[tuple[Pairs, str], list[int]]:
    """Greedy tokens of stock transformers for every set of adapters and prompt."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = {}
    for pairs in sets:
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        for name, weight in pairs:
            model = load_adapter(model, folder / name, weight=weight)
        model = (model.merge_and_unload() if pairs else model).eval()
        for prompt in PROMPTS:
            ids = torch.tensor([tokenizer(prompt)["input_ids"]])
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS,
                    min_new_tokens=TOKENS, do_sample=False, pad_token_id=0,
                )  # fmt: skip
            found[pairs, prompt] = out[0, ids.shape[1] :].tolist()
    return found


class Load:
    """Clients and an admin against one server."""

    def __init__(
        self, url: str, base: str, answers: dict[tuple[Pairs, str], list[int]], decode: Callable[[list[int]], str]
    ) -> None:
        self.tally = Tally()
        self.ending = False
        self._base, self._answers, self._decode = base, answers, decode
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(base_url=url, timeout=None, limits=limits, trust_env=False)

    async def run(self, seconds: float, clients: int, disconnects: float) -> None:
        """Load for ``seconds``, then wait for what still runs."""
        until = time.monotonic() + seconds
        tasks = [self._client(until, disconnects, random.Random(i)) for i in range(clients)]
        await asyncio.gather(*tasks, self._admin(until, random.Random(-1)))

    async def burst(self, count: int, then: Callable[[], None]) -> None:
        """``count`` requests, and ``then`` in their middle."""
        tasks = [asyncio.ensure_future(self._one(random.Random(i), 0)) for i in range(count)]
        await asyncio.sleep(0.5)
        self.ending = True
        then()
        await asyncio.gather(*tasks)

    async def figures(self) -> dict[str, float]:
        """The server's own figures."""
        page = (await self._http.get("/metrics")).text
        rows = (row.rpartition(" ") for row in page.splitlines() if row.startswith("lora_"))
        return {name: float(value) for name, _, value in rows}

    async def _client(self, until: float, disconnects: float, chance: random.Random) -> None:
        while time.monotonic() < until:
            await self._one(chance, disconnects)

    async def _one(self, chance: random.Random, disconnects: float) -> None:
        kind = chance.random()
        if chance.random() < disconnects:
            await self._leave(chance)
        elif kind < 0.08:
            await self._refused(
                {"model": "a0", "prompt": "法律" * chance.choice((3_000, 100_000)), "max_tokens": 8}, 400
            )
        elif kind < 0.12:
            await self._refused({"model": "nobody", "prompt": "x"}, 404)
        elif kind < 0.22:
            await self._answered(chance, ("swap",), {"model": "swap"})
        elif kind < 0.30:
            await self._send({"model": "a1", "prompt": PROMPTS[0], "temperature": 1.2, "max_tokens": 40}, chance)
        else:
            pairs = chance.choice([pairs for pairs, _ in self._answers])
            await self._answered(chance, pairs, self._named(pairs))

    def _named(self, pairs: Pairs) -> dict[str, Any]:
        if len(pairs) > 1:
            return {"model": self._base, "adapters": [{"name": name, "weight": weight} for name, weight in pairs]}
        return {"model": pairs[0][0] if pairs else self._base}

    async def _answered(self, chance: random.Random, pairs: Any, named: dict[str, Any]) -> None:
        prompt = chance.choice(PROMPTS)
        said = await self._send(named | {"prompt": prompt, "temperature": 0, "max_tokens": TOKENS}, chance)
        possible = [(("a0", 1.0),), (("a2", 1.0),)] if pairs == ("swap",) else [pairs]
        if said is not None and not any(self._fits(said, self._answers[p, prompt]) for p in possible):
            self.tally.wrong.append(f"{named} {prompt[:12]}: {said[0]!r}")

    def _fits(self, said: tuple[str, int], right: list[int]) -> bool:
        """The text of so many of the right tokens; the server ends at a token that ends answers."""
        text, count = said
        return text in (self._decode(right[:count]), self._decode(right[: max(0, count - 1)]))

    async def _send(self, body: dict[str, Any], chance: random.Random) -> tuple[str, int] | None:
        """Text and count of tokens of an answer, whole or from a stream; None where there was none."""
        stream = chance.random() < 0.5
        asked = body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})
        try:
            async with asyncio.timeout(HUNG_SECONDS):
                answered = await self._http.post("/v1/completions", json=asked)
        except TimeoutError:
            self.tally.hung.append(str(asked)[:80])
        except httpx.TransportError as error:
            self._broken(error)
        else:
            return self._read(answered, stream)
        return None

    def _read(self, answered: httpx.Response, stream: bool) -> tuple[str, int] | None:
        if answered.status_code in (429, 503):
            self.tally.refused[answered.status_code] += 1
            return None
        if answered.status_code != 200:
            self.tally.lost.append(f"{answered.status_code} {answered.text[:120]}")
            return None
        if not stream:
            parts = [answered.json()]
        else:
            *events, done, _ = answered.text.split("\n\n") if answered.text.endswith("\n\n") else ["", "", ""]
            parts = [json.loads(event.removeprefix("data: ")) for event in events if event]
            if any("error" in part for part in parts):  # the server goes down and says so
                self.tally.refused[503] += 1
                return None
            if done != "data: [DONE]":
                self.tally.lost.append(f"a stream without an end: {answered.text[-80:]!r}")
                return None
        self.tally.answered += 1
        text = "".join(choice["text"] for part in parts for choice in part["choices"])
        return text, int(parts[-1]["usage"]["completion_tokens"])

    async def _refused(self, body: dict[str, Any], status: int) -> None:
        try:
            async with asyncio.timeout(HUNG_SECONDS):
                answered = await self._http.post("/v1/completions", json=body)
        except TimeoutError:
            self.tally.hung.append(str(body)[:80])
            return
        except httpx.TransportError as error:
            self._broken(error)
            return
        self.tally.refused[answered.status_code] += 1
        if answered.status_code not in (status, 429, 503):
            self.tally.wrong.append(f"{answered.status_code} where {status} was due: {answered.text[:80]}")

    async def _leave(self, chance: random.Random) -> None:
        """Ask for a long answer, and go before its end."""
        asked = {"model": chance.choice(("a0", "a1", self._base)), "prompt": chance.choice(PROMPTS), "max_tokens": 400}
        asked |= {"stream": chance.random() < 0.5, "logit_bias": {"0": -100}}
        task = asyncio.ensure_future(self._http.post("/v1/completions", json=asked))
        await asyncio.wait({task}, timeout=chance.random() * 1.5)
        if task.done() and task.exception() is None:
            status = task.result().status_code
            if status == 200:
                self.tally.answered += 1
            else:
                self.tally.refused[status] += 1
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.tally.cut_by_us += 1

    def _broken(self, error: httpx.TransportError) -> None:
        """A connection that is refused when the server has gone is no loss, nor is one that it had not looked at."""
        unseen = isinstance(error, httpx.ConnectError) or "without sending a response" in str(error)
        if self.ending and unseen:
            self.tally.refused[0] += 1
        else:
            self.tally.lost.append(repr(error))

    async def _admin(self, until: float, chance: random.Random) -> None:
        """Load, replace and unload; offer corrupt adapters, which must be refused."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        while time.monotonic() < until:
            name, path = chance.choice((("swap", "a0"), ("swap", "a2"), ("extra", "a1"), ("extra", "a3")))
            made = await self._http.post("/admin/adapters", json={"name": name, "path": path}, headers=headers)
            self.tally.changes += 1
            if made.status_code not in (201, 503):
                self.tally.wrong.append(f"load {path}: {made.status_code} {made.text[:80]}")
            bad = {"name": chance.choice(("swap", "bad")), "path": f"corrupt/{chance.choice(list(CORRUPT))}"}
            refused = await self._http.post("/admin/adapters", json=bad, headers=headers)
            self.tally.offered_corrupt += 1
            if not 400 <= refused.status_code < 500:
                self.tally.wrong.append(f"corrupt {bad['path']}: {refused.status_code} {refused.text[:80]}")
            if chance.random() < 0.3:
                await self._http.delete("/admin/adapters/extra", headers=headers)
                self.tally.changes += 1
            await asyncio.sleep(0.1 + 0.2 * chance.random())


def start(base: Path, root: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The real command, and its address."""
    config = folder / "serve.yaml"
    adapters = {name: str(root / name) for name in SHAPES} | {"swap": str(root / "a0")}
    values = {"base_model": str(base), "adapters": adapters, "adapter_root": str(root), "port": 0, "device": "cpu",
              "kv_cache_gib": 0.06, "adapter_memory_gib": 0.0022, "max_requests": 64}  # fmt: skip
    config.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    log = folder / "log"
    environment = os.environ | {"LORA_SCRIPTS_ADMIN_KEY": ADMIN, "LORA_SCRIPTS_LANG": "en"}
    command = [str(Path(sys.executable).with_name("lora-scripts")), "serve", str(config)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://[^/\s]+", log.read_text(encoding="utf-8")):
            return process, found[0]
        time.sleep(0.1)
    process.kill()
    raise SystemExit(log.read_text(encoding="utf-8"))


async def rest(load: Load, seconds: float = 30) -> dict[str, float]:
    """The figures once nothing runs, or those of the last look."""
    until = time.monotonic() + seconds
    while True:
        found = await load.figures()
        idle = not found["lora_open_answers"] and found["lora_engine_kv_cache_free_ratio"] == 1
        if idle or time.monotonic() > until:
            return found
        await asyncio.sleep(0.2)


async def measure(given: argparse.Namespace, process: subprocess.Popen[bytes], load: Load) -> dict[str, Any]:
    """All figures of one run."""
    memory = psutil.Process(process.pid)
    await load.run(min(5.0, 20 * given.minutes), given.clients, given.disconnects)  # warm
    before = memory.memory_info().rss
    await load.run(60 * given.minutes, given.clients, given.disconnects)
    figures = await rest(load)
    after = memory.memory_info().rss
    await load.burst(2 * given.clients, lambda: process.send_signal(signal.SIGTERM))
    code = await asyncio.to_thread(process.wait, 90)
    tally = load.tally
    return {
        "minutes": given.minutes, "clients": given.clients, "answered": tally.answered, "cut_by_us": tally.cut_by_us,
        "refused": {str(status): count for status, count in sorted(tally.refused.items())},
        "adapter_changes": tally.changes, "corrupt_offered": tally.offered_corrupt, "hung": len(tally.hung),
        "lost": len(tally.lost), "wrong": len(tally.wrong), "open_answers": figures["lora_open_answers"],
        "kv_free": figures["lora_engine_kv_cache_free_ratio"], "restarts": figures["lora_engine_restarts"],
        "rss_mb_before": before >> 20, "rss_mb_after": after >> 20, "exit_code": code,
    }  # fmt: skip


def broken(found: dict[str, Any]) -> list[str]:
    """Promises that were not kept."""
    kept = {
        "no request hangs": not found["hung"], "none is lost": not found["lost"], "none is wrong": not found["wrong"],
        "all answers are over": not found["open_answers"], "all pages are back": found["kv_free"] == 1,
        "the engine never stopped": not found["restarts"], "SIGTERM ends with 0": found["exit_code"] == 0,
        "requests were answered": found["answered"] > 0,
    }  # fmt: skip
    return [promise for promise, is_kept in kept.items() if not is_kept]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--disconnects", type=float, default=0.3, help="share of requests whose client leaves")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--base-model", type=Path, default=Path(__file__).parents[1] / "models" / "tiny-zh")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = given.base_model.resolve()
        root = folder / "adapters"
        root.mkdir()
        make_adapters(base, root)
        sets: list[Pairs] = [(), *(((a, 1.0),) for a in SHAPES), STACK]
        answers = right_answers(base, root, sets)
        tokenizer = AutoTokenizer.from_pretrained(base)
        process, url = start(base, root, folder)
        try:
            load = Load(url, base.name, answers, lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)))
            found = asyncio.run(measure(given, process, load))
        finally:
            process.kill()
        log = (folder / "log").read_text(encoding="utf-8")
    for row, value in found.items():
        print(f"{row:>16}  {value}")
    for what in ("hung", "lost", "wrong"):
        for line in getattr(load.tally, what)[:5]:
            print(f"{what}: {line}")
    faults = broken(found) + (["no bug is in the log"] if "Traceback" in log else [])
    for promise in faults:
        print(f"NOT KEPT: {promise}\n{log[-1500:] if 'log' in promise else ''}")
    print(json.dumps(found))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
