"""What a run does while its libraries are still imported: it reads and hashes its base, outside Python's lock."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

from lora_scripts.config import Config
from lora_scripts.models.diffusion import check_picture_base, part_fingerprints
from lora_scripts.models.passing_thread import begun
from lora_scripts.models.text import base_fingerprint

Hashed = Future[dict[str, str]]
"""The fingerprints of a base's parts, in the making; a text base is one part, named "base".

Where the base cannot be read the result raises, so it is asked for after the base was checked.
"""


def hash_ahead(config: Config) -> Hashed:
    """Begin with the base that ``config`` names."""
    path = config.base_model
    if config.draws:
        return begun(lambda: part_fingerprints(check_picture_base(path)))
    return begun(lambda: {"base": base_fingerprint(Path(path).expanduser())})
