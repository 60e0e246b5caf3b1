"""GGUF files: the merged model, or the adapter alone as llama.cpp takes it beside its base."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lora_scripts.adapters.files import load_adapter, write_adapter
from lora_scripts.errors import ModelError
from lora_scripts.export.folders import Written, quantized_note
from lora_scripts.export.gguf_vocabulary import add_vocabulary, other_ids, vocabulary_of
from lora_scripts.export.gguf_weights import (
    Architecture,
    add_shape,
    add_tensor,
    add_weights,
    architecture_of,
    check_dtype,
    heads_in,
    names_of,
    permuted,
    unpermuted,
    write_file,
)
from lora_scripts.export.merge import merged_model, stored_dtype
from lora_scripts.export.source import Source
from lora_scripts.export.stock import quiet, stock_model
from lora_scripts.export.verify import (
    Q8_TOLERANCE,
    Check,
    Reference,
    compare,
    free_memory,
    reference_of,
    tolerance_for,
)
from lora_scripts.models.text import load_model

if TYPE_CHECKING:
    from gguf import GGUFWriter

_STORED = {"f16": torch.float16, "f32": torch.float32}
_MODULE = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_A\.weight$")


def write_gguf(source: Source, folder: Path, *, dtype: str = "f16", adapter_only: bool = False) -> Written:
    """``NAME.gguf`` of base and adapter in one; or of the adapter alone, ``NAME-adapter.gguf``.

    Raises:
        UsageError: No such ``dtype``.
        ModelError: The architecture, the tokenizer or the kind of adapter cannot be written so.
    """
    check_dtype(dtype)
    architecture = architecture_of(source.base)
    if adapter_only:
        check_alone(source)
        reference = reference_of(source)
        file = folder / f"{source.name}-adapter.gguf"
        checks, notes = put_adapter(source, file, architecture, reference)
        usage = f"`llama-cli -m BASE.gguf --lora {file.name}`, BASE.gguf being `{source.base.name}` as GGUF.\n"
        return Written(checks, notes, usage)
    reference = reference_of(source)
    file = folder / f"{source.name}.gguf"
    checks, notes = put_model(source, file, merged_model(source), architecture, dtype)
    more, told = compare_file(source, file, reference, dtype)
    usage = f"`llama-cli -m {file.name} --jinja`, or any other program on llama.cpp.\n"
    return Written([*more, *checks], [*quantized_note(source), *notes, *told], usage, {"dtype": dtype})


def put_model(
    source: Source, file: Path, model: Any, architecture: Architecture, dtype: str
) -> tuple[list[Check], list[str]]:
    """Write ``model`` with the tokenizer of ``source``; the check of the tokenizer, and notes."""
    import gguf

    vocabulary = vocabulary_of(source, model.config.vocab_size)
    notes = list(vocabulary.notes)
    kinds = {
        "f16": gguf.LlamaFileType.MOSTLY_F16,
        "f32": gguf.LlamaFileType.ALL_F32,
        "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }

    def fill_in(writer: GGUFWriter) -> None:
        add_shape(writer, model.config, architecture, source.name)
        writer.add_file_type(kinds[dtype])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        add_vocabulary(writer, source, vocabulary)
        notes.extend(add_weights(writer, model, architecture, dtype))

    write_file(file, architecture.name, fill_in)
    other = other_ids(source, file, vocabulary)
    return [Check("prompts_with_other_ids", other == 0, other, 0)], notes


def compare_file(
    source: Source, file: Path, reference: Reference, dtype: str, *, with_adapter: bool = False
) -> tuple[list[Check], list[str]]:
    """Read a model back from ``file`` with transformers, put the adapter on if asked, and compare."""
    free_memory()
    read = read_model(source, file)
    if with_adapter:
        read = load_adapter(read, source.adapter)
    stored = tolerance_for(stored_dtype(source.base), source.dtype)
    own = Q8_TOLERANCE if dtype == "q8_0" else tolerance_for(_STORED[dtype])
    return compare(reference, read, max(stored, own))


def read_model(source: Source, file: Path) -> Any:
    """The model in a GGUF file as transformers reads it.

    Raises:
        ModelError: A weight is missing in the file.
    """
    import gguf
    from transformers import AutoConfig

    with quiet():
        config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
    reader = gguf.GGUFReader(file)
    architecture = reader.fields["general.architecture"].contents()
    # transformers takes the width of a head for the usual one of the architecture, not for what the file says
    config.head_dim = int(reader.fields[f"{architecture}.attention.key_length"].contents())
    if hasattr(config, "query_pre_attn_scalar"):
        config.query_pre_attn_scalar = config.head_dim  # as llama.cpp has it
    model = stock_model(file.parent, dtype=source.dtype, device=source.device, gguf_file=file.name, config=config)
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":  # Llama's scaling of rotary frequencies, which it does not read either
            model.model.rotary_emb.inv_freq /= torch.from_numpy(tensor.data.copy()).to(source.device)
    return model


def check_alone(source: Source) -> None:
    """Raises ModelError where the adapter is of a kind that llama.cpp cannot put beside its base."""
    if source.method in ("dora", "ia3"):
        raise ModelError("export.adapter_kind", where=source.adapter, method=source.method, layout="gguf")


def put_adapter(
    source: Source, file: Path, architecture: Architecture, reference: Reference
) -> tuple[list[Check], list[str]]:
    """Write the adapter, read it back, and compare what it does with the reference.

    llama.cpp scales each pair by one alpha over the pair's own rank; what the run's scaling has beside that (rsLoRA,
    patterns) goes into alpha where all pairs share it, else into B.

    Raises:
        ModelError: A module has no place in GGUF.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(source.base), local_files_only=True)
    pairs = _pairs(source.tensors)
    names = {module: _name(source, module, config, architecture) for module in pairs}
    scalings = reference.scalings
    alphas = {module: scalings[module] * pairs[module][0].shape[0] for module in pairs}
    alpha = next(iter(alphas.values()))
    if not all(math.isclose(value, alpha, rel_tol=1e-6) for value in alphas.values()):
        alpha = float(source.config["lora_alpha"])

    def fill_in(writer: GGUFWriter) -> None:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        writer.add_name(source.name)
        for module, (a, b) in pairs.items():
            if not math.isclose(alphas[module], alpha, rel_tol=1e-6):
                b = b.float() * (alphas[module] / alpha)
            if heads := heads_in(module, config, architecture):
                b = permuted(b, heads)
            add_tensor(writer, f"{names[module]}.weight.lora_a", a.float(), "f32")
            add_tensor(writer, f"{names[module]}.weight.lora_b", b.float(), "f32")

    write_file(file, architecture.name, fill_in)
    read = _read_adapter(file, {name: module for module, name in names.items()}, config, architecture)
    lost = max(_lost(source.tensors, module, scalings[module], read) for module in pairs)
    checks, notes = _compare_adapter(source, read, reference)
    return [*checks, Check("largest_change_of_a_pair", lost <= 1e-6, lost, 1e-6)], [*quantized_note(source), *notes]


