"""How an adapter is spoken to: the chat template and the system prompt that it was trained under.

An adapter's folder brings its template, which may be another one than the base's. The tokenizer itself is the base's
and is held once: a folder's copy of it would cost as much again for each adapter.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts.adapters.provenance import PROVENANCE, provenance_of
from lora_scripts.data.chat_format import template_of
from lora_scripts.data.records import Message
from lora_scripts.data.render import render_prompt
from lora_scripts.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """``tokenizer`` spells by this voice's template; ``system_prompt`` is said where a conversation brings none."""

    tokenizer: Any
    system_prompt: str | None = None

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return frozenset(template_of(self.tokenizer).stop_ids)

    def prompt_ids(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """The ids of a conversation of (role, content) that ends with a question, as they were in training.

        Raises:
            DataError: An order of roles that cannot be spelled.
        """
        has_own = any(role == "system" for role, _ in messages)
        opening = [Message("system", self.system_prompt)] if self.system_prompt and not has_own else []
        return render_prompt([*opening, *(Message(role, content) for role, content in messages)], self.tokenizer)


def voice_of(path: Path, base: Any) -> Voice:
    """The voice of the adapter in ``path``; ``base`` is the base's tokenizer.

    Raises:
        ModelError: Its template is not the one that it was trained with, or cannot be used.
    """
    record = provenance_of(path)
    template = _template(path if path.is_dir() else path.parent)
    tokenizer = base
    if template is not None and template != base.chat_template:
        tokenizer = copy.copy(base)
        tokenizer.chat_template = template
        if template_of(tokenizer).fallback:
            raise ModelError("adapters.unreadable", where=path, reason="chat_template")
    trained = record.get("fingerprints", {}).get("template")
    if template is not None and trained is not None:
        found = f"sha256:{hashlib.sha256(template_of(tokenizer).template.encode()).hexdigest()}"
        if found != trained:
            raise ModelError("serve.other_template", where=path)
    prompt = record.get("config", {}).get("system_prompt")
    if not isinstance(prompt, str | None):
        raise ModelError("adapters.unreadable", where=path, reason=f"{PROVENANCE}: system_prompt")
    return Voice(tokenizer, prompt)


def _template(folder: Path) -> str | None:
    """The chat template that a folder brings, in either place where transformers puts it."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError("adapters.unreadable", where=folder, reason=str(error)[:160]) from error
    except OSError:
        pass
    try:
        found = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
