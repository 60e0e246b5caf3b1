"""`generate`: pictures drawn from prompts by a base with any adapters, each labelled as generated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from lora_scripts.adapters.files import CONFIG_FILE
from lora_scripts.adapters.picture_files import read_picture_adapter
from lora_scripts.adapters.pictures import PARTS, PictureAdapter, apply_pictures
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.adapters import weighed
from lora_scripts.config import load_config
from lora_scripts.data.pictures.aigc_label import MARK, AigcLabel, save_labelled
from lora_scripts.data.pictures.captions import holds_trigger
from lora_scripts.errors import UsageError
from lora_scripts.messages import text
from lora_scripts.models.diffusion import (
    PictureBase,
    check_picture_base,
    load_picture_parts,
    load_tokenizers,
    part_fingerprints,
    picture_fingerprint,
)
from lora_scripts.models.drawing import AT_ONCE, Strokes, draw
from lora_scripts.models.prompts import cut_captions, encode_captions
from lora_scripts.models.text import read_json, resolve_device, resolve_precision
from lora_scripts.training.checkpoint import MANIFEST
from lora_scripts.training.run_dir import RUN

PRODUCER = "lora-scripts"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be drawn, and how; ``mark`` draws the visible mark too, ``seed`` is that of the first picture."""

    prompts: Sequence[str]
    count: int = 1
    seed: int = 0
    strokes: Strokes = field(default_factory=Strokes)
    negative: str = ""
    mark: bool = False
    producer: str = PRODUCER


@dataclass(frozen=True, slots=True)
class Chosen:
    """An adapter of a stack, as it was named."""

    path: Path
    weight: float
    adapter: PictureAdapter
    record: Mapping[str, Any]


def generate(
    words: Sequence[str],
    order: Order,
    output: Path,
    *,
    base_model: str | None,
    device: str,
    say: Callable[[str], None],
) -> Iterator[Path]:
    """Draw ``order`` with the adapters ``words`` (``DIR:WEIGHT``) into the folder ``output``; each file as it comes.

    Raises:
        UsageError: No base is named, or sides that it cannot draw.
        ModelError: Base or adapter cannot be used, or do not belong together.
        TrainError: One picture alone does not fit into memory.
    """
    chosen = [chosen_adapter(word) for word in words]
    base = picture_base_of(chosen, base_model)
    place, notes = resolve_device(device)
    dtype, _, more = resolve_precision("auto", place)
    width, height = order.strokes.size or (0, 0)
    strokes = replace(order.strokes, size=(width or base.resolution, height or base.resolution))
    if odd := [side for side in strokes.size or () if side % base.factor or side < base.unit]:
        sides = {"side": odd[0], "unit": base.factor, "least": base.unit}
        raise UsageError("picture_run.odd_side", where="--width, --height", **sides)
    for line in [*notes, *more, *doubts(chosen, base, order.prompts)]:
        say(line)
    parts = load_picture_parts(base, ["unet", *base.encoders], dtype=dtype, device=place)
    parts |= load_picture_parts(base, ["vae"], dtype=torch.float32, device=place)
    tokenizers = load_tokenizers(base)
    for caption, unseen in cut_captions(tokenizers, [*order.prompts, order.negative]):
        say(text("picture_run.prompt_cut", prompt=caption[:40], unseen=unseen[:60]))
    if chosen:
        trained = {name: part for name, part in parts.items() if name != "vae"}
        apply_pictures(trained, [(str(one.path), one.adapter, one.weight) for one in chosen])
    encoders = {name: parts[name] for name in base.encoders}
    asked = [(prompt, order.seed + i) for prompt in order.prompts for i in range(order.count)]
    with torch.no_grad():
        unwanted = encode_captions(encoders, tokenizers, [order.negative])
    output.mkdir(parents=True, exist_ok=True)
    for i in range(0, len(asked), AT_ONCE):
        some = asked[i : i + AT_ONCE]
        with torch.no_grad():
            told = encode_captions(encoders, tokenizers, [prompt for prompt, _ in some])
        pictures = draw(base, parts, told, unwanted, [seed for _, seed in some], strokes)
        for (prompt, seed), picture in zip(some, pictures, strict=True):
            file = _free(output, prompt)
            label = AigcLabel(producer=order.producer, produce_id=uuid4().hex)
            parameters = _parameters(base, chosen, order, strokes, prompt, seed)
            save_labelled(picture, file, label, parameters=parameters, visible=MARK if order.mark else "")
            yield file


