"""Over-fitting on a small set: the run that the coach ends against the same run to its end.

40 rows of the law example are trained for 60 epochs, validated once an epoch, twice: with ``coach: off`` to the last
epoch, and with ``coach: stop``. Printed, for each draw of rows: the epoch at which the coach ended the run, the loss of
the adapter that it kept, and the lowest validation loss that the whole run ever had. Early stopping is off in both.

    python bench/coach.py                                           # the embedded base, three draws of 40 rows
    python bench/coach.py --config configs/law_qa_gemma3_270m.yaml --draws 1 --epochs 12
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

from incremental import records, train  # type: ignore[import-not-found]  # it lies beside this file


def losses(run: Path) -> list[tuple[float, float]]:
    """(Epoch, validation loss) of each evaluation after the start."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["epoch"], line["eval_loss"]) for line in lines if "eval_loss" in line and line["step"]]


def kept(run: Path) -> float:
    """Validation loss of the adapter in the folder, as the run measured it last."""
    return float(json.loads((run / "eval.json").read_text(encoding="utf-8"))["adapter"]["loss"])


def main() -> None:
    """Train each draw twice; the table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/law_qa.yaml"))
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--draws", type=int, default=3, help="sets of rows, drawn with the seeds 1, 2, …")
    parser.add_argument("--keep", type=Path, help="folder for the runs (default: a temporary one)")
    chosen = parser.parse_args()
    work = chosen.keep or Path(tempfile.mkdtemp(prefix="coach-"))
    rows = records(Path("data/law_train"))
    print(f"{'draw':>4} {'ended at epoch':>15} {'kept loss':>10} {'best of all':>12} {'last of all':>12} {'ratio':>7}")
    found = []
    for draw in range(1, chosen.draws + 1):
        data = work / f"rows-{draw}"
        data.mkdir(parents=True, exist_ok=True)
        (data / "rows.txt").write_text("\n\n".join(random.Random(draw).sample(rows, chosen.rows)), encoding="utf-8")
        shared = [f"train_data_dir={data}", f"epochs={chosen.epochs}", "eval_steps=", "early_stopping_patience=",
                  "overwrite=true"]  # fmt: skip
        for coach in ("off", "stop"):
            train(chosen.config, *shared, f"coach={coach}", f"output_dir={work}/{coach}-{draw}")
        whole, stopped = losses(work / f"off-{draw}"), losses(work / f"stop-{draw}")
        best = min(loss for _, loss in whole)
        line = {
            "ended_at_epoch": stopped[-1][0],
            "kept": kept(work / f"stop-{draw}"),
            "best_of_all": best,
            "last_of_all": whole[-1][1],
            "ratio": round(kept(work / f"stop-{draw}") / best, 4),
        }
        found.append(line)
        print(
            f"{draw:4} {line['ended_at_epoch']:15.1f} {line['kept']:10.4f} {best:12.4f} {whole[-1][1]:12.4f}"
            f" {line['ratio']:7.4f}",
            flush=True,
        )
    print(json.dumps({"worst_ratio": max(line["ratio"] for line in found), "draws": found}))


if __name__ == "__main__":
    main()
