"""What is exported of a picture run, checked: its adapters, the base, what both are compared on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lora_scripts.adapters.picture_files import weights_file
from lora_scripts.assemble.exporting import Exporting
from lora_scripts.assemble.pictures.generate import chosen_adapter, doubts, picture_base_of
from lora_scripts.assemble.pictures.papers import picture_method
from lora_scripts.export.pictures import PictureSource
from lora_scripts.export.source import plain_name
from lora_scripts.messages import text
from lora_scripts.models.diffusion import part_fingerprints, picture_fingerprint
from lora_scripts.models.probe import noise_probe
from lora_scripts.models.text import resolve_device


def open_pictures(words: Sequence[str], base_model: str | None, say: Callable[[str], None]) -> Exporting:
    """The adapters ``PATH:WEIGHT``, to be exported together.

    Raises:
        UsageError: No base is named.
        ModelError: An adapter or the base cannot be used.
    """
    chosen = [chosen_adapter(word) for word in words]
    base = picture_base_of(chosen, base_model)
    device, notes = resolve_device("auto")
    for line in [*notes, *doubts(chosen, base, [])]:
        say(line)
    record = chosen[0].record
    path = chosen[0].path
    name = plain_name(str(record.get("name") or path.resolve().stem))
    caption = str(record.get("config", {}).get("trigger_word") or "a picture")
    source = PictureSource(
        name=name,
        adapters=[(str(one.path), one.adapter, one.weight) for one in chosen],
        base=base,
        named=base_model or str(record.get("base", {}).get("path") or base.path),
        record=record,
        probe=noise_probe(base, caption),
        device=device,
    )
    return Exporting(
        source=source,
        name=name,
        method=picture_method(chosen[0].adapter),
        weights=weights_file(path),
        base=Path(base.path),
        fingerprint=picture_fingerprint(part_fingerprints(base)),
        record=record,
        verified=text("export.one_pass"),
    )