def chosen_adapter(word: str) -> Chosen:
    """The adapter that ``DIR:WEIGHT`` names.

    Raises:
        UsageError: The weight is no number.
        ModelError: There is none.
    """
    path, weight = weighed(word)
    return Chosen(path, weight, read_picture_adapter(path), _record_of(path))


def _record_of(path: Path) -> dict[str, Any]:
    """What is known of an adapter: by its run, where it is a checkpoint of one, or by PEFT's own config."""
    if found := provenance_of(path):
        return found
    run = path.parent
    if (path / MANIFEST).is_file() and (run / RUN).is_file():
        known = provenance_of(run)
        config = known.get("config") or load_config(run / RUN).config.model_dump()
        return {"base": known.get("base") or {"path": config.get("base_model")}, "config": config}
    for part in PARTS:
        if (path / part / CONFIG_FILE).is_file():
            named = read_json(path / part / CONFIG_FILE).get("base_model_name_or_path")
            return {"base": {"path": named}} if named else {}
    return {}


def picture_base_of(chosen: Sequence[Chosen], named: str | None) -> PictureBase:
    """The base that was named, else that of the first adapter that tells of one.

    Raises:
        UsageError: Nobody names one.
    """
    told = (one.record.get("base", {}).get("path") for one in chosen)
    found = named or next((str(path) for path in told if path), None)
    if not found:
        raise UsageError("picture_run.no_base", where="--base-model")
    return check_picture_base(found)


def doubts(chosen: Sequence[Chosen], base: PictureBase, prompts: Sequence[str]) -> list[str]:
    """What may not be as somebody meant it: another base than that of the training, no trigger word."""
    found = []
    now = picture_fingerprint(part_fingerprints(base)) if any(one.record for one in chosen) else ""
    for one in chosen:
        trained_on = one.record.get("base", {}).get("fingerprint")
        if trained_on and trained_on != now:
            found.append(text("picture_run.other_base", adapter=one.path, base=base.path))
        trigger = one.record.get("config", {}).get("trigger_word")
        for prompt in prompts if trigger else ():
            if not holds_trigger(prompt, trigger):
                found.append(text("picture_run.no_trigger", adapter=one.path, trigger=trigger, prompt=prompt[:60]))
    return found


def _free(folder: Path, prompt: str) -> Path:
    """A file name that tells of the prompt and that nothing has yet."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:40] or "picture"
    taken = {path.stem for path in folder.iterdir()}
    number = next(n for n in count(1) if f"{words}-{n:03d}" not in taken)
    return folder / f"{words}-{number:03d}.png"


def _parameters(
    base: PictureBase, chosen: Sequence[Chosen], order: Order, strokes: Strokes, prompt: str, seed: int
) -> str:
    """How the picture was made, as the Stable Diffusion web UI writes it."""
    assert strokes.size
    adapters = ", ".join(f"{one.path.name}:{one.weight:g}" for one in chosen)
    settings = {
        "Steps": strokes.steps,
        "CFG scale": f"{strokes.guidance:g}",
        "Seed": seed,
        "Size": f"{strokes.size[0]}x{strokes.size[1]}",
        "Model": base.path.name,
        **({"Adapters": json.dumps(adapters, ensure_ascii=False)} if adapters else {}),
    }
    unwanted = [f"Negative prompt: {order.negative}"] if order.negative else []
    return "\n".join([prompt, *unwanted, ", ".join(f"{name}: {value}" for name, value in settings.items())])
