"""Training speed and memory: this package against peft + transformers' Trainer, on the same work.

    python bench/training_speed.py [--cases A,C] [--runs 3] [--steps N]

Case A is a random model of Qwen2's shape (12 layers, hidden 768, vocabulary 32k) on 200 rows of 60-250 tokens in the
proportions of Chinese questions and answers; its ids are drawn at random, since only their number matters to speed.
Case C is Gemma 3 270M on the 200 consultations of data/law_train, read and rendered by this package.

Each run of a side is a process of its own, the sides taking turns. Both load the same folder, train a LoRA of rank 16
on q and v in float32 with AdamW, and take the same batches of 4 rows in the same order; the peer pads a batch to its
longest row, labels -100 at prompt and padding. Both are watched by the same probe at the embedding: a step lasts from
the beginning of its forward pass to the beginning of the next one, so nothing of the loop is left out; the first steps
are not counted. Case A counts one epoch, so that its share of padding is the data's and not an accident of the order;
case C's rows are of like length. Tokens are real ones, padding never counts. The bench fails (exit 1) where the two
sides did not see the same ids, or where their first losses differ by more than 1e-4: it would compare different work.

The last line is JSON: {"A": {"speed_ratio": ours / peer, "rss_ratio": ours / peer}, "C": …}. A ratio is the median
over the runs of the ratio of two runs that followed each other; a run's speed is the median over its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# This process imports nothing heavy: a child's peak memory, as the system counts it, begins at its parent's.

ROOT = Path(__file__).resolve().parents[1]
GEMMA = ROOT / "models" / "gemma3-270m"
CASES = {
    "A": "a random model of Qwen2's shape, 12 layers, hidden 768, vocabulary 32k; 200 rows of 60-250 random ids",
    "C": "Gemma 3 270M; the 200 rows of data/law_train",
}
STEPS = {"A": 52, "C": 22}
RANK, ALPHA, BATCH, RATE, SEED = 16, 32, 4, 2e-4, 7
COMPARED_STEPS = 3
LOSS_TOLERANCE = 1e-4


def random_rows() -> list[tuple[list[int], int]]:
    """Case A's rows as (ids, length of the prompt): the same on every machine. Id 0 is kept for padding."""
    draw = random.Random(SEED)
    rows = []
    for _ in range(200):
        length = draw.randint(60, 250)
        rows.append(([draw.randrange(1, 32_000) for _ in range(length)], round(length * draw.uniform(0.3, 0.4))))
    return rows


