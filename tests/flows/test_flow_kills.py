"""Real kills by the hundred, half of them inside a save, and other signals: no checkpoint is lost, no byte differs."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import pytest
from forked import AUTO, LONG, end_of, latest_seen, newest_step, orphans, seen

from lora_scripts.training.checkpoint import (
    TEMPORARY,
)
from lora_scripts.training.run_dir import is_finished


@pytest.fixture
def place(base: Path, rows: Path) -> Iterator[Callable[..., Path]]:
    """Makes a working directory with a config in it."""
    with forked.places(base, rows) as make:
        yield make


@dataclass
class Tally:
    """What kills did: how many at what, and how many of the next starts took the checkpoint that was newest."""

    at: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    lives: int = 0

    def killed(self, process: BaseProcess, what: str) -> None:
        """Kill now, and note it."""
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert process.exitcode in (-signal.SIGKILL, 0), process.exitcode
        if process.exitcode:
            self.at[what] += 1

    def began_at(self, folder: Path, newest: int) -> None:
        """What the start said about where it goes on."""
        words = forked.said(folder)
        assert "is not whole" not in words, words
        assert "Traceback" not in words, words
        for step in re.findall(r"checkpoint-(\d+) \(resume\)", words):
            assert int(step) == newest, words
            self.resumed += 1


def kill_once(folder: Path, draw: random.Random, tally: Tally, start_takes: float, inside: bool) -> None:
    """One start and one kill, aimed inside a save or at any moment since the start."""
    run_dir = folder / "out"
    before = newest_step(run_dir)
    process = forked.begin(folder, *AUTO)
    if inside:
        goal, pruning = before + draw.randint(1, 4), draw.random() < 0.3
        awaited = f"{TEMPORARY}gone-" if pruning else f"{TEMPORARY}{goal}"
        forked.wait_until(lambda: latest_seen(run_dir) > goal or seen(run_dir, awaited), process)
        if not pruning:
            time.sleep(draw.random() * 0.004)
    else:
        until = time.monotonic() + draw.random() * start_takes * 1.3
        while time.monotonic() < until and process.exitcode is None:
            time.sleep(0.001)
    tally.killed(process, "killed")
    left = orphans(run_dir)
    tally.at["inside pruning" if any("gone-" in n for n in left) else "inside a save" if left else "elsewhere"] += 1
    tally.began_at(folder, before)
    assert newest_step(run_dir) >= before


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 3])
def test_a_hundred_kills_at_random_moments_lose_nothing(keep: int, place: Callable[..., Path]) -> None:
    """More than half of them inside a save."""
    began, draw, tally = time.monotonic(), random.Random(keep), Tally()
    whole = place("whole", save_total_limit=keep, **LONG)
    forked.to_its_end(whole, "--help")  # waits for the imports of the process that forks
    started = time.monotonic()
    process = forked.begin(whole, *AUTO)
    forked.wait_until(lambda: latest_seen(whole / "out") > 0, process)
    start_takes = time.monotonic() - started
    process.join()
    assert process.exitcode == 0, forked.said(whole)
    while tally.at["killed"] < 110:
        tally.lives += 1
        folder = place(f"life-{tally.lives}", save_total_limit=keep, **LONG)
        (folder / "out").mkdir()
        while tally.at["killed"] < 110 and not is_finished(folder / "out") and newest_step(folder / "out") < 60:
            inside = tally.at["inside a save"] + tally.at["inside pruning"] <= 0.65 * tally.at["killed"]
            kill_once(folder, draw, tally, start_takes, inside)
        newest = newest_step(folder / "out")
        assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
        tally.began_at(folder, newest)
        end_of(folder, whole)
    print(f"\nkeep {keep}: {dict(tally.at)}, {tally.resumed} starts went on at the newest whole checkpoint; "
          f"{tally.lives} runs brought to the same bytes; {time.monotonic() - began:.0f} s")  # fmt: skip
    assert tally.at["inside a save"] + tally.at["inside pruning"] >= tally.at["killed"] / 2


@pytest.mark.slow
def test_kills_while_the_final_files_are_written_lose_nothing(place: Callable[..., Path]) -> None:
    """With one checkpoint kept beside the best: both stay, and the next start writes the same files."""
    draw, tally, keys = random.Random(7), Tally(), {"max_steps": 8, "save_total_limit": 1}
    whole = place("whole", **keys)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    began = time.monotonic()
    folder = place("cut", **keys)
    process = forked.begin(folder, *AUTO)
    assert forked.wait_until(lambda: "with and without" in forked.said(folder), process)
    tally.killed(process, "first")
    saved = shutil.copytree(folder / "out", folder / "saved", symlinks=True)
    started = time.monotonic()
    assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
    takes = time.monotonic() - started
    end_of(folder, whole)
    shutil.rmtree(folder / "out")
    shutil.copytree(saved, folder / "out", symlinks=True)
    while sum(tally.at.values()) < 51:
        process = forked.begin(folder, *AUTO)
        if draw.random() < 0.5:
            wanted = draw.choice(["with and without", "proving:"])
            forked.wait_until(lambda wanted=wanted: wanted in forked.said(folder), process)  # type: ignore[misc]
            time.sleep(draw.random() * takes * 0.2)
        else:
            time.sleep((0.3 + 0.7 * draw.random()) * takes)
        words = forked.said(folder)
        tally.killed(
            process, "proving" if "proving:" in words else "answering" if "with and without" in words else "before"
        )
        tally.began_at(folder, 8)
        assert newest_step(folder / "out") == 8
        if process.exitcode == 0:
            end_of(folder, whole)
            shutil.rmtree(folder / "out")
            shutil.copytree(saved, folder / "out", symlinks=True)
            tally.lives += 1
    assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
    end_of(folder, whole)
    print(f"\nkills at the end of a run: {dict(tally.at)}, {tally.resumed} starts at the newest checkpoint, "
          f"{tally.lives} times it was faster than the kill; {time.monotonic() - began:.0f} s")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_moment_ends_in_words_or_at_once_and_the_run_goes_on(
    number: signal.Signals, place: Callable[..., Path]
) -> None:
    """While it trains it writes a checkpoint and says so; before and after, the system may end it as it is."""
    draw, ends, whole = random.Random(int(number)), Counter[str](), place("whole", **LONG)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    began = time.monotonic()
    folder = place("cut", **LONG)
    for turn in range(16):
        before = max(0, latest_seen(folder / "out"))
        process = forked.begin(folder, *AUTO)
        if turn % 4:
            goal = before + draw.randint(1, 5)
            forked.wait_until(lambda goal=goal, out=folder / "out": latest_seen(out) >= goal, process)  # type: ignore[misc]
            time.sleep(draw.random() * 0.02)
        else:
            time.sleep(draw.random() * 0.5)
        with suppress(ProcessLookupError):
            os.kill(process.pid or 0, number)
        process.join(60)
        words = forked.said(folder)
        assert "Traceback" not in words, words
        assert process.exitcode in (0, 1, -number), words
        stopped = re.search(r"stopped at step (\d+)", words)
        if stopped:
            assert process.exitcode == 1
            assert newest_step(folder / "out") == int(stopped[1])
        ends["in words" if stopped else str(process.exitcode)] += 1
        if is_finished(folder / "out"):
            end_of(folder, whole)
            folder = place(f"cut {turn}", **LONG)
    assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
    end_of(folder, whole)
    print(f"\n{number.name}: {dict(ends)}, {time.monotonic() - began:.0f} s")
    assert ends["in words"] >= 6


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_the_run_goes_on(place: Callable[..., Path]) -> None:
    folder = place("cut", **LONG)
    process = forked.begin(folder, *AUTO)
    assert forked.wait_until(lambda: latest_seen(folder / "out") >= 3, process)
    assert process.pid
    for _ in range(2):
        os.kill(process.pid, signal.SIGTERM)
    process.join(10)
    assert process.exitcode == 1
    assert newest_step(folder / "out") >= 3
