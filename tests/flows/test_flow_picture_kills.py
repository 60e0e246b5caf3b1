"""Fifty real kills of picture runs, half of them inside a save: the next start goes on, and no byte differs."""

from __future__ import annotations

import random
import time
from pathlib import Path

import forked
import numpy as np
import pytest
from calling import contents, digest, metrics
from forked import AUTO, latest_seen, newest_step
from PIL import Image
from test_flow_kills import Tally, kill_once
from tiny_pipelines import tiny_pipeline

from lora_scripts.training.checkpoint import checkpoints
from lora_scripts.training.run_dir import is_finished

KILLS = 50
STEPS = 30
KEYS = {
    "task_type": "image-generation", "target_modules": "attention", "max_steps": STEPS, "save_steps": 1,
    "eval_steps": 10, "log_steps": 1, "resolution": 16, "flip": True, "caption_dropout": 0.2, "lora_dropout": 0.1,
    "sample_prompts": ["a red circle"], "sample_questions": None, "answer_rules": None, "save_total_limit": 3,
}  # fmt: skip


@pytest.mark.slow
def test_fifty_kills_of_a_picture_run_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_CACHE", str(tmp_path / "cache"))  # before the process that forks begins
    tiny_pipeline("sd").save_pretrained(tmp_path / "sd")
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"a cat {i}.png")
    began, draw, tally = time.monotonic(), random.Random(3), Tally()
    with forked.places(tmp_path / "sd", tmp_path / "pictures") as place:
        whole = place("whole", **KEYS)
        forked.to_its_end(whole, "--help")  # waits for the imports of the process that forks
        started = time.monotonic()
        process = forked.begin(whole, *AUTO)
        forked.wait_until(lambda: latest_seen(whole / "out") > 0, process)
        start_takes = time.monotonic() - started
        process.join()
        assert process.exitcode == 0, forked.said(whole)
        while tally.at["killed"] < KILLS:
            tally.lives += 1
            folder = place(f"life-{tally.lives}", **KEYS)
            (folder / "out").mkdir()
            while (
                tally.at["killed"] < KILLS and not is_finished(folder / "out") and newest_step(folder / "out") < STEPS
            ):
                inside = tally.at["inside a save"] + tally.at["inside pruning"] <= 0.65 * tally.at["killed"]
                kill_once(folder, draw, tally, start_takes, inside)
            newest = newest_step(folder / "out")
            assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
            tally.began_at(folder, newest)
            same_end(folder / "out", whole / "out")
    print(f"\n{dict(tally.at)}, {tally.resumed} starts went on at the newest whole checkpoint; {tally.lives} runs "
          f"brought to the same bytes; {time.monotonic() - began:.0f} s")  # fmt: skip
    assert tally.at["inside a save"] + tally.at["inside pruning"] >= tally.at["killed"] / 2


def same_end(run_dir: Path, other: Path) -> None:
    """The same bytes as the unbroken run, and nothing half."""
    for name in ("pytorch_lora_weights.safetensors", "eval.json", "samples/base-and-adapter.png"):
        assert digest(run_dir / name) == digest(other / name), name
    newest = checkpoints(other)[0].name
    assert contents(run_dir / newest) == contents(other / newest)
    assert metrics(run_dir) == metrics(other)
    assert is_finished(run_dir)
    assert [p.name for p in run_dir.iterdir() if p.name.startswith(".") and p.name != ".lock"] == []
