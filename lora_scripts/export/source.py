"""What is exported: one adapter with its base, its spelling and the questions that it is verified with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lora_scripts.data.chat_format import ChatFormat

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Source:
    """One adapter and what belongs to it.

    Attributes:
        name: How it is called in cards and commands: letters, digits, ``._-``.
        adapter: Folder of its PEFT files.
        base: Folder of its base, unquantised.
        config: Content of adapter_config.json.
        tensors: The adapter under its PEFT names.
        tokenizer: With the chat template of the training.
        form: How conversations were spelled in training.
        system_prompt: That of the run, or empty.
        questions: What it is asked.
        prompts: Each question as token ids, spelled as ``chat`` does.
        record: Content of provenance.json, empty where there is none.
        device: Where the models run that are compared.
        dtype: Of the arithmetic that they are compared in.
    """

    name: str
    adapter: Path
    base: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    tokenizer: PreTrainedTokenizerBase
    form: ChatFormat
    system_prompt: str
    questions: tuple[str, ...]
    prompts: tuple[tuple[int, ...], ...]
    record: Mapping[str, Any]
    device: str
    dtype: torch.dtype

    @property
    def method(self) -> str:
        """lora, rslora, dora or ia3."""
        if self.config["peft_type"] == "IA3":
            return "ia3"
        return "dora" if self.config.get("use_dora") else "rslora" if self.config.get("use_rslora") else "lora"

    def messages(self, question: str) -> list[dict[str, str]]:
        """The conversation that asks ``question``, for ``apply_chat_template``."""
        opening = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*opening, {"role": "user", "content": question}]

    def spelled(self, question: str) -> str:
        """The prompt of ``question`` as text."""
        return "".join(part for _, part in self.form.strings.spell(self.system_prompt, [(question, None)]))

    def adds_bos(self) -> bool:
        """Whether the tokenizer puts its bos token before every text by itself."""
        bos = self.tokenizer.bos_token_id
        return bos is not None and self.tokenizer("")["input_ids"][:1] == [bos]

    def context_length(self) -> int:
        """Longest text of the base in tokens, as its config says."""
        return int(json.loads((self.base / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])


def plain_name(name: str) -> str:
    """``name`` with nothing in it but what servers take in a model's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:64] or "adapter"


def save_tokenizer(source: Source, folder: Path) -> None:
    """The tokenizer with the trained chat template, under a class name that transformers 4 knows too."""
    source.tokenizer.chat_template = source.form.template
    source.tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
