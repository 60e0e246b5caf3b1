"""The adapter as vLLM serves it beside its base: a PEFT folder and the command with the right limits."""

from __future__ import annotations

import shlex
from pathlib import Path

from lora_scripts.errors import ModelError
from lora_scripts.export.folders import Written, put_peft
from lora_scripts.export.source import Source
from lora_scripts.export.verify import reference_of

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
TEMPLATE = "chat_template.jinja"
SCRIPT = "serve.sh"


def write_vllm(source: Source, folder: Path) -> Written:
    """The PEFT folder ``adapter``, the chat template, and ``serve.sh``, which starts vLLM with them.

    Raises:
        ModelError: vLLM does not take this adapter: DoRA, IA3, rank or alpha patterns, a rank above 512.
    """
    if source.method in ("dora", "ia3"):
        raise ModelError("export.adapter_kind", where=source.adapter, method=source.method, layout="vLLM")
    patterns = [name for name in ("rank_pattern", "alpha_pattern") if source.config.get(name)]
    if patterns:
        raise ModelError("export.vllm_patterns", where=source.adapter, names=", ".join(patterns))
    rank = int(source.config["r"])
    if rank > RANKS[-1]:
        raise ModelError("export.vllm_rank", where=source.adapter, rank=rank, most=RANKS[-1])
    (folder / "adapter").mkdir()
    checks, notes = put_peft(source, folder / "adapter", reference_of(source))
    (folder / TEMPLATE).write_text(source.form.template, encoding="utf-8")
    command = serve_command(source)
    script = folder / SCRIPT
    script.write_text(f'#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd)\nexec {command} "$@"\n', encoding="utf-8")
    usage = f"`./{SCRIPT} --port 8000` starts vLLM; the adapter is asked for as the model `{source.name}`.\n"
    return Written(checks, notes, usage, {"max_lora_rank": allowed_rank(rank)})


def allowed_rank(rank: int) -> int:
    """The smallest --max-lora-rank that holds ``rank``: vLLM reserves memory for all of it."""
    return next(allowed for allowed in RANKS if allowed >= rank)


def serve_command(source: Source) -> str:
    """The command, one line of shell; ``$here`` is the folder of the script."""
    words = [
        "vllm", "serve", str(source.base.resolve()), "--enable-lora", "--max-loras", "1",
        "--max-lora-rank", str(allowed_rank(int(source.config["r"]))),
        "--max-model-len", str(source.context_length()),
    ]  # fmt: skip
    places = f'--lora-modules {source.name}="$here/adapter" --chat-template "$here/{TEMPLATE}"'
    return f"{shlex.join(words)} {places}"
