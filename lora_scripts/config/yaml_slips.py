"""Slips of the keyboard in a config that YAML reads as something else, each named with the line as it should be.

Full-width colons, ideographic spaces, Chinese quotes, tabs, the backslashes of a Windows path between double quotes:
some of them make YAML fail at another place, others pass as part of a value (``"C:\\new"`` holds a line break).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from lora_scripts.config.yaml_lines import Entry, parse_mapping
from lora_scripts.errors import ConfigError, Problem, problem

_WIDE = "\u3000\u00a0\u2002\u2003\u2009\u200b\ufeff"  # spaces that YAML takes for letters
_GAP = rf"[ \t{_WIDE}]*"
_ROW = re.compile(rf"(?P<indent>{_GAP})(?P<key>[A-Za-z_][A-Za-z0-9_]*)(?P<colon>{_GAP}[:：]{_GAP})(?P<value>.*)")
_COMMENT = re.compile(rf"[ \t{_WIDE}]+#.*$")
_QUOTES = {"“": "”", "”": "”", "‘": "’", "「": "」", "『": "』", "＂": "＂"}
_ODD_BACKSLASHES = re.compile(r'(?<!\\)\\(?:\\\\)*(?![\\"])')
_CODE_POINT = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})")
_DRIVE = re.compile(r"[A-Za-z]:\\|\\\\\w")
_BLOCK = re.compile(r"[|>][-+0-9]*\s*(#.*)?$")
BREAKING = ("config.slip_tab", "config.slip_wide_colon", "config.slip_no_space")
"""Slips that YAML cannot read past; the others may be meant in words that are free."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What kind of value a key takes: words that may hold anything, or a path; ``needed`` must not be empty."""

    free: Collection[str]
    paths: Collection[str]
    needed: Collection[str]


def mend(source: str, name: str, keys: Keys, *, broken: bool) -> tuple[str, list[Problem]]:
    """The text with its slips mended, line by line, and a problem for each.

    Args:
        source: The config.
        name: Of its file.
        keys: What the keys take.
        broken: YAML could not read the text as it is: slips that it reads past only otherwise count as well.
    """
    rows = source.split("\n")
    problems = []
    inside_block = False
    for number, row in enumerate(rows):
        inside_block = inside_block and (not row.strip() or row[0] in " \t")
        seen = None if inside_block or row.lstrip().startswith("#") else _ROW.fullmatch(row.rstrip("\r"))
        if seen is None:
            continue
        inside_block = _BLOCK.match(seen["value"]) is not None
        kind, mended = _slip(seen, keys)
        if kind and (broken or kind not in BREAKING):
            line = mended.strip()
            problems.append(problem(kind, f"{name}:{number + 1}", name=seen["key"], line=line))
            rows[number] = mended
    return "\n".join(rows), problems


def _slip(row: re.Match[str], keys: Keys) -> tuple[str, str]:
    """The first slip of a ``key: value`` row, empty where there is none, and the row without any."""
    key, colon, written = row["key"], row["colon"], row["value"]
    free = key in keys.free
    kinds = []
    value, comment = _value_and_comment(written)
    if "\t" in row["indent"] + colon or ("\t" in written.rstrip(" ")[-1:] + comment[:1] and not free):
        kinds.append("config.slip_tab")
    if set(_WIDE) & {*row["indent"], *colon} or (not free and set(_WIDE) & {*value[:1], *value[-1:], *comment[:1]}):
        kinds.append("config.slip_wide_space")
    if value.strip()[:1] in ("{", "[") and set("：，") & set(value):
        kinds.append("config.slip_wide_colon")
        value = value.replace("：", ": ").replace("，", ", ")
    if "：" in colon:
        kinds.append("config.slip_wide_colon")
    elif colon == ":" and value and not value.startswith("//"):
        kinds.append("config.slip_no_space")
    value = value.strip(f" \t{_WIDE}") if not free else value.strip(" \t")
    if not free and len(value) > 1 and _QUOTES.get(value[0]) == value[-1]:
        kinds.append("config.slip_quotes")
        value = _quoted(value[1:-1])
    elif value[:1] == '"' and (inner := _windows_path(value, key in keys.paths)):
        kinds.append("config.slip_backslash")
        value = _quoted(inner, always=True)
    elif value == "~" and key in keys.needed:
        kinds.append("config.slip_tilde")
        value = "'~'"
    indent = row["indent"] if row["indent"].strip(" ") == "" else "" if key in keys.paths or kinds else row["indent"]
    tail = f"  {comment.strip(_WIDE + ' ' + chr(9))}" if comment else ""
    return (kinds[0] if kinds else ""), f"{indent}{key}: {value}".rstrip() + tail


def _value_and_comment(written: str) -> tuple[str, str]:
    if written[:1] in ("'", '"'):  # a # inside quotes is no comment
        end = written.rfind(written[0])
        value, rest = written[: end + 1], written[end + 1 :]
        return (value, rest) if end > 0 and (not rest.strip() or _COMMENT.match(rest)) else (written, "")
    comment = _COMMENT.search(written)
    return (written[: comment.start()], comment[0]) if comment else (written, "")


def _windows_path(value: str, is_path: bool) -> str:
    """What stands between the double quotes where it is a path with plain backslashes; else nothing."""
    inner = value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:]
    if _DRIVE.match(inner) or is_path:
        return inner if _ODD_BACKSLASHES.search(_CODE_POINT.sub("", inner) + " ") else ""
    return ""


def _quoted(words: str, *, always: bool = False) -> str:
    plain = re.fullmatch(r"[\w./\\][\w./\\ -]*", words) is not None
    return words if plain and not always else "'" + words.replace("'", "''") + "'"


def parse_without_slips(
    source: str, name: str, textual: frozenset[str], keys: Keys
) -> tuple[list[Entry], list[Problem]]:
    """The entries of a config, read without the slips that are named among the problems.

    Args:
        source: The config.
        name: Of its file.
        textual: As for ``parse_mapping``.
        keys: As for ``mend``.

    Raises:
        ConfigError: It cannot be read as YAML.
    """
    try:
        parse_mapping(source, name, textual)
        mended, slips = mend(source, name, keys, broken=False)
    except ConfigError as error:
        mended, slips = mend(source, name, keys, broken=True)
        if not slips:
            raise
        try:
            parse_mapping(mended, name, textual)
        except ConfigError as more:
            fresh = [p for p in more.problems if p.where not in {slip.where for slip in slips}]
            raise ConfigError([*slips, *fresh]) from error
    entries, problems = parse_mapping(mended, name, textual)
    return entries, [*slips, *problems]
