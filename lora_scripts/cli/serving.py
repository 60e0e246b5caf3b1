"""`chat`."""

from __future__ import annotations

from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, say, stderr_console
from lora_scripts.messages import text


@app.command(help=text("cli.chat"))
def chat(
    adapter: Annotated[list[str], typer.Option(metavar="DIR[:WEIGHT]", help=text("cli.adapter"))],
    prompt: Annotated[str | None, typer.Option(help=text("cli.prompt"))] = None,
    base_model: Annotated[str | None, typer.Option(help=text("cli.base_model"))] = None,
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
    max_new_tokens: Annotated[int, typer.Option(min=1, help=text("cli.max_new_tokens"))] = 256,
) -> None:
    from lora_scripts.assemble.talk import converse, open_chat

    console = stderr_console()
    partner = open_chat(adapter, base_model=base_model, device=device, max_new_tokens=max_new_tokens)
    for note in partner.notes:
        console.print(note, markup=False, highlight=False)
    if prompt is not None:
        say(partner.reply([("user", prompt)]))
        return
    converse(partner, input, say)
