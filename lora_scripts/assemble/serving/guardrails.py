"""The rule file of the guardrails: YAML and word lists to rules, every problem with its line."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from lora_scripts.config.words import shown
from lora_scripts.config.yaml_lines import Entry, decode, parse_mapping
from lora_scripts.data.pii.find import PII_TYPES
from lora_scripts.data.reading import encodings
from lora_scripts.errors import ConfigError, DataError, Problem, problem
from lora_scripts.messages import text
from lora_scripts.serve.guardrails import Guardrails, Rule, RuleSet
from lora_scripts.serve.guardrails.answer import breaks_rules
from lora_scripts.serve.guardrails.disguise import view
from lora_scripts.serve.guardrails.patterns import pattern_fault
from lora_scripts.serve.guardrails.personal import types_of
from lora_scripts.serve.guardrails.rules import ACTIONS, SIDES

TOP = ("rules", "refusal", "label")
LOOKED_FOR = {
    "words": "words", "word_list": "words", "pattern": "pattern", "pii": "pii", "require": "require", "length": "length"
}  # fmt: skip
RULE = (*LOOKED_FOR, "on", "action", "text")
_LENGTH_ACTIONS = ("refuse", "append", "log")
_LABEL = re.compile(r"(?=.*(?:AI|人工智能))(?=.*(?:生成|合成|generated))", re.DOTALL | re.IGNORECASE)

log = logging.getLogger(__name__)


def open_guardrails(path: str | Path | None) -> Guardrails:
    """The guardrails of a rule file, read anew when it changes; without a file everything passes.

    Raises:
        ConfigError: The file or a word list cannot be used: all problems at once, each with its line.
    """
    if path is None:
        return Guardrails()
    rules = read_rule_file(path)
    for note in rules.notes:
        log.warning(note)
    return Guardrails(rules, lambda: read_rule_file(path))


def read_rule_file(path: str | Path) -> RuleSet:
    """Read a rule file and its word lists, which are named relative to its folder.

    Raises:
        ConfigError: All problems at once, each with its line.
    """
    file, name = Path(path), str(path)
    raw = _bytes(file, name)
    source, notes = decode(raw, name)
    entries, problems = parse_mapping(source, name, frozenset(TOP))
    reading = _Reading(name, file.parent, [(file, raw)], problems)
    top = {entry.key: entry for entry in entries}
    for entry in entries:
        if entry.key not in TOP:
            reading.problems.append(_unknown(entry.key, TOP, entry.where))
    refusal = reading.text_of(top.get("refusal"), "refusal") or text("guardrails.refusal")
    label = reading.text_of(top.get("label"), "label")
    if label and not _LABEL.search(label):
        notes.append(text("guardrails.label_incomplete", where=top["label"].where))
    rules = reading.rules(top.get("rules"))
    digests = tuple((read, hashlib.sha256(data).hexdigest()) for read, data in reading.files)
    version = hashlib.sha256("\n".join(digest for _, digest in digests).encode()).hexdigest()[:12]
    made = RuleSet(rules, refusal, label, version, digests, tuple(notes))
    if not reading.problems:
        reading.problems += _own_words(made, top)
    if reading.problems:
        raise ConfigError(sorted(reading.problems, key=_line))
    return made


@dataclass(slots=True)
class _Reading:
    """What was read of one rule file."""

    name: str
    folder: Path
    files: list[tuple[Path, bytes]]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, key: str, where: str, **values: object) -> None:
        """Note a problem."""
        self.problems.append(problem(f"guardrails.{key}", where, **values))

    def text_of(self, entry: Entry | None, name: str) -> str:
        """The text of a top key; empty where it is not given."""
        if entry is None or entry.value is None:
            return ""
        if not isinstance(entry.value, str):
            self.wrong("not_text", entry.where, name=name)
            return ""
        return entry.value

    def rules(self, entry: Entry | None) -> tuple[Rule, ...]:
        """The rules below ``rules``."""
        if entry is None or not entry.value:
            self.wrong("no_rules", entry.where if entry else self.name)
            return ()
        if not isinstance(entry.value, dict):
            self.wrong("not_mapping", entry.where, name="rules")
            return ()
        made = [self._rule(name, given, entry.lines) for name, given in entry.value.items()]
        return tuple(rule for rule in made if rule is not None)

    def _rule(self, name: str, given: object, lines: Mapping[tuple[str, ...], str]) -> Rule | None:
        at = lines[("rules", name)]
        if not isinstance(given, dict):
            self.wrong("not_mapping", at, name=name)
            return None
        where = {key: lines[("rules", name, key)] for key in given}
        for key in given:
            if key not in RULE:
                self.problems.append(_unknown(key, RULE, where[key]))
        kinds = list(dict.fromkeys(LOOKED_FOR[key] for key in given if key in LOOKED_FOR))
        if len(kinds) != 1:
            self.wrong("two_kinds", at, name=name, kinds=", ".join(kinds)) if kinds else self.wrong(
                "no_kind", at, name=name
            )
            return None
        kind = kinds[0]
        action = self._action(name, kind, given, at, where)
        if action is None:
            return None
        sides = self._sides(kind, action, given, where)
        said = self._said(name, action, given, at, where)
        least, most = self._length(given, where) if kind == "length" else (0, 0)
        required = self._one(given, "require", where) if kind == "require" else ""
        return Rule(
            name,
            kind,
            action,
            sides,
            required or said,
            words=tuple(self._words(given, where)) if kind == "words" else (),
            patterns=tuple(self._patterns(given, where)) if kind == "pattern" else (),
            types=self._types(given, where) if kind == "pii" else frozenset(),
            require=required,
            least=least,
            most=most,
        )

    def _action(
        self, name: str, kind: str, given: Mapping[str, object], at: str, where: Mapping[str, str]
    ) -> str | None:
        choices = {"length": _LENGTH_ACTIONS, "require": ("append",)}.get(kind, ACTIONS)
        action = given.get("action") or ("append" if kind == "require" else None)
        if action is None:
            self.wrong("no_action", at, name=name, choices=", ".join(choices))
        elif action not in choices:
            self.problems.append(_no_choice("action", action, choices, where["action"]))
        return str(action) if action in choices else None

    def _sides(self, kind: str, action: str, given: Mapping[str, object], where: Mapping[str, str]) -> frozenset[str]:
        on = given.get("on") or ("output" if action == "append" else "both")
        if on not in (*SIDES, "both"):
            self.problems.append(_no_choice("on", on, (*SIDES, "both"), where["on"]))
        elif action == "append" and on != "output":
            self.wrong("append_to_input", where["on"])
        return frozenset(SIDES) if on == "both" else frozenset({str(on)})

    def _said(self, name: str, action: str, given: Mapping[str, object], at: str, where: Mapping[str, str]) -> str:
        if "text" in given and (action in ("mask", "log") or "require" in given):
            self.wrong("text_unused", where["text"], action=action if "require" not in given else "require")
        said = self._one(given, "text", where) if given.get("text") else ""
        # an empty replacement takes the words out, but it has to be written
        if "require" not in given and (
            (action == "append" and not said) or (action == "replace" and given.get("text") is None)
        ):
            self.wrong("no_text", at, name=name, action=action)
        return said

    def _one(self, given: Mapping[str, object], key: str, where: Mapping[str, str]) -> str:
        value = given.get(key)
        if not isinstance(value, str) or not value.strip():
            self.wrong("not_text", where[key], name=key)
            return ""
        return value

    def _several(self, given: Mapping[str, object], key: str, where: Mapping[str, str]) -> list[str]:
        value = given.get(key)
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not listed or not all(isinstance(one, str) and one for one in listed):
            self.wrong("not_texts", where[key], name=key)
            return []
        return listed

    def _patterns(self, given: Mapping[str, object], where: Mapping[str, str]) -> Iterable[str]:
        for pattern in self._several(given, "pattern", where):
            fault, odd = pattern_fault(pattern)
            if fault:
                self.problems.append(problem(fault, where["pattern"], pattern=shown(pattern), odd=odd))
            else:
                yield pattern

    def _types(self, given: Mapping[str, object], where: Mapping[str, str]) -> frozenset[str]:
        types = types_of(given.get("pii"))
        if types is None:
            listed = self._several(given, "pii", where)
            choices = ("default", "all", *PII_TYPES)
            wrong = [one for one in listed if one not in PII_TYPES]
            self.problems += [_no_choice("pii", one, choices, where["pii"]) for one in wrong]
        return types or frozenset()

    def _length(self, given: Mapping[str, object], where: Mapping[str, str]) -> tuple[int, int]:
        bounds = given.get("length")
        if not isinstance(bounds, dict) or not bounds or not bounds.keys() <= {"min", "max"}:
            self.wrong("length", where["length"])
            return 0, 0
        numbers = {key: int(v) if re.fullmatch("[1-9][0-9]{0,8}", str(v)) else 0 for key, v in bounds.items()}
        if not all(numbers.values()) or numbers.get("min", 1) > numbers.get("max", 10**9):
            self.wrong("length", where["length"])
        return numbers.get("min", 0), numbers.get("max", 0)

    def _words(self, given: Mapping[str, object], where: Mapping[str, str]) -> Iterable[str]:
        if "words" in given:
            yield from self._usable((word, where["words"]) for word in self._several(given, "words", where))
        if "word_list" in given:
            for listed in self._several(given, "word_list", where):
                yield from self._usable(self._list(listed, where["word_list"]))

    def _usable(self, words: Iterable[tuple[str, str]]) -> Iterable[str]:
        for word, where in words:
            if view(word):
                yield word
            else:
                self.wrong("word_empty", where, word=shown(word))

    def _list(self, listed: str, where: str) -> Iterable[tuple[str, str]]:
        """The words of a file, each with its place."""
        path = self.folder / Path(listed).expanduser()
        try:
            raw = _bytes(path, where)
            lines = encodings.decode(raw, str(path)).text.splitlines()
        except (ConfigError, DataError) as error:
            self.problems += error.problems
            return
        self.files.append((path, raw))
        words = [(line.strip(), f"{path}:{number}") for number, line in enumerate(lines, 1)]
        words = [(word, place) for word, place in words if word and not word.startswith("#")]
        if not words:
            self.wrong("list_empty", str(path))
        yield from words


def _bytes(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError("guardrails.no_file", where=where, path=path) from None
    except OSError as error:
        raise ConfigError("guardrails.unreadable", where=where, path=path, reason=error.strerror or error) from None


def _own_words(rules: RuleSet, top: Mapping[str, Entry]) -> list[Problem]:
    """Texts of the operator that a rule would mask."""
    texts = [
        (key, top[key].where, words)
        for key, words in (("refusal", rules.refusal), ("label", rules.label))
        if key in top
    ]
    lines = top["rules"].lines
    for rule in rules.rules:
        key = "require" if rule.require else "text"
        if rule.text:
            texts.append((f"{rule.name}.{key}", lines[("rules", rule.name, key)], rule.text))
    return [
        problem("guardrails.own_words", where, name=key) for key, where, words in texts if breaks_rules(rules, words)
    ]


def _unknown(name: str, known: tuple[str, ...], where: str) -> Problem:
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if near:
        return problem("guardrails.unknown_key_near", where, name=shown(name), near=near[0])
    return problem("guardrails.unknown_key", where, name=shown(name), known=", ".join(known))


def _no_choice(name: str, value: object, choices: tuple[str, ...], where: str) -> Problem:
    listed, near = ", ".join(choices), get_close_matches(str(value).lower(), choices, n=1, cutoff=0.6)
    if near:
        return problem("guardrails.choice_near", where, name=name, value=shown(value), choices=listed, near=near[0])
    return problem("guardrails.choice", where, name=name, value=shown(value), choices=listed)


def _line(found: Problem) -> tuple[str, int]:
    file, _, line = found.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (found.where, 0)
