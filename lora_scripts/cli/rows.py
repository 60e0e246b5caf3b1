"""`check`, `preview`, `desensitize`, `augment`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import Overrides, app, next_step, say, teller
from lora_scripts.messages import text


@app.command(help=text("cli.check"))
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="CONFIG_OR_PATH...", help=text("cli.check_paths"))],
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
    report_dir: Annotated[Path, typer.Option(help=text("cli.report_dir"))] = Path("output/check"),
) -> None:
    from lora_scripts.assemble.text.survey import check_paths
    from lora_scripts.data.report import counts, sample_lines, summary, write_report

    ledger = check_paths(paths)
    report_dir.mkdir(parents=True, exist_ok=True)
    write_report(ledger, report_dir)
    if as_json:
        say(json.dumps(counts(ledger), ensure_ascii=False))
        return
    for label, value in summary(ledger):
        say(f"{label}: {value}")
    for line in sample_lines(ledger):
        say(line)
    say(text("cli.report_in", folder=report_dir))
    first = paths[0]
    next_step(*(("preview", first) if first.suffix.lower() in (".yaml", ".yml") else ("init", first)))


@app.command(help=text("cli.preview"))
def preview(
    config: Annotated[Path, typer.Argument(help=text("cli.config"))],
    overrides: Overrides = None,
    count: Annotated[int, typer.Option("-n", min=1, help=text("cli.preview_count"))] = 3,
) -> None:
    from rich.console import Console
    from rich.text import Text

    from lora_scripts.assemble.text.records import preview_records
    from lora_scripts.config import load_config

    console = Console()
    console.print(text("cli.preview_legend"), style="dim")
    for source, pieces, learned, total in preview_records(load_config(config, overrides or []).config, count):
        console.rule(f"{source}  {learned}/{total}", style="dim")
        shown = Text()
        for words, is_learned in pieces:
            shown.append(words, style="bold green" if is_learned else "dim")
        console.print(shown, soft_wrap=True)
    next_step("train", config, *(overrides or []), "--dry-run")


@app.command(help=text("cli.desensitize"))
def desensitize(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=text("cli.desensitize_source"))],
    target: Annotated[Path, typer.Argument(metavar="DST", help=text("cli.new_target"))],
    mode: Annotated[str, typer.Option(help=text("cli.desensitize_mode"))] = "mask",
    types: Annotated[str | None, typer.Option(help=text("cli.desensitize_types"))] = None,
    list_path: Annotated[Path | None, typer.Option("--list", metavar="FILE", help=text("cli.desensitize_list"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
) -> None:
    from lora_scripts.assemble.text.desensitize import account_lines, desensitize_copy

    counts = desensitize_copy(source, target, mode=mode, types=types, list_path=list_path)
    if as_json:
        say(json.dumps({"personal_data": counts.by_type, "places": counts.places}, ensure_ascii=False))
        return
    for line in account_lines(counts, mode):
        say(line)
    say(text("cli.desensitized_in", path=target))
    if list_path is not None:
        say(text("cli.desensitize_listed", path=list_path))
    next_step("check", target)


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
    from lora_scripts.assemble.text.augment import write_variants

    lines = write_variants(
        path,
        target,
        per_record=per_record,
        seed=seed,
        addressees=addressee or [],
        endpoint=endpoint,
        model=model,
        say=teller(),
    )
    for line in lines:
        say(line)
    say(text("cli.augmented_in", path=target))
    next_step("check", target)
