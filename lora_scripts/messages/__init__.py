"""What users read, in English and Chinese: one file a room, ``TEXTS[key] = (english, chinese)``.

A key is ``room.name``; ``room.name.fix`` beside it is what to do next. ``LORA_SCRIPTS_LANG=zh|en`` or the
locale chooses the language. A command in a text is written ``lora-scripts VERB``; what is printed is how the user can
run it. tests/house/test_messages.py holds both languages to the same placeholders.
"""

from __future__ import annotations

import locale
import os
from functools import cache
from importlib import import_module

from lora_scripts.invocation import NAME, as_called

_BRACES = {0: "{", 1: "}"}


def language() -> str:
    """``zh`` or ``en``."""
    wanted = os.environ.get("LORA_SCRIPTS_LANG", "").lower()
    if wanted[:2] in ("zh", "en"):
        return wanted[:2]
    named = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), "")
    return "zh" if (named or locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


@cache
def _room(name: str) -> dict[str, tuple[str, str]]:
    texts: dict[str, tuple[str, str]] = import_module(f"lora_scripts.messages.{name}").TEXTS
    return texts


def _find(key: str) -> str | None:
    room, _, name = key.partition(".")
    pair = _room(room).get(name)
    return _as_called(pair[language() == "zh"]) if pair else None


def _as_called(words: str) -> str:
    """A text, still with its placeholders, with its commands as they can be run."""
    if NAME not in words:
        return words
    return (
        as_called(words.replace("{", "\0").replace("}", "\1")).replace("{", "{{").replace("}", "}}").translate(_BRACES)
    )


def is_filed(key: str) -> bool:
    """Whether there is a text under ``key``."""
    return _find(key) is not None


def text(key: str, **values: object) -> str:
    """The text under ``key`` with its values filled in.

    Raises:
        KeyError: No such text; a bug of ours.
    """
    found = _find(key)
    if found is None:
        raise KeyError(key)
    return found.format(**values)


def fix_for(key: str, **values: object) -> str:
    """What to do about ``key``, empty where nothing is filed."""
    found = _find(key + ".fix")
    return found.format(**values) if found else ""
