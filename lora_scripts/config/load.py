"""A config file and ``key=value`` words to a checked :class:`Config`, and a config back to a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lora_scripts.config.aliases import ALIASES, SWITCHES, canonical
from lora_scripts.config.rules import contradictions, without_effect
from lora_scripts.config.schema import SECTIONS, Config
from lora_scripts.config.words import explain, plain_type, shown
from lora_scripts.config.yaml_lines import Entry, decode, parse_value
from lora_scripts.config.yaml_slips import Keys, parse_without_slips
from lora_scripts.errors import ConfigError, Problem, problem
from lora_scripts.messages import text


def _keys_of_kind(*kinds: type) -> frozenset[str]:
    keys = {name for name, key in Config.model_fields.items() if plain_type(key) in kinds}
    return frozenset(keys | {alias for alias, key in ALIASES.items() if key in keys})


# values of these keys are words, whatever they look like: `output_dir: 2024`, `sample_questions: [110]`
TEXTUAL = frozenset({*Config.model_fields, *ALIASES}) - _keys_of_kind(int, float, bool) - {"gradient_checkpointing"}
_ONE_TEXT = _keys_of_kind(str)
PATHS = frozenset({"train_data_dir", "metadata_path", "eval_data", "base_model", "output_dir", "prior_images"})
FREE = frozenset(
    {"system_prompt", "sample_questions", "sample_prompts", "trigger_word", "roles", "columns", "opening", "disclaimer",
     "forbidden", "user", "assistant", "system", "question", "answer", "rejected"}
)  # fmt: skip
_KEYS = Keys(FREE, PATHS, ("base_model", "output_dir"))


class _Dumper(yaml.SafeDumper):
    """Quotes and escapes texts with line breaks or invisible signs; PyYAML alone loses some of them in folding."""


def _write_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')


_Dumper.add_representer(str, _write_text)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config that was read: ``notes`` are lines for the user, ``given`` what was written (real keys),
    ``where`` the ``file:line`` of each given key, for problems found later."""

    config: Config
    notes: tuple[str, ...]
    given: dict[str, object]
    where: dict[str, str]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read a config file; each of ``overrides`` is ``key=value`` (value as in YAML) and wins over the file.

    Raises:
        ConfigError: The file cannot be read, or some keys are wrong: all of them at once, each with its line.
    """
    name = str(path)
    source, notes = _read(Path(path), name)
    try:
        written, problems = parse_without_slips(source, name, TEXTUAL, _KEYS)
    except ConfigError as error:
        raise ConfigError([*error.problems, *_override_entries(overrides)[1]]) from None
    words, wrong_words = _override_entries(overrides)
    entries, file_notes, wrong_names = canonical(written)
    changes, change_notes, wrong_changes = canonical([e for e in words if e.value is not None])
    resets = [e for e in words if e.value is None]
    notes += [*file_notes, *change_notes, *_override(entries, changes, resets)]
    problems += [*wrong_names, *wrong_words, *wrong_changes]
    home_notes, wrong_homes = _expand_home(entries)
    notes += home_notes
    problems += wrong_homes
    given = {key: entry.value for key, entry in entries.items()}
    config, wrong_values = _validated(given, entries, name)
    where = {key: entry.where for key, entry in entries.items()}
    problems += wrong_values
    if config is not None:
        problems += contradictions(config, where, name)
    if problems or config is None:
        raise ConfigError(sorted(problems, key=_line))
    notes += without_effect(config, given)
    return Loaded(config, tuple(notes), given, where)


def dump_config(config: Config) -> str:
    """The text of ``run.yaml``: every key with its value; :func:`load_config` reads it back to an equal config."""
    values = config.model_dump(mode="json")
    lines = [text("config.dump_header")]
    for section in SECTIONS:
        lines.append(f"\n# {section.title()}\n")
        for key in section.model_fields:
            lines.append(f"{key}:\n" if values[key] is None else line_of(key, values[key]))
    return "".join(lines)


def line_of(key: str, value: object) -> str:
    """A key with its value as YAML; paths in a form that ``yaml_slips`` does not take for a slip."""
    if key in PATHS and not re.fullmatch(r"[\w./-]+", str(value)):
        plain = "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in str(value))
        return f'{key}: "{plain}"\n'
    return yaml.dump({key: value}, Dumper=_Dumper, allow_unicode=True, width=2**31, sort_keys=False)


def _escaped(letter: str) -> str:
    return f"\\{letter}" if letter in '"\\' else f"\\U{ord(letter):08x}"


def _read(path: Path, name: str) -> tuple[str, list[str]]:
    try:
        return decode(path.read_bytes(), name)
    except FileNotFoundError:
        raise ConfigError("config.no_file", where=name) from None
    except IsADirectoryError:
        raise ConfigError("config.is_folder", where=name) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError("config.unreadable", where=name, reason=reason) from None


def _expand_home(entries: dict[str, Entry]) -> tuple[list[str], list[Problem]]:
    """Put the home folder in place of ``~``: a note for each path, a problem where nothing is there."""
    notes, problems = [], []
    for key, entry in entries.items():
        if key not in PATHS or not isinstance(entry.value, str) or entry.value[:2] not in ("~/", "～/"):
            continue
        path = Path("~" + entry.value[1:]).expanduser()
        if key != "output_dir" and not path.exists():
            line = f"{key}: {path}"
            problems.append(problem("config.slip_home", entry.where, name=key, value=entry.value, path=path, line=line))
        else:
            notes.append(text("config.home", name=key, value=entry.value, path=path))
        entries[key] = replace(entry, value=str(path))
    return notes, problems


def _override_entries(overrides: Sequence[str]) -> tuple[list[Entry], list[Problem]]:
    where = text("config.command_line")
    entries: dict[str, Entry] = {}
    problems: list[Problem] = []
    for word in overrides:
        key, equals, written = word.partition("=")
        key = key.strip()
        if not equals or not key:
            problems.append(problem("config.not_override", where, word=shown(word)))
            continue
        if key in entries:
            problems.append(problem("config.twice", where, name=key))
            continue
        # a path or a sentence may hold `: `, `#` or `[`: only a quoted one is YAML
        if key in _ONE_TEXT and written.strip()[:1] not in ("'", '"'):
            entries[key] = Entry(key, written.strip() if written.strip() not in ("", "null", "~") else None, where)
            continue
        try:
            entries[key] = Entry(key, parse_value(written, where, key in TEXTUAL), where)
        except ConfigError as error:
            problems += error.problems
    return list(entries.values()), problems


def _override(entries: dict[str, Entry], changes: Mapping[str, Entry], resets: Sequence[Entry]) -> list[str]:
    """Lay the command line's entries over the file's, and say what each replaced."""
    notes = []
    for key, entry in changes.items():
        before = entries.get(key)
        entries[key] = entry
        values = {"name": key, "value": shown(entry.value)}
        if before is None:
            notes.append(text("config.override", **values))
        else:
            notes.append(text("config.override_replaces", **values, before=shown(before.value), line=before.where))
    for entry in resets:
        key = SWITCHES[entry.key][0] if entry.key in SWITCHES else ALIASES.get(entry.key, entry.key)
        if key in changes:
            continue
        if key not in Config.model_fields:
            entries[key] = entry  # unknown without a value is still unknown
        elif (before := entries.pop(key, None)) is not None:
            notes.append(text("config.override_resets", name=key, before=shown(before.value), line=before.where))
    return notes


def _validated(given: dict[str, Any], entries: Mapping[str, Entry], name: str) -> tuple[Config | None, list[Problem]]:
    problems = []
    if not ({"train_data_dir", "metadata_path"} & given.keys()):
        problems.append(problem("config.missing_data", where=name))
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        return None, problems + explain(error, entries, name)
    return config, problems


def _line(found: Problem) -> tuple[bool, int]:
    line = found.where.rpartition(":")[2]
    return found.where == text("config.command_line"), int(line) if line.isdigit() else 0
