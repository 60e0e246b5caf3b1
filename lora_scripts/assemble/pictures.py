"""Pictures as a run would read them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lora_scripts.config import Config
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pictures.looks import findings_of
from lora_scripts.data.pictures.reading import PictureRecord, read_pictures


def check_pictures(root: Path) -> Ledger:
    """The ledger of a folder of pictures, split as by the defaults.

    Raises:
        DataError: None of them can be used.
    """
    ledger = Ledger()
    records = read_pictures(root, ledger)
    ledger.findings += findings_of([(r.path.relative_to(root).as_posix(), r.looks) for r in records])
    keys = Config.model_fields
    ledger.validation = len(held_out(records, keys["eval_ratio"].default, keys["seed"].default))
    ledger.check_sum()
    return ledger


def held_out(records: list[PictureRecord], ratio: float, seed: int) -> set[int]:
    """Which records validate: by a hash of seed and picture, whatever their names and order."""

    def order(index: int) -> bytes:
        return sha256(f"{seed} {records[index].digest}".encode()).digest()

    count = min(round(ratio * len(records)), len(records) - 1)
    return set(sorted(range(len(records)), key=order)[:count])
