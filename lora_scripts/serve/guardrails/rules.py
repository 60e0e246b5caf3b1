"""Rules, and what is made of them once for all texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lora_scripts.serve.guardrails.patterns import Pattern
from lora_scripts.serve.guardrails.personal import warm
from lora_scripts.serve.guardrails.words import WordList, word_list

KINDS = ("words", "pattern", "pii", "require", "length")
ACTIONS = ("refuse", "replace", "mask", "append", "log")
SIDES = ("input", "output")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Of ``words``, ``patterns``, ``types``, ``require`` and ``least``/``most`` those of its kind are set.

    ``text`` is the refusal, the replacement or what is appended; lengths are in characters, 0 for no bound.
    """

    name: str
    kind: str
    action: str
    sides: frozenset[str] = frozenset(SIDES)
    text: str = ""
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    require: str = ""
    least: int = 0
    most: int = 0


@dataclass(frozen=True)
class RuleSet:
    """The rules of a server, and the files that they were read from, each with the SHA-256 of what was read.

    ``version`` is a short hash over rules and word lists; ``refusal`` the words of rules that have none of their own;
    ``label`` marks generated content, empty for none.
    """

    rules: tuple[Rule, ...] = ()
    refusal: str = ""
    label: str = ""
    version: str = ""
    files: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def sides(self) -> Mapping[str, Ready]:
        """The rules of input and of output, ready to use."""
        return {side: _ready(self.rules, side) for side in SIDES}


@dataclass(frozen=True, slots=True)
class Ready:
    """The rules of one side; numbers are places in ``rules``."""

    rules: tuple[Rule, ...]
    words: WordList | None
    patterns: tuple[tuple[int, Pattern], ...]
    types: tuple[tuple[int, frozenset[str]], ...]
    lengths: tuple[int, ...]
    required: tuple[int, ...]
    seams: WordList | None
    """Words that must not come to be where a replacement or an appended text meets what stands beside it."""

    @property
    def empty(self) -> bool:
        """Whether no rule is for this side."""
        return not self.rules


def _ready(rules: tuple[Rule, ...], side: str) -> Ready:
    own = tuple(rule for rule in rules if side in rule.sides)
    words: dict[int, tuple[str, ...]] = {number: rule.words for number, rule in enumerate(own) if rule.kind == "words"}
    required: dict[int, tuple[str, ...]] = {
        number: (rule.require,) for number, rule in enumerate(own) if rule.kind == "require"
    }
    strict = {number: listed for number, listed in words.items() if own[number].action in ("refuse", "replace", "mask")}
    types = tuple((number, rule.types) for number, rule in enumerate(own) if rule.kind == "pii")
    for _, wanted in types:
        warm(wanted)
    return Ready(
        own,
        word_list(words | required, heard=frozenset(required)) if words or required else None,
        tuple((n, Pattern(pattern)) for n, rule in enumerate(own) for pattern in rule.patterns),
        types,
        tuple(number for number, rule in enumerate(own) if rule.kind == "length"),
        tuple(required),
        word_list(strict) if strict else None,
    )
