"""The adapter worked into the weights of its base."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn import Parameter
from transformers import PreTrainedModel

from lora_scripts.adapters.files import load_adapter
from lora_scripts.errors import ModelError
from lora_scripts.export.source import Source
from lora_scripts.models.quantize import stored_quantization
from lora_scripts.models.text import load_model, read_header, weight_files

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float32}


def stored_dtype(base: Path) -> torch.dtype:
    """The dtype that most of a base's weights are stored in.

    Raises:
        ModelError: The folder is quantised, or holds another kind of number.
    """
    if (stored := stored_quantization(base)) != "none":
        raise ModelError("export.quantized_base", where=base, stored=stored)
    sizes: Counter[str] = Counter()
    for file in weight_files(base):
        for name, entry in read_header(file).items():
            if name != "__metadata__":
                sizes[entry["dtype"]] += entry["data_offsets"][1] - entry["data_offsets"][0]
    kind = sizes.most_common(1)[0][0]
    if kind not in _DTYPES:
        raise ModelError("export.quantized_base", where=base, stored=kind)
    return _DTYPES[kind]


def merged_model(source: Source) -> PreTrainedModel:
    """The base with the adapter in its weights, on the CPU, in the dtype of its files.

    Each weight is merged in float32 and rounded once. A head that is one tensor with the embeddings and carries an
    adapter becomes a tensor of its own.

    Raises:
        ModelError: The base is quantised, or a merged value is beyond its dtype.
    """
    dtype = stored_dtype(source.base)
    model = load_adapter(load_model(source.base, dtype=dtype, device="cpu"), source.adapter)
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            _merge(model.get_base_model(), module, dtype, name)
    merged: PreTrainedModel = model.unload()
    return merged


def _merge(model: Any, module: BaseTunerLayer, dtype: torch.dtype, name: str) -> None:
    layer: Any = module.get_base_layer()
    if layer is not model.get_input_embeddings() and layer.weight is model.get_input_embeddings().weight:
        layer.weight = Parameter(layer.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False
    layer.float()
    module.merge(safe_merge=True)
    layer.to(dtype)
    if not all(torch.isfinite(parameter).all() for parameter in layer.parameters(recurse=False)):
        raise ModelError("export.overflow", where=name, dtype=str(dtype).removeprefix("torch."))
