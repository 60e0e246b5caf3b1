"""How this program was started, so that a command which it prints can be run as printed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "lora-scripts"
VERBS = (
    "adapters", "audit", "augment", "base", "chat", "check", "desensitize", "eval", "export", "generate", "init",
    "label", "preview", "schema", "serve", "sweep", "train",
)  # fmt: skip
_COMMAND = re.compile(rf"\b{NAME} (?:(?P<train>train\b(?: (?=[\w./]))?)|(?P<verb>(?:{'|'.join(VERBS)})\b))")


def program() -> str:
    """What to type before a verb, in the present working directory: ``lora-scripts`` where the shell finds it.

    Else its path as it was typed, the script beside this Python, or ``python -m lora_scripts``.
    """
    started = sys.argv[0] if sys.argv else ""
    beside = Path(sys.executable).with_name(NAME)
    if Path(started).stem == NAME and Path(started).is_file():
        script = started if os.sep in started else f"{os.curdir}{os.sep}{started}"
    elif beside.is_file():
        script = str(beside)
    else:
        return f"{python()} -m lora_scripts"
    on_path = shutil.which(NAME)
    if on_path and Path(on_path).samefile(script):
        return NAME
    return shlex.quote(_near(script))


def python() -> str:
    """The interpreter as it was typed."""
    typed = sys.orig_argv[0] if sys.orig_argv else sys.executable
    return shlex.quote(_near(typed if shutil.which(typed) else sys.executable))


def _near(path: str) -> str:
    """An absolute path that lies below the working directory, from there; any other as it is."""
    here = str(Path.cwd()) + os.sep
    return path.removeprefix(here) if path.startswith(here) else path


def as_called(words: str) -> str:
    """``words`` with each ``lora-scripts VERB`` in them as the user can run it here.

    Started as ``python train.py``, ``lora-scripts train CONFIG`` is ``python train.py --config CONFIG``.
    """

    def command(match: re.Match[str]) -> str:
        if match["verb"]:
            return f"{program()} {match['verb']}"
        if not _by_train_py():
            return f"{program()} {match['train']}"
        return f"{python()} {shlex.quote(sys.argv[0])}" + (" --config " if match["train"].endswith(" ") else "")

    return _COMMAND.sub(command, words)


def _by_train_py() -> bool:
    started = Path(sys.argv[0] if sys.argv else "")
    ours = Path(__file__).parent.parent / "train.py"
    return started.name == ours.name and started.is_file() and ours.is_file() and started.samefile(ours)


def command(*words: object) -> str:
    """A command line of this program with these words, quoted for the shell, as the user can run it here."""
    return as_called(shlex.join([NAME, *map(str, words)]))
