"""Which adapter answers a request that names none: rules first, then a learned router, then the base."""

from __future__ import annotations

import re as names
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import regex

from lora_scripts.errors import Problem, UsageError, problem

PATTERN_SECONDS = 0.05
KEYS = ("name", "header", "key", "keywords", "pattern", "to")

_NAME = names.compile(r"[A-Za-z0-9._-]{1,64}")
_LETTER = "[a-z0-9]"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; all conditions that are given must hold, and one without any always holds.

    Attributes:
        to: The adapter or named stack that answers; None is the base.
        header: (name, value) of an HTTP header, the name in any case. Anyone can send one: it is no permission.
        key: The name of an API key.
        keywords: One of them is in the question, in any case and width; of Latin letters only as a whole word.
        pattern: A regular expression that is found in the question.
        name: What ``Choice.why`` calls it, else it is counted from 1.
    """

    to: str | None
    header: tuple[str, str] | None = None
    key: str | None = None
    keywords: tuple[str, ...] = ()
    pattern: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers: ``to`` is an adapter or a stack, None the base. ``why`` is for logs and headers: ASCII, one line.

    ``rule:NAME`` · ``timeout:NAME`` (its pattern took too long, so the base answers) · ``learned:COSINE/LEAD`` ·
    ``abstained:COSINE/LEAD`` · ``none``.
    """

    to: str | None
    why: str


class Guessed(Protocol):
    """What a learned router says: an adapter or None, its cosine, its lead over the next."""

    @property
    def to(self) -> str | None:
        """The adapter, None for the base."""

    @property
    def cosine(self) -> float:
        """Of the nearest adapter."""

    @property
    def lead(self) -> float:
        """Over the next one."""


class Learned(Protocol):
    """A learned router, as ``learned_router.LearnedRouter``."""

    def choose(self, question: str) -> Guessed:
        """The adapter that is asked, or the base."""


class Router:
    """Rules in their order, compiled once; the first that holds wins. Then the learned router, if there is one."""

    def __init__(self, rules: Sequence[Rule], learned: Learned | None = None) -> None:
        """Check and compile.

        Raises:
            UsageError: A pattern is none, a name is not ``[A-Za-z0-9._-]{1,64}``, or a rule that always holds keeps
                what comes after it from ever being asked; all problems at once.
        """
        if problems := _problems(rules, learned):
            raise UsageError(problems)
        self._learned = learned
        self._rules = [
            (
                rule,
                rule.name or str(number),
                _any_of(rule.keywords) if rule.keywords else None,
                regex.compile(rule.pattern) if rule.pattern else None,
            )
            for number, rule in enumerate(rules, 1)
        ]

    def choose(self, question: str, headers: Mapping[str, str], key: str | None) -> Choice:
        """Who answers ``question``; ``key`` is the name of the API key that the request came with."""
        sent = {name.lower(): value.strip() for name, value in headers.items()}
        plain = _plain(question)
        for rule, name, keywords, pattern in self._rules:
            if rule.header and sent.get(rule.header[0].lower()) != rule.header[1]:
                continue
            if (rule.key is not None and rule.key != key) or (keywords and not keywords.search(plain)):
                continue
            try:
                if pattern and not pattern.search(question, timeout=PATTERN_SECONDS):
                    continue
            except TimeoutError:
                return Choice(None, f"timeout:{name}")
            return Choice(rule.to, f"rule:{name}")
        if self._learned is None:
            return Choice(None, "none")
        guess = self._learned.choose(question)
        word = "abstained" if guess.to is None else "learned"
        return Choice(guess.to, f"{word}:{guess.cosine:.3f}/{guess.lead:.3f}")


def _plain(words: str) -> str:
    return unicodedata.normalize("NFKC", words).lower()


def _any_of(keywords: Sequence[str]) -> regex.Pattern[str]:
    """Finds any of ``keywords`` in a plain text; one that begins or ends with a letter does so at a word's end."""
    found = []
    for word in map(_plain, keywords):
        before = f"(?<!{_LETTER})" if names.match(_LETTER, word) else ""
        after = f"(?!{_LETTER})" if names.match(_LETTER, word[-1:]) else ""
        found.append(before + regex.escape(word) + after)
    return regex.compile("|".join(found))


def _problems(rules: Sequence[Rule], learned: Learned | None) -> list[Problem]:
    found = []
    for number, rule in enumerate(rules, 1):
        where = rule.name or str(number)
        for name in (rule.name, rule.to or ""):
            if name and not _NAME.fullmatch(name):
                found.append(problem("routing.bad_name", where, name=name[:80]))
        if any(not word.strip() for word in rule.keywords):
            found.append(problem("routing.empty_keyword", where))
        try:
            regex.compile(rule.pattern or "")
        except regex.error as e:
            found.append(problem("routing.bad_pattern", where, pattern=(rule.pattern or "")[:80], reason=e))
        always = not (rule.header or rule.key is not None or rule.keywords or rule.pattern)
        if always and (number < len(rules) or learned is not None):
            found.append(problem("routing.always", where))
    return found


def parse_rules(entries: object, where: str) -> list[Rule]:
    """Rules as a YAML or JSON file holds them: a list of mappings with some of ``KEYS``; ``to: base`` is the base.

    Raises:
        UsageError: What is wrong with them, all at once; ``where`` is the file.
    """
    if not isinstance(entries, list):
        raise UsageError("routing.not_a_list", where=where)
    rules, found = [], []
    for number, entry in enumerate(entries, 1):
        place = f"{where}: {number}"
        wrong = _wrong_keys(entry)
        if wrong:
            found.append(problem("routing.bad_rule", place, names=", ".join(wrong), known=" ".join(KEYS)))
            continue
        rules.append(_rule(entry))
    if found:
        raise UsageError(found)
    return rules


def _wrong_keys(entry: object) -> list[str]:
    """Keys of a rule that are none, or whose value is not of its kind; ``to`` where it is missing."""
    if not isinstance(entry, Mapping):
        return [str(entry)[:40]]
    wrong = [str(key)[:40] for key in entry if key not in KEYS]
    wrong += [key for key in ("name", "key", "pattern", "to") if not isinstance(entry.get(key, ""), str)]
    wrong += [] if entry.get("to") else ["to"]
    header, words = entry.get("header", {}), entry.get("keywords", [])
    if not (isinstance(header, Mapping) and len(header) <= 1 and all(isinstance(v, str) for v in header.values())):
        wrong.append("header")
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        wrong.append("keywords")
    return list(dict.fromkeys(wrong))


def _rule(entry: Mapping[str, Any]) -> Rule:
    header = next(iter(entry.get("header", {}).items()), None)
    return Rule(
        to=None if entry["to"] == "base" else entry["to"],
        header=(str(header[0]), header[1].strip()) if header else None,
        key=entry.get("key"),
        keywords=tuple(entry.get("keywords", [])),
        pattern=entry.get("pattern"),
        name=entry.get("name", ""),
    )
