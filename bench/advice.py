"""What rank, layers, rate and number of rows do on small sets: the runs behind docs/advice.md and the hints of `check`.

    python bench/advice.py [--list] [--only WORD …] [--share 1/2] [--table]

Each run trains with `assemble.trial` at a constant rate until the validation loss was not better at two evaluations
(one an epoch) or the cap of epochs is reached, and adds one JSON line to bench/advice.jsonl; a run that has a line is
skipped, so the command may be stopped and started at will. `--share 1/2` takes every second run: two processes of one
thread each (OMP_NUM_THREADS=1) are faster on two cores than one of two. `--only` takes runs with all of these words in
their name, `--table` prints the lines as Markdown.

Runs differ from the first run of their base and set in one or two settings. Smaller sets are the beginning of larger
ones: the rows in one shuffled order. Alpha is twice the rank. A line holds the losses of all evaluations and, of the
best adapter and of the last one, ten answers to held-out questions: how many open in the house form, and how many copy
a training answer (a run of 20 characters, in English 10 words, that fewer than 3 training answers share). Forgetting
is the loss on bench/general_zh.txt or general_en.txt, which has nothing to do with the sets, before and after.

Sets: data/law_train and data/support_train of this checkout; `--finance FILE` (default ../shared/data/zh_finance/
consulting_part.json, of github.com/FudanDISC/DISC-FinLLM, Apache-2.0) is not shipped, its runs are left out with a
line that says so. Bases: models/tiny-zh; `lora-scripts base get gemma3-270m` and `smollm2-135m` for the others.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINES = ROOT / "bench" / "advice.jsonl"
FINANCE = ROOT.parent / "shared" / "data" / "zh_finance" / "consulting_part.json"
ASKED, ANSWER_TOKENS = 10, 80
PATIENCE = 2
QV = "q,v"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: what differs from run to run."""

    base: str
    data: str
    rows: int
    rank: int = 8
    targets: str = QV
    rate: float = 1e-3
    seed: int = 42
    dropout: float = 0.0
    epochs: int = 12

    @property
    def name(self) -> str:
        """Unique among the runs; the cap of epochs is no part of it."""
        return (
            f"{self.base} {self.data} rows={self.rows} rank={self.rank} targets={self.targets} rate={self.rate:g}"
            f" dropout={self.dropout:g} seed={self.seed}"
        )


def runs() -> list[Run]:
    """All runs, the most telling first."""
    gemma = Run("gemma3-270m", "law", 50)
    many = replace(gemma, rows=200, epochs=6)
    finance = replace(gemma, data="finance")
    smollm = Run("smollm2-135m", "support", 50)
    tiny = Run("tiny-zh", "law", 200, targets="all-linear", rate=1.5e-3, epochs=30)
    first = [
        gemma,
        replace(gemma, rank=2),
        replace(gemma, rank=32),
        many,
        replace(gemma, targets="all-linear"),
        replace(gemma, rate=2e-4),
        smollm,
        replace(gemma, seed=1),
        tiny,
        replace(tiny, rows=50),
        replace(many, rank=32),
        replace(many, rank=2),
        replace(smollm, rank=32),
        replace(smollm, rank=2),
        replace(smollm, rate=2e-4),
        replace(smollm, targets="all-linear"),
        replace(gemma, rows=100, epochs=8),
        finance,
    ]
    second = [
        replace(gemma, targets="mlp"),
        replace(gemma, targets="attention"),
        replace(gemma, seed=2),
        *(replace(tiny, rank=rank) for rank in (2, 32)),
        *(replace(tiny, targets=targets) for targets in (QV, "attention", "mlp")),
        replace(tiny, targets=QV, rate=5e-3),
        replace(tiny, rate=5e-3),
        replace(tiny, rows=100),
        replace(tiny, seed=1),
        replace(gemma, rank=4),
        replace(gemma, rank=16),
        replace(gemma, dropout=0.1),
        replace(smollm, seed=1),
        replace(smollm, targets="mlp"),
        replace(finance, targets="all-linear"),
        replace(finance, rank=32),
        replace(many, targets="all-linear"),
        replace(many, rate=2e-4, epochs=8),
    ]
    return [*first, *second]


