"""`export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, next_words, say, teller
from lora_scripts.messages import text


@app.command("export", help=text("export.help"))
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=text("export.run"))],
    to: Annotated[str, typer.Option(metavar="LAYOUT", help=text("export.to"))],
    output: Annotated[Path | None, typer.Option(metavar="DIR", help=text("export.output"))] = None,
    base_model: Annotated[str | None, typer.Option(help=text("cli.base_model"))] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=text("export.overwrite"))] = False,
    dtype: Annotated[str | None, typer.Option(help=text("export.dtype"))] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="DIR[:WEIGHT]", help=text("export.also"))] = None,
    adapter_only: Annotated[bool, typer.Option("--adapter-only", help=text("export.adapter_only"))] = False,
) -> None:
    from lora_scripts.assemble.export import export_lines, export_run

    exported = export_run(
        run,
        to,
        output=output,
        base_model=base_model,
        overwrite=overwrite,
        also=adapter or [],
        dtype=dtype,
        adapter_only=adapter_only,
        say=teller(),
    )
    for line in export_lines(exported):
        say(line)
    exported.refuse_if_wrong()
    next_words(text("cli.after_export", file=exported.folder / "README.md"))
