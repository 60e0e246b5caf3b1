"""The correction loop: answers of an adapter that the user corrected or kept, and the run that trains it on them."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from lora_scripts.config import Config, load_config
from lora_scripts.errors import LoraScriptsError
from lora_scripts.evaluate.preferences import correction_lines, is_filled_in, read_corrections
from lora_scripts.invocation import command
from lora_scripts.messages import text
from lora_scripts.training.run_dir import RUN, write_whole

CORRECTIONS = "corrections.jsonl"
SHEET, PAGE = "eval.md", "eval.html"
REPORTS = ("data_report.html", "loss.png", PAGE, SHEET)
_NUMBERED = re.compile(r"(.+?)-(\d{1,3})")


def report_lines(run_dir: Path) -> list[str]:
    """Where the reports of a run lie: those of them that are there."""
    there = [name for name in REPORTS if (run_dir / name).is_file()]
    return [
        text(f"run.report.{name}", path=run_dir / name)
        for name in there
        if name not in (PAGE, SHEET) or _asked(run_dir)
    ]


def correct_lines(run_dir: Path) -> list[str]:
    """How to correct the answers of a run in its sheet, and the command that reads them."""
    sheet = run_dir / SHEET
    if not sheet.is_file() or not _asked(run_dir):
        return []
    words = ["eval", run_dir, "--from-sheet", sheet]
    if (config := _config_of(run_dir)) and config.task_type == "preference":
        words += ["--output", run_dir / "preferences.jsonl"]
    return [text("run.correct", sheet=sheet, command=command(*words))]


def _asked(run_dir: Path) -> bool:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return bool(json.loads((run_dir / "eval.json").read_text(encoding="utf-8"))["answers"])
    return False


def train_on_command(run_dir: Path, data: Path) -> str:
    """The command that trains the adapter in ``run_dir`` on the records in ``data``; empty where no run of ours is."""
    return _train_command(run_dir, data, ["folds"], [f"resume_from_checkpoint={run_dir}"])


def preference_command(run_dir: Path, data: Path) -> str:
    """The command that trains an adapter on preferences, with the settings of ``run_dir``; empty as above."""
    return _train_command(run_dir, data, ["folds", "eval_data"], ["task_type=preference"])


def _train_command(run_dir: Path, data: Path, reset: list[str], words: list[str]) -> str:
    config = _config_of(run_dir)
    if config is None:
        return ""
    # keys of the earlier data's shape and place would be wrong for these records
    empty = [f"{key}=" for key in ("metadata_path", "columns", "roles", "overwrite", *reset) if getattr(config, key)]
    target = following_folder(run_dir)
    return command("train", run_dir / RUN, f"train_data_dir={data}", *empty, f"output_dir={target}", *words)


def _config_of(run_dir: Path) -> Config | None:
    with suppress(LoraScriptsError):
        return load_config(run_dir / RUN).config
    return None


def following_folder(run_dir: Path) -> Path:
    """A folder beside ``run_dir`` that is not there yet: ``NAME-2`` after ``NAME``, ``NAME-3`` after ``NAME-2``."""
    numbered = _NUMBERED.fullmatch(run_dir.name)
    name, number = (numbered[1], int(numbered[2])) if numbered else (run_dir.name, 1)
    while (found := run_dir.with_name(f"{name}-{number + 1}")).exists():
        number += 1
    return found


def write_corrections(sheet: Path, run_dir: Path) -> tuple[Path, list[str]]:
    """Write the corrected answers of a sheet into ``run_dir`` as training records: the file, and lines for the user.

    Raises:
        DataError: The sheet cannot be read, or nothing in it is corrected.
    """
    lines: list[str] = []
    found = read_corrections(sheet, lines.append)
    target = run_dir / CORRECTIONS
    write_whole(target, correction_lines(found))
    return target, [*lines, text("run.corrections_in", count=len(found), path=target)]


def keep_edited_sheet(run_dir: Path) -> str:
    """Move a Markdown sheet that a user wrote into out of the way of a new one; what to say of it, else nothing."""
    sheet = run_dir / SHEET
    if not sheet.is_file() or not is_filled_in(sheet):
        return ""
    number = 1
    while (aside := run_dir / f"eval.edited-{number}.md").exists():
        number += 1
    sheet.rename(aside)
    return text("run.sheet_kept", path=aside)
