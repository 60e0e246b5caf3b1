"""The commands as a page: ``python tools/document_cli.py > docs/cli.md``. Read from the command itself, in English."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """<!-- Made from lora_scripts/cli/ by `python tools/document_cli.py > docs/cli.md`. -->
# Commands

`lora-scripts VERB …` after installation; in a checkout `.venv/bin/lora-scripts VERB …`. `python train.py …` is
`lora-scripts train …`. Results go to stdout, progress and notes to stderr. `LORA_SCRIPTS_LANG=en` or `zh` chooses
the language of messages, else the locale does.

`KEY=VALUE` is any key of [config.md](config.md); it wins over the file and is recorded in `run.yaml`.

| exit code | means |
|---|---|
"""


def exit_codes() -> Iterator[tuple[int, str]]:
    """Exit code and what it means, from the error tree."""
    from lora_scripts.errors import DataError, LoraScriptsError, UsageError

    yield 0, "done"
    yield LoraScriptsError.exit_code, "the run failed or was stopped; the message says why and how to go on"
    yield UsageError.exit_code, "wrong use: the command line, the config, the base model or the output folder"
    yield DataError.exit_code, "the data are refused"


def verbs(command: Any, name: str = "lora-scripts") -> Iterator[tuple[str, Any]]:
    """Every verb with its full name, groups opened, in the order of ``--help``."""
    for word, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from verbs(inner, f"{name} {word}")
        else:
            yield f"{name} {word}", inner


def is_argument(parameter: Any) -> bool:
    """Whether it is given by its place, not by a flag."""
    return bool(parameter.param_type_name == "argument")


def placeholder(parameter: Any) -> str:
    """What stands for an argument in the line of use."""
    word = parameter.metavar or parameter.name.upper()
    return word if parameter.required or "[" in word else f"[{word}]"


def flag(parameter: Any) -> str:
    """An option as it is written, with what it takes."""
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def meaning(parameter: Any) -> str:
    """Help, then whether it is required or repeated, its least value and its default."""
    said = [parameter.help or ""]
    if parameter.required and not is_argument(parameter):
        said.append("required")
    if parameter.multiple:
        said.append("may be repeated")
    if parameter.min is not None:
        said.append(f"at least {parameter.min}")
    if parameter.default not in (None, False, ()):
        default = parameter.default.as_posix() if isinstance(parameter.default, Path) else parameter.default
        said.append(f"default `{default}`")
    return "; ".join(said)


def page() -> str:
    """The text of ``docs/cli.md``."""
    os.environ["LORA_SCRIPTS_LANG"] = "en"  # before the import: the texts are taken when the commands are made
    import typer.main

    from lora_scripts.cli import app

    lines = [HEAD, *(f"| {code} | {words} |\n" for code, words in exit_codes())]
    for name, command in verbs(typer.main.get_command(app)):
        arguments = [p for p in command.params if is_argument(p)]
        options = [p for p in command.params if not is_argument(p) and p.name != "help"]
        use = " ".join([name, *(["[OPTIONS]"] if options else []), *map(placeholder, arguments)])
        lines.append(f"\n## {name.removeprefix('lora-scripts ')}\n\n{command.help}\n\n```\n{use}\n```\n")
        rows = [(placeholder(p), meaning(p)) for p in arguments] + [(flag(p), meaning(p)) for p in options]
        if rows:
            lines.append("\n| | |\n|---|---|\n")
            lines += [f"| `{word}` | {words} |\n" for word, words in rows]
    return "".join(lines)


if __name__ == "__main__":
    print(page(), end="")