def config_of(run: Run, finance: Path) -> Any:
    """The project's own recipe for this base, with the settings of the run."""
    from lora_scripts.config import load_config

    recipe = {
        "gemma3-270m": "law_qa_gemma3_270m.yaml",
        "smollm2-135m": "support_smollm2_135m.yaml",
        "tiny-zh": "law_qa.yaml",
    }[run.base]
    given: dict[str, object] = {
        "lora_rank": run.rank,
        "lora_alpha": 2 * run.rank,
        "lora_dropout": run.dropout,
        "target_modules": "" if run.targets == QV else run.targets,
        "learning_rate": run.rate,
        "lr_schedule": "constant",
        "epochs": run.epochs,
        "early_stopping_patience": PATIENCE,
        "eval_steps": "",
        "seed": run.seed,
    }
    if run.data == "finance":
        given |= {
            "train_data_dir": finance,
            "eval_data": "",
            "eval_ratio": 0.15,
            "answer_rules": "",
            "too_long": "drop",
        }
    return load_config(ROOT / "configs" / recipe, [f"{key}={value}" for key, value in given.items()]).config


def nested(documents: Sequence[Any], rows: int) -> list[Any]:
    """The first ``rows`` of the documents in one shuffled order, the same for every run."""
    order = list(documents)
    random.Random(0).shuffle(order)
    if rows > len(order):
        raise SystemExit(f"the set has {len(order)} rows, {rows} are asked for")
    return order[:rows]


class Group:
    """What runs on one base and one set share: the rendered rows, and what the base says before any training."""

    def __init__(self, run: Run, finance: Path) -> None:
        from lora_scripts.assemble.text.parts import gather
        from lora_scripts.assemble.text.records import prompt_of
        from lora_scripts.data.render import Document

        config = config_of(run, finance)
        self.inputs = gather(config)
        self.rules = config.answer_rules
        tokenizer = self.inputs.tokenizer
        self.answers = {record.source: record.answer for record, _ in self.inputs.rows.sided()}
        questions = list(self.inputs.rendered.questions)
        random.Random(0).shuffle(questions)
        self.questions = [record.question for record in questions[:ASKED]]
        self.prompts = [prompt_of(record, tokenizer, config.system_prompt) for record in questions[:ASKED]]
        text = (ROOT / "bench" / ("general_en.txt" if run.data == "support" else "general_zh.txt")).read_text("utf-8")
        ids = [tokenizer(part).input_ids for part in text.split("\n\n")]
        self.general = [Document(list(one), [False] + [True] * (len(one) - 1)) for one in ids]
        self.before: dict[str, Any] = {}

    def general_loss(self, parts: Any) -> float:
        """Nats a token on the general text."""
        from lora_scripts.training.tasks import mean_loss

        return mean_loss(parts.task, self.general, 2)

    def judged(self, name: str, parts: Any, trained: Sequence[str]) -> dict[str, Any]:
        """General loss, answers and what they are like, under keys that end in ``name``."""
        from lora_scripts.evaluate.answers import answer
        from lora_scripts.evaluate.copying import copied_shares, training_text

        answers = answer(
            parts.base,
            self.inputs.tokenizer,
            self.prompts,
            attention=parts.attention,
            stop_ids=self.inputs.rendered.form.stop_ids,
            max_new_tokens=ANSWER_TOKENS,
        )
        shares = copied_shares(answers, training_text(trained), self.questions)
        opening = (self.rules or {}).get("opening")
        return {
            f"general_{name}": round(self.general_loss(parts), 4),
            f"house_form_{name}": sum(bool(re.match(opening, one)) for one in answers) if opening else None,
            f"copied_{name}": sum(share > 0 for share in shares),
            f"answers_{name}": answers,
        }