def prepare(case: str, folder: Path) -> None:
    """Write what both sides start from into ``folder``: rows.json, and for case A the model."""
    if case == "A":
        import torch
        from transformers import Qwen2Config, Qwen2ForCausalLM

        torch.manual_seed(SEED)
        shape = Qwen2Config(
            vocab_size=32_000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
        Qwen2ForCausalLM(shape).save_pretrained(folder)
        base, pad_id = folder, 0
        rows = [(ids, [i >= prompt for i in range(len(ids))]) for ids, prompt in random_rows()]
    else:
        from lora_scripts.data.reading.formats import read_records
        from lora_scripts.data.render import render_records
        from lora_scripts.models.text import load_tokenizer

        tokenizer = load_tokenizer(GEMMA)
        base, pad_id = GEMMA, int(tokenizer.pad_token_id)
        records = read_records(ROOT / "data" / "law_train").records
        rows = [(d.input_ids, d.loss_mask) for d in render_records(records, tokenizer).documents]
    (folder / "rows.json").write_text(json.dumps({"base": str(base), "pad_id": pad_id, "rows": rows}))


class Probe:
    """Notes when each forward pass begins and which ids the first ones see, padding left out."""

    def __init__(self, embedding: torch.nn.Module, pad_id: int) -> None:
        self.began: list[float] = []
        self.ids: list[list[int]] = []
        self._pad_id = pad_id
        embedding.register_forward_pre_hook(self._note)

    def _note(self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if len(self.ids) < COMPARED_STEPS:
            self.ids.append([i for i in arguments[0].flatten().tolist() if i != self._pad_id])
        self.began.append(time.perf_counter())


def train_ours(given: dict[str, Any], steps: int) -> tuple[Probe, list[float], list[int]]:
    """Train with this package, by the calls that `lora-scripts train` makes."""
    from types import SimpleNamespace
    from typing import cast

    import torch

    from lora_scripts.adapters.inject import trainable
    from lora_scripts.assemble.text.parts import Inputs, build
    from lora_scripts.assemble.text.records import Rendered
    from lora_scripts.assemble.text.survey import Rows
    from lora_scripts.config import Config
    from lora_scripts.data.ledger import Ledger
    from lora_scripts.training.loop import fit
    from lora_scripts.training.optim import make_optimizer
    from lora_scripts.training.state import RunState

    config = settings(Config, given, steps)
    inputs = Inputs(
        base=Path(given["base"]),
        tokenizer=cast(Any, SimpleNamespace(pad_token_id=given["pad_id"])),  # build asks it for nothing else
        rows=Rows(lambda: iter(()), Ledger(), ""),
        rendered=Rendered(documents(given), [], [], cast(Any, None), []),
        device="cpu",
        weights=torch.float32,
        autocast=None,
        fingerprints={},
        identities={},
        replaced=[],
        notes=[],
    )
    parts = build(config, inputs)
    probe = Probe(parts.base.get_input_embeddings(), given["pad_id"])
    losses: list[float] = []
    log = SimpleNamespace(step=lambda state, *, loss, **_more: losses.append(loss))
    parameters = trainable(parts.model)
    optimizer = make_optimizer(parameters, weight_decay=0.0)
    plan = parts.plan
    fit(parts.task, plan, RunState(), optimizer, parameters, log=log, save=lambda _state: None, evaluate=None)
    return probe, losses, [sum(parts.task.tokens(m) for m in plan.micro_batches(step)) for step in range(steps)]


def settings(config: Callable[..., Any], given: dict[str, Any], steps: int) -> Any:
    """The config of our side."""
    return config(
        train_data_dir="-",
        base_model=given["base"],
        output_dir="-",
        lora_rank=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,
        learning_rate=RATE,
        lr_schedule="constant",
        warmup_ratio=0.0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        batch_size=BATCH,
        max_steps=steps,
        seed=SEED,
        device="cpu",
        precision="fp32",
    )


def documents(given: dict[str, Any]) -> list[Any]:
    """The rows as documents of this package."""
    from lora_scripts.data.render import Document

    return [Document(ids, mask) for ids, mask in given["rows"]]


def batches(given: dict[str, Any], steps: int) -> list[list[int]]:
    """Which rows our plan takes in each step."""
    from lora_scripts.data.layout import micro_batches, step_records

    lengths = [len(ids) for ids, _ in given["rows"]]
    return [
        [i for m in micro_batches(step_records(len(lengths), BATCH, SEED, step), lengths, BATCH) for i in m]
        for step in range(steps)
    ]


def train_peer(given: dict[str, Any], steps: int) -> tuple[Probe, list[float], list[int]]:
    """Train with peft and transformers' Trainer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

    order = batches(given, steps)
    rows = [{"ids": ids, "mask": mask} for step in order for ids, mask in (given["rows"][i] for i in step)]
    set_seed(SEED)
    base = AutoModelForCausalLM.from_pretrained(given["base"], dtype=torch.float32)
    set_seed(SEED)
    lora = LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(base, lora)
    probe = Probe(base.get_input_embeddings(), given["pad_id"])
    losses: list[torch.Tensor] = []
    model.register_forward_hook(lambda _module, _arguments, output: losses.append(output.loss.detach()))

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["ids"]) for row in batch)
        input_ids = torch.full((len(batch), longest), given["pad_id"])
        attention_mask, labels = torch.zeros_like(input_ids), torch.full_like(input_ids, -100)
        for i, row in enumerate(batch):
            ids, mask = torch.tensor(row["ids"]), torch.tensor(row["mask"])
            input_ids[i, : len(ids)], attention_mask[i, : len(ids)] = ids, 1
            labels[i, : len(ids)] = torch.where(mask, ids, -100)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            use_cpu=True,
            seed=SEED,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()
    return probe, [float(loss) for loss in losses], [sum(len(given["rows"][i][0]) for i in step) for step in order]


def run_side(side: str, folder: Path, steps: int, warm_up: int) -> None:
    """One run of one side, in this process; its result goes to ``folder/result.json``.

    One step more than ``steps`` is taken: its beginning is the end of the last counted one.
    """
    given = json.loads((folder / "rows.json").read_text())
    train = train_ours if side == "ours" else train_peer
    probe, losses, tokens = train(given, steps + 1)
    seconds = [after - before for before, after in zip(probe.began, probe.began[1:], strict=False)]
    if len(seconds) != steps:
        raise SystemExit(f"{side}: {len(probe.began)} forward passes in {steps + 1} steps; the probe counts one a step")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "speed": median(n / s for n, s in list(zip(tokens, seconds, strict=False))[warm_up:]),
        "speed_whole": sum(tokens[warm_up:steps]) / sum(seconds[warm_up:]),
        "rss_mb": peak / (2**20 if sys.platform == "darwin" else 2**10),
        "losses": losses,
        "ids": probe.ids,
    }
    (folder / "result.json").write_text(json.dumps(result))


def child(*words: str) -> None:
    """This script in a process of its own; where it fails, its last words and exit 1."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"failed: {' '.join(words)}\n{done.stderr[-3000:]}")


def measure(case: str, runs: int, steps: int, warm_up: int) -> dict[str, float]:
    """Both sides in turn, ``runs`` times; prints the table of the case and returns its ratios."""
    print(f"\nCase {case}: {CASES[case]}\n{'run':>3}  {'side':<4}  {'tokens/s':>8}  {'overall':>8}  {'peak MB':>7}")
    results: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("--prepare", case, "--folder", name)
        for run in range(runs):
            for side, done in results.items():
                child("--side", side, "--folder", name, "--steps", str(steps), "--warm-up", str(warm_up))
                result = json.loads((folder / "result.json").read_text())
                done.append(result)
                numbers = f"{result['speed']:8.1f}  {result['speed_whole']:8.1f}  {result['rss_mb']:7.0f}"
                print(f"{run + 1:>3}  {side}  {numbers}", flush=True)
    ours, peer = results["ours"], results["peer"]
    check_same_work(ours[0], peer[0])
    pairs = list(zip(ours, peer, strict=True))
    return {
        "speed_ratio": round(median(a["speed"] / b["speed"] for a, b in pairs), 3),
        "rss_ratio": round(median(a["rss_mb"] / b["rss_mb"] for a, b in pairs), 3),
    }


def check_same_work(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Stop where the two sides did not do the same."""
    if ours["ids"] != peer["ids"]:
        sys.exit("the two sides did not see the same ids: they did different work")
    first, last = [(ours["losses"][i], peer["losses"][i]) for i in (0, -1)]
    apart, apart_at_end = [abs(a - b) / b for a, b in (first, last)]
    print(f"ids of the first {len(ours['ids'])} steps equal; losses apart by {apart:.1e} at the first step "
          f"({first[0]:.6f}, {first[1]:.6f}), {apart_at_end:.1e} at the last")  # fmt: skip
    if not apart <= LOSS_TOLERANCE:
        sys.exit(f"the first losses differ by more than {LOSS_TOLERANCE:g}: the two sides did different work")


def machine() -> str:
    """Processor, cores that this process may use, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    busy = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{names[0] if names else platform.processor()}, {cores} cores{busy}; {versions}"


def main() -> None:
    """Measure the cases that were asked for, or be one of the processes that do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", default="A,C", help="comma-separated: A, C (default both)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--steps", type=int, help=f"steps of a run, warm-up included (default {STEPS})")
    parser.add_argument("--warm-up", type=int, default=2, help="first steps that are not counted (default 2)")
    for inner in ("--prepare", "--side", "--folder"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.prepare:
        prepare(asked.prepare, Path(asked.folder))
        return
    if asked.side:
        run_side(asked.side, Path(asked.folder), asked.steps, asked.warm_up)
        return
    cases = asked.cases.upper().split(",")
    if unknown := [case for case in cases if case not in CASES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    steps = {case: asked.steps or STEPS[case] for case in cases}
    if asked.runs < 1 or not min(steps.values()) > asked.warm_up >= 0:
        parser.error("at least one run, and more steps than the warm-up")
    print(machine())
    ratios = {}
    for case in cases:
        if case == "C" and not (GEMMA / "config.json").exists():
            print("\nCase C is left out: no models/gemma3-270m here; `lora-scripts base get gemma3-270m` fetches it")
            continue
        ratios[case] = measure(case, asked.runs, steps[case], asked.warm_up)
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
