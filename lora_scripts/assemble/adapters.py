"""What an adapter is and uses of its rank, and the same adapter at a lower rank with its error measured."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from lora_scripts.adapters.combine import combined_card
from lora_scripts.adapters.files import WEIGHTS_FILE, find_weights, read_adapter, restore_adapter, write_adapter
from lora_scripts.adapters.provenance import PROVENANCE, card, provenance_of
from lora_scripts.adapters.rank import ModuleRank, Shrunk, effective_ranks, shrink
from lora_scripts.assemble.text.parts import build, gather
from lora_scripts.config import load_config
from lora_scripts.errors import LoraScriptsError, UsageError
from lora_scripts.messages import text
from lora_scripts.training.checkpoint import sha256_of
from lora_scripts.training.run_dir import RUN, write_json
from lora_scripts.training.tasks import mean_loss

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Losses:
    """Validation losses in nats a learned token; ``note`` says why there are none, or what they are to be read with."""

    base: float | None = None
    before: float | None = None
    after: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ShrinkResult:
    """A shrunk adapter in ``folder``.

    ``error`` is ‖change of all BA‖ / ‖all BA‖ (Frobenius), ``worst`` that of the module that lost most and its name;
    ranks are the largest of any module, bytes those of the weight file.
    """

    folder: Path
    rank_before: int
    rank_after: int
    bytes_before: int
    bytes_after: int
    error: float
    worst: tuple[str, float]
    losses: Losses


def shrink_adapter(
    run_or_folder: Path, target: Path, *, rank: int | None = None, energy: float | None = None, measure: bool = True
) -> ShrinkResult:
    """Write the adapter of ``run_or_folder`` at a lower rank into the new folder ``target``.

    Args:
        run_or_folder: An output folder, a PEFT folder, or a weight file.
        target: Appears whole or not at all.
        rank: The highest rank that a layer keeps.
        energy: Each layer keeps the least rank that holds this share of its squared norm, above 0 and below 1.
        measure: Measure the validation loss before and after, where ``run_or_folder`` has its run.yaml and the
            data and the base that it names are there.

    Raises:
        UsageError: ``target`` exists, or neither limit is below what the adapter has.
        ModelError: The adapter cannot be read.
    """
    refuse_existing(target)
    if energy is not None and not 0 < energy < 1:
        raise UsageError("rank.bad_energy", energy=energy)
    weights = find_weights(run_or_folder)
    config, tensors = read_adapter(run_or_folder)
    ranks = effective_ranks(tensors, config)
    if not ranks:
        raise UsageError("rank.no_rank", where=run_or_folder, method=method_of(config))
    before = max(found.rank for found in ranks.values())
    if energy is None and not 1 <= (rank or 0) < before:
        raise UsageError("rank.not_lower", where=run_or_folder, rank=before)
    shrunk = shrink(tensors, config, rank=rank, energy=energy or 1.0)
    if all(kept == ranks[module].rank for module, kept in shrunk.ranks.items()):
        raise UsageError("rank.not_lower", where=run_or_folder, rank=before)
    losses = _measure(weights.parent, tensors, shrunk) if measure else Losses(note=text("rank.not_asked"))
    with appearing(target) as fresh:
        _write(fresh, weights, shrunk, _told(ranks, shrunk, losses), target.name)
        return _result(target, weights, fresh / WEIGHTS_FILE, ranks, shrunk, losses)


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``target`` when all went well, and is gone where something did not."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def refuse_existing(target: Path) -> None:
    """Nothing is overwritten.

    Raises:
        UsageError: ``target`` exists.
    """
    if target.exists():
        raise UsageError("rank.target_exists", where=target)


def _result(
    target: Path, weights: Path, written: Path, ranks: Mapping[str, ModuleRank], shrunk: Shrunk, losses: Losses
) -> ShrinkResult:
    worst = max(shrunk.errors, key=lambda module: shrunk.errors[module])
    return ShrinkResult(
        folder=target,
        rank_before=max(found.rank for found in ranks.values()),
        rank_after=max(shrunk.ranks.values()),
        bytes_before=weights.stat().st_size,
        bytes_after=written.stat().st_size,
        error=_error(ranks, shrunk),
        worst=(worst, shrunk.errors[worst]),
        losses=losses,
    )


def _error(ranks: Mapping[str, ModuleRank], shrunk: Shrunk) -> float:
    lost = sum((shrunk.errors[module] * found.norm) ** 2 for module, found in ranks.items())
    whole = sum(found.norm**2 for found in ranks.values())
    return math.sqrt(lost / whole) if whole else 0.0


def _told(ranks: Mapping[str, ModuleRank], shrunk: Shrunk, losses: Losses) -> dict[str, Any]:
    """What provenance.json says about the shrinking."""
    return {
        "rank": max(found.rank for found in ranks.values()),
        "ranks": dict(shrunk.ranks),
        "relative error": _error(ranks, shrunk),
        "base validation loss": losses.base,
        "validation loss before": losses.before,
        "validation loss after": losses.after,
    }


def _write(folder: Path, weights: Path, shrunk: Shrunk, told: dict[str, Any], name: str) -> None:
    write_adapter(folder, shrunk.tensors, json.dumps(shrunk.config, indent=2, sort_keys=True) + "\n")
    copy_tokenizer(weights.parent, folder)
    origin = {"path": str(weights.parent), "weights_sha256": sha256_of(weights), **told}
    record = provenance_of(weights.parent)
    if not record:
        write_json(folder / PROVENANCE, {"name": name, "shrunk_from": origin})
        return
    settings = {**record.get("config", {}), "lora_rank": shrunk.config["r"], "lora_alpha": shrunk.config["lora_alpha"]}
    record |= {"name": name, "config": settings, "weights_sha256": sha256_of(folder / WEIGHTS_FILE)}
    if told["validation loss after"] is not None:
        record["result"] = {**record.get("result", {}), "validation loss": told["validation loss after"]}
    if "trainable_parameters" in record.get("plan", {}):
        values = sum(tensor.numel() for tensor in shrunk.tensors.values())
        record["plan"] = {**record["plan"], "trainable_parameters": values}
    record["shrunk_from"] = origin
    write_json(folder / PROVENANCE, record)
    words = combined_card(record) if "combined_from" in record else card(record)
    (folder / "README.md").write_text(words, encoding="utf-8")


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer and its chat template from one adapter's folder into another, where they are there."""
    for file in TOKENIZER_FILES:
        if (source / file).is_file():
            shutil.copyfile(source / file, target / file)