def carried_out(run: Run, group: Group, finance: Path) -> dict[str, Any]:
    """Train and measure: one line."""
    import torch

    from lora_scripts.adapters.rank import effective_ranks
    from lora_scripts.assemble.text.trial import take_best, trial

    config = config_of(run, finance)
    training = nested(group.inputs.rendered.training, run.rows)
    trained = [group.answers[document.source] for document in training]
    began, cpu_began = time.perf_counter(), time.process_time()
    done = trial(config, group.inputs, training=training)
    cpu_seconds = time.process_time() - cpu_began
    parts = done.parts
    if not group.before:
        with parts.model.disable_adapter():
            group.before = group.judged("base", parts, list(group.answers.values()))
    last = group.judged("last", parts, trained)
    ended = done.losses[-1]
    best = next(seen for seen in done.losses if seen.step == done.best_step)
    take_best(done)
    known = {"r": config.lora_rank, "lora_alpha": config.lora_alpha}
    ranks = effective_ranks(done.tensors, known).values()
    line = {
        "run": run.name,
        **asdict(run),
        "alpha": config.lora_alpha,
        "trained_values": parts.plan.trainable_parameters,
        "validation_rows": parts.plan.validation_records,
        "epochs_to_best": round(best.epoch, 2),
        "epochs_run": round(ended.epoch, 2),
        "ended_by": "rise" if done.steps < parts.plan.steps else "cap",
        "loss_base": done.first_loss,
        "loss_best": done.best_loss,
        "loss_last": ended.loss,
        "train_loss_best": best.train_loss,
        "train_loss_last": ended.train_loss,
        "effective_rank": round(statistics.mean(seen.effective for seen in ranks), 2),
        "rank_holding_99": round(statistics.mean(seen.holding for seen in ranks), 2),
        "norm": round(statistics.mean(seen.norm for seen in ranks), 3),
        "asked": len(group.prompts),
        **group.before,
        **group.judged("best", parts, trained),
        **last,
        "loss_shrunk": shrunk_losses(done, known, group.inputs.rendered.validation),
        "losses": [[seen.step, round(seen.epoch, 2), seen.train_loss, seen.loss] for seen in done.losses],
        "cpu_seconds": round(cpu_seconds, 1),
        "cpu_seconds_to_best": round(cpu_seconds * done.best_step / done.steps, 1),
        "seconds": round(done.seconds, 1),
        "seconds_in_all": round(time.perf_counter() - began, 1),
        "tokens_per_second": round(done.tokens_per_second, 1),
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }
    done.parts = None  # type: ignore[assignment]  # room for the next one
    return line


def shrunk_losses(done: Any, known: dict[str, float], validation: Sequence[Any]) -> dict[str, float]:
    """Validation loss of the best adapter cut down to ranks 2, 4 and 8, where it has at least twice as many."""
    from torch.nn.functional import pad

    from lora_scripts.adapters.files import restore_adapter
    from lora_scripts.adapters.rank import shrink

    found = {}
    for rank in (2, 4, 8):
        if known["r"] >= 2 * rank:
            missing = int(known["r"]) - rank  # the model has room for the old rank, and `shrink` keeps the scaling
            small = shrink(done.tensors, known, rank=rank).tensors
            sides = {name: (0, 0, 0, missing) if ".lora_A." in name else (0, missing) for name in small}
            restore_adapter(done.parts.model, {name: pad(value, sides[name]) for name, value in small.items()})
            total, count = done.parts.task.evaluate(validation, 4)
            found[str(rank)] = round(total / count, 4)
    return found


@cache
def machine() -> str:
    """Where the runs were made."""
    libraries = " ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {libraries}"


def finished() -> list[dict[str, Any]]:
    """The lines that are there."""
    if not LINES.exists():
        return []
    return [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()]


