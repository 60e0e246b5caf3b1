"""What a picture adapter is, and whether it is what its provenance says."""

from __future__ import annotations

from pathlib import Path

from lora_scripts.adapters.picture_files import read_picture_adapter, weights_file
from lora_scripts.adapters.pictures import PictureAdapter, layers_of
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.adapters import origin_lines, size_words
from lora_scripts.errors import LoraScriptsError, ModelError, problem
from lora_scripts.messages import text
from lora_scripts.models.diffusion import check_picture_base, part_fingerprints, picture_fingerprint
from lora_scripts.training.checkpoint import sha256_of


def picture_method(adapter: PictureAdapter) -> str:
    """lora, rslora or dora."""
    config = next(iter(adapter.configs.values()))
    return "dora" if config["use_dora"] else "rslora" if config["use_rslora"] else "lora"


def ranks_of(adapter: PictureAdapter) -> list[int]:
    """The ranks of its layers."""
    return [value.shape[0] for name, value in adapter.tensors.items() if name.endswith(".lora_A.weight")]


def inspect_pictures(path: Path) -> list[str]:
    """Method, rank, layers of each part, size, where it comes from.

    Raises:
        ModelError: It cannot be read.
    """
    adapter, weights = read_picture_adapter(path), weights_file(path)
    layers = list(layers_of(adapter))
    counts = ", ".join(f"{part} {sum(p == part for p, _ in layers)}" for part in adapter.configs)
    config = next(iter(adapter.configs.values()))
    values = sum(value.numel() for value in adapter.tensors.values())
    dtypes = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in adapter.tensors.values()}))
    return [
        text("rank.method", method=picture_method(adapter), layers=len(layers), kinds=counts),
        text("rank.settings", rank=max(ranks_of(adapter)), alpha=config["lora_alpha"]),
        text("rank.size", size=size_words(weights.stat().st_size), values=values, dtypes=dtypes),
        *origin_lines(weights, {}),
    ]


def verify_pictures(path: Path, base_model: str | None) -> list[str]:
    """Lines on what was checked: that it is whole, finite, the one that provenance.json speaks of, for this base.

    Raises:
        LoraScriptsError: It is not.
        ModelError: There is no adapter, or no base under the name that was given.
    """
    weights = weights_file(path)
    lines = [text("combine.whole", count=len(read_picture_adapter(path).tensors))]
    record = provenance_of(weights)
    known = record.get("weights_sha256")
    if known is None:
        lines.append(text("combine.no_hash"))
    elif known != sha256_of(weights):
        raise LoraScriptsError([problem("combine.other_hash", str(weights), known=known)])
    else:
        lines.append(text("combine.same_hash", known=known))
    trained_on = record.get("base", {}).get("fingerprint")
    named = base_model or record.get("base", {}).get("path")
    if trained_on is None or not named:
        return [*lines, text("combine.base_unknown")]
    try:
        base = check_picture_base(str(named))
    except ModelError as error:
        if base_model:
            raise
        return [*lines, text("combine.base_away", base=named, reason=error.problems[0].text)]
    if picture_fingerprint(part_fingerprints(base)) != trained_on:
        raise LoraScriptsError([problem("cli.other_base", str(named), base=named)])
    return [*lines, text("combine.same_base", base=named)]
