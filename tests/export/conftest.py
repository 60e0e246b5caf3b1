"""Bases and adapters that were never trained, and one call that exports and looks at the checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import byte_level, model_of, sentencepiece

from lora_scripts.adapters.files import adapter_tensors, config_text, write_adapter
from lora_scripts.adapters.inject import inject, trainable
from lora_scripts.assemble.export import Exported, export_run
from lora_scripts.models.targets import find_targets, in_mlp
from lora_scripts.models.text import load_model


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_scripts.export.verify.ANSWER_TOKENS", 8)
    monkeypatch.setattr("lora_scripts.export.verify.free_memory", lambda: None)  # it takes 0.7 s among many modules
    monkeypatch.setattr("lora_scripts.export.folders.free_memory", lambda: None)
    monkeypatch.setattr("lora_scripts.export.gguf_files.free_memory", lambda: None)


@pytest.fixture(scope="session")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a base by kind and dtype, made once."""
    made: dict[tuple[str, torch.dtype], Path] = {}

    def base(kind: str, dtype: torch.dtype = torch.float16) -> Path:
        if (kind, dtype) not in made:
            folder = tmp_path_factory.mktemp("bases") / kind
            folder.mkdir()
            vocabulary = sentencepiece(folder) if kind == "gemma3" else byte_level(folder)
            torch.manual_seed(3)
            model = model_of(kind, vocabulary)
            with torch.no_grad():  # norms and biases that are told from ones and zeros
                for name, parameter in model.named_parameters():
                    if name.endswith("bias") or "norm" in name:
                        parameter += 0.1 * torch.randn_like(parameter)
            model.to(dtype).save_pretrained(folder)
            made[kind, dtype] = folder
        return made[kind, dtype]

    return base


@pytest.fixture
def adapter_of(base_of: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """The folder of an adapter with random values on every linear layer of a base of this kind."""

    def adapter(kind: str = "llama", method: str = "lora", dtype: torch.dtype = torch.float16, **more: Any) -> Path:
        base = base_of(kind, dtype)
        model = load_model(base, dtype=torch.float32, device="cpu")
        targets = more.get("targets") or find_targets(model, "all-linear")
        adapted = inject(
            model, targets=targets, feedforward=in_mlp(targets), rank=4, alpha=8, dropout=0, base=str(base), seed=0,
            method=method,
        )  # fmt: skip
        torch.manual_seed(7)
        for parameter in trainable(adapted):
            parameter.data += 0.1 * torch.randn_like(parameter)
        folder = tmp_path / "adapter"
        folder.mkdir()
        write_adapter(folder, adapter_tensors(adapted), config_text(adapted))
        return folder

    return adapter


@pytest.fixture
def exported() -> Callable[..., tuple[Exported, dict[str, float]]]:
    """Export, and the values of its checks by name; all have to be ok."""

    def export(run: Path, layout: str, **options: Any) -> tuple[Exported, dict[str, float]]:
        result = export_run(run, layout, **options)
        result.refuse_if_wrong()
        return result, {check["name"]: check["value"] for check in result.report["checks"]}

    return export