def weighed(word: str) -> tuple[Path, float]:
    """``DIR:0.5`` or ``DIR``: where an adapter lies and what it counts for.

    Raises:
        UsageError: The weight is no number, or not finite.
    """
    path, colon, number = word.rpartition(":")
    if not colon or Path(word).exists():
        return Path(word), 1.0
    try:
        weight = float(number)
    except ValueError as e:
        raise UsageError("cli.bad_weight", where=word, weight=number) from e
    if not math.isfinite(weight):
        raise UsageError("cli.bad_weight", where=word, weight=number)
    return Path(path), weight


def _measure(run_dir: Path, tensors: Mapping[str, Tensor], shrunk: Shrunk) -> Losses:
    """Losses on the validation records of the run in ``run_dir``."""
    if not (run_dir / RUN).is_file():
        return Losses(note=text("rank.no_run", file=RUN))
    try:
        config = load_config(run_dir / RUN).config
        inputs = gather(config)
        if not inputs.rendered.validation:
            return Losses(note=text("rank.nothing_held_out"))
        parts = build(config, inputs)
        held_out = inputs.rendered.validation

        def loss() -> float:
            return mean_loss(parts.task, held_out, config.batch_size)

        with parts.model.disable_adapter():
            base = loss()
        restore_adapter(parts.model, tensors)
        before = loss()
        restore_adapter(parts.model, _padded(shrunk.tensors, tensors))
        after = loss()
    except LoraScriptsError as e:
        return Losses(note=text("rank.not_measured", reason=e.problems[0]))
    known = provenance_of(run_dir).get("fingerprints", {})
    changed = [name for name in ("base", "data") if known.get(name) != inputs.fingerprints[name]]
    note = text("rank.changed", names=", ".join(changed)) if changed else ""
    return Losses(base, before, after, note)


