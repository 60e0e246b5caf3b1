"""`init`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, next_step, say, teller
from lora_scripts.messages import text


@app.command(help=text("init.help"))
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("init.folder"))],
    output: Annotated[Path, typer.Option(metavar="FILE.yaml", help=text("init.target"))] = Path("my.yaml"),
    base_model: Annotated[str | None, typer.Option(metavar="DIR", help=text("cli.serve_base"))] = None,
    yes: Annotated[bool, typer.Option("--yes", help=text("init.yes"))] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=text("init.overwrite"))] = False,
) -> None:
    from lora_scripts.assemble.dialogue import Dialogue
    from lora_scripts.assemble.init import write_starter_config

    asks = sys.stdin is not None and sys.stdin.isatty() and not yes
    if asks:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # a line can be edited, a Chinese one too
    else:
        teller()(text("init.all_defaults" if yes else "init.nobody_asked"))
    dialogue = Dialogue(say, input if asks else None)
    write_starter_config(folder, output, dialogue, base_model=base_model, overwrite=overwrite)
    next_step("train", output, "--dry-run")
    next_step("train", output)
