"""Figures over folds: on few records one split tells little, so each part of them validates once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_scripts.assemble.text.parts import Inputs
from lora_scripts.assemble.text.trial import trial
from lora_scripts.config import Config
from lora_scripts.data.clean import normal
from lora_scripts.data.records import Record
from lora_scripts.data.render import Document
from lora_scripts.data.split import TRAINING, VALIDATION, Split
from lora_scripts.errors import DataError
from lora_scripts.messages import text
from lora_scripts.training.run_dir import write_json

FOLDS = "folds.json"
ENOUGH = 200  # records from which one split is a fair measure

_NO_FIGURE = ("noted.coach", "noted.shard", "noted.gradient_checkpointing", "noted.libraries")

Pair = tuple[Record, Document]


def fold_figures(config: Config, inputs: Inputs, k: int, run_dir: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Train ``k`` times, each time validating on another part of all records; the content of folds.json.

    It is written after each fold, and folds found there are not trained again where the fingerprints agree. The
    records are those of training and validation together.

    Raises:
        DataError: There are fewer different questions than folds.
        TrainError: A fold's loss is not finite.
    """
    pairs = list(_pairs(inputs))
    if len(pairs) > ENOUGH:
        say(text("folds.many", count=len(pairs), folds=k))
    sides = fold_sides([record for record, _ in pairs], k, config.seed)
    path = run_dir / FOLDS
    fingerprints = telling(inputs.fingerprints)
    done = _done_before(path, fingerprints, k, say)
    for number in range(len(done), k):
        training = [document for (_, document), side in zip(pairs, sides[number], strict=True) if side == TRAINING]
        held_out = [document for (_, document), side in zip(pairs, sides[number], strict=True) if side == VALIDATION]
        done.append({"fold": number + 1, **_figures_of(config, inputs, training, held_out)})
        write_json(path, _account(done, fingerprints, k))
        say(_line(done[-1], k))
    account = _account(done, fingerprints, k)
    say(text("folds.mean", folds=k, **{name: account[name] for name in ("loss", "spread", "epoch", "epoch_spread")}))
    return account


def fold_sides(records: Sequence[Record], k: int, seed: int) -> list[NDArray[np.int8]]:
    """For each fold the side of each record: every question validates in one fold, whole.

    What the split says against leaks holds in each fold: what is asked or answered alike in training does not
    validate but trains; a synthetic record that was made from one that validates is left out.

    Raises:
        DataError: There are fewer different questions than folds.
    """
    asked = [normal(record.question) for record in records]
    # synthetic records follow the ones that they were made from
    questions = sorted({question for question, r in zip(asked, records, strict=True) if not r.synthetic})
    if len(questions) < k:
        raise DataError("folds.too_few", where="folds", count=len(questions), folds=k)
    order = np.random.default_rng(seed).permutation(len(questions))
    fold_of = {questions[i]: place % k for place, i in enumerate(order)}
    synthetic = np.array([record.synthetic for record in records], bool)
    sides = []
    for fold in range(k):
        split = Split(0.0, seed)
        for question, record in zip(asked, records, strict=True):
            split.add(record, held_out=fold_of.get(question) == fold)
        decided = split.decide()
        decided[(decided != VALIDATION) & ~synthetic] = TRAINING
        if not (decided == VALIDATION).any():
            raise DataError("folds.all_alike", where="folds", fold=fold + 1)
        sides.append(decided)
    return sides


def telling(fingerprints: Mapping[str, str]) -> dict[str, str]:
    """The fingerprints that a figure depends on: what two of them must share to be compared."""
    return {name: value for name, value in fingerprints.items() if name not in _NO_FIGURE}


def _pairs(inputs: Inputs) -> Iterator[Pair]:
    """Each record with its document; those that were left out as too long have none."""
    for side, documents in ((TRAINING, inputs.rendered.training), (VALIDATION, inputs.rendered.validation)):
        records = inputs.rows.of(side)
        for document in documents:
            yield next(record for record in records if record.source == document.source), document


def _figures_of(
    config: Config, inputs: Inputs, training: Sequence[Document], held_out: Sequence[Document]
) -> dict[str, Any]:
    done = trial(config, inputs, training=training, validation=held_out)
    best = min(done.losses[1:], key=lambda seen: seen.loss)
    return {
        "records": len(training),
        "validation_records": len(held_out),
        "base_loss": done.first_loss,
        "best_loss": best.loss,
        "best_epoch": best.epoch,
        "epochs": done.losses[-1].epoch,
        "seconds": round(done.seconds, 2),
        "losses": [[seen.epoch, seen.loss] for seen in done.losses],
    }


def _account(done: Sequence[dict[str, Any]], fingerprints: dict[str, str], k: int) -> dict[str, Any]:
    """``loss`` and ``epoch`` are means of the best ones; spreads are standard deviations over the folds."""
    losses, epochs = [fold["best_loss"] for fold in done], [fold["best_epoch"] for fold in done]
    many = len(done) > 1
    return {
        "folds": k,
        "base_loss": fmean(fold["base_loss"] for fold in done),
        "loss": fmean(losses),
        "spread": stdev(losses) if many else 0.0,
        "epoch": fmean(epochs),
        "epoch_spread": stdev(epochs) if many else 0.0,
        "done": list(done),
        "fingerprints": fingerprints,
    }


def _done_before(path: Path, fingerprints: dict[str, str], k: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        before, done = {**found["fingerprints"], "folds": str(found["folds"])}, list(found["done"])
        done = [{**fold, "best_loss": float(fold["best_loss"])} for fold in done]
    except (OSError, ValueError, KeyError, TypeError):
        say(text("folds.unreadable", path=path))
        return []
    now = {**fingerprints, "folds": str(k)}
    changed = sorted(name.partition(".")[2] or name for name in now if before.get(name) != now[name])
    if changed:
        say(text("folds.changed", names=", ".join(changed)))
        return []
    for fold in done:
        say(_line(fold, k))
    return done


def _line(fold: dict[str, Any], k: int) -> str:
    names = ("fold", "records", "validation_records", "base_loss", "best_loss", "best_epoch", "epochs")
    return text("folds.line", folds=k, **{name: fold[name] for name in names})
