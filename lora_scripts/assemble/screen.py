"""The screen that keeps personal data out of what is trained, texts and captions alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from lora_scripts.config import Config
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.pii.desensitize import desensitize_records
from lora_scripts.data.pii.find import DEFAULT_TYPES
from lora_scripts.data.records import Record
from lora_scripts.messages import text

PSEUDONYM_KEY = "LORA_SCRIPTS_PSEUDONYM_KEY"


@dataclass(frozen=True, slots=True)
class Screen:
    """How personal data are taken out of records: ``mode`` as in the config, ``off`` for not at all."""

    mode: str = str(Config.model_fields["desensitize"].default)
    types: tuple[str, ...] = DEFAULT_TYPES

    def records(self, records: Iterator[Record], ledger: Ledger) -> Iterator[Record]:
        """``records`` without personal data; the ledger tells how much was found."""
        if self.mode == "off":
            return records
        key = os.environ.get(PSEUDONYM_KEY, "")
        return desensitize_records(records, ledger, mode=self.mode, types=self.types, key=key)

    def findings(self) -> list[Finding]:
        """What the choice of mode and types leaves in the records."""
        if self.mode == "off":
            return [Finding("warning", "desensitize_off", "desensitize", text("run.desensitize_off"))]
        left = [kind for kind in DEFAULT_TYPES if kind not in self.types]
        said = text("run.types_left", names=" ".join(left))
        return [Finding("warning", "types_left", "desensitize_types", said)] if left else []


def screen_of(config: Config) -> Screen:
    """The screen of a run."""
    return Screen(config.desensitize, config.desensitize_types or DEFAULT_TYPES)
