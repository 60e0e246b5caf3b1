"""The size of a base, read from the headers of its weight files."""

from __future__ import annotations

from math import prod
from pathlib import Path

from lora_scripts.errors import ModelError
from lora_scripts.models.text import read_header, weight_files


def parameters_in(folder: Path) -> int | None:
    """Number of parameters in the safetensors files of ``folder``; None where they cannot be read.

    Of weights that are stored in 4 bits, two count as one.
    """
    try:
        headers = [read_header(file) for file in weight_files(folder)]
        shapes = [entry["shape"] for h in headers for name, entry in h.items() if name != "__metadata__"]
        return sum(int(prod(shape)) for shape in shapes)
    except (ModelError, OSError, KeyError, TypeError):
        return None
