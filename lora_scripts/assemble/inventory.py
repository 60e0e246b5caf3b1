"""Which adapters lie below a folder, and whether one is what its provenance says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lora_scripts.adapters.files import CONFIG_FILE, HEADER_KEY, LINKED_FILE, WEIGHTS_FILE, find_weights, read_adapter
from lora_scripts.adapters.picture_files import is_picture_adapter, read_picture_adapter, weights_file
from lora_scripts.adapters.pictures import PARTS
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.adapters import inspect_adapter, method_of, size_words
from lora_scripts.assemble.pictures.papers import inspect_pictures, picture_method, ranks_of, verify_pictures
from lora_scripts.errors import LoraScriptsError, ModelError, Problem, UsageError, problem
from lora_scripts.messages import text
from lora_scripts.models.text import base_fingerprint, check_base
from lora_scripts.training.checkpoint import PREFIX, sha256_of
from lora_scripts.training.run_dir import PROOF

FILES = (CONFIG_FILE, WEIGHTS_FILE, LINKED_FILE, "adapter_model.bin")
"""Any of these in a folder makes it an adapter's; other files are those of picture adapters by their content."""


@dataclass(frozen=True, slots=True)
class Found:
    """An adapter below a folder. ``name`` is its path below it; ``fault`` says why it cannot be used, else empty."""

    name: str
    method: str = ""
    rank: int = 0
    base: str = ""
    made: str = ""
    size: int = 0
    fault: str = ""


def list_adapters(root: Path) -> tuple[list[Found], int]:
    """The adapters below ``root`` in order of name, and how many checkpoints are not among them.

    Hidden folders and symbolic links are not entered.

    Raises:
        UsageError: ``root`` is no folder.
    """
    if not root.is_dir():
        raise UsageError("combine.no_folder", where=root)
    found, checkpoints = [], 0
    for folder in _folders(root):
        if not _holds_one(folder):
            files = [file for file in sorted(folder.glob("*.safetensors")) if is_picture_adapter(file)]
            found += [_look(file, file.relative_to(root).as_posix()) for file in files]
        elif folder != root and folder.name.startswith(PREFIX):
            checkpoints += 1
        else:
            found.append(_look(folder, folder.relative_to(root).as_posix() if folder != root else folder.name))
    return found, checkpoints


def _holds_one(folder: Path) -> bool:
    """Whether a folder is an adapter's, or what is left of one; the parts of a picture adapter are folders in it."""
    return any((folder / name).is_file() for name in (*FILES, *(f"{part}/{CONFIG_FILE}" for part in PARTS)))


def _folders(root: Path) -> Iterator[Path]:
    yield root
    for path in sorted(root.iterdir()):
        is_part = path.name in PARTS and (path / CONFIG_FILE).is_file()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".") and not is_part:
            yield from _folders(path)


def _look(folder: Path, name: str) -> Found:
    try:
        if is_picture_adapter(folder):
            return _look_at_pictures(folder, name)
        config, tensors = read_adapter(folder)
        weights = find_weights(folder)
        record = provenance_of(folder)
    except ModelError as e:
        return Found(name, fault=str(e.problems[0].text))
    ranks = [value.shape[0] for key, value in tensors.items() if ".lora_A" in key]
    base = record.get("base", {}).get("path") or config.get("base_model_name_or_path") or "-"
    made = str(record.get("made", "-"))
    return Found(name, method_of(config), max(ranks, default=0), str(base), made, weights.stat().st_size)


def _look_at_pictures(folder: Path, name: str) -> Found:
    adapter, record = read_picture_adapter(folder), provenance_of(folder)
    method = text("combine.of_pictures", method=picture_method(adapter))
    base, made = str(record.get("base", {}).get("path") or "-"), str(record.get("made", "-"))
    return Found(name, method, max(ranks_of(adapter)), base, made, weights_file(folder).stat().st_size)


