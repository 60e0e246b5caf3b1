"""`chat`, `serve`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, say, stderr_console, teller, write
from lora_scripts.errors import UsageError
from lora_scripts.messages import text


@app.command(help=text("cli.chat"))
def chat(
    adapter: Annotated[list[str], typer.Option(metavar="DIR[:WEIGHT]", help=text("cli.adapter"))],
    prompt: Annotated[str | None, typer.Option(help=text("cli.prompt"))] = None,
    base_model: Annotated[str | None, typer.Option(help=text("cli.base_model"))] = None,
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
    max_new_tokens: Annotated[int, typer.Option(min=1, help=text("cli.max_new_tokens"))] = 256,
) -> None:
    from lora_scripts.assemble.serving.talk import converse, open_chat
    from lora_scripts.models.passing_thread import in_passing_thread

    console = stderr_console()
    opened = in_passing_thread(
        lambda: open_chat(adapter, base_model=base_model, device=device, max_new_tokens=max_new_tokens)
    )
    with contextlib.closing(opened) as partner:
        for note in partner.notes:
            console.print(note, markup=False, highlight=False)
        if prompt is not None:
            partner.reply([("user", prompt)], write)
            say("")
            return
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # a line can be edited, a Chinese one too
        converse(partner, input, say, write)


@app.command(help=text("cli.serve"))
def serve(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help=text("cli.serve_config"))] = None,
    base_model: Annotated[str | None, typer.Option(help=text("cli.serve_base"))] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="NAME=DIR", help=text("cli.serve_adapter"))] = None,
    adapter_root: Annotated[str | None, typer.Option(help=text("cli.adapter_root"))] = None,
    host: Annotated[str | None, typer.Option(help=text("cli.host"))] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help=text("cli.port"))] = None,
    device: Annotated[str | None, typer.Option(help=text("cli.device"))] = None,
    engine: Annotated[str | None, typer.Option(help=text("cli.engine"))] = None,
    write_cluster: Annotated[Path | None, typer.Option(metavar="DIR", help=text("cli.write_cluster"))] = None,
) -> None:
    from lora_scripts.config.serving import load_serve_config

    named = [word.partition("=") for word in adapter or []]
    if wrong := next(("".join(parts) for parts in named if not (parts[0] and parts[2])), None):
        raise UsageError("cli.bad_adapter", where=wrong)
    given = {
        "base_model": base_model,
        "adapters": {name: path for name, _, path in named},
        "adapter_root": adapter_root,
        "host": host,
        "port": port,
        "device": device,
        "engine": engine,
    }
    loaded = load_serve_config(config, given)
    if write_cluster is not None:
        from lora_scripts.assemble.serving.cluster import cluster_files

        for line in cluster_files(loaded.config, write_cluster):
            say(line)
        return
    from lora_scripts.assemble.serving.listen import run_server
    from lora_scripts.assemble.serving.server import open_server

    tell = teller()
    run_server(open_server(loaded, tell), tell)
