"""YAML text to plain values that know their line.

PyYAML's parser gives the events; values are built here from the YAML 1.2 core rules, because its own loader reads
``2e-4`` as text, ``0123`` as 83 and ``yes`` as true, lets a second key win silently, follows tags and anchors, and
falls over deep nesting.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from lora_scripts.errors import ConfigError, Problem, problem
from lora_scripts.messages import text

MAX_BYTES = 64 * 1024
MAX_VALUES = 1000
MAX_DEPTH = 8
MAX_DIGITS = 300

_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".nan": math.nan, ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as written: ``where`` is its ``file:line``, ``lines`` the places of what lies inside its value."""

    key: str
    value: object
    where: str
    lines: dict[tuple[str, ...], str] = field(default_factory=dict)


def decode(raw: bytes, name: str) -> tuple[str, list[str]]:
    """The text of a config file and what to say about its encoding.

    Raises:
        ConfigError: Not text, or longer than any config.
    """
    if len(raw) > MAX_BYTES:
        raise ConfigError("config.too_large", where=name, size=len(raw) // 1024, limit=MAX_BYTES // 1024)
    for encoding in ("utf-8-sig", "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "gb18030"):
        try:
            found = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(found):
            plain = encoding == "utf-8-sig"
            return found, [] if plain else [text("config.encoding", name=name, encoding=encoding.upper())]
    raise ConfigError("config.binary", where=name)


def scalar(written: str) -> object:
    """The value of an unquoted word by the YAML 1.2 core schema; a leading zero does not make a number octal."""
    if written in ("", "~", "null", "Null", "NULL"):
        return None
    if written in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return written.lower() == "true"
    if written.lower() in _SPECIAL:
        return _SPECIAL[written.lower()]
    if len(written) > MAX_DIGITS:
        return written
    if _INT.fullmatch(written):
        return int(written)
    if _BASED.fullmatch(written):
        return int(written, 0)
    return float(written) if _FLOAT.fullmatch(written) else written


def parse_mapping(source: str, name: str, textual: frozenset[str]) -> tuple[list[Entry], list[Problem]]:
    """The top-level keys of a config in their order, duplicates left out, and what is wrong with them.

    Values of the keys in ``textual`` keep their words as written: ``output_dir: 2024`` is the folder "2024".

    Raises:
        ConfigError: The text cannot be read as YAML, or it is not a mapping.
    """
    reader = _Reader(source, name)
    first = reader.peek()
    if first is None:
        raise ConfigError("config.empty", where=name)
    if not isinstance(first, yaml.MappingStartEvent):
        shape = text("config.shape_list" if isinstance(first, yaml.SequenceStartEvent) else "config.shape_text")
        raise ConfigError("config.not_mapping", where=reader.at(first), shape=shape)
    entries = reader.top_level(textual)
    if reader.peek() is not None:
        raise ConfigError("config.two_documents", where=reader.at(reader.peek()))
    return entries, reader.problems


def parse_value(source: str, name: str, textual: bool) -> object:
    """One YAML value, as after ``key=`` on the command line; nothing written is ``None``.

    Raises:
        ConfigError: It cannot be read as YAML.
    """
    reader = _Reader(source, name, lines=False)
    if reader.peek() is None:
        return None
    value = reader.value(textual, (), {})
    if reader.peek() is not None:
        raise ConfigError("config.two_documents", where=name)
    if reader.problems:
        raise ConfigError(reader.problems)
    return value


class _Reader:
    """Walks the events of one text; problems that do not end the walk are collected."""

    def __init__(self, source: str, name: str, lines: bool = True) -> None:
        self.source, self.name, self.lines = source, name, lines
        self.problems: list[Problem] = []
        self.depth = 0
        self.values = 0
        self._events: Iterator[yaml.Event] = iter(yaml.parse(source, Loader=yaml.SafeLoader))
        self._ahead: yaml.Event | None = None

    def at(self, event: yaml.Event | None) -> str:
        """``file:line`` of an event."""
        mark = event.start_mark if event is not None and self.lines else None
        return f"{self.name}:{mark.line + 1}" if mark is not None else self.name

    def peek(self) -> yaml.Event | None:
        """The next event that is not about streams and documents; None at the end."""
        frame = (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent, yaml.StreamEndEvent)
        while self._ahead is None or isinstance(self._ahead, frame):
            try:
                self._ahead = next(self._events)
            except StopIteration:
                return None
            except (yaml.YAMLError, ValueError, OverflowError) as error:
                raise ConfigError([self._syntax(error)]) from None
        return self._ahead

    def take(self) -> yaml.Event:
        """The next event, looked at and passed."""
        event = self.peek()
        assert event is not None, "the parser ends every value"
        self._ahead = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise ConfigError("config.anchor", where=self.at(event), name=sign + str(getattr(event, "anchor", "")))
        if getattr(event, "tag", None) is not None:
            raise ConfigError("config.tag", where=self.at(event), tag=str(getattr(event, "tag", "")))
        return event

    def top_level(self, textual: frozenset[str]) -> list[Entry]:
        """The entries of the mapping that comes next."""
        self.take()
        entries: dict[str, Entry] = {}
        while not isinstance(self.peek(), yaml.MappingEndEvent):
            where, key = self._key()
            lines: dict[tuple[str, ...], str] = {}
            value = self.value(key in textual, (key,), lines)
            if key in entries:
                first = entries[key].where.rpartition(":")[2]
                self.problems.append(problem("config.duplicate", where=where, name=key, first=first))
            else:
                entries[key] = Entry(key, value, where, lines)
        self.take()
        return list(entries.values())

    def value(self, textual: bool, path: tuple[str, ...], lines: dict[tuple[str, ...], str]) -> object:
        """The value that comes next; ``lines`` collects where its inner keys stand."""
        event = self.take()
        self.values += 1
        if self.values > MAX_VALUES:
            raise ConfigError("config.too_many", where=self.at(event), limit=MAX_VALUES)
        if isinstance(event, yaml.ScalarEvent):
            if event.style is not None:
                return event.value
            return event.value if textual and scalar(event.value) is not None else scalar(event.value)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConfigError("config.too_deep", where=self.at(event), limit=MAX_DEPTH)
        found: object
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(self.peek(), yaml.SequenceEndEvent):
                items.append(self.value(textual, path, lines))
            found = items
        else:
            found = self._mapping(textual, path, lines)
        self.take()
        self.depth -= 1
        return found

    def _mapping(self, textual: bool, path: tuple[str, ...], lines: dict[tuple[str, ...], str]) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(self.peek(), yaml.MappingEndEvent):
            where, key = self._key()
            value = self.value(textual, (*path, key), lines)
            if key in found:
                first = lines[(*path, key)].rpartition(":")[2]
                self.problems.append(problem("config.duplicate", where=where, name=key, first=first))
            else:
                found[key], lines[(*path, key)] = value, where
        return found

    def _key(self) -> tuple[str, str]:
        event = self.take()
        if not isinstance(event, yaml.ScalarEvent):
            raise ConfigError("config.key_shape", where=self.at(event))
        return self.at(event), event.value

    def _syntax(self, error: Exception) -> Problem:
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark is not None else self.source.count("\n")
        where = f"{self.name}:{line + 1}" if self.lines else self.name
        rows = self.source.split("\n")
        row = rows[min(line, len(rows) - 1)]
        if "\t" in row and "\\t" in str(getattr(error, "problem", "")):
            return problem("config.tab", where=where)
        reason = " ".join(part for part in (getattr(error, "problem", ""), getattr(error, "context", "")) if part)
        return problem("config.syntax", where=where, row=row.strip()[:60], reason=reason or str(error)[:80])