def missing(run: Run, finance: Path) -> str:
    """What a run lacks on this machine, in words; empty where it lacks nothing."""
    if not (ROOT / "models" / run.base / "config.json").exists():
        return f"models/{run.base} (lora-scripts base get {run.base})"
    return f"{finance} (--finance FILE)" if run.data == "finance" and not finance.exists() else ""


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The lines as a Markdown table, in the order of ``runs``."""
    order = {run.name: i for i, run in enumerate(sorted(runs(), key=lambda r: (r.base, r.data)))}
    head = (
        "base, set", "rows", "rank", "layers", "rate", "other", "epochs to best", "loss: base → best → last",
        "training loss at best", "form", "copies: best, last", "effective rank", "general text",
        "cut to rank", "CPU s to best",
    )  # fmt: skip
    rows = [head, ("---",) * len(head)]
    for line in sorted(lines, key=lambda one: order.get(one["run"], len(order))):
        other = [f"dropout {line['dropout']:g}"] if line["dropout"] else []
        other += [f"seed {line['seed']}"] if line["seed"] != 42 else []
        form, asked, cap = line["house_form_best"], line["asked"], " (cap)" if line["ended_by"] == "cap" else ""
        row = (
            f"{line['base']}, {line['data']}", str(line["rows"]), str(line["rank"]), line["targets"],
            f"{line['rate']:g}", ", ".join(other), f"{line['epochs_to_best']:g}{cap}",
            f"{line['loss_base']:.3f} → {line['loss_best']:.3f} → {line['loss_last']:.3f}",
            f"{line['train_loss_best']:.2f}", "" if form is None else f"{form}/{asked}",
            f"{line['copied_best']}/{asked}, {line['copied_last']}/{asked}", f"{line['effective_rank']:.1f}",
            f"{line['general_base']:.3f} → {line['general_best']:.3f}",
            ", ".join(f"{rank}: {loss:.3f}" for rank, loss in line["loss_shrunk"].items()),
            f"{line['cpu_seconds_to_best']:.0f}",
        )  # fmt: skip
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Carry out what has no line yet."""
    words = argparse.ArgumentParser(description="the runs behind docs/advice.md")
    words.add_argument("--list", action="store_true", help="print the runs and whether they are done")
    words.add_argument("--table", action="store_true", help="print the lines as a Markdown table")
    words.add_argument("--only", nargs="*", default=[], metavar="WORD", help="runs with all these words in their name")
    words.add_argument("--share", default="1/1", metavar="K/N", help="every Nth run, from the Kth")
    words.add_argument("--finance", type=Path, default=FINANCE, help="the finance set")
    given = words.parse_args()
    finance = given.finance.resolve()
    part, of = map(int, given.share.split("/"))
    chosen = [run for run in runs() if all(word in run.name.split() for word in given.only)][part - 1 :: of]
    have = {line["run"] for line in finished()}
    if given.list:
        print("\n".join(f"{'done' if run.name in have else '    '} {run.name}" for run in chosen))
        return
    if given.table:
        names = {run.name for run in chosen}
        print(table([line for line in finished() if line["run"] in names]))
        return
    os.chdir(ROOT)  # the recipes name their files from the checkout
    carry_out([run for run in chosen if run.name not in have], finance)


def carry_out(chosen: Sequence[Run], finance: Path) -> None:
    """These runs, one after the other, each with its line at its end."""
    groups: dict[tuple[str, str], Group] = {}
    for number, run in enumerate(chosen, 1):
        if run.name in {line["run"] for line in finished()}:
            continue  # another process has made it since
        lacking = missing(run, finance)
        if lacking:
            print(f"{number}/{len(chosen)} {run.name}: left out, it needs {lacking}", file=sys.stderr, flush=True)
            continue
        if (key := (run.base, run.data)) not in groups:
            groups[key] = Group(run, finance)
        line = carried_out(run, groups[key], finance)
        with LINES.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        gc.collect()
        print(
            f"{number}/{len(chosen)} {run.name}: {line['loss_base']:.3f} → {line['loss_best']:.3f} at epoch"
            f" {line['epochs_to_best']:g}, {line['seconds_in_all']:.0f} s",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    main()
