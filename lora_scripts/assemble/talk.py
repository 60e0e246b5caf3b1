"""A conversation with a base model and its adapters, one or a stack of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lora_scripts.adapters.files import find_weights, load_adapter, read_adapter
from lora_scripts.assemble.records import question_prompt
from lora_scripts.data.chat_format import template_of
from lora_scripts.data.records import Message
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.evaluate.answers import answer
from lora_scripts.messages import text
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)

SAVED_TO = Path("output/chat/saved.jsonl")


@dataclass(slots=True)
class Partner:
    """A model that answers, spelled to as it was in training. ``notes`` are lines to show first."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    system_prompt: str | None
    max_new_tokens: int
    notes: list[str] = field(default_factory=list)

    def reply(self, turns: Sequence[tuple[str, str]]) -> str:
        """The answer to a conversation of (role, content) that ends with the user's turn."""
        messages = [Message(role, content) for role, content in turns]
        return answer(
            self.model,
            self.tokenizer,
            [question_prompt(messages, self.tokenizer, self.system_prompt)],
            attention=self.model.config._attn_implementation,
            stop_ids=template_of(self.tokenizer).stop_ids,
            max_new_tokens=self.max_new_tokens,
        )[0]


def open_chat(
    adapters: Sequence[str], *, base_model: str | None = None, device: str = "auto", max_new_tokens: int = 256
) -> Partner:
    """Load the base that the first adapter was trained on, and every adapter on it; ``DIR:0.5`` weighs one.

    Raises:
        ModelError: An adapter or the base cannot be used, or they do not belong together.
    """
    wanted = [_weighed(word) for word in adapters]
    folders = [find_weights(path).parent for path, _ in wanted]
    record = _provenance(folders[0])
    named = base_model or record.get("base", {}).get("path") or read_adapter(folders[0])[0]["base_model_name_or_path"]
    base = check_base(str(named))
    place, notes = resolve_device(device)
    weights, _, more = resolve_precision("auto", place)
    found = base_fingerprint(base)
    for folder in folders:
        trained_on = _provenance(folder).get("base", {}).get("fingerprint")
        if trained_on is None:
            more.append(text("cli.no_provenance", folder=folder))
        elif trained_on != found:
            raise ModelError("cli.other_base", where=folder, base=base)
    tokenizer = load_tokenizer(folders[0] if (folders[0] / "tokenizer_config.json").exists() else base)
    quantization = record.get("config", {}).get("quantization", "none")
    model: Any = load_model(base, dtype=weights, device=place, quantization=quantization)
    for path, weight in wanted:
        model = load_adapter(model, path, weight=weight)
    system_prompt = record.get("config", {}).get("system_prompt")
    return Partner(model.get_base_model(), tokenizer, system_prompt, max_new_tokens, [*notes, *more])


def _weighed(word: str) -> tuple[str, float]:
    path, colon, number = word.rpartition(":")
    if colon and not Path(word).exists():
        try:
            return path, float(number)
        except ValueError as e:
            raise UsageError("cli.bad_weight", where=word, weight=number) from e
    return word, 1.0


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def converse(partner: Partner, ask: Callable[[str], str], say: Callable[[str], None]) -> None:
    """Talk until ``/quit`` or the end of input; ``/new`` forgets, ``/save`` keeps the last exchange as a record."""
    say(text("cli.chat_opening"))
    turns: list[tuple[str, str]] = []
    while True:
        try:
            words = ask("> ").strip()
        except EOFError:
            return
        if words in ("/quit", "/exit"):
            return
        if words == "/new":
            turns = []
        elif words == "/save":
            say(_keep(turns))
        elif words.startswith("/"):
            say(text("cli.chat_unknown", word=words))
        elif words:
            turns.append(("user", words))
            turns.append(("assistant", partner.reply(turns)))
            say(turns[-1][1])


def _keep(turns: Sequence[tuple[str, str]]) -> str:
    if not turns:
        return text("cli.nothing_to_save")
    SAVED_TO.parent.mkdir(parents=True, exist_ok=True)
    record = {"messages": [{"role": role, "content": content} for role, content in turns[-2:]]}
    with SAVED_TO.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return text("cli.saved", path=SAVED_TO)
