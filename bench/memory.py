"""Predicted against measured memory of training runs on a CPU.

    python bench/memory.py [--cases tiny,smollm2,gemma3] [--steps 3] [--quick]

Each run is a process of its own that trains on the first rows of data/law_train, by the calls that `lora-scripts
train` makes, and proves its adapter. Measured is the peak of the resident memory above what the process held when the
base began to load; predicted is what the run's plan.json says. `long` joins five answers to one. The last columns leave
the weights out, which are easy to predict. Steps are few: resident memory still grows by a few percent in the next
twenty. Needs Linux. Resident memory does not depend on what else the machine does, so it need not be quiet.

The last line is JSON: {"worst": largest |predicted / measured - 1|, "worst_above_weights": …, "runs": […]}.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASES = {"tiny": "models/tiny-zh", "smollm2": "models/smollm2-135m", "gemma3": "models/gemma3-270m"}
KEYS: list[dict[str, Any]] = [
    {"batch_size": 1},
    {"batch_size": 4},
    {"batch_size": 16},
    {"batch_size": 4, "target_modules": "all-linear"},
    {"batch_size": 4, "lora_dropout": 0},
    {"batch_size": 4, "gradient_checkpointing": True},
    {"batch_size": 16, "gradient_checkpointing": True},
    {"batch_size": 4, "long": True},
    {"batch_size": 4, "long": True, "gradient_checkpointing": True, "target_modules": "all-linear"},
]
QUICK = (1, 3, 5)
HELD_OUT = 4


def write_rows(folder: Path, *, long: bool) -> None:
    """Training rows into ``folder``/rows, held-out ones into ``folder``/held_out."""
    whole = (ROOT / "data" / "law_train" / "train.txt").read_text(encoding="utf-8").strip().split("\n\n")
    pairs = [row.split("\n", 1) for row in whole]
    if long:
        said = [answer.partition("：")[2] for _, answer in pairs]
        pairs = [[q, a + "".join(said[i + 1 : i + 5])] for i, (q, a) in enumerate(pairs) if i % 3 == 0]
    rows = ["\n".join(pair) + "\n" for pair in pairs[: 48 + HELD_OUT]]
    for name, part in (("rows", rows[HELD_OUT:]), ("held_out", rows[:HELD_OUT])):
        (folder / name).mkdir()
        (folder / name / "rows.txt").write_text("\n".join(part), encoding="utf-8")


class Silent(io.StringIO):
    """A terminal that nobody looks at."""

    def write(self, words: str) -> int:
        """Forget it."""
        return len(words)


def resident(field: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def run_child(keys: dict[str, Any], base: str, steps: int) -> dict[str, Any]:
    """One run in this process."""
    from rich.console import Console
    from transformers import AutoModelForCausalLM

    from lora_scripts.assemble.run import train_run
    from lora_scripts.config import load_config

    started: list[int] = []
    load = AutoModelForCausalLM.from_pretrained

    def noted(*arguments: Any, **named: Any) -> Any:
        if not started:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
            started.append(resident("VmRSS"))
        return load(*arguments, **named)

    AutoModelForCausalLM.from_pretrained = noted
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, long=bool(keys.pop("long", False)))
        config = {
            "train_data_dir": str(folder / "rows"),
            "eval_data": str(folder / "held_out"),
            "base_model": str(ROOT / base),
            "output_dir": str(folder / "run"),
            "device": "cpu",
            "max_steps": steps,
            "max_seq_length": 2048,
            "gradient_checkpointing": False,
            "sample_questions": ["请问试用期最长多久？"],
            **keys,
        }
        (folder / "config.yaml").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
        train_run(load_config(folder / "config.yaml"), Console(file=Silent()))
        plan = json.loads((folder / "run" / "plan.json").read_text(encoding="utf-8"))
    return {
        "measured": resident("VmHWM") - started[0],
        "predicted": plan["predicted_peak_bytes"],
        "phases": plan["forecast"]["phases"],
        "weights": plan["forecast"]["weights"],
        "tokens": plan["work"]["tokens"],
        "learned": plan["work"]["learned"],
    }


def measure(case: str, keys: dict[str, Any], steps: int) -> dict[str, Any]:
    """One run in a process of its own."""
    environment = {
        "OMP_NUM_THREADS": "2",
        "THP_MEM_ALLOC_ENABLE": "1",
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, __file__, "--child", json.dumps(keys), "--cases", case, "--steps", str(steps)]
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {case} {keys}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"base": case, **keys, **found}


def line(run: dict[str, Any]) -> str:
    """A row of the table."""
    names = {"gradient_checkpointing": "checkpointing", "long": "long", "lora_dropout": "no dropout"}
    named = [words for key, words in names.items() if key in run]
    label = ", ".join(
        [f"batch {run['batch_size']}", *named, *([run["target_modules"]] if "target_modules" in run else [])]
    )
    mib = {key: run[key] / 2**20 for key in ("predicted", "measured", "weights")}
    above = {key: mib[key] - mib["weights"] for key in ("predicted", "measured")}
    phase = max(run["phases"], key=lambda name: run["phases"][name])
    return (
        f"{run['base']:<8} {label:<42} {run['tokens']:>6} {mib['predicted']:>9.0f} {mib['measured']:>8.0f} "
        f"{mib['predicted'] / mib['measured']:>5.2f} {above['predicted'] / above['measured']:>13.2f}  {phase}"
    )


def main() -> None:
    """Run what was asked for, or be one of the processes that do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", default=",".join(BASES), help=f"comma-separated: {', '.join(BASES)} (default all)")
    parser.add_argument("--steps", type=int, default=3, help="steps of a run (default 3)")
    parser.add_argument("--quick", action="store_true", help="three settings of each base instead of nine")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(run_child(json.loads(asked.child), BASES[asked.cases], asked.steps)))
        return
    cases = asked.cases.split(",")
    if unknown := [case for case in cases if case not in BASES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(BASES)}")
    print(f"{'base':<8} {'run':<42} tokens predicted measured ratio above weights  ruled by  (MiB)", flush=True)
    runs = []
    for case in cases:
        if not (ROOT / BASES[case] / "config.json").exists():
            name = Path(BASES[case]).name
            print(f"{case} is left out: no {BASES[case]} here; `lora-scripts base get {name}` fetches it")
            continue
        for keys in (KEYS[i] for i in QUICK) if asked.quick else KEYS:
            runs.append(measure(case, dict(keys), asked.steps))
            print(line(runs[-1]), flush=True)
    worst = max((abs(run["predicted"] / run["measured"] - 1) for run in runs), default=0.0)
    above = [(run["predicted"] - run["weights"]) / (run["measured"] - run["weights"]) for run in runs]
    worst_above = max((abs(ratio - 1) for ratio in above), default=0.0)
    print(json.dumps({"worst": round(worst, 3), "worst_above_weights": round(worst_above, 3), "runs": runs}))


if __name__ == "__main__":
    main()
