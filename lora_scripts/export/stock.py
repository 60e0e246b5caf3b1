"""Models and tokenizers as stock transformers loads them, without its bars on the screen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lora_scripts.errors import ModelError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars, some of which it draws straight with tqdm."""
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            yield
        finally:
            hf_logging.set_verbosity(level)


def stock_model(folder: Path, *, dtype: torch.dtype, device: str, **options: Any) -> Any:
    """The causal LM in ``folder``, or in its GGUF file that ``options`` name, in eval mode.

    Raises:
        ModelError: A weight is missing.
    """
    from transformers import AutoModelForCausalLM

    with quiet():
        model, report = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True,
            **options,
        )  # fmt: skip
    if missing := sorted(report["missing_keys"]):
        raise ModelError("models.weights_missing", where=folder, count=len(missing), names=", ".join(missing[:5]))
    return model.eval().to(device)


def stock_tokenizer(folder: Path, **options: Any) -> Any:
    """The tokenizer in ``folder``, or in its GGUF file that ``options`` name."""
    from transformers import AutoTokenizer

    with quiet():
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **options)
