"""A search over rank, rate, epochs and targets on validation loss: resumable, pruned, with a table and a plot."""

from __future__ import annotations

import logging
import math
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.cells import cell_len

from lora_scripts.assemble.text.folds import telling
from lora_scripts.assemble.text.parts import Inputs, gather, predict
from lora_scripts.assemble.text.trial import trial as train_in_memory
from lora_scripts.config import Config, Loaded, dump_config
from lora_scripts.errors import Interrupted, ModelError, TrainError, UsageError
from lora_scripts.messages import text
from lora_scripts.training.coach import plain
from lora_scripts.training.run_dir import held, write_json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Drawn

STORE, TABLE, PLOT, BEST = "sweep.db", "sweep.json", "sweep.png", "best.yaml"
QUERY_VALUE = "q, v"  # the name of the default targets in the search
_AROUND = 5.0  # the rate is searched from the config's divided by this to the config's times this
_NEVER_PRUNED = 4  # finished trials before any is given up early
_DRAWN_FREELY = 6  # finished trials before the sampler learns from them

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: ``state`` is complete, given_up (pruned) or failed; ``loss`` the best validation loss that it saw."""

    number: int
    state: str
    loss: float | None
    epoch: float | None
    settings: dict[str, Any]
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """``tried`` best first; ``best`` are the config keys of the first, ``interrupted`` says that Ctrl-C ended it."""

    folder: Path
    tried: list[Tried]
    best: dict[str, Any]
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Space:
    """What is searched, from the config's own settings outwards; none is given up in its first ``warm_up`` steps."""

    ranks: tuple[int, ...]
    rates: tuple[float, float]
    epochs: tuple[int, int]
    targets: tuple[str, ...]
    warm_up: int


def sweep(loaded: Loaded, *, trials: int, folder: Path | None = None, say: Say) -> SweepResult:
    """Search until ``trials`` are done in all, those of earlier calls on ``folder`` included.

    The first trial has the config's own settings; every other one is drawn by TPE (Bergstra et al. 2011) from a
    generator seeded by ``seed`` and by how many are done, so that a sweep that was broken off goes on as if it had
    not been. A trial whose best loss so far is worse than the median of the others at that step is given up. What
    stands in ``folder`` is written after each trial.

    Raises:
        UsageError: Nothing validates; or ``folder`` holds a sweep over other data, base or settings.
        Interrupted: Ctrl-C before the first trial was done.
    """
    config = loaded.config
    folder = folder or Path(config.output_dir + "_sweep").expanduser()
    inputs = gather(config)
    for line in [*loaded.notes, *inputs.notes]:
        say(line)
    if not inputs.rendered.validation:
        raise UsageError("sweep.no_validation")
    with held(folder), _quiet_optuna(say), _store_faults(folder / STORE):
        space = space_of(config, inputs, say)
        study = _open_study(folder, inputs, config, space)
        interrupted = False
        try:
            _search(study, config, inputs, space, trials, folder, say)
        except KeyboardInterrupt:
            _break_off(study)
            interrupted = True
            say(text("sweep.interrupted"))
        result = _result(study, folder, interrupted)
        if not result.best:
            raise Interrupted("sweep.nothing_done", where=folder)
        _write(result, config, inputs)
        draw(result.tried, folder / PLOT)
    return result


