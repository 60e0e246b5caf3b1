"""Training on from an earlier adapter: what is new since, what is replayed, what must not be forgotten."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_scripts.adapters.files import CONFIG_FILE, find_weights, read_adapter, restore_adapter
from lora_scripts.assemble.text.parts import Inputs, Parts
from lora_scripts.assemble.text.records import identities, render_rows
from lora_scripts.assemble.text.survey import Rows, rows_of, survey_for
from lora_scripts.config import Config, load_config
from lora_scripts.data.clean import normal
from lora_scripts.data.ledger import Finding
from lora_scripts.data.records import Record
from lora_scripts.data.render import Document
from lora_scripts.data.split import TRAINING, VALIDATION
from lora_scripts.errors import LoraScriptsError, UsageError
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import (
    IDENTITIES_FILE,
    MANIFEST,
    STATE_FILE,
    fault_of,
    newest_whole,
    read_tensors,
    sha256_of,
)
from lora_scripts.training.run_dir import RUN
from lora_scripts.training.state import RunState
from lora_scripts.training.tasks import mean_loss

FIXED = (
    "base", "template", "config.system_prompt", "config.task_type", "config.method", "config.lora_rank",
    "config.lora_alpha", "config.target_modules",
)  # fmt: skip
"""What an adapter cannot be trained on with otherwise: it would mean something else."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Origin:
    """An adapter to train on from.

    Attributes:
        path: As the user named it, or the checkpoint that was found.
        weights: Its weight file.
        fingerprints: Of the run that made it; None for an adapter of another tool.
        trained: Identities of the documents that it was trained on, ``validated`` of those it was measured on; None
            where that is not on record.
        run_dir: The output folder of that run.
    """

    path: Path
    weights: Path
    fingerprints: Mapping[str, str] | None
    trained: Numbers | None
    validated: Numbers | None
    run_dir: Path


