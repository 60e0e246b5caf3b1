"""`train`, `sweep`, `eval`, `schema`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lora_scripts.cli.verbs import Overrides, app, next_step, next_words, say, stderr_console, teller
from lora_scripts.errors import Interrupted, UsageError
from lora_scripts.messages import text

if TYPE_CHECKING:
    from lora_scripts.config import Config


@app.command(help=text("cli.train"))
def train(
    words: Annotated[list[str] | None, typer.Argument(metavar="CONFIG [KEY=VALUE]...", help=text("cli.words"))] = None,
    config: Annotated[Path | None, typer.Option(help=text("cli.config"))] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=text("cli.dry_run"))] = False,
    strict: Annotated[bool, typer.Option("--strict", help=text("cli.strict"))] = False,
) -> None:
    from lora_scripts.assemble.ahead import hash_ahead
    from lora_scripts.config import dump_config, load_config

    given = list(words or [])
    path = config or (Path(given.pop(0)) if given else None)
    if path is None:
        raise UsageError("cli.no_config")
    loaded = load_config(path, given)
    console = stderr_console()
    hashed = hash_ahead(loaded.config)
    from lora_scripts.assemble.run import look, train_run  # takes seconds

    if dry_run:
        say(dump_config(loaded.config))
        planned = look(loaded, console, hashed, strict=strict)
        say(text("run.dry_run") if planned else text("run.already_finished", folder=loaded.config.output_dir))
        if planned:
            next_step("train", path, *given)
        else:
            _talk_to(loaded.config)
        return
    try:
        outcome = train_run(loaded, console, hashed, strict=strict)
    except Interrupted as stopped:
        if os.environ.get("WORLD_SIZE", "1") != "1":  # torchrun started it, and all ranks end together
            raise
        print(stopped, file=sys.stderr)
        next_step("train", path, *_to_go_on(given, loaded.config))
        raise typer.Exit(stopped.exit_code) from None
    if outcome is None:
        say(text("run.already_finished", folder=loaded.config.output_dir))
        _talk_to(loaded.config)
        return
    for line in outcome.lines:
        say(line)


def _to_go_on(words: list[str], config: Config) -> list[str]:
    """The overrides of a run that was stopped, for the command that goes on with it."""
    if config.resume_from_checkpoint:
        return words
    kept = [word for word in words if word.partition("=")[0] not in ("overwrite", "resume_from_checkpoint")]
    return [*kept, *(["overwrite=false"] if config.overwrite else []), "resume_from_checkpoint=auto"]


def _talk_to(config: Config) -> None:
    """The next step with the adapter of a finished run."""
    if config.draws:
        next_step("generate", "--adapter", config.output_dir, "--prompt", (*config.sample_prompts, "…")[0])
    else:
        next_step("chat", "--adapter", config.output_dir)


@app.command("eval", help=text("cli.eval"))
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="CONFIG_OR_RUN", help=text("cli.eval_run"))],
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
    from_sheet: Annotated[Path | None, typer.Option(metavar="FILE", help=text("cli.from_sheet"))] = None,
    output: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help=text("cli.sheet_output"))] = None,
) -> None:
    if output and not from_sheet:
        raise UsageError("cli.sheet_and_output")
    if from_sheet:
        from lora_scripts.assemble.text.corrections import preference_command, train_on_command, write_corrections
        from lora_scripts.assemble.text.evaluation import run_of, write_preferences

        if output:
            lines, following = write_preferences(from_sheet, output), preference_command(run, output)
        else:
            run_dir = run_of(run)[0]
            target, lines = write_corrections(from_sheet, run_dir)
            following = train_on_command(run_dir, target)
        for line in lines:
            say(line)
        if following:
            next_words(following)
        return
    from lora_scripts.assemble.text.compare import evaluation_lines
    from lora_scripts.assemble.text.corrections import correct_lines, report_lines
    from lora_scripts.assemble.text.evaluation import evaluate_run, run_of

    evaluation = evaluate_run(run, teller())
    if as_json:
        say(json.dumps(evaluation, ensure_ascii=False))
        return
    for line in evaluation_lines(evaluation):
        say(line)
    run_dir = run_of(run)[0]
    for line in ["", *report_lines(run_dir), *correct_lines(run_dir)]:
        say(line)
    next_step("chat", "--adapter", run_dir)


@app.command(help=text("cli.sweep"))
def sweep(
    config: Annotated[Path, typer.Argument(help=text("cli.config"))],
    overrides: Overrides = None,
    trials: Annotated[int, typer.Option(min=1, help=text("cli.trials"))] = 12,
    output: Annotated[Path | None, typer.Option(help=text("cli.sweep_output"))] = None,
) -> None:
    from lora_scripts.assemble.text.sweep import BEST, sweep_lines
    from lora_scripts.assemble.text.sweep import sweep as search
    from lora_scripts.config import load_config

    result = search(
        load_config(config, overrides or []),
        trials=trials,
        folder=output,
        say=teller(),
    )
    for line in sweep_lines(result):
        say(line)
    next_step("train", result.folder / BEST)
    if result.interrupted:
        raise typer.Exit(1)


@app.command(help=text("cli.schema"))
def schema() -> None:
    from lora_scripts.config.document import json_schema

    say(json.dumps(json_schema(), indent=1, ensure_ascii=False))
    next_words(text("cli.after_schema"))
