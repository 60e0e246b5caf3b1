"""New rows on top of an adapter: training on against training on everything from scratch.

200 rows of the law example train an adapter; 100 more come. ``resume_from_checkpoint`` trains on from it, and the same
settings train all 300 from scratch. Printed: validation loss on new and on old questions, steps taken, seconds.

    python bench/incremental.py                        # the embedded base
    python bench/incremental.py --config configs/law_qa_gemma3_270m.yaml --set epochs=1
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def records(folder: Path) -> list[str]:
    """The consultations of a sample set as blocks of text."""
    found: list[str] = []
    for file in sorted(folder.rglob("*.txt")):
        blocks = re.split(r"\n\s*\n", file.read_text(encoding="utf-8"))
        found += [block.strip() for block in blocks if block.strip()]
    return found


def train(config: Path, *overrides: str) -> float:
    """Run the command; seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "train.py", "--config", str(config), *overrides]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - began


def loss_on(run: Path, questions: Path) -> float:
    """Validation loss of a run's adapter on other questions, by `eval`."""
    changed = run.parent / f"{run.name}_{questions.name}.yaml"
    lines = (run / "run.yaml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("eval_data:", "output_dir:", "resume_from_checkpoint:"))]
    changed.write_text("\n".join([*kept, f"eval_data: {questions}", f"output_dir: {run}"]) + "\n", encoding="utf-8")
    code = "import sys; from lora_scripts.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "eval", str(changed), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(json.loads(done.stdout)["adapter"]["loss"])


def best(run: Path) -> tuple[int, int]:
    """Steps taken in all, and the step whose adapter was kept."""
    result = json.loads((run / "provenance.json").read_text(encoding="utf-8"))["result"]
    return int(result["steps taken"]), int(result["step of this adapter"])


def main() -> None:
    """Run all three trainings and print the comparison, JSON last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/law_qa.yaml"))
    parser.add_argument("--set", nargs="*", default=[], help="overrides for all three runs, key=value")
    parser.add_argument("--on", nargs="*", default=[], help="overrides for the incremental run, key=value")
    parser.add_argument("--keep", type=Path, help="folder for the runs (default: a temporary one)")
    chosen = parser.parse_args()
    work = chosen.keep or Path(tempfile.mkdtemp(prefix="incremental-"))
    old, new = records(Path("data/law_train")), records(Path("data/law_more"))
    ask_old, ask_new = records(Path("data/law_eval")), records(Path("data/law_more_eval"))
    sets = {"old": old, "all": [*old, *new], "ask_old": ask_old, "ask_new": ask_new, "ask_all": [*ask_old, *ask_new]}
    for name, blocks in sets.items():
        (work / name).mkdir(parents=True, exist_ok=True)
        (work / name / "rows.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    shared = [*chosen.set, "overwrite=true"]
    train(chosen.config, f"train_data_dir={work}/old", f"eval_data={work}/ask_old", f"output_dir={work}/first", *shared)
    both = work / "ask_all"
    runs: dict[str, dict[str, Any]] = {}
    ways = {
        "scratch": [f"train_data_dir={work}/all"],
        "incremental": [f"train_data_dir={work}/all", f"resume_from_checkpoint={work}/first", *chosen.on],
    }
    for name, given in ways.items():
        folder = work / name
        seconds = train(chosen.config, *shared, *given, f"eval_data={both}", f"output_dir={folder}")
        steps, kept = best(folder)
        losses = {side: loss_on(folder, work / f"ask_{side}") for side in ("old", "new")}
        runs[name] = {**losses, "steps": steps, "kept": kept, "seconds": round(seconds, 1)}
    before = {side: loss_on(work / "first", work / f"ask_{side}") for side in ("old", "new")}
    print(f"rows: {len(old)} first, {len(new)} more; questions: {len(ask_old)} old, {len(ask_new)} new")
    print(f"{'run':12} {'old loss':>9} {'new loss':>9} {'steps':>6} {'seconds':>8}")
    print(f"{'first':12} {before['old']:9.4f} {before['new']:9.4f} {best(work / 'first')[0]:6}")
    for name, run in runs.items():
        print(f"{name:12} {run['old']:9.4f} {run['new']:9.4f} {run['steps']:6} {run['seconds']:8}")
    on, whole = runs["incremental"], runs["scratch"]
    ratios = {
        "new_against_scratch": round(on["new"] / whole["new"], 4),
        "old_against_before": round(on["old"] / before["old"], 4),
        "steps_against_scratch": round(on["steps"] / whole["steps"], 4),
    }
    print(json.dumps({**ratios, "before": before, **runs}))


if __name__ == "__main__":
    main()
