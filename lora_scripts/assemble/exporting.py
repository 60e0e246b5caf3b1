"""What is exported, of either kind of run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts.export.pictures import PictureSource
from lora_scripts.export.source import Source


@dataclass(frozen=True, slots=True)
class Exporting:
    """A source of either kind, and what export.json and the card tell of it; ``verified`` says on what."""

    source: Source | PictureSource
    name: str
    method: str
    weights: Path
    base: Path
    fingerprint: str
    record: Mapping[str, Any]
    verified: str