def inspect_any(path: Path) -> list[str]:
    """What an adapter is, of a text or of a picture model.

    Raises:
        ModelError: It cannot be read.
    """
    return inspect_pictures(path) if is_picture_adapter(path) else inspect_adapter(path)


def list_lines(root: Path, found: list[Found], checkpoints: int) -> list[str]:
    """What the user reads after ``list_adapters``."""
    lines = [
        text("combine.broken", name=one.name, reason=one.fault)
        if one.fault
        else text(
            "combine.listed", name=one.name, method=one.method, rank=one.rank or "-", base=one.base,
            made=one.made, size=size_words(one.size),
        )
        for one in found
    ]  # fmt: skip
    if not found:
        lines.append(text("combine.none_below", folder=root))
    return [*lines, *([text("combine.checkpoints", count=checkpoints)] if checkpoints else [])]


def verify_adapter(path: Path, *, base_model: str | None = None) -> list[str]:
    """Is the adapter finite, whole, the one that provenance.json speaks of, for this base? Lines on what was checked.

    Raises:
        LoraScriptsError: It is not; every problem at once.
        ModelError: There is no adapter, or no base under the name that was given.
    """
    if is_picture_adapter(path):
        return verify_pictures(path, base_model)
    weights = find_weights(path)
    problems: list[Problem] = []
    lines = []
    try:
        config, tensors = read_adapter(path)
        lines.append(text("combine.whole", count=len(tensors)))
        problems += _other_header(weights, config)
    except ModelError as e:
        config, problems = {}, [*e.problems]
    linked = weights.parent / LINKED_FILE
    if linked.is_file() and linked != weights and sha256_of(linked) != sha256_of(weights):
        problems.append(problem("combine.two_files", str(linked), other=weights.name))
    record = provenance_of(weights.parent)
    known = record.get("weights_sha256")
    if known is None:
        lines.append(text("combine.no_hash"))
    elif known != sha256_of(weights):
        problems.append(problem("combine.other_hash", str(weights), known=known))
    else:
        lines.append(text("combine.same_hash", known=known))
    problems += _unproven(weights.parent)
    more, wrong = _base_lines(record, config, base_model)
    if problems := [*problems, *wrong]:
        raise LoraScriptsError(problems)
    return [*lines, *more]


def _other_header(weights: Path, config: Mapping[str, Any]) -> list[Problem]:
    """The weights carry the config that they were written with; a base may have moved since, nothing else."""
    try:
        with safe_open(weights, "pt") as file:
            own = json.loads((file.metadata() or {}).get(HEADER_KEY, "null"))
    except (OSError, ValueError, SafetensorError):
        own = None
    if not isinstance(own, dict):
        return []
    other = [k for k in sorted({*own, *config} - {"base_model_name_or_path"}) if own.get(k) != config.get(k)]
    return [problem("combine.other_config", str(weights.parent / CONFIG_FILE), names=", ".join(other))] if other else []


def _unproven(folder: Path) -> list[Problem]:
    try:
        proven = json.loads((folder / PROOF).read_text(encoding="utf-8"))["ok"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        proven = False
    return [] if proven else [problem("combine.unproven", str(folder / PROOF))]


def _base_lines(
    record: Mapping[str, Any], config: Mapping[str, Any], given: str | None
) -> tuple[list[str], list[Problem]]:
    """Lines and problems about the base that the adapter names, or that the user named."""
    known = record.get("base", {}).get("fingerprint")
    named = given or record.get("base", {}).get("path") or config.get("base_model_name_or_path") or "-"
    if known is None:
        return [text("combine.base_unknown")], []
    try:
        base = check_base(str(named))
    except ModelError as e:
        if given:
            raise
        return [text("combine.base_away", base=named, reason=e.problems[0].text)], []
    if base_fingerprint(base) != known:
        return [], [problem("cli.other_base", str(base), base=base)]
    return [text("combine.same_base", base=base)], []
