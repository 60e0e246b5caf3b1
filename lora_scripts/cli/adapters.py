"""`adapters …`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import adapters_app, next_step, next_words, say
from lora_scripts.errors import UsageError
from lora_scripts.messages import text


@adapters_app.command("shrink", help=text("cli.shrink"))
def shrink(
    source: Annotated[Path, typer.Argument(metavar="SRC", help=text("cli.shrink_source"))],
    target: Annotated[Path, typer.Argument(metavar="DST", help=text("cli.new_folder"))],
    rank: Annotated[int | None, typer.Option(min=1, help=text("cli.shrink_rank"))] = None,
    energy: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=text("cli.shrink_energy"))] = None,
) -> None:
    from lora_scripts.assemble.adapters import shrink_adapter, shrink_lines

    for line in shrink_lines(shrink_adapter(source, target, rank=rank, energy=energy)):
        say(line)
    next_step("chat", "--adapter", target)


@adapters_app.command("inspect", help=text("cli.inspect"))
def inspect_adapter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("cli.inspect_folder"))],
) -> None:
    from lora_scripts.assemble.inventory import inspect_any

    for line in inspect_any(folder):
        say(line)
    next_step("adapters", "verify", folder)


@adapters_app.command("combine", help=text("combine.help"))
def combine(
    words: Annotated[list[str], typer.Argument(metavar="DIR[:WEIGHT]... OUT", help=text("combine.words"))],
    base_model: Annotated[str | None, typer.Option(help=text("combine.base_model"))] = None,
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
) -> None:
    from lora_scripts.assemble.combine import combine_adapters, combined_lines

    if len(words) < 2:
        raise UsageError("combine.too_few")
    for line in combined_lines(combine_adapters(words[:-1], Path(words[-1]), base_model=base_model, device=device)):
        say(line)
    next_step("chat", "--adapter", words[-1])


@adapters_app.command("list", help=text("combine.list_help"))
def list_adapters(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help=text("combine.list_root"))],
    as_json: Annotated[bool, typer.Option("--json", help=text("cli.json"))] = False,
) -> None:
    from lora_scripts.assemble.inventory import list_adapters as listed
    from lora_scripts.assemble.inventory import list_lines

    found, checkpoints = listed(root)
    if as_json:
        say(json.dumps([asdict(one) for one in found], ensure_ascii=False))
        return
    for line in list_lines(root, found, checkpoints):
        say(line)
    if found:
        next_step("adapters", "inspect", root / found[0].name)
    else:
        next_words(text("cli.after_no_adapter"))


@adapters_app.command("verify", help=text("combine.verify_help"))
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("cli.inspect_folder"))],
    base_model: Annotated[str | None, typer.Option(help=text("combine.base_model"))] = None,
) -> None:
    from lora_scripts.adapters.picture_files import is_picture_adapter
    from lora_scripts.assemble.inventory import verify_adapter

    for line in verify_adapter(folder, base_model=base_model):
        say(line)
    say(text("combine.sound"))
    if is_picture_adapter(folder):
        next_step("export", folder, "--to", "diffusers")
    else:
        next_step("export", folder, "--to", "merged")
