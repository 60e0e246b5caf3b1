"""A stack of adapters written as one PEFT adapter, proven equal to the stack; which adapters of a stack overlap."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
import torch

from lora_scripts.adapters.combine import (
    OVERLAP_WARNS,
    Layers,
    as_peft,
    combine,
    combined_card,
    deviation,
    layers_of,
    overlap,
)
from lora_scripts.adapters.files import WEIGHTS_FILE, find_weights, load_adapter, read_adapter, write_adapter
from lora_scripts.adapters.provenance import PROVENANCE, provenance, provenance_of
from lora_scripts.assemble.adapters import (
    TOKENIZER_FILES,
    appearing,
    copy_tokenizer,
    method_of,
    refuse_existing,
    size_words,
    weighed,
)
from lora_scripts.errors import ModelError, ProofError, UsageError
from lora_scripts.evaluate.prove import Check, Proof, logits_of, proof_of
from lora_scripts.messages import text
from lora_scripts.models.out_of_memory import is_out_of_memory
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    resolve_device,
    resolve_precision,
    weight_files,
)
from lora_scripts.training.checkpoint import sha256_of
from lora_scripts.training.run_dir import PROOF, write_json

PROBE_TOKENS = 32
MATRIX_BOUND = 1e-6  # of float32 values against float64 ones
ROOM = 1.5  # memory that a base takes while it is loaded, over its weights


@dataclass(frozen=True, slots=True)
class StackPart:
    """One adapter of a stack: ``path`` as given, ``record`` its provenance.json (empty where there is none)."""

    path: Path
    weight: float
    layers: Layers
    config: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return find_weights(self.path).parent


@dataclass(frozen=True, slots=True)
class Combined:
    """A combined adapter in ``folder``, of this ``rank`` (the largest) on so many modules; ``notes`` are for the user.

    ``check`` is what proves that it equals the stack; ``signal`` by how much the stack changes the logits that it was
    proven on, None where the base was not there and the matrices were compared.
    """

    folder: Path
    rank: int
    modules: int
    size: int
    check: Check
    signal: float | None
    notes: list[str]


def read_part(path: Path, weight: float = 1.0) -> StackPart:
    """An adapter of a stack, of any method.

    Raises:
        ModelError: It cannot be read.
    """
    config, tensors = read_adapter(path)
    return StackPart(path, weight, layers_of(tensors, config), config, provenance_of(find_weights(path).parent))


def _refuse_others(parts: Sequence[StackPart]) -> None:
    for part in parts:
        if (method := method_of(part.config)) not in ("lora", "rslora"):
            raise UsageError("combine.no_sum", where=part.path, method=method)


def overlap_lines(parts: Sequence[StackPart]) -> list[str]:
    """A warning for each pair that overlaps strongly; else the largest overlap of any pair; nothing for one adapter.

    DoRA is measured by its BA part; IA3 has no directions and is left out.
    """
    found = [(overlap(a.layers, b.layers), a, b) for a, b in combinations([p for p in parts if p.layers], 2)]
    strong = [pair for pair in found if pair[0] >= OVERLAP_WARNS]
    lines = [text("combine.overlap", one=a.path, other=b.path, share=share * 100) for share, a, b in strong]
    if found and not strong:
        share, a, b = max(found, key=lambda pair: pair[0])
        lines.append(text("combine.no_overlap", one=a.path, other=b.path, share=share * 100))
    return lines


def combine_adapters(
    words: Sequence[str], target: Path, *, base_model: str | None = None, device: str = "auto"
) -> Combined:
    """Write the weighted sum of the adapters ``DIR:WEIGHT`` as one PEFT adapter into the new folder ``target``.

    It appears whole and proven or not at all. Where the base is there, stock peft must give the logits of the stacked
    adapters; else the matrices are compared.

    Raises:
        UsageError: ``target`` exists, a weight is none, or an adapter is DoRA or IA3.
        ModelError: An adapter cannot be read, or they belong to different bases.
        ProofError: What was written is not the sum.
    """
    refuse_existing(target)
    weights = [weighed(word) for word in words]
    if without := next((word for word, (_, weight) in zip(words, weights, strict=True) if not weight), None):
        raise UsageError("cli.bad_weight", where=without, weight=0)
    parts = [read_part(path, weight) for path, weight in weights]
    _refuse_others(parts)
    fingerprint, notes = _one_base(parts)
    notes += [*_differing(parts), *overlap_lines(parts)]
    layers = combine([(part.layers, part.weight) for part in parts])
    named = base_model or _base_name(parts[0])
    fan = any(part.config.get("fan_in_fan_out") for part in parts)
    tensors, config = as_peft(layers, base=named, fan_in_fan_out=fan)
    with appearing(target) as fresh:
        write_adapter(fresh, tensors, json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")
        with_tokenizer = next((p.folder for p in parts if (p.folder / TOKENIZER_FILES[0]).is_file()), None)
        if with_tokenizer:
            copy_tokenizer(with_tokenizer, fresh)
        base, why_not = _base_there(named, fingerprint, given=base_model is not None)
        check, signal = _matrices(parts, fresh), None
        if base and check.ok:
            try:
                check, signal = _logits(parts, fresh, base, device)
            except (RuntimeError, MemoryError) as e:
                if not is_out_of_memory(e):
                    raise
                why_not = _no_room(base)
        notes += [why_not] if why_not else []
        if not check.ok:
            raise ProofError("combine.not_equal", where=target, value=check.value, bound=check.bound)
        _tell(fresh, target.name, parts, config, {"path": named, "fingerprint": fingerprint}, check)
        size = (fresh / WEIGHTS_FILE).stat().st_size
    return Combined(target, config["r"], len(layers), size, check, signal, notes)


def _base_name(part: StackPart) -> str:
    return str(part.record.get("base", {}).get("path") or part.config.get("base_model_name_or_path") or "-")


def _one_base(parts: Sequence[StackPart]) -> tuple[str | None, list[str]]:
    """The fingerprint that the adapters agree on, and a line for each whose base is not on record."""
    known = {p.record.get("base", {}).get("fingerprint"): p for p in reversed(parts)}
    unknown = [p for p in parts if not p.record.get("base", {}).get("fingerprint")]
    known.pop(None, None)
    if len(known) > 1:
        one, other = [p for p in parts if p in known.values()][:2]
        raise ModelError(
            "combine.other_base", where=other.path, base=_base_name(other), one=one.path, first=_base_name(one)
        )
    names = sorted({_base_name(p) for p in parts})
    notes = [text("cli.no_provenance", folder=p.path) for p in unknown]
    if unknown and len(names) > 1:
        notes.append(text("combine.base_names", names=", ".join(names)))
    return next(iter(known), None), notes


def _differing(parts: Sequence[StackPart]) -> list[str]:
    """What the adapters were trained with that a combined one can have only once; it keeps that of the first."""
    found = {
        "system_prompt": {p.record.get("config", {}).get("system_prompt") for p in parts if p.record},
        "chat template": {p.record.get("fingerprints", {}).get("template") for p in parts if p.record},
    }
    return [text("combine.differs", name=name, path=parts[0].path) for name, values in found.items() if len(values) > 1]


def _base_there(named: str, fingerprint: str | None, *, given: bool) -> tuple[Path | None, str]:
    """The base to prove on, or why there is none.

    Raises:
        ModelError: The user named one that cannot be used or is another base.
    """
    try:
        base = check_base(named)
        if fingerprint and base_fingerprint(base) != fingerprint:
            raise ModelError("cli.other_base", where=named, base=named)
    except ModelError as e:
        if given:
            raise
        return None, text("combine.no_base", reason=e.problems[0].text)
    if not torch.cuda.is_available() and _needed(base) > psutil.virtual_memory().available:
        return None, _no_room(base)
    return base, ""


def _needed(base: Path) -> float:
    """Bytes that loading a base takes: float32 of what is mostly stored in half precision."""
    return ROOM * 2 * sum(file.stat().st_size for file in weight_files(base))


def _no_room(base: Path) -> str:
    return text("combine.no_room", base=base, needed=_needed(base) / 1e9)


def _matrices(parts: Sequence[StackPart], folder: Path) -> Check:
    config, tensors = read_adapter(folder)
    found = deviation(layers_of(tensors, config), [(part.layers, part.weight) for part in parts])
    return Check("matrices_equal_the_weighted_sum", found <= MATRIX_BOUND, found, MATRIX_BOUND)


def _logits(parts: Sequence[StackPart], folder: Path, base: Path, device: str) -> tuple[Check, float]:
    """Stock peft on the written folder against the adapters stacked, and by how much these change the base's logits."""
    from peft import PeftModel

    place, _ = resolve_device(device)
    dtype, _, _ = resolve_precision("auto", place)
    model: Any = load_model(base, dtype=dtype, device=place)
    words = model.get_input_embeddings().num_embeddings
    ids = torch.randint(words, (PROBE_TOKENS,), generator=torch.Generator().manual_seed(0)).tolist()
    bare = logits_of(model, ids)
    for part in parts:
        model = load_adapter(model, part.path, weight=part.weight)
    stacked = logits_of(model, ids)
    del model
    gc.collect()
    fresh = load_model(base, dtype=dtype, device=place)
    combined = logits_of(PeftModel.from_pretrained(fresh, str(folder)), ids)
    bound = (1e-4 if dtype == torch.float32 else 5e-2) * max(1.0, float(stacked.abs().max()))
    apart = float((combined - stacked).abs().max())
    check = Check("stock_peft_logits_equal_the_stack", apart <= bound, apart, bound)
    return check, float((stacked - bare).abs().max())


