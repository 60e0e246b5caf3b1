"""A base whose linear layers are held in 4 or 8 bits (bitsandbytes). Head and embeddings stay as they are.

nf4: 4 bits, constants quantised too (Dettmers et al. 2023, sections 2 and 3). int8: Dettmers et al. 2022.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_scripts.errors import ModelError
from lora_scripts.messages import text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

QUANTIZATIONS = ("none", "nf4", "int8")
BLOCK = 64  # values that share a scale in nf4
LEAST_SHARE = 0.99  # of the weights between embeddings and head; below it, it is told


def stored_quantization(folder: str | Path) -> str:
    """How the weights in a base folder are quantised: ``none``, ``nf4``, ``fp4``, ``int8``, or a method's name."""
    try:
        found = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    except (OSError, ValueError, AttributeError):  # what is wrong with the file is told by whoever loads it
        return "none"
    if not isinstance(found, dict):
        return "none"
    if found.get("load_in_8bit"):
        return "int8"
    if found.get("load_in_4bit"):
        return str(found.get("bnb_4bit_quant_type", "fp4"))
    return str(found.get("quant_method", "?"))


def check_quantization(folder: str | Path, wanted: str, device: str) -> list[str]:
    """Notes on what ``wanted`` (one of ``QUANTIZATIONS``) means for this folder on this device; loads nothing.

    Raises:
        ModelError: The folder is quantised in another way, or bitsandbytes is not installed.
    """
    stored = stored_quantization(folder)
    if stored not in (*QUANTIZATIONS, "fp4"):
        raise ModelError("models.quantized_elsewhere", where=folder, stored=stored)
    if stored != "none" and wanted not in ("none", stored):
        raise ModelError("models.quantized_already", where=folder, stored=stored, wanted=wanted)
    if stored == wanted == "none":
        return []
    if find_spec("bitsandbytes") is None:
        raise ModelError("models.no_bitsandbytes", where="quantization")
    notes = [text("models.quantized_note", stored=stored)] if wanted == "none" else []
    return [*notes, text("models.quantized_cpu_note")] if device == "cpu" else notes


def loading_options(folder: str | Path, wanted: str, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """What ``from_pretrained`` is told beyond a plain load; empty where nothing is quantised."""
    stored = stored_quantization(folder)
    if stored == wanted == "none":
        return {}
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of a missing kernel that is not called here
    placed = {"device_map": {"": device}}
    if stored != "none":
        return placed
    from transformers import BitsAndBytesConfig

    if wanted == "int8":
        return {**placed, "quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=_misread_layers(folder) if device == "cpu" else None,
    )
    return {**placed, "quantization_config": config}


def _misread_layers(folder: str | Path) -> list[str] | None:
    """Layers that bitsandbytes 0.50 reads back wrongly on a CPU, and the head; None where there are no such layers.

    Blocks of 4-bit values run on from row to row, but its kernel for a CPU begins a new block with each row: right
    only where rows are whole numbers of blocks (tests/models/test_quantize.py).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    settings = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    layers: dict[str, Any] = {
        name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)
    }
    head = model.get_output_embeddings()
    inner = {n: m.weight.shape[0] if isinstance(m, Conv1D) else m.in_features for n, m in layers.items()}
    odd = [name for name, size in inner.items() if size % BLOCK and layers[name] is not head]
    return [*odd, *(name for name, module in layers.items() if module is head)] if odd else None


def settle(model: PreTrainedModel, path: str | Path, dtype: torch.dtype, device: str) -> None:
    """Make quantised layers compute in ``dtype``, and the same in training and outside it; tell what is not quantised.

    Raises:
        ModelError: No layer is quantised (transformers exchanges plain linear layers only), or one is stored in a way
            that is read wrongly on this device.
    """
    from lora_scripts.models.frozen_linear import int8_forward

    bnb: Any = import_module("bitsandbytes").nn
    modules: list[Any] = list(model.modules())
    layers = [module for module in modules if isinstance(module, bnb.Linear4bit | bnb.Linear8bitLt)]
    for layer in layers:
        if isinstance(layer, bnb.Linear4bit):
            if device == "cpu" and layer.in_features % BLOCK:
                raise ModelError("models.nf4_rows", where=path, size=layer.in_features)
            layer.compute_dtype, layer.compute_type_is_set = dtype, True
            # Where the processor has bfloat16, its first product outside training would repack the weight for good:
            # bfloat16 from there on, and no gradient.
            layer.support_avx512bf16_for_cpu = False
        else:
            if layer.weight.CB is not None:
                layer.init_8bit_state()  # else peft's DoRA, which reads the scale first, takes it away
            if device == "cpu":
                layer.forward = partial(int8_forward, layer)
    if not layers:
        raise ModelError("models.not_quantizable", where=path, name=type(model).__name__)
    _tell_of_the_rest(model, path, sum(layer.in_features * layer.out_features for layer in layers))


def _tell_of_the_rest(model: PreTrainedModel, path: str | Path, quantized: int) -> None:
    ends = {id(m.weight) for m in model.modules() if isinstance(m, import_module("torch").nn.Embedding)}
    if head := model.get_output_embeddings():
        ends.add(id(head.weight))
    rest = {n: p for n, p in model.named_parameters() if p.is_floating_point() and p.dim() > 1 and id(p) not in ends}
    share = quantized / (quantized + sum(p.numel() for p in rest.values()))
    if share < LEAST_SHARE:
        kinds = dict.fromkeys(name.removesuffix(".weight").rpartition(".")[2] for name in rest)
        log.warning(text("models.partly_quantized", where=path, share=share * 100, names=", ".join(kinds)))


def broken_values(model: PreTrainedModel) -> list[str]:
    """Names of weights with a value that is not finite."""
    return _broken(model.state_dict().items())


def broken_in_files(files: Iterable[Path]) -> list[str]:
    """The same, of weights as they are in the files: rounding to 4 bits turns a NaN into a number."""
    from safetensors import safe_open

    broken = []
    for file in files:
        with safe_open(file, "pt") as content:
            broken += _broken((name, content.get_tensor(name)) for name in content.keys())  # noqa: SIM118
    return broken


def _broken(values: Iterable[tuple[str, torch.Tensor]]) -> list[str]:
    torch = import_module("torch")
    return [
        name
        for name, value in values
        if value.is_floating_point() and not torch.isfinite(value.sum(dtype=torch.float32))
    ]
