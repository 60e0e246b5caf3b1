"""A training run, whole: from a loaded config to a proven adapter in its output folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console

from lora_scripts.adapters.files import CONFIG_FILE, WEIGHTS_FILE, adapter_tensors, config_text, restore_adapter
from lora_scripts.adapters.inject import trainable
from lora_scripts.assemble.finish import Outcome, finish
from lora_scripts.assemble.parts import Inputs, Parts, build, gather, plan_lines, predict
from lora_scripts.assemble.records import question_prompt
from lora_scripts.assemble.start import STATE_FILE, Start, choose_start, is_done, refuse_to_overwrite
from lora_scripts.config import Config, Loaded, dump_config
from lora_scripts.data.records import Message
from lora_scripts.data.report import summary, write_report
from lora_scripts.errors import Interrupted, TrainError, UsageError
from lora_scripts.evaluate.answers import answer
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import (
    PREFIX,
    fault_of,
    point,
    prune,
    read_tensors,
    sweep,
    write_checkpoint,
)
from lora_scripts.training.log import RunLog
from lora_scripts.training.loop import fit
from lora_scripts.training.optim import make_optimizer, optimizer_tensors, restore_optimizer
from lora_scripts.training.plan import Plan
from lora_scripts.training.run_dir import PROOF, RUN, clear, drop_halves, held
from lora_scripts.training.state import RunState, random_states, restore_random

SAMPLE_TOKENS = 64
OPTIMIZER_FILE, RANDOM_FILE = "optimizer.safetensors", "random.safetensors"


def look(loaded: Loaded, console: Console, *, strict: bool = False) -> Plan | None:
    """Tell what ``train_run`` would do, and return its plan: no weight is loaded, no file written."""
    config = loaded.config
    run_dir = Path(config.output_dir).expanduser()
    refuse_to_overwrite(config, run_dir)
    inputs = gather(config)
    _refuse_notes(inputs, strict)
    if is_done(config, inputs, run_dir):
        return None
    plan = predict(config, inputs)
    tell(console, loaded, inputs, choose_start(config, inputs), plan)
    return plan


def train_run(loaded: Loaded, console: Console, *, strict: bool = False) -> Outcome | None:
    """Train what the config says and prove it; None where ``resume_from_checkpoint: auto`` finds it done already.

    Raises:
        LoraScriptsError: Whatever stops the run, with what to do next.
    """
    config = loaded.config
    run_dir = Path(config.output_dir).expanduser()
    refuse_to_overwrite(config, run_dir)
    inputs = gather(config)
    _refuse_notes(inputs, strict)
    if is_done(config, inputs, run_dir):
        return None
    with held(run_dir):
        try:
            return _in_folder(loaded, inputs, run_dir, console)
        except OSError as e:
            drop_halves(run_dir)
            raise TrainError("run.disk", where=e.filename or run_dir, reason=e.strerror or str(e)) from e
        except KeyboardInterrupt as e:  # outside the steps, where a checkpoint has nothing to add
            raise Interrupted("run.stopped", where=run_dir) from e


def _in_folder(loaded: Loaded, inputs: Inputs, run_dir: Path, console: Console) -> Outcome:
    """The part of ``train_run`` that writes, once the folder is ours alone."""
    config = loaded.config
    sweep(run_dir)
    drop_halves(run_dir)
    start = choose_start(config, inputs)
    if start.checkpoint is None or (config.overwrite and run_dir.resolve() != start.checkpoint.resolve().parent):
        clear(run_dir)
    (run_dir / PROOF).unlink(missing_ok=True)
    (run_dir / RUN).write_text(dump_config(config), encoding="utf-8")
    write_report(inputs.rows.ledger, run_dir)
    tell(console, loaded, inputs, start, None)
    parts = build(config, inputs)
    (run_dir / "plan.json").write_text(json.dumps(parts.plan.to_json(), indent=1) + "\n", encoding="utf-8")
    for line in [*parts.notes, *plan_lines(parts.plan)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    state = follow_plan(config, inputs, parts, start, run_dir, console)
    return finish(config, inputs, parts, state, run_dir, console)


def _refuse_notes(inputs: Inputs, strict: bool) -> None:
    if strict and inputs.replaced:
        raise UsageError("run.strict", notes="; ".join(inputs.replaced))


def tell(console: Console, loaded: Loaded, inputs: Inputs, start: Start, plan: Plan | None) -> None:
    """Print what was decided: config notes, ledger, data and device notes, where the run starts, the plan."""
    account = [f"{label}: {value}" for label, value in summary(inputs.rows.ledger)]
    lines = [*loaded.notes, *account, *inputs.notes]
    lines += start.lines(loaded.config.resume_from_checkpoint)
    for line in [*lines, *(plan_lines(plan) if plan else [])]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def follow_plan(
    config: Config, inputs: Inputs, parts: Parts, start: Start, run_dir: Path, console: Console
) -> RunState:
    """Train to the end of the plan, with everything that is seen and saved on the way."""
    parameters = trainable(parts.model)
    optimizer = make_optimizer(parameters, weight_decay=config.weight_decay)
    torch.manual_seed(config.seed)
    state = RunState(fingerprints=inputs.fingerprints)
    if start.checkpoint:
        state = restore(start.checkpoint, parts, optimizer)
        keep_best(state, start.checkpoint, run_dir, console)
    validation = inputs.rendered.validation

    def evaluate() -> float:
        total, count = parts.task.evaluate(validation, config.batch_size)
        return total / count

    log = RunLog(run_dir, parts.plan, state, console, ask=sampler(config, inputs, parts))
    try:
        with stop_requests(console) as stop_wanted:
            fit(
                parts.task,
                parts.plan,
                state,
                optimizer,
                parameters,
                log=log,
                save=lambda s: save(s, parts, optimizer, run_dir),
                evaluate=evaluate if validation else None,
                stop_wanted=stop_wanted,
            )
    except BaseException:
        with suppress(OSError):  # what stopped the run is the thing to tell
            log.close()
        raise
    log.close()
    return state


def keep_best(state: RunState, checkpoint: Path, run_dir: Path, console: Console) -> None:
    """Bring the best checkpoint so far into ``run_dir``, from beside ``checkpoint``; where it is gone, forget it."""
    best = run_dir / f"{PREFIX}{state.best_step}"
    if not state.best_step or not fault_of(best):
        return
    source = checkpoint.parent / best.name
    if fault_of(source):
        console.print(text("run.best_gone", name=best.name), markup=False, highlight=False, soft_wrap=True)
        state.best_loss, state.best_step, state.evaluations_without_gain = None, 0, 0
    else:
        shutil.copytree(source, best, dirs_exist_ok=True)


def sampler(config: Config, inputs: Inputs, parts: Parts) -> Callable[[], list[tuple[str, str]]]:
    """A function that answers the fixed sample questions with the model as it is now."""
    asked = list(config.sample_questions) or [record.question for record in inputs.rendered.questions[:3]]
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


def save(state: RunState, parts: Parts, optimizer: torch.optim.Optimizer, run_dir: Path) -> None:
    """Write a checkpoint of this moment and drop the oldest ones beyond the limit.

    Raises:
        TrainError: A value of the adapter is not finite, or the disk refuses.
    """
    tensors = adapter_tensors(parts.model)
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise TrainError("train.not_finite_adapter", step=state.step)
    path = write_checkpoint(
        run_dir,
        state.step,
        {WEIGHTS_FILE: tensors, OPTIMIZER_FILE: optimizer_tensors(optimizer), RANDOM_FILE: random_states()},
        {CONFIG_FILE: config_text(parts.model), STATE_FILE: state.to_json()},
    )
    point(run_dir, "last", path)
    if state.best_step == state.step:
        point(run_dir, "best", path)
    if parts.plan.save_total_limit:
        prune(run_dir, parts.plan.save_total_limit, {state.best_step, state.step})


def restore(checkpoint: Path, parts: Parts, optimizer: torch.optim.Optimizer) -> RunState:
    """Put adapter, optimiser, random generators and position back as they were."""
    restore_adapter(parts.model, read_tensors(checkpoint, WEIGHTS_FILE))
    restore_optimizer(optimizer, read_tensors(checkpoint, OPTIMIZER_FILE))
    restore_random(read_tensors(checkpoint, RANDOM_FILE))
    return RunState.from_json((checkpoint / STATE_FILE).read_text(encoding="utf-8"))


@contextmanager
def stop_requests(console: Console) -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C, SIGTERM or SIGHUP came; a second one ends the process at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            os._exit(1)
        asked.append(number)
        console.print(text("train.stopping"), markup=False, highlight=False)

    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    before = {getattr(signal, n): signal.signal(getattr(signal, n), note) for n in names}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
