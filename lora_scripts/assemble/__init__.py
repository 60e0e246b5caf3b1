"""The only room that turns config keys into parts: records, a training run, a conversation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_scripts.assemble.outcome import Outcome


def train(config: str | os.PathLike[str], *overrides: str) -> Outcome | None:
    """Train what the YAML file ``config`` says, with ``key=value`` overrides, and prove it.

    None where ``resume_from_checkpoint=auto`` finds the run finished.

    Raises:
        LoraScriptsError: Whatever stops the run, with what to do next.
    """
    from pathlib import Path

    from rich.console import Console

    from lora_scripts.assemble.ahead import hash_ahead
    from lora_scripts.config import load_config

    loaded = load_config(Path(config), overrides)
    hashed = hash_ahead(loaded.config)
    from lora_scripts.assemble.run import train_run

    return train_run(loaded, Console(stderr=True), hashed)
