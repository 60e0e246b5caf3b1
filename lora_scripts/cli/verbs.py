"""The command and its groups, and how verbs speak: results to stdout, lines on the way to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from lora_scripts.invocation import command
from lora_scripts.messages import text

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=text("cli.app"))
base_app = typer.Typer(no_args_is_help=True, help=text("cli.base"))
app.add_typer(base_app, name="base")
adapters_app = typer.Typer(no_args_is_help=True, help=text("cli.adapters"))
app.add_typer(adapters_app, name="adapters")

Overrides = Annotated[list[str] | None, typer.Argument(help=text("cli.overrides"), metavar="[KEY=VALUE]...")]


def stderr_console() -> Console:
    """Where progress is drawn."""
    from rich.console import Console

    return Console(stderr=True)


def teller() -> Callable[[str], None]:
    """Prints lines on the way to stderr."""
    console = stderr_console()
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def say(words: str) -> None:
    """Print a result."""
    print(words, flush=True)


def next_step(*words: object) -> None:
    """Print the command that comes next, as it can be run, to stderr."""
    next_words(command(*words))


def next_words(words: str) -> None:
    """Print a next step that is a command line already, or no single command."""
    print(text("cli.next", command=words), file=sys.stderr, flush=True)


def write(piece: str) -> None:
    """Print a piece of a result, without a line's end."""
    print(piece, end="", flush=True)
