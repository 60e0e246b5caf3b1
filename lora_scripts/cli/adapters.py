"""`adapters …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import adapters_app, say
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


@adapters_app.command("inspect", help=text("cli.inspect"))
def inspect_adapter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("cli.inspect_folder"))],
) -> None:
    from lora_scripts.assemble.adapters import inspect_adapter as inspected

    for line in inspected(folder):
        say(line)