@dataclass(frozen=True, slots=True)
class Increment:
    """A run on what is new since ``origin``. ``inputs`` are those of the run; the old ones are measured, not trained.

    ``old`` and ``new`` are the documents that forgetting and learning are measured on.
    """

    origin: Origin
    inputs: Inputs
    new_records: int
    old_records: int
    replayed: int
    old: Sequence[Document]
    new: Sequence[Document]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What to tell the user about it."""
        if not self.old_records:
            return [text("increment.all", origin=self.origin.path, count=self.new_records), *self.notes]
        told = text("increment.some", origin=self.origin.path, new=self.new_records, old=self.old_records,
                    replayed=self.replayed, validation=len(self.old))  # fmt: skip
        return [told, *self.notes]


def read_origin(path: Path) -> Origin:
    """The adapter in a checkpoint of ours, in an output folder of ours, or in any PEFT folder.

    Raises:
        UsageError: There is none, or the checkpoint is not whole.
        ModelError: The folder holds no adapter that can be read.
    """
    if (path / MANIFEST).exists() or not path.is_dir():
        if fault := fault_of(path):
            raise UsageError("run.bad_checkpoint", where=path, reason=fault)
        state = state_of(path)
        trained, validated = _identities_in(path)
        return Origin(path, find_weights(path), state.fingerprints, trained, validated, path.resolve().parent)
    weights = find_weights(path)
    try:
        prints = json.loads((path / "provenance.json").read_text(encoding="utf-8"))["fingerprints"]
    except (OSError, ValueError, KeyError, TypeError):
        return Origin(path, weights, None, None, None, path)
    checkpoint, _ = newest_whole(path)
    trained, validated = _identities_in(checkpoint) if checkpoint else (None, None)
    return Origin(path, weights, prints, trained, validated, path)


def state_of(checkpoint: Path) -> RunState:
    """The state in a checkpoint.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return RunState.from_json((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError) as e:
        raise UsageError("run.bad_checkpoint", where=checkpoint, reason=f"{STATE_FILE}: {e}") from e


def _identities_in(checkpoint: Path) -> tuple[Numbers | None, Numbers | None]:
    if not (checkpoint / IDENTITIES_FILE).exists():
        return None, None
    found = read_tensors(checkpoint, IDENTITIES_FILE)
    return found["training"].numpy(), found["validation"].numpy()


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Names of what differs, each with ``before → now`` in words."""
    defaults = {f"config.{name}": repr(key.default) for name, key in Config.model_fields.items()}
    found = {}
    for name in sorted({*now, *before}):
        was, became = before.get(name, defaults.get(name)), now.get(name, defaults.get(name))
        if was != became:
            found[name] = f"{name.partition('.')[2] or name} ({_short(was)} → {_short(became)})"
    return found


def _short(value: str | None) -> str:
    kind, colon, digits = (value or "-").partition(":")
    return f"{kind}:{digits[:8]}" if colon and len(digits) == 64 else (value or "-")[:60]


def increment(config: Config, inputs: Inputs, origin: Origin) -> Increment | None:
    """The run on what is new since ``origin``; None where nothing is.

    Raises:
        UsageError: Base, template or shape of the adapter differ, with the differences.
    """
    refuse_other_shape(config, inputs, origin)
    if origin.trained is None or origin.validated is None:
        return again(inputs, origin, text("increment.no_record", origin=origin.path))
    earlier = _now_and_then(config, inputs, origin)
    training, validation = earlier.training, earlier.validation
    known = _known(origin)
    fresh = _pick(training, ~np.isin(training[1], known))
    if not fresh[0]:
        return None
    new = _pick(validation, ~np.isin(validation[1], known))
    pool = [*training[0], *validation[0]], np.concatenate([training[1], validation[1]])
    old_training, old = (_once(_pick(pool, np.isin(pool[1], ids))) for ids in (origin.trained, origin.validated))
    chosen = sorted(
        random.Random(config.seed).sample(range(len(old_training)), round(config.replay * len(old_training)))
    )
    replays = [old_training[i] for i in chosen]
    measured = [*old, *new[0]]
    sources = {document.source for document in measured}
    rendered = replace(
        inputs.rendered,
        training=[*fresh[0], *replays],
        validation=measured,
        questions=[record for record in earlier.questions if record.source in sources],
    )
    fingerprint, mine = identities(rendered)
    known_now = {
        "training": np.union1d(origin.trained, mine["training"]),
        "validation": np.union1d(origin.validated, mine["validation"]),
    }
    prints = _prints(inputs, origin) | {"data": fingerprint, "config.replay": repr(config.replay)}
    said = text("increment.finding", new=len(fresh[0]), old=len(old_training), replayed=len(replays))
    inputs.rows.ledger.findings.append(Finding("info", "incremental", config.data_path, said))
    lost = len(origin.trained) - len(old_training) - earlier.superseded
    measured_only = int(np.isin(training[1], origin.validated).sum())
    notes = [
        *earlier.notes,
        *([text("increment.superseded", count=earlier.superseded)] if earlier.superseded else []),
        *([text("increment.measured_only", count=measured_only)] if measured_only else []),
        *([text("increment.lost", count=lost)] if lost > 0 else []),
    ]
    changed_inputs = replace(inputs, rendered=rendered, fingerprints=prints, identities=known_now)
    return Increment(origin, changed_inputs, len(fresh[0]), len(old_training), len(replays), old, new[0], tuple(notes))


def again(inputs: Inputs, origin: Origin, note: str) -> Increment:
    """All records, from the weights of ``origin``; ``note`` says why."""
    own = replace(inputs, fingerprints=_prints(inputs, origin))
    return Increment(origin, own, len(inputs.rendered.training), 0, 0, [], [], (note,))


def _prints(inputs: Inputs, origin: Origin) -> dict[str, str]:
    return {**inputs.fingerprints, "origin": sha256_of(origin.weights)}


Side = tuple[Sequence[Document], Numbers]


def _pick(side: Side, wanted: NDArray[np.bool_]) -> tuple[list[Document], Numbers]:
    places = np.flatnonzero(wanted)
    return [side[0][int(i)] for i in places], side[1][places]


def _once(side: Side) -> list[Document]:
    """Each document once: the same record may stand in the earlier files and in the present ones."""
    return list(dict(zip(side[1].tolist(), side[0], strict=True)).values())


@dataclass(frozen=True, slots=True)
class _Earlier:
    """Both sides of the present data with what earlier runs read elsewhere, and the validation records as text.

    ``superseded`` counts earlier documents that were left out because a newer record answers their question.
    """

    training: Side
    validation: Side
    questions: Sequence[Record]
    superseded: int
    notes: Sequence[str]


def _now_and_then(config: Config, inputs: Inputs, origin: Origin) -> _Earlier:
    now, known = inputs.rendered, _known(origin)
    trained = origin.trained if origin.trained is not None else known[:0]
    sides = {TRAINING: (now.training, inputs.identities["training"]),
             VALIDATION: (now.validation, inputs.identities["validation"])}  # fmt: skip
    ours = np.concatenate([numbers for _, numbers in sides.values()])
    questions, notes, superseded = list(now.questions), [], 0
    places = {(config.data_path, config.eval_data)}
    answered: set[str] = set()
    newer: Rows = inputs.rows
    for run_dir in _chain(origin.run_dir):
        try:
            before = load_config(run_dir / RUN).config
            if (before.data_path, before.eval_data) in places:
                continue
            same_spelling = before.model_copy(update={"system_prompt": config.system_prompt})
            rows = rows_of(survey_for(same_spelling))
            then = render_rows(rows, inputs.tokenizer, same_spelling)
        except LoraScriptsError as error:
            notes.append(text("increment.not_reread", reason=error.problems[0].text))
            continue
        places.add((before.data_path, before.eval_data))
        answered.update(normal(record.question) for record in newer.of(TRAINING))
        replaced = {record.source for record, _ in rows.sided() if normal(record.question) in answered}
        _, numbers = identities(then)
        for side, documents, ids in (
            (TRAINING, then.training, numbers["training"]),
            (VALIDATION, then.validation, numbers["validation"]),
        ):
            old = np.array([document.source in replaced for document in documents], bool) & ~np.isin(ids, ours)
            superseded += int((old & np.isin(ids, trained)).sum())
            more = _pick((documents, ids), np.isin(ids, known) & ~old)
            sides[side] = [*sides[side][0], *more[0]], np.concatenate([sides[side][1], more[1]])
        questions += then.questions
        newer = rows
    return _Earlier(sides[TRAINING], sides[VALIDATION], questions, superseded, notes)


def _chain(run_dir: Path) -> Iterator[Path]:
    """``run_dir`` and the runs that its adapter was trained on from, newest first."""
    seen: set[Path] = set()
    while run_dir.resolve() not in seen:
        yield run_dir
        seen.add(run_dir.resolve())
        checkpoint, _ = newest_whole(run_dir)
        if checkpoint is None or not (came_from := state_of(checkpoint).origin):
            return
        path = Path(came_from)
        run_dir = path.parent if path.is_file() or (path / MANIFEST).exists() else path


def _known(origin: Origin) -> Numbers:
    return np.concatenate([ids for ids in (origin.trained, origin.validated) if ids is not None])


def refuse_other_shape(config: Config, inputs: Inputs, origin: Origin) -> None:
    """Stop where the adapter of ``origin`` would mean something else in this run.

    Raises:
        UsageError: With every difference.
    """
    if origin.fingerprints is not None:
        found = differences(origin.fingerprints, inputs.fingerprints)
        differing = [said for name, said in found.items() if name in FIXED]
    else:
        differing = _foreign_differences(config, origin)
    if differing:
        raise UsageError("increment.other_shape", where=origin.path, names=", ".join(differing))


def _foreign_differences(config: Config, origin: Origin) -> list[str]:
    try:
        theirs: dict[str, Any] = json.loads((origin.weights.parent / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    method = "ia3" if theirs.get("peft_type") == "IA3" else "dora" if theirs.get("use_dora") else "lora"
    method = "rslora" if theirs.get("use_rslora") else method
    pairs: dict[str, tuple[Any, Any]] = {"method": (method, config.method)}
    if method != "ia3":
        pairs |= {
            "lora_rank": (theirs.get("r"), config.lora_rank),
            "lora_alpha": (theirs.get("lora_alpha"), config.lora_alpha),
        }
    return [f"{name} ({was} → {now})" for name, (was, now) in pairs.items() if was is not None and was != now]


def load_origin(parts: Parts, origin: Origin) -> None:
    """Put the weights of ``origin`` into the adapter of a run.

    Raises:
        ModelError: They do not fit it.
    """
    _, tensors = read_adapter(origin.weights)
    restore_adapter(parts.model, tensors)


def measure(config: Config, parts: Parts, part: Increment) -> dict[str, float]:
    """Validation losses in nats a learned token: of the base on all, of the adapter on old and on new records."""

    def loss(documents: Sequence[Document]) -> float:
        return mean_loss(parts.task, documents, config.batch_size)

    found = {name: loss(documents) for name, documents in (("old", part.old), ("new", part.new)) if documents}
    if part.inputs.rendered.validation:
        with parts.model.disable_adapter():
            found["base"] = loss(part.inputs.rendered.validation)
    return found


def result_of(part: Increment, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    """What an incremental run came to, for eval.json."""
    sides = {
        name: {"records": len(documents), "before": before[name], "after": after[name]}
        for name, documents in (("old", part.old), ("new", part.new))
        if name in before and name in after
    }
    counts = {"new_records": part.new_records, "old_records": part.old_records, "replayed": part.replayed}
    return {"from": str(part.origin.path), **counts, "validation": sides}


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """The same in words: what was forgotten and what was learned."""
    lines = []
    for name, key in (("old", "increment.result_old"), ("new", "increment.result_new")):
        if side := result["validation"].get(name):
            change = (side["after"] / side["before"] - 1) * 100
            values = {"count": side["records"], "before": side["before"], "after": side["after"]}
            lines.append(text(key, **values, change=change))
    return lines
