"""The card (README.md) of an export: what it was made of, how it scored, how it was verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from lora_scripts.export.folders import Written

_TITLES = {
    "merged": "`{base}` with the adapter `{name}` merged into its weights",
    "peft": "The adapter `{name}` for `{base}`, as PEFT keeps it",
    "gguf": "The adapter `{name}` with its base `{base}`, as GGUF",
    "ollama": "The adapter `{name}` with its base `{base}`, for Ollama",
    "diffusers": "The adapter `{name}` for `{base}`, as diffusers keeps it",
    "kohya": "The adapter `{name}` for `{base}`, as AUTOMATIC1111 and ComfyUI read it",
    "vllm": "The adapter `{name}` for `{base}`, served by vLLM",
}


def export_card(
    name: str, base: str, method: str, record: Mapping[str, Any], layout: str, written: Written, verified: str
) -> str:
    """Markdown with the front matter of model cards on the Hugging Face hub; ``verified`` says on what.

    Figures are those of the run's provenance.json; a bare adapter has none.
    """
    title = _TITLES[layout].format(base=base, name=name)
    made = [
        ("adapter", f"{method}, weights {str(record.get('weights_sha256', '-'))[:16]}"),
        ("base", str(record.get("base", {}).get("fingerprint", base))),
        *((str(figure), str(value)) for figure, value in record.get("result", {}).items()),
        *((figure, str(value)) for figure, value in written.kind.items()),
    ]
    checks = [(c.name, f"{c.value:.3g} | {c.bound:.3g} | {'ok' if c.ok else 'FAILED'}") for c in written.checks]
    notes = "".join(f"- {note}\n" for note in written.notes)
    return f"""---
base_model: {base}
tags: [lora, lora-scripts]
---

# {name}

{title}, made by lora-scripts {version("lora-scripts")}.

{written.usage}
| made of | |
|---|---|
{_rows(made)}

Verified against the adapter on its base, on {verified}:

| check | value | bound | |
|---|---|---|---|
{_rows(checks)}

{notes}"""


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in pairs)