def _tell(
    folder: Path,
    name: str,
    parts: Sequence[StackPart],
    config: Mapping[str, Any],
    base: Mapping[str, str | None],
    check: Check,
) -> None:
    """provenance.json, the card, proof.json."""
    first = parts[0].record
    of_the_first = {key: first["config"][key] for key in ("system_prompt",) if key in first.get("config", {})}
    settings = {"method": "lora", "lora_rank": config["r"], "lora_alpha": config["lora_alpha"], "lora_dropout": 0.0}
    prints = {key: first["fingerprints"][key] for key in ("template",) if key in first.get("fingerprints", {})}
    record = provenance(
        name=name,
        base={key: value for key, value in base.items() if value},
        fingerprints=prints | ({"base": base["fingerprint"]} if base["fingerprint"] else {}),
        weights_sha256=sha256_of(folder / WEIGHTS_FILE),
        config={**settings, **of_the_first},
        plan={},
        result={},
    )
    record["combined_from"] = [_origin(part) for part in parts]
    write_json(folder / PROVENANCE, record)
    (folder / "README.md").write_text(combined_card(record), encoding="utf-8")
    write_json(folder / PROOF, proof_of(Proof([check], {})))


def _origin(part: StackPart) -> dict[str, Any]:
    weights = find_weights(part.path)
    data = part.record.get("fingerprints", {}).get("data")
    return {
        "name": part.record.get("name") or weights.parent.name,
        "path": str(part.path),
        "weight": part.weight,
        "method": method_of(part.config),
        "rank": max(layer.a.shape[0] for layer in part.layers.values()),
        "weights_sha256": sha256_of(weights),
        **({"data": data} if data else {}),
    }


def combined_lines(result: Combined) -> list[str]:
    """What the user reads after ``combine_adapters``."""
    head = text("combine.combined", rank=result.rank, modules=result.modules, size=size_words(result.size))
    if result.signal is None:
        proof = text("combine.proven_matrices", value=result.check.value)
    else:
        proof = text("combine.proven_logits", value=result.check.value, signal=result.signal)
    return [*result.notes, head, proof, text("combine.where", folder=result.folder)]