def _pairs(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of each module."""
    modules = [matched["module"] for name in tensors if (matched := _MODULE.match(name))]
    prefix = "base_model.model."
    return {m: (tensors[f"{prefix}{m}.lora_A.weight"], tensors[f"{prefix}{m}.lora_B.weight"]) for m in modules}


def _name(source: Source, module: str, config: Any, architecture: Architecture) -> str:
    name = names_of(architecture, config.num_hidden_layers).get_name(module)
    if name is None or (name == "output" and config.tie_word_embeddings):
        raise ModelError("export.adapter_place", where=source.adapter, module=module)
    return str(name)


def _read_adapter(
    file: Path, modules: Mapping[str, str], config: Any, architecture: Architecture
) -> dict[str, tuple[Tensor, Tensor, float]]:
    """A, B and alpha of each module, out of a GGUF; rows in the order of transformers again."""
    import gguf

    reader = gguf.GGUFReader(file)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    raw = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in reader.tensors}
    read = {}
    for name, module in modules.items():
        b = raw[f"{name}.weight.lora_b"]
        if heads := heads_in(module, config, architecture):
            b = unpermuted(b, heads)
        read[module] = (raw[f"{name}.weight.lora_a"], b, alpha)
    return read


def _lost(
    tensors: Mapping[str, Tensor], module: str, scaling: float, read: Mapping[str, tuple[Tensor, Tensor, float]]
) -> float:
    """Largest difference of scaling · BA relative to its largest value."""
    a, b = _pairs({n: t for n, t in tensors.items() if n.startswith(f"base_model.model.{module}.")})[module]
    new_a, new_b, alpha = read[module]
    wanted = scaling * (b.float() @ a.float())
    got = alpha / new_a.shape[0] * (new_b @ new_a)
    return float((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))


def _compare_adapter(
    source: Source, read: Mapping[str, tuple[Tensor, Tensor, float]], reference: Reference
) -> tuple[list[Check], list[str]]:
    """What was read from the GGUF, put on the base as an ordinary LoRA, against the reference."""
    import json

    alpha = next(iter(read.values()))[2]
    ranks = {module: pair[0].shape[0] for module, pair in read.items()}
    tensors = {}
    for module, (a, b, _) in read.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    config = {
        "peft_type": "LORA", "r": max(ranks.values()), "lora_alpha": alpha, "target_modules": sorted(read),
        "rank_pattern": {module: rank for module, rank in ranks.items() if rank != max(ranks.values())},
        "task_type": "CAUSAL_LM", "base_model_name_or_path": str(source.base),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(Path(folder), tensors, json.dumps(config))
        base = load_model(source.base, dtype=source.dtype, device=source.device)
        return compare(reference, load_adapter(base, folder), tolerance_for(source.dtype))
