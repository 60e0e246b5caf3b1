"""The card (README.md) of an export: what it was made of, how it scored, how it was verified."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from lora_scripts.export.folders import Written
from lora_scripts.export.source import Source

_TITLES = {
    "merged": "`{base}` with the adapter `{name}` merged into its weights",
    "peft": "The adapter `{name}` for `{base}`, as PEFT keeps it",
    "gguf": "The adapter `{name}` with its base `{base}`, as GGUF",
    "ollama": "The adapter `{name}` with its base `{base}`, for Ollama",
    "vllm": "The adapter `{name}` for `{base}`, served by vLLM",
}


def export_card(source: Source, layout: str, written: Written) -> str:
    """Markdown with the front matter of model cards on the Hugging Face hub.

    Figures are those of the run's provenance.json; a bare PEFT folder has none.
    """
    base = str(source.record.get("base", {}).get("path") or source.base)
    title = _TITLES[layout].format(base=base, name=source.name)
    made = [
        ("adapter", f"{source.method}, weights {str(source.record.get('weights_sha256', '-'))[:16]}"),
        ("base", str(source.record.get("base", {}).get("fingerprint", base))),
        *((str(name), str(value)) for name, value in source.record.get("result", {}).items()),
        *((name, str(value)) for name, value in written.kind.items()),
    ]
    checks = [(c.name, f"{c.value:.3g} | {c.bound:.3g} | {'ok' if c.ok else 'FAILED'}") for c in written.checks]
    notes = "".join(f"- {note}\n" for note in written.notes)
    return f"""---
base_model: {base}
tags: [lora, lora-scripts]
---

# {source.name}

{title}, made by lora-scripts {version("lora-scripts")}.

{written.usage}
| made of | |
|---|---|
{_rows(made)}

Verified against the adapter on its base, on {len(source.questions)} questions:

| check | value | bound | |
|---|---|---|---|
{_rows(checks)}

{notes}"""


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in pairs)
