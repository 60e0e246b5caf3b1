"""`audit …`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, next_words, say
from lora_scripts.errors import LoraScriptsError
from lora_scripts.messages import text

audit_app = typer.Typer(no_args_is_help=True, help=text("audit.command"))
app.add_typer(audit_app, name="audit")

KEY = "LORA_SCRIPTS_AUDIT_KEY"


@audit_app.callback()
def audit() -> None:
    """Keeps `verify` a word of its own."""


@audit_app.command("verify", help=text("audit.verify"))
def verify_log(file: Annotated[Path, typer.Argument(metavar="FILE", help=text("audit.file"))]) -> None:
    from lora_scripts.serve.audit import verify

    key = os.environ.get(KEY, "").encode() or None
    found = verify(file, key=key)
    if found.problem is not None:
        raise LoraScriptsError([found.problem])
    if not found.records:
        say(text("audit.none"))
        next_words(text("audit.next_none"))
        return
    times = {"first": found.first_time, "last": found.last_time}
    say(text("audit.good", count=found.records, hash=found.last_hash, **times))
    if found.torn:
        say(text("audit.torn", count=found.torn))
    if found.beyond_head:
        say(text("audit.beyond", count=found.beyond_head))
    if key is None:
        say(text("audit.no_key"))
    next_words(text("audit.next"))
