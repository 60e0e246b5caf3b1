"""Where a run starts: fresh, at a checkpoint, or not at all because something would be lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.assemble.parts import Inputs
from lora_scripts.config import Config
from lora_scripts.errors import UsageError
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import Skipped, fault_of, newest_whole
from lora_scripts.training.run_dir import is_finished, is_unfinished, not_ours
from lora_scripts.training.state import RunState

STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run starts: at a checkpoint or at nothing.

    ``skipped`` are newer checkpoints that are broken, ``changed`` the keys that differ from the checkpoint's and may.
    """

    checkpoint: Path | None
    skipped: list[Skipped]
    changed: tuple[str, ...] = ()

    def lines(self, wanted: str | None) -> list[str]:
        """What to tell the user about it."""
        told = [text("run.skipped", name=s.path.name, reason=s.reason) for s in self.skipped]
        if self.checkpoint:
            told.append(text("run.resumes", checkpoint=self.checkpoint))
            return [*told, text("run.resumes_changed", names=", ".join(self.changed))] if self.changed else told
        return [*told, text("run.nothing_to_resume")] if wanted else told


def refuse_to_overwrite(config: Config, run_dir: Path) -> None:
    """Stop before a run in ``output_dir``, or what is not ours, would be lost.

    Raises:
        UsageError: A finished run lies there, or an unfinished one that was not asked to go on, or other files
            under names that a run writes.
    """
    if config.overwrite:
        return
    if is_finished(run_dir) and config.resume_from_checkpoint != "auto":
        raise UsageError("run.finished_there", where=run_dir)
    if names := not_ours(run_dir):
        raise UsageError("run.not_ours", where=run_dir, names=", ".join(names[:5]))
    if is_unfinished(run_dir) and not config.resume_from_checkpoint:
        raise UsageError("run.unfinished_there", where=run_dir)


def is_done(config: Config, inputs: Inputs, run_dir: Path) -> bool:
    """Whether this very run is finished in ``run_dir`` already.

    Raises:
        UsageError: A finished run lies there that differs from this one.
    """
    if config.overwrite or not is_finished(run_dir):
        return False
    try:
        record = json.loads((run_dir / "provenance.json").read_text(encoding="utf-8"))["fingerprints"]
    except (OSError, ValueError, KeyError, TypeError):
        record = {}
    changed = _changes(record, inputs.fingerprints)
    if changed:
        names = ", ".join(name.partition(".")[2] or name for name in changed)
        raise UsageError("run.other_finished", where=run_dir, names=names)
    return True


def choose_start(config: Config, inputs: Inputs) -> Start:
    """The checkpoint that ``resume_from_checkpoint`` means.

    Raises:
        UsageError: The named checkpoint is not there or broken, or comes from other data, base or settings.
    """
    wanted = config.resume_from_checkpoint
    if not wanted:
        return Start(None, [])
    if wanted == "auto":
        checkpoint, skipped = newest_whole(Path(config.output_dir).expanduser())
    else:
        checkpoint, skipped = Path(wanted).expanduser(), []
        fault = fault_of(checkpoint)
        if fault:
            raise UsageError("run.bad_checkpoint", where=checkpoint, reason=fault)
    if checkpoint is None:
        return Start(None, skipped)
    try:
        before = RunState.from_json((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError) as e:
        raise UsageError("run.bad_checkpoint", where=checkpoint, reason=f"{STATE_FILE}: {e}") from e
    changed = _changes(before.fingerprints, inputs.fingerprints)
    refused = [name.removeprefix("config.") for name in changed if not name.startswith("noted.")]
    if refused:
        raise UsageError("run.other_run", where=checkpoint, names=", ".join(refused))
    return Start(checkpoint, skipped, tuple(name.removeprefix("noted.") for name in changed))


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name, value in now.items() if before.get(name) != value]
