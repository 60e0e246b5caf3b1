"""Adapters for vLLM: checked here, then written as PEFT folders that vLLM loads by name.

vLLM applies one LoRA a request, at its own scale. So whatever acts together, an adapter alone or a weighted stack, is
written as one plain LoRA by exact concatenation, under a name that its content determines: a name never means other
tensors than it did, which vLLM's prefix cache relies on, and what vLLM reads again later is what was checked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from lora_scripts.adapters.combine import Layer, Layers, as_peft, combine, layers_of
from lora_scripts.adapters.files import read_adapter, write_adapter
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.models.targets import find_targets
from lora_scripts.serve.engine.weights import digest_of


@dataclass(frozen=True, slots=True, eq=False)
class RemoteAdapter:
    """``layers`` lie in the gateway's memory, so that stacks need no file again; ``digest`` is that of the files."""

    name: str
    layers: Layers
    digest: str
    method: str
    rank: int
    nbytes: int


Pairs = Sequence[tuple[RemoteAdapter, float]]
"""(adapter, weight) that act together."""


def outline_of(base: Path) -> PreTrainedModel:
    """The base's layers and their shapes without any weights, to check adapters against."""
    config = AutoConfig.from_pretrained(str(base), local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return model


def zeros_for(outline: PreTrainedModel) -> RemoteAdapter:
    """An adapter that adds nothing: the base, asked for as an adapter.

    On a CPU vLLM 0.32 gives a request without an adapter that of its last slot when one with an adapter runs beside it
    and all slots are taken (github.com/vllm-project/vllm/pull/48421, seen in tests/serve/test_vllm.py). A slot of zeros
    is never mistaken.
    """
    module = find_targets(outline)[0]
    outer, inner = outline.get_parameter(f"{module}.weight").shape
    layer = Layer(torch.zeros(1, inner), torch.zeros(outer, 1), 1.0)
    digest = hashlib.sha256(f"zeros {module} {outer} {inner}".encode()).hexdigest()
    return RemoteAdapter("base", {module: layer}, digest, "lora", 1, 0)


def read_remote(name: str, path: Path, outline: PreTrainedModel, *, largest_rank: int) -> RemoteAdapter:
    """The adapter of ``path``, checked against the ``outline`` of its base.

    Raises:
        ModelError: It cannot be read, does not fit the base, or is none that vLLM applies.
        UsageError: Its files change while they are read.
    """
    digest = digest_of(path)
    try:
        config, tensors = read_adapter(path)
    except RuntimeError as error:  # a kind of number that torch cannot look at, a config nested without end
        raise ModelError("adapters.unreadable", where=path, reason=str(error)[:160]) from error
    if config["peft_type"] != "LORA" or config.get("use_dora"):
        raise ModelError("remote.method", where=path, method="dora" if config.get("use_dora") else "ia3")
    # copies: the library maps the file, which may change or go
    layers = {
        module: Layer(layer.a.clone(), layer.b.clone(), layer.scale)
        for module, layer in layers_of(tensors, config).items()
    }
    _check_fit(path, layers, outline)
    rank = max(layer.a.shape[0] for layer in layers.values())
    if rank > largest_rank:
        raise ModelError("serve.rank_too_high", where=path, rank=rank, limit=largest_rank)
    if digest_of(path) != digest:
        raise UsageError("serve.file_changed", where=path, name=name)
    nbytes = sum(layer.a.nbytes + layer.b.nbytes for layer in layers.values())
    return RemoteAdapter(name, layers, digest, "rslora" if config.get("use_rslora") else "lora", rank, nbytes)


def _check_fit(path: Path, layers: Layers, outline: PreTrainedModel) -> None:
    linears = {name: module for name, module in outline.named_modules() if isinstance(module, nn.Linear)}
    if strangers := sorted(set(layers) - set(linears)):
        raise ModelError("adapters.no_place", where=path, names=", ".join(strangers[:3]))
    for name, layer in layers.items():
        found, wanted = (layer.a.shape[1], layer.b.shape[0]), (linears[name].in_features, linears[name].out_features)
        if found != wanted:
            told = f"{name}: {found[0]} → {found[1]}"
            raise ModelError("serve.other_shape", where=path, found=told, expected=f"{wanted[0]} → {wanted[1]}")


def served_name(pairs: Pairs) -> str:
    """What vLLM knows these adapters as: the adapter's name and version, or ``stack-`` and that of the whole."""
    (first, weight), *more = pairs
    if not more and weight == 1:
        return f"{first.name}-{first.digest[:12]}"
    content = json.dumps(sorted((adapter.digest, weight) for adapter, weight in pairs))
    return f"stack-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def served_rank(pairs: Pairs) -> int:
    """The largest rank of the pairs written as one adapter: ranks add up on each module."""
    ranks: dict[str, int] = {}
    for adapter, _ in pairs:
        for module, layer in adapter.layers.items():
            ranks[module] = ranks.get(module, 0) + layer.a.shape[0]
    return max(ranks.values())


def write_served(folder: Path, pairs: Pairs, base: str) -> None:
    """Write the weighted sum of the pairs as the PEFT adapter ``folder``; one that is there already is left alone.

    It appears whole. ``base`` is what its config names as the base.
    """
    if folder.exists():
        return
    layers = combine([(adapter.layers, weight) for adapter, weight in pairs])
    tensors, config = as_peft(layers, base=base)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fresh-"))
    try:
        fresh.chmod(0o755)  # vLLM may run as another user
        write_adapter(fresh, tensors, json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")
        fresh.rename(folder)
    except OSError:
        if not folder.exists():  # else another one was as fast
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
