"""The output folder: who holds it, what stands in it, what of it is ours to remove."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lora_scripts.errors import UsageError
from lora_scripts.training.checkpoint import PREFIX, checkpoints

LOCK = ".lock"
PROOF = "proof.json"
RUN = "run.yaml"
OURS = (
    "adapter_config.json", "adapter_model.safetensors", "pytorch_lora_weights.safetensors", "README.md",
    "provenance.json", RUN, "plan.json", "data_report.json", "data_report.html", "metrics.jsonl", "loss.png",
    PROOF, "eval.json", "eval.md", "eval.html", "logs", "best", "last", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja", "export", "samples",
    "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip


def is_finished(run_dir: Path) -> bool:
    """Whether a run came to its end here: proof.json is written last, and says ok."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return bool(json.loads((run_dir / PROOF).read_text(encoding="utf-8"))["ok"])
    return False


def is_unfinished(run_dir: Path) -> bool:
    """Whether a run began here and left something that it could go on from."""
    return not is_finished(run_dir) and bool(checkpoints(run_dir))


def not_ours(run_dir: Path) -> list[str]:
    """Names that a run would replace in a folder where none ever began: a README, logs, a model of the user's."""
    if (run_dir / RUN).exists():
        return []
    return [path.name for path in ours_in(run_dir)]


def ours_in(run_dir: Path) -> list[Path]:
    """What a run left in ``run_dir``, checkpoints last."""
    named = [run_dir / name for name in OURS]
    return [path for path in named if path.exists() or path.is_symlink()] + checkpoints(run_dir)


def write_json(path: Path, values: Any) -> None:
    """Write JSON whole or not at all."""
    write_whole(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, words: str) -> None:
    """Write a text file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(words, encoding="utf-8")
    fresh.replace(path)


def drop_halves(run_dir: Path) -> None:
    """Remove files of ours that were being written when the disk was full or the process was killed."""
    for name in OURS:
        (run_dir / f".{name}.new").unlink(missing_ok=True)


def clear(run_dir: Path) -> None:
    """Remove what a run of ours left; whatever else lies in the folder stays."""
    for name in OURS:
        path = run_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in run_dir.glob(f"{PREFIX}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Hold ``run_dir`` for one run; the system lets go of it when the process ends, however it ends.

    Raises:
        UsageError: The folder cannot be made or written, or another run holds it.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise UsageError("train.not_writable", where=run_dir, reason=e.strerror or str(e)) from e
    try:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                raise UsageError("train.held", where=run_dir) from e
        yield
    finally:
        os.close(handle)