def _padded(shrunk: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The shrunk tensors in the shapes of the whole ones; rows and columns of zeros add nothing to BA."""
    padded = {}
    for name, value in shrunk.items():
        padded[name] = torch.zeros_like(whole[name])
        padded[name][tuple(slice(n) for n in value.shape)] = value
    return padded


def shrink_lines(result: ShrinkResult) -> list[str]:
    """What the user reads after ``shrink_adapter``."""
    lines = [
        text("rank.shrunk", before=result.rank_before, after=result.rank_after, old=size_words(result.bytes_before),
             new=size_words(result.bytes_after)),
        text("rank.error", error=result.error * 100, module=result.worst[0], worst=result.worst[1] * 100),
    ]  # fmt: skip
    losses = result.losses
    if losses.before is not None and losses.after is not None:
        change = (losses.after / losses.before - 1) * 100 if losses.before else 0.0
        lines.append(text("rank.losses", base=losses.base, before=losses.before, after=losses.after, change=change))
    notes = [losses.note] if losses.note else []
    return [*lines, *notes, text("rank.where", folder=result.folder)]


def rank_lines(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> list[str]:
    """How much of its rank an adapter uses, by layer kind and in all; nothing for a method that has no rank.

    ``tensors`` have their PEFT names, ``config`` is the content of adapter_config.json.
    """
    ranks = effective_ranks(tensors, config)
    if not ranks:
        return []
    kinds: dict[str, list[ModuleRank]] = {}
    for module, found in ranks.items():
        kinds.setdefault(module.rpartition(".")[2], []).append(found)
    lines = [
        text("rank.kind", kind=kind, layers=len(found), used=_used(found), least=min(f.effective for f in found),
             most=max(f.effective for f in found), norm=fmean(f.norm for f in found))
        for kind, found in kinds.items()
    ]  # fmt: skip
    return [*lines, *_summary(list(ranks.values()))]


def used_lines(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> list[str]:
    """The summary of ``rank_lines`` alone."""
    ranks = effective_ranks(tensors, config)
    return _summary(list(ranks.values())) if ranks else []


def _summary(every: Sequence[ModuleRank]) -> list[str]:
    rank, used = max(found.rank for found in every), round(_used(every))
    lines = [text("rank.used", rank=rank, used=used, holding=max(found.holding for found in every))]
    if 0 < 2 * used <= rank:
        lines.append(text("rank.smaller", rank=_next_power(used)))
    return lines


def _used(ranks: Sequence[ModuleRank]) -> float:
    return fmean(found.effective for found in ranks)


def _next_power(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def inspect_adapter(path: Path) -> list[str]:
    """What an adapter is: method, rank, targets, size, how much of its rank it uses, where it comes from.

    Raises:
        ModelError: The adapter cannot be read.
    """
    weights = find_weights(path)
    config, tensors = read_adapter(path)
    modules = sorted({name.removeprefix("base_model.model.").rpartition(".lora_")[0] or name for name in tensors})
    kinds = sorted({module.removesuffix(".ia3_l").rpartition(".")[2] for module in modules})
    values = sum(tensor.numel() for tensor in tensors.values())
    lines = [text("rank.method", method=method_of(config), layers=len(modules), kinds=", ".join(kinds))]
    if "r" in config:
        lines.append(text("rank.settings", rank=config["r"], alpha=config["lora_alpha"]))
    dtypes = ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}))
    lines.append(text("rank.size", size=size_words(weights.stat().st_size), values=values, dtypes=dtypes))
    return [*lines, *rank_lines(tensors, config), *origin_lines(weights, config)]


def origin_lines(weights: Path, config: Mapping[str, Any]) -> list[str]:
    """Where an adapter comes from, by its provenance."""
    record = provenance_of(weights.parent)
    base = record.get("base", {}).get("path") or config.get("base_model_name_or_path") or "-"
    lines = [text("rank.base", path=base)]
    if not record:
        return [*lines, text("rank.no_provenance")]
    if "made" in record:
        data = record.get("fingerprints", {}).get("data", "-")
        lines.append(text("rank.made", made=record["made"], data=data[:19]))
    lines += [f"{name}: {value}" for name, value in record.get("result", {}).items()]
    if record.get("weights_sha256") not in (None, sha256_of(weights)):
        lines.append(text("rank.other_weights"))
    for part in record.get("combined_from", []):
        lines.append(text("combine.from", path=part["path"], weight=part["weight"]))
    if origin := record.get("shrunk_from"):
        lines.append(text("rank.from", path=origin["path"], rank=origin["rank"], error=origin["relative error"] * 100))
    return lines


def method_of(config: Mapping[str, Any]) -> str:
    """The method of an adapter by its adapter_config.json: lora, rslora, dora, ia3."""
    if config.get("peft_type") != "LORA":
        return str(config.get("peft_type", "-")).lower()
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"


def size_words(count: int) -> str:
    """A number of bytes to read."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