def space_of(config: Config, inputs: Inputs, say: Say = lambda line: None) -> Space:
    """Ranks within a factor of 4, rates within one of 5, a third to all of the epochs, the presets of targets.

    ``lora_alpha`` follows the rank. Targets that the base has not are left out, with a line.
    """
    ranks = sorted({r for k in (-2, -1, 0, 1, 2) if 1 <= (r := int(config.lora_rank * 2.0**k)) <= 1024})
    rates = config.learning_rate / _AROUND, min(1.0, config.learning_rate * _AROUND)
    epochs = (config.epochs, config.epochs) if config.max_steps else (max(1, -(-config.epochs // 3)), config.epochs)
    if config.max_steps:
        say(text("sweep.steps_fixed", steps=config.max_steps))
    targets = []
    for name in dict.fromkeys((_named(config.target_modules), QUERY_VALUE, "attention", "mlp", "all-linear")):
        try:
            predict(config.model_copy(update={"target_modules": _targets(name)}), inputs)
        except ModelError:
            if name == _named(config.target_modules):
                raise
            say(text("sweep.no_target", name=name))
        else:
            targets.append(name)
    warm_up = 2 * predict(config, inputs)[0].eval_steps
    return Space(tuple(ranks), rates, epochs, tuple(targets), warm_up)


def _named(targets: Sequence[str] | None) -> str:
    return ", ".join(targets) if targets else QUERY_VALUE


def _targets(name: str) -> tuple[str, ...] | None:
    return None if name == QUERY_VALUE else tuple(name.split(", "))


@contextmanager
def _quiet_optuna(say: Say) -> Iterator[None]:
    """Of what optuna says, only warnings, as lines of ours."""
    import optuna

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(text("sweep.optuna_says", words=record.getMessage()))

    log, handler = logging.getLogger("optuna"), Lines(logging.WARNING)
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        log.removeHandler(handler)


@contextmanager
def _store_faults(place: Path) -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as e:
        raise UsageError("sweep.store_fails", where=place, reason=str(e).splitlines()[0][:160]) from e


def _open_study(folder: Path, inputs: Inputs, config: Config, space: Space) -> Study:
    """The study of ``folder``, new or as it was left; a trial that was killed is marked failed and queued again."""
    import optuna

    connect = partial(sqlite3.connect, folder / STORE, check_same_thread=False)  # in an URL a "?" would cut the path
    storage = optuna.storages.RDBStorage("sqlite:///sweep.db", engine_kwargs={"creator": connect})
    study = optuna.create_study(storage=storage, study_name="sweep", load_if_exists=True, direction="minimize")
    before, now = study.user_attrs.get("fingerprints"), telling(inputs.fingerprints)
    if before is None:
        own = {"lora_rank": config.lora_rank, "learning_rate": config.learning_rate, "epochs": config.epochs}
        study.enqueue_trial({**own, "target_modules": _named(config.target_modules)})
        study.set_user_attr("fingerprints", now)
    elif changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
        names = ", ".join(name.partition(".")[2] or name for name in changed)
        raise UsageError("sweep.other", where=folder, names=names)
    _break_off(study)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_NEVER_PRUNED, n_warmup_steps=space.warm_up)
    return study


def _break_off(study: Study) -> None:
    """Mark what was running as failed, and queue the same settings again."""
    from optuna.trial import TrialState

    for broken in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(broken.number, state=TrialState.FAIL)
        study.enqueue_trial({**broken.system_attrs.get("fixed_params", {}), **broken.params})


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _search(study: Study, config: Config, inputs: Inputs, space: Space, trials: int, folder: Path, say: Say) -> None:
    import optuna

    while (done := len(_finished(study))) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=(config.seed + done) % 2**32, n_startup_trials=_DRAWN_FREELY)
        drawn = study.ask()
        settings = _settings(drawn, config, space)
        drawn.set_user_attr("settings", settings)
        _try(study, drawn, config.model_copy(update=_update(settings)), inputs)
        result = _result(study, folder, False)
        tried = next(t for t in result.tried if t.number == drawn.number)
        say(text("sweep.trial", done=done + 1, trials=trials, outcome=_outcome(tried), settings=_words(settings)))
        if result.best:
            _write(result, config, inputs)


def _settings(drawn: Drawn, config: Config, space: Space) -> dict[str, Any]:
    rank = drawn.suggest_categorical("lora_rank", space.ranks)
    rate = drawn.suggest_float("learning_rate", *space.rates, log=True)
    own = math.isclose(rate, config.learning_rate)
    return {
        "lora_rank": rank,
        "lora_alpha": config.lora_alpha * rank / config.lora_rank,
        "learning_rate": config.learning_rate if own else float(f"{rate:.3g}"),
        "epochs": drawn.suggest_int("epochs", *space.epochs),
        "target_modules": _targets(drawn.suggest_categorical("target_modules", space.targets)),
    }


def _update(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` as a config holds them; the store gives lists back for tuples."""
    targets = settings["target_modules"]
    return {**settings, "target_modules": tuple(targets) if targets else None}


def _try(study: Study, drawn: Drawn, config: Config, inputs: Inputs) -> None:
    """Train one trial and tell the study; a loss that is not finite, or too little memory, ends that trial alone."""
    from optuna.trial import TrialState

    best, given_up = math.inf, False

    def seen(step: int, loss: float, train_loss: float | None) -> bool:
        nonlocal best, given_up
        if step:
            best = min(best, loss)
            drawn.report(best, step)
            given_up = drawn.should_prune()
        return given_up

    try:
        done = train_in_memory(config, inputs, on_evaluation=seen)
    except (TrainError, torch.OutOfMemoryError) as e:
        drawn.set_user_attr("reason", str(e).splitlines()[0][:300])
        study.tell(drawn, state=TrialState.PRUNED)
        return
    at = min((s for s in done.losses if s.step), key=lambda s: s.loss)
    for name, value in (("loss", at.loss), ("epoch", at.epoch), ("seconds", round(done.seconds, 2))):
        drawn.set_user_attr(name, value)
    if given_up:
        study.tell(drawn, state=TrialState.PRUNED)
    else:
        study.tell(drawn, at.loss)


def _result(study: Study, folder: Path, interrupted: bool) -> SweepResult:
    tried = sorted((_tried(t) for t in _finished(study)), key=_order)
    first = next((t for t in tried if t.state == "complete"), None)
    return SweepResult(folder, tried, dict(first.settings) if first else {}, interrupted)


def _tried(frozen: FrozenTrial) -> Tried:
    known = frozen.user_attrs
    state = "failed" if "reason" in known else "complete" if frozen.state.name == "COMPLETE" else "given_up"
    return Tried(
        number=frozen.number,
        state=state,
        loss=known.get("loss"),
        epoch=known.get("epoch"),
        settings=known["settings"],
        seconds=known.get("seconds", 0.0),
        reason=known.get("reason", ""),
    )


def _order(tried: Tried) -> tuple[bool, bool, float, int]:
    return tried.state != "complete", tried.loss is None, tried.loss or 0.0, tried.number


def _write(result: SweepResult, config: Config, inputs: Inputs) -> None:
    """sweep.json, and best.yaml: a config that trains the best trial again."""
    account = {
        "best": result.best,
        "trials": [asdict(tried) for tried in result.tried],
        "fingerprints": telling(inputs.fingerprints),
    }
    write_json(result.folder / TABLE, account)
    fresh = {"resume_from_checkpoint": None, "overwrite": False}
    best = config.model_copy(update=_update(result.best) | fresh)
    (result.folder / BEST).write_text(dump_config(best), encoding="utf-8")


def _outcome(tried: Tried) -> str:
    if tried.state == "failed":
        return text("sweep.failed", reason=tried.reason)
    if tried.state == "given_up":
        return text("sweep.given_up", loss=tried.loss, epoch=tried.epoch)
    return text("sweep.complete", loss=tried.loss, epoch=tried.epoch)


def _words(settings: Mapping[str, Any]) -> str:
    values = {"rank": settings["lora_rank"], "rate": plain(settings["learning_rate"]), "epochs": settings["epochs"]}
    return text("sweep.settings", **values, targets=_named(settings["target_modules"]))


def sweep_lines(result: SweepResult) -> list[str]:
    """The table, best first, and the best settings as lines for the config."""
    heads = ((8, text("sweep.head_loss")), (6, text("sweep.head_epoch")), (7, text("sweep.head_seconds")))
    lines = [" ".join(" " * (width - cell_len(word)) + word for width, word in heads)]
    for tried in result.tried:
        loss = f"{tried.loss:8.4f}" if tried.loss is not None else f"{'-':>8}"
        epoch = f"{tried.epoch:6.1f}" if tried.epoch is not None else f"{'-':>6}"
        mark = "" if tried.state == "complete" else f"  ({_outcome(tried)})"
        lines.append(f"{loss} {epoch} {tried.seconds:7.1f}  {_words(tried.settings)}{mark}")
    lines += ["", text("sweep.best")]
    return [*lines, *_config_lines(result.best), text("sweep.where", path=result.folder / BEST)]


def _config_lines(best: Mapping[str, Any]) -> list[str]:
    written = {k: plain(v) if isinstance(v, int | float) else v for k, v in best.items()}
    targets = written.pop("target_modules")
    return [f"    {k}: {v}" for k, v in written.items()] + [f"    target_modules: {', '.join(targets or ())}".rstrip()]


def draw(tried: Sequence[Tried], path: Path) -> None:
    """Validation loss against rate and against rank, coloured by targets; trials given up are hollow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    measured = [t for t in tried if t.loss is not None]
    names = sorted({_named(t.settings["target_modules"]) for t in measured})
    for axes, key, label in zip(
        figure.subplots(1, 2, sharey=True), ("learning_rate", "lora_rank"), ("learning rate", "rank"), strict=True
    ):
        for colour, name in enumerate(names):
            mine = [t for t in measured if _named(t.settings["target_modules"]) == name]
            for whole in (True, False):
                points = [(t.settings[key], t.loss) for t in mine if (t.state == "complete") == whole]
                if points:
                    kind = {"color": f"C{colour}", "label": name if whole else f"{name} (given up)"}
                    face = kind["color"] if whole else "none"
                    axes.scatter(*zip(*points, strict=True), **kind, facecolors=face, edgecolors=kind["color"])
        axes.set_xscale("log", base=10 if key == "learning_rate" else 2)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("validation loss (nats a learned token)")
    figure.axes[1].legend()
    figure.savefig(path, dpi=120)
