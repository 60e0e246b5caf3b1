"""A training run, whole: from a loaded config to a proven adapter in its output folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load
from safetensors.torch import save as pack

from lora_scripts.adapters.files import CONFIG_FILE, WEIGHTS_FILE
from lora_scripts.adapters.inject import trainable
from lora_scripts.assemble.ahead import Hashed
from lora_scripts.assemble.kinds import (
    AnyInputs,
    AnyParts,
    build,
    gather,
    optimizer_of,
    plan_lines,
    predict,
    trained_tensors,
)
from lora_scripts.assemble.outcome import Outcome
from lora_scripts.assemble.parallel import rank_notes, refuse_differences, spread, whole_again
from lora_scripts.assemble.pictures.finish import finish_pictures
from lora_scripts.assemble.pictures.parts import PictureParts
from lora_scripts.assemble.pictures.samples import Samples
from lora_scripts.assemble.start import Start, choose_start, is_done, refuse_to_overwrite, set_aside
from lora_scripts.assemble.text.finish import finish
from lora_scripts.assemble.text.folds import fold_figures
from lora_scripts.assemble.text.increment import load_origin, measure
from lora_scripts.assemble.text.parts import Inputs, Parts
from lora_scripts.assemble.text.records import question_prompt
from lora_scripts.assemble.text.watch import Watch
from lora_scripts.config import Config, Loaded, dump_config
from lora_scripts.data.records import Message
from lora_scripts.data.report import summary, write_report
from lora_scripts.errors import Interrupted, TrainError, UsageError
from lora_scripts.evaluate.answers import answer
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import (
    IDENTITIES_FILE,
    OPTIMIZER_FILE,
    PREFIX,
    RANDOM_FILE,
    STATE_FILE,
    fault_of,
    point,
    prune,
    sweep,
    write_checkpoint,
)
from lora_scripts.training.log import RunLog, Unheard, say
from lora_scripts.training.loop import fit
from lora_scripts.training.optim import optimizer_tensors, restore_optimizer
from lora_scripts.training.parallel import ALONE, Ranks, joined
from lora_scripts.training.plan import Plan
from lora_scripts.training.run_dir import PROOF, RUN, clear, drop_halves, held, write_json
from lora_scripts.training.state import RunState, random_states, restore_random
from lora_scripts.training.stopping import stop_requests

SAMPLES, SAMPLE_TOKENS = 6, 64


def look(loaded: Loaded, console: Console, hashed: Hashed | None = None, *, strict: bool = False) -> Plan | None:
    """Tell what ``train_run`` would do, and return its plan: no weight is loaded, no file written."""
    config = loaded.config
    run_dir = Path(config.output_dir).expanduser()
    refuse_to_overwrite(config, run_dir)
    inputs = gather(config, hashed, weights=False)
    _refuse_notes(inputs, strict)
    if is_done(config, inputs, run_dir):
        return None
    start = choose_start(config, inputs)
    plan, lines = predict(config, start.inputs)
    tell(console, loaded, start.inputs, start, plan)
    for line in lines:
        say(console, line)
    return plan


def train_run(
    loaded: Loaded, console: Console, hashed: Hashed | None = None, *, strict: bool = False
) -> Outcome | None:
    """Train what the config says and prove it; None where ``resume_from_checkpoint: auto`` finds it done already.

    Raises:
        LoraScriptsError: Whatever stops the run, with what to do next.
        SystemExit: On other ranks than the first, at the end of their part.
    """
    run_dir = Path(loaded.config.output_dir).expanduser()
    with ExitStack() as folder:
        with joined(loaded.config.device) as ranks:
            console = console if ranks.first else Console(quiet=True)
            trained = _train(loaded, hashed, ranks, run_dir, folder, console, strict)
        if not ranks.first:
            raise SystemExit(0)
        if trained is None:
            return None
        with _in_words(run_dir):
            start, parts, state = trained
            if isinstance(parts, PictureParts):
                return finish_pictures(loaded.config, start.inputs, parts, state, run_dir, console)
            return finish(loaded.config, start, parts, state, run_dir, console)


def _train(
    loaded: Loaded,
    hashed: Hashed | None,
    ranks: Ranks,
    run_dir: Path,
    folder: ExitStack,
    console: Console,
    strict: bool,
) -> tuple[Start[Any], AnyParts, RunState] | None:
    """From files to a trained adapter, on all ranks; ``folder`` holds the output folder until the run ends."""
    config = loaded.config

    def prepare() -> Start[Any] | None:
        if ranks.first:
            refuse_to_overwrite(config, run_dir)
        inputs = gather(config.model_copy(update={"device": ranks.own_device(config.device)}), hashed)
        _refuse_notes(inputs, strict)
        if ranks.first:
            if is_done(config, inputs, run_dir):
                return None
            with _in_words(run_dir):
                folder.enter_context(held(run_dir))
                sweep(run_dir)
                drop_halves(run_dir)
        return choose_start(config, inputs)

    start: Start[Any] | None = ranks.together(prepare)
    if not ranks.first_says(b"go on" if start else b"") or start is None:
        return None
    refuse_differences(ranks, start.inputs)
    with _in_words(run_dir):
        if ranks.first:
            start = _open_folder(loaded, start, run_dir, console)
        return _in_folder(config, ranks, start, run_dir, console)


def _open_folder(loaded: Loaded, start: Start[Any], run_dir: Path, console: Console) -> Start[Any]:
    """Clear what is left of other runs, write and tell what is known before a model is loaded."""
    config = loaded.config
    start, aside = set_aside(start, run_dir)
    if start.checkpoint is None or (config.overwrite and run_dir.resolve() != start.checkpoint.resolve().parent):
        clear(run_dir)
    (run_dir / PROOF).unlink(missing_ok=True)
    (run_dir / RUN).write_text(dump_config(config), encoding="utf-8")
    write_report(start.inputs.ledger, run_dir)
    tell(console, loaded, start.inputs, start, None)
    if aside:
        say(console, text("increment.set_aside", folder=aside))
    if config.folds and (start.checkpoint or start.increment):
        say(console, text("run.no_folds"))
    elif config.folds and isinstance(start.inputs, Inputs):
        fold_figures(config, start.inputs, config.folds, run_dir, lambda line: say(console, line))
    return start


def _in_folder(
    config: Config, ranks: Ranks, start: Start[Any], run_dir: Path, console: Console
) -> tuple[Start[Any], AnyParts, RunState]:
    """The part of ``_train`` that needs a model."""
    inputs = start.inputs
    sharded = config.shard and ranks.size > 1

    def heard(line: str) -> None:
        say(console, line)

    parts: AnyParts = ranks.together(lambda: build(config, replace(inputs, device="cpu") if sharded else inputs, heard))
    if sharded and isinstance(parts, Parts):
        ranks = replace(ranks, sharded=True)
        spread(parts, inputs, ranks)
    if ranks.first:
        write_json(run_dir / "plan.json", parts.plan.to_json())
    for line in [*parts.notes, *rank_notes(config, ranks), *plan_lines(parts.plan)]:
        say(console, line)
    state = follow_plan(config, start, parts, run_dir, console, ranks)
    if sharded and ranks.first and isinstance(parts, Parts):
        start, parts = whole_again(config, start, parts)
    return start, parts, state


@contextmanager
def _in_words(run_dir: Path) -> Iterator[None]:
    """What the disk or Ctrl-C do to a run that has its folder, as an error of ours."""
    try:
        yield
    except OSError as e:
        drop_halves(run_dir)
        raise TrainError("run.disk", where=e.filename or run_dir, reason=e.strerror or str(e)) from e
    except KeyboardInterrupt as e:  # outside the steps, where a checkpoint has nothing to add
        raise Interrupted("run.stopped", where=run_dir) from e


def _refuse_notes(inputs: AnyInputs, strict: bool) -> None:
    if strict and inputs.replaced:
        raise UsageError("run.strict", notes="; ".join(inputs.replaced))


def tell(console: Console, loaded: Loaded, inputs: AnyInputs, start: Start[Any], plan: Plan | None) -> None:
    """Print what was decided: config notes, ledger, data and device notes, where the run starts, the plan."""
    account = [f"{label}: {value}" for label, value in summary(inputs.ledger)]
    lines = [*loaded.notes, *account, *inputs.notes]
    lines += start.lines(loaded.config.resume_from_checkpoint)
    for line in [*lines, *(plan_lines(plan) if plan else [])]:
        say(console, line)


def follow_plan(
    config: Config, start: Start[Any], parts: AnyParts, run_dir: Path, console: Console, ranks: Ranks = ALONE
) -> RunState:
    """Train to the end of the plan, with everything that is seen and saved on the way."""
    inputs, parameters = start.inputs, trainable(parts.model)
    optimizer = optimizer_of(config, parts)
    torch.manual_seed(config.seed)
    state = _begin(config, start, parts, optimizer, run_dir, console, ranks)
    log: RunLog | Unheard = Unheard()
    watch: Watch | None = None
    if ranks.first and isinstance(parts, PictureParts):
        samples = Samples(config, inputs, parts, run_dir, lambda line: say(console, line))
        log = RunLog(run_dir, parts.plan, state, console, ask=lambda: samples.at(state.step))
    elif ranks.first and isinstance(parts, Parts):
        ask = list if ranks.sharded else sampler(config, inputs, parts)
        watch = Watch(config, inputs, parts.plan, run_dir, state)
        log = RunLog(run_dir, parts.plan, state, console, ask=ask, judge=watch.judge)
    try:
        with stop_requests(console, ranks) as stop_wanted:
            fit(
                parts.task,
                parts.plan,
                state,
                optimizer,
                parameters,
                log=log,
                save=lambda s: save(s, inputs, parts, optimizer, run_dir, ranks),
                evaluate=evaluator(config, inputs, parts, state, ranks, console) if inputs.validation else None,
                stop_wanted=stop_wanted,
                halved=log.halved,
                ranks=ranks,
            )
    except BaseException:
        with suppress(OSError, ValueError):  # what stopped the run is the thing to tell
            log.close()
        raise
    log.close()
    if watch:
        for line in watch.closing_lines():
            say(console, line)
    return state


def _begin(
    config: Config,
    start: Start[Any],
    parts: AnyParts,
    optimizer: torch.optim.Optimizer,
    run_dir: Path,
    console: Console,
    ranks: Ranks,
) -> RunState:
    """Where the run starts, put into model and optimiser: a checkpoint, an earlier adapter, or nothing.

    The first rank reads for all, so that on other machines the output folder need not be there.
    """
    if ranks.first_says(b"restore" if start.checkpoint else b""):
        state = restore(start.checkpoint, parts, optimizer, ranks)
        if ranks.first and start.checkpoint:
            keep_best(state, start.checkpoint, run_dir, console)
        return state
    state = RunState(fingerprints=start.inputs.fingerprints)
    if (part := start.increment) and isinstance(parts, Parts):
        if ranks.first:
            load_origin(parts, part.origin)
        if ranks.size > 1:
            parts.restore(load(ranks.first_says(pack(parts.tensors()))))
        state.origin = str(part.origin.path)
        state.before = measure(config, parts, part)
    return state


def evaluator(
    config: Config, inputs: AnyInputs, parts: AnyParts, state: RunState, ranks: Ranks, console: Console
) -> Callable[[], float]:
    """A function that measures the validation loss, each rank on its part of the records."""
    validation: Any = inputs.validation
    shares = [validation[rank :: ranks.size] for rank in range(ranks.size)]
    most = config.batch_size

    def smaller(size: int) -> None:
        nonlocal most
        most = size
        say(console, text("train.eval_halved", size=size))

    def part() -> tuple[float, float]:
        size = min(most, state.micro_batch or most)
        total, count = parts.task.evaluate(shares[ranks.rank], size, smaller)
        if ranks.sharded:  # as in a step: the same number of passes on all ranks
            passes = [-(-len(share) // size) for share in shares]
            for _ in range(max(passes) - passes[ranks.rank]):
                parts.task.evaluate(validation[:1], 1)
        return total, float(count)

    def evaluate() -> float:
        total, count = ranks.sums(part, 2)
        return total / count

    return evaluate


def keep_best(state: RunState, checkpoint: Path, run_dir: Path, console: Console) -> None:
    """Bring the best checkpoint so far into ``run_dir``, from beside ``checkpoint``; where it is gone, forget it."""
    best = run_dir / f"{PREFIX}{state.best_step}"
    if not state.best_step or not fault_of(best):
        return
    source = checkpoint.parent / best.name
    if fault_of(source):
        say(console, text("run.best_gone", name=best.name))
        state.best_loss, state.best_step, state.evaluations_without_gain = None, 0, 0
    else:
        shutil.copytree(source, best, dirs_exist_ok=True)


def sampler(config: Config, inputs: Inputs, parts: Parts) -> Callable[[], list[tuple[str, str]]]:
    """A function that answers the fixed sample questions with the model as it is now."""
    asked = list(config.sample_questions) or [record.question for record in inputs.rendered.questions[:SAMPLES]]
    prompts = [question_prompt([Message("user", q)], inputs.tokenizer, config.system_prompt) for q in asked]

    def ask() -> list[tuple[str, str]]:
        answers = answer(
            parts.base,
            inputs.tokenizer,
            prompts,
            attention=parts.attention,
            stop_ids=inputs.rendered.form.stop_ids,
            max_new_tokens=SAMPLE_TOKENS,
        )
        return list(zip(asked, answers, strict=True))

    return ask


def save(
    state: RunState,
    inputs: AnyInputs,
    parts: AnyParts,
    optimizer: torch.optim.Optimizer,
    run_dir: Path,
    ranks: Ranks = ALONE,
) -> None:
    """Write a checkpoint of this moment and drop the oldest ones beyond the limit; the first rank does.

    Raises:
        TrainError: A value of the adapter is not finite, on any rank; or the disk refuses.
    """
    # on all ranks: where the base is sharded, this puts layers back to their parts, and all must be in the same state
    tensors = trained_tensors(parts, state.step)
    moments = optimizer_tensors(optimizer)
    if not all(torch.isfinite(value).all() for value in moments.values()):  # it would stand still, or break later
        raise TrainError("train.not_finite_optimizer", step=state.step)
    if not ranks.first:
        return
    path = write_checkpoint(
        run_dir,
        state.step,
        {
            WEIGHTS_FILE: tensors,
            OPTIMIZER_FILE: moments,
            RANDOM_FILE: random_states(),
            IDENTITIES_FILE: {side: torch.from_numpy(ids.copy()) for side, ids in inputs.identities.items()},
        },
        {CONFIG_FILE: parts.settings(), STATE_FILE: state.to_json()},
        parts.ready_files(),
    )
    point(run_dir, "last", path)
    if state.best_step == state.step:
        point(run_dir, "best", path)
    if parts.plan.save_total_limit:
        prune(run_dir, parts.plan.save_total_limit, {state.best_step, state.step})


def restore(checkpoint: Path | None, parts: AnyParts, optimizer: torch.optim.Optimizer, ranks: Ranks) -> RunState:
    """Put adapter, optimiser, random generators and position back as they were; the first rank reads for all."""
    names = (WEIGHTS_FILE, OPTIMIZER_FILE, RANDOM_FILE, STATE_FILE)
    read = ranks.together(lambda: [(checkpoint / name).read_bytes() for name in names] if checkpoint else [b""] * 4)
    weights, moments, random, position = [ranks.first_says(raw) for raw in read]
    parts.restore(load(weights))
    restore_optimizer(optimizer, load(moments))
    restore_random(load(random))
    return RunState.from_json(position.decode())
