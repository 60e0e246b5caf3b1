"""The error tree. Every error tells what is wrong, where, and what to do next, in the user's language.

A text lives in ``lora_scripts/messages/<room>.py`` under its key, in English and Chinese; an error names the
key and its values: ``raise DataError("data.no_pairs", where="train.txt", count=3)``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lora_scripts.messages import fix_for, text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``where`` is ``file:line``, a key or a path; ``fix`` is what to do next."""

    text: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.text}" if self.where else self.text
        return f"{head}\n  {text('cli.what_to_do', words=self.fix)}" if self.fix else head


def problem(key: str, where: str = "", **values: object) -> Problem:
    """The problem filed under ``key``, with its values filled in."""
    return Problem(text(key, **values), str(where), fix_for(key, **values))


class LoraScriptsError(Exception):
    """What stops a run and is not a bug of ours. Holds one problem or several."""

    exit_code = 1

    def __init__(self, key: str | Sequence[Problem], where: object = "", **values: object) -> None:
        self.problems = (problem(key, str(where), **values),) if isinstance(key, str) else tuple(key)
        super().__init__("\n".join(str(p) for p in self.problems))


class ConfigError(LoraScriptsError):
    """The config file or a key of it is wrong."""

    exit_code = 2


class UsageError(LoraScriptsError):
    """The command was called wrongly, or on a folder it must not touch."""

    exit_code = 2


class ModelError(LoraScriptsError):
    """The base model or an adapter cannot be used."""

    exit_code = 2


class DataError(LoraScriptsError):
    """The data are refused."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to read a file that can be read in several.

    Attributes:
        settings: Config keys that choose it, and at the same time keyword arguments of ``read_records``:
            ``{"columns": {"question": …, "answer": …}}`` or ``{"roles": {"user": […], "assistant": […]}}``.
        records: The first records (``Record``) as they would be learned, at most three.
    """

    settings: dict[str, dict[str, Any]]
    records: tuple[Any, ...] = ()

    def config_lines(self) -> str:
        """The lines of a config file that choose it."""
        return "\n".join(f"{key}: {_flow_mapping(value)}" for key, value in self.settings.items())


def _flow_mapping(value: dict[str, Any]) -> str:
    """YAML's flow style on one line, with quotes where YAML wants them (JSON strings are YAML)."""
    return "{" + ", ".join(f"{key}: {_scalar(one)}" for key, one in value.items()) + "}"


def _scalar(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    plain = re.fullmatch(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[^\W\d][\w]*(?: \w+)*", str(value), re.IGNORECASE)
    return str(value) if plain else json.dumps(str(value), ensure_ascii=False)


class AmbiguousDataError(DataError):
    """A file can be read in several ways, and none is clearly better; each of ``alternatives`` was tried.

    Of several such files ``alternatives`` are those of the first one; ``problems`` are about all.
    """

    def __init__(self, problems: Sequence[Problem], alternatives: Sequence[Alternative]) -> None:
        self.alternatives = tuple(alternatives)
        super().__init__(problems)


class TrainError(LoraScriptsError):
    """The run failed."""


class ProofError(LoraScriptsError):
    """The adapter was written but could not be proven."""


class Interrupted(LoraScriptsError):
    """The user stopped the run; a checkpoint was written."""
