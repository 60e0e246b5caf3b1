"""Where a run starts: fresh, at a checkpoint, or not at all because something would be lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from lora_scripts.assemble.kinds import AnyInputs
from lora_scripts.assemble.text.increment import (
    FIXED,
    Increment,
    again,
    differences,
    increment,
    read_origin,
    state_of,
)
from lora_scripts.assemble.text.parts import Inputs
from lora_scripts.config import Config
from lora_scripts.errors import UsageError
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import MANIFEST, PREFIX, Skipped, fault_of, newest_whole, step_of
from lora_scripts.training.run_dir import is_finished, is_unfinished, not_ours, ours_in
from lora_scripts.training.state import RunState

EARLIER = "earlier-"


Kind = TypeVar("Kind", bound=AnyInputs)


@dataclass(frozen=True, slots=True)
class Start(Generic[Kind]):
    """Where a run starts: at a checkpoint, at an earlier adapter, or at nothing.

    ``inputs`` are what the run works on, ``skipped`` newer checkpoints that are broken, ``changed`` the keys that
    differ from the checkpoint's and may. With ``increment`` and no ``checkpoint`` only weights are taken over.
    """

    inputs: Kind
    checkpoint: Path | None = None
    skipped: tuple[Skipped, ...] = ()
    changed: tuple[str, ...] = ()
    increment: Increment | None = None

    @property
    def of_these_rows(self) -> int:
        """How many of the training documents come from the data of this run; replayed ones behind them may not."""
        return self.increment.new_records if self.increment else len(self.inputs.training)

    def lines(self, wanted: str | None) -> list[str]:
        """What to tell the user about it."""
        told = [text("run.skipped", name=s.path.name, reason=s.reason) for s in self.skipped]
        if self.checkpoint:
            told.append(text("run.resumes", checkpoint=self.checkpoint))
            return [*told, text("run.resumes_changed", names=", ".join(self.changed))] if self.changed else told
        if self.increment:
            return [*told, *self.increment.lines()]
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


def is_done(config: Config, inputs: AnyInputs, run_dir: Path) -> bool:
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
    found = {name: said for name, said in differences(record, inputs.fingerprints).items() if name != "noted.libraries"}
    if "data" in found and not set(found) & set(FIXED) and isinstance(inputs, Inputs):
        if origin := state_of_run(run_dir).origin:  # made by an incremental run: the same once more?
            again = increment(config, inputs, read_origin(Path(origin)))
            if again and not set(differences(record, again.inputs.fingerprints)) - {"noted.libraries"}:
                return True
        return False
    if found:
        raise UsageError("run.other_finished", where=run_dir, names=", ".join(found.values()))
    return True


def state_of_run(run_dir: Path) -> RunState:
    """The state of the newest whole checkpoint; a fresh one where there is none."""
    checkpoint, _ = newest_whole(run_dir)
    return state_of(checkpoint) if checkpoint else RunState()


def choose_start(config: Config, inputs: AnyInputs) -> Start[Any]:
    """Where ``resume_from_checkpoint`` means the run to start.

    The same data, base and settings: exactly where the checkpoint was. New records: from its weights, on the new ones.

    Raises:
        UsageError: What it names is not there or broken, or comes from another base or other settings.
    """
    wanted, run_dir = config.resume_from_checkpoint, Path(config.output_dir).expanduser()
    if not wanted:
        return Start(inputs)
    own, skipped = newest_whole(run_dir)
    if wanted == "auto":
        if own:
            return _go_on(config, inputs, own, tuple(skipped))
        aside = earlier_runs(run_dir)
        return _train_on(config, inputs, aside[-1]) if aside else Start(inputs, skipped=tuple(skipped))
    named = Path(wanted).expanduser()
    origin = state_of(own).origin if own and not config.overwrite else ""
    if own and origin and Path(origin) == named and own.parent.resolve() != named.resolve():
        return _go_on(config, inputs, own, tuple(skipped))  # an incremental run from there that was interrupted
    if step_of(named) < 0 and not (named / MANIFEST).exists():
        return _train_on(config, inputs, named)
    if fault := fault_of(named):
        raise UsageError("run.bad_checkpoint", where=named, reason=fault)
    return _go_on(config, inputs, named, ())


def _go_on(config: Config, inputs: AnyInputs, checkpoint: Path, skipped: tuple[Skipped, ...]) -> Start[Any]:
    """Exactly from ``checkpoint`` where it is of this run, else from its weights where only records were added."""
    state = state_of(checkpoint)
    words = inputs if isinstance(inputs, Inputs) else None
    part = increment(config, words, read_origin(Path(state.origin))) if state.origin and words else None
    own = part.inputs if part else inputs
    found = differences(state.fingerprints, own.fingerprints)
    refused = [name for name in found if not name.startswith("noted.")]
    if not refused:
        noted = tuple(said for name, said in found.items() if name.startswith("noted."))
        return Start(own, checkpoint, skipped, noted, part)
    if "data" in refused and not set(refused) & set(FIXED) and words:
        if config.resume_from_checkpoint == "auto":
            origin = checkpoint.parent if is_finished(checkpoint.parent) else _best_of(checkpoint, state)
        else:
            origin = checkpoint
        fresh = increment(config, words, read_origin(origin))
        if fresh:
            return Start(fresh.inputs, None, skipped, (), fresh)
    raise UsageError("run.other_run", where=checkpoint, names=", ".join(found[name] for name in refused))


def _best_of(checkpoint: Path, state: RunState) -> Path:
    best = checkpoint.parent / f"{PREFIX}{state.best_step}"
    return best if state.best_step and not fault_of(best) else checkpoint


def _train_on(config: Config, inputs: AnyInputs, folder: Path) -> Start[Any]:
    """From the weights of an adapter's folder: on what is new since, or on everything."""
    if not isinstance(inputs, Inputs):
        raise UsageError("picture_run.no_increment", where=folder)
    origin = read_origin(folder)
    found = increment(config, inputs, origin)
    found = found or again(inputs, origin, text("increment.nothing_new", origin=origin.path))
    return Start(found.inputs, increment=found)


def earlier_runs(run_dir: Path) -> list[Path]:
    """The runs that incremental ones have set aside in ``run_dir``, oldest first."""
    found = [path for path in run_dir.glob(f"{EARLIER}*") if path.name.removeprefix(EARLIER).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(EARLIER)))


def set_aside(start: Start[Any], run_dir: Path) -> tuple[Start[Any], Path | None]:
    """Move the run that ``start`` trains on from, where it lies in ``run_dir`` itself, into a folder of its own there.

    Renames only: killed between two of them, the next start finds the checkpoints in one of the two places.
    """
    part = start.increment
    if start.checkpoint or not part or part.origin.run_dir.resolve() != run_dir.resolve():
        return start, None
    number = len(earlier_runs(run_dir)) + 1
    folder = run_dir / f"{EARLIER}{number}"
    folder.mkdir()
    for path in ours_in(run_dir):
        path.rename(folder / path.name)
    inside = part.origin.path.resolve().relative_to(run_dir.resolve())
    path = folder / inside
    weights = folder / part.origin.weights.resolve().relative_to(run_dir.resolve())
    moved = replace(part.origin, path=path, weights=weights, run_dir=folder)
    return replace(start, increment=replace(part, origin=moved)), folder
