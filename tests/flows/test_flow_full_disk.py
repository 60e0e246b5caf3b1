"""A disk that is full at each moment of a run, streams that nobody reads, a folder that may not be written, company."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml
from broken_disk import Disk
from calling import Said, command, write_config
from forked import AUTO, LONG, end_of, latest_seen, newest_step, orphans
from test_flow_resume import killed_after_training, killed_at, same_as_unbroken

from lora_scripts.training.checkpoint import (
    TEMPORARY,
)
from lora_scripts.training.run_dir import is_finished

MakeConfig = Callable[..., Path]


@pytest.fixture
def place(base: Path, rows: Path) -> Iterator[Callable[..., Path]]:
    """Makes a working directory with a config in it."""
    with forked.places(base, rows) as make:
        yield make


def refused_at_every_moment(
    start: Path, begins: Callable[[tuple[str, str]], bool], numbers: slice, how: dict[str, Any], finished: Path
) -> tuple[int, list[str]]:
    """From a copy of ``start``, refuse each thing that a resumed run asks of the disk from the first that ``begins``.

    Each time it fails in words, every checkpoint is whole, and with room again it comes to the same end. Gives the
    count, and what went otherwise.
    """
    shutil.copytree(start, "counting/out", symlinks=True)
    disk = attempt(Path("counting"), None, {})[1]
    first = next(n for n, asked in enumerate(disk.asked) if begins(asked))
    wrong, tried = [], range(first, len(disk.asked))[numbers]
    for number in tried:
        what, path = disk.asked[number]
        folder = Path(f"at-{number}")
        shutil.copytree(start, folder / "out", symlinks=True)
        try:
            said, _ = attempt(folder, number, how)
            assert (said.code, "fix:" in said.err) == (1, True) or (spared(what, path) and not said.code), said.err[
                -300:
            ]
            assert "No space left on device" in said.err or not said.code
            assert newest_step(folder / "out") >= newest_step(start)
            assert orphans(folder / "out") == []
            assert command("train", _config_of(folder), "resume_from_checkpoint=auto").code == 0
            same_as_unbroken(folder / "out", finished)
            assert not list((folder / "out").glob(".*.new"))
        except Exception as e:  # told with all others of their kind
            wrong.append(f"{number} {what} {path}: {type(e).__name__} {' '.join(str(e).split())[:200]}")
        shutil.rmtree(folder)
    return len(tried), wrong


def spared(what: str, path: str) -> bool:
    """Whether a run can do without: a link that has a copy or a search in its place, a folder that is there."""
    return what == "mkdir" or Path(path).name in (".last.new", ".best.new", "pytorch_lora_weights.safetensors")


def _config_of(folder: Path) -> Path:
    settings = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    return write_config(folder / "config.yaml", settings | {"output_dir": str(folder / "out")})


def attempt(folder: Path, refuse_at: int | None, how: dict[str, Any]) -> tuple[Said, Disk]:
    """The resumed run on a disk that refuses, and what it asked of the disk."""
    file = _config_of(folder)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(folder / "out", refuse_at, **how, only=lambda path: "/logs/" not in path).attach(patch)
        said = command("train", file, "resume_from_checkpoint=auto")
    return said, disk


def at_a_checkpoint(asked: tuple[str, str]) -> bool:
    return asked[1].startswith(TEMPORARY)


def at_the_end(asked: tuple[str, str]) -> bool:
    return asked[1].startswith(".adapter_config.json")


def anywhere(_: tuple[str, str]) -> bool:
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"for_good": True}], ids=["once", "for good"])
@pytest.mark.parametrize("part", ["start", "checkpoint", "end"])
def test_a_disk_that_is_full_at_any_moment_of_a_run_costs_nothing_but_the_way_back(
    part: str, how: dict[str, Any], config: MakeConfig, finished: tuple[Path, Said]
) -> None:
    began = time.monotonic()
    if part == "end":
        killed_after_training(config())
    else:
        killed_at(7, config())  # checkpoints 2, 4 and 6: what comes is steps 7 and 8, with one save
    begins = {"start": anywhere, "checkpoint": at_a_checkpoint, "end": at_the_end}[part]
    count, wrong = refused_at_every_moment(Path("out"), begins, slice(40 if part != "end" else None), how, finished[0])
    print(f"\nfull disk, {part}, {how}: {count} moments, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small disk", "small files"])
def test_a_disk_that_is_really_too_small_costs_nothing_but_the_way_back(kind: str, place: Callable[..., Path]) -> None:
    keys = {"max_steps": 8, "save_total_limit": 1}
    whole = place("whole", **keys)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    needed = sum(p.stat().st_size for p in (whole / "out").rglob("*") if p.is_file() and not p.is_symlink())
    largest = max(p.stat().st_size for p in (whole / "out").rglob("*") if p.is_file())
    codes: Counter[int | None] = Counter()
    for part in range(1, 11):
        folder = place(f"{kind} {part}", **keys)
        if kind == "small disk":
            (folder / "out").mkdir()
            under = forked.disk_of(needed * part // 10 // 1024, folder / "out", folder / "kept")
        else:
            under = forked.largest_file(largest * part // 11)
        code, words = forked.to_its_end(folder, *AUTO, under=under)
        if code == 77:
            pytest.skip("this system does not let us mount a small disk")
        codes[code] += 1
        assert "Traceback" not in words, words
        assert code == 0 or (code == 1 and "fix:" in words and re.search("No space left|File too large", words)), words
        if kind == "small disk":
            (folder / "out").rmdir()
            shutil.move(folder / "kept", folder / "out")
        newest_step(folder / "out")
        assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
        end_of(folder, whole)
    print(f"\n{kind}: ended with {dict(codes)}")
    assert codes[1] >= 5


# streams, permissions, company


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "under"),
    [
        ("stdout closed", forked.stream_closed(1)),
        ("stderr closed", forked.stream_closed(2)),
        ("nobody reads stdout", forked.reader_gone(1)),
        ("nobody reads stderr", forked.reader_gone(2)),
        ("nobody reads either", forked.reader_gone(1, 2)),
    ],
)
def test_a_lost_stream_costs_no_step(name: str, under: forked.Circumstance, place: Callable[..., Path]) -> None:
    """Whether it goes on in silence or ends: the run is proven, or it goes on to the same end."""
    keys = {"max_steps": 4}
    whole, folder = place("whole", **keys), place("deaf", **keys)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    code, words = forked.to_its_end(folder, *AUTO, under=under)
    assert "Traceback" not in words, words
    print(f"\n{name}: exit {code}, finished: {is_finished(folder / 'out')}")
    assert code in (0, 1)
    assert code == 1 or is_finished(folder / "out")
    assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
    end_of(folder, whole)


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_is_told(place: Callable[..., Path]) -> None:
    """From the start, and from the middle of a run on."""
    keys = {"max_steps": 4, "save_steps": 1}
    whole, folder = place("whole", **keys), place("locked", **keys)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    (folder / "out").mkdir(mode=0o555)
    code, words = forked.to_its_end(folder, *AUTO, under=forked.without_privileges)
    if code == 77:
        pytest.skip("this system does not let us drop privileges")
    assert code == 2, words
    assert "out" in words and "Permission denied" in words and "fix:" in words
    assert list((folder / "out").iterdir()) == []

    (folder / "out").chmod(0o755)
    process = forked.begin(folder, *AUTO, under=forked.without_privileges)
    assert forked.wait_until(lambda: latest_seen(folder / "out") >= 1, process)
    (folder / "out").chmod(0o555)
    process.join(60)
    words = forked.said(folder)
    assert process.exitcode == 1, words
    assert "Permission denied" in words and "fix:" in words and "Traceback" not in words
    (folder / "out").chmod(0o755)
    assert newest_step(folder / "out") >= 1
    assert forked.to_its_end(folder, *AUTO)[0] == 0, forked.said(folder)
    end_of(folder, whole)


@pytest.mark.slow
def test_a_second_process_on_the_folder_is_refused_and_the_first_is_not_disturbed(place: Callable[..., Path]) -> None:
    keys = {**LONG, "max_steps": 40}
    whole, folder = place("whole", **keys), place("shared", **keys)
    assert forked.to_its_end(whole, *AUTO)[0] == 0, forked.said(whole)
    first = forked.begin(folder, *AUTO)
    assert forked.wait_until(lambda: latest_seen(folder / "out") >= 1, first)
    assert first.pid
    os.kill(first.pid, signal.SIGSTOP)
    try:
        for word in ("resume_from_checkpoint=auto", "overwrite=true"):
            second = place(word)
            shutil.copy(folder / "config.yaml", second)
            code, words = forked.to_its_end(second, "train", "config.yaml", f"output_dir={folder / 'out'}", word)
            assert code == 2, words
            assert "another run is at work" in words
    finally:
        os.kill(first.pid, signal.SIGCONT)
    first.join(120)
    assert first.exitcode == 0, forked.said(folder)
    end_of(folder, whole)
