"""The layouts that a run can be exported to, by the word for ``--to``. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable

from lora_scripts.export import pictures
from lora_scripts.export.folders import Written, write_merged, write_peft
from lora_scripts.export.gguf_files import write_gguf
from lora_scripts.export.ollama import write_ollama
from lora_scripts.export.vllm import write_vllm

LAYOUTS: dict[str, Callable[..., Written]] = {
    "merged": write_merged,
    "peft": write_peft,
    "gguf": write_gguf,
    "ollama": write_ollama,
    "vllm": write_vllm,
}
"""Each takes a ``Source`` and an empty folder, and the options that ``OPTIONS`` names for it."""
PICTURE_LAYOUTS: dict[str, Callable[..., Written]] = {
    "diffusers": pictures.write_diffusers,
    "kohya": pictures.write_kohya,
    "peft": pictures.write_peft,
    "merged": pictures.write_merged,
}
"""Each takes a ``PictureSource`` and an empty folder."""
OPTIONS = {"gguf": ("dtype", "adapter_only"), "ollama": ("dtype", "adapter_only")}
