"""What an adapter came from: provenance.json for machines, the card (README.md) for people."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lora_scripts.errors import ModelError

PROVENANCE = "provenance.json"
LIBRARIES = ("lora-scripts", "torch", "transformers", "peft", "tokenizers", "safetensors")


def provenance(
    *,
    name: str,
    base: Mapping[str, str],
    fingerprints: Mapping[str, str],
    weights_sha256: str,
    config: Mapping[str, Any],
    plan: Mapping[str, Any],
    result: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of provenance.json. ``base`` holds path and fingerprint, ``result`` the scores."""
    return {
        "name": name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": dict(base),
        "fingerprints": dict(fingerprints),
        "weights_sha256": weights_sha256,
        "config": dict(config),
        "plan": dict(plan),
        "result": dict(result),
        "libraries": {library: version(library) for library in LIBRARIES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def provenance_of(path: Path) -> dict[str, Any]:
    """The content of an adapter's provenance.json, empty where there is none.

    Raises:
        ModelError: It is shaped like none.
    """
    try:
        found = json.loads(((path if path.is_dir() else path.parent) / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    if not all(isinstance(found.get(part, {}), dict) for part in ("base", "fingerprints", "config")):
        raise ModelError("adapters.unreadable", where=path, reason=PROVENANCE)
    return found


def card(record: Mapping[str, Any]) -> str:
    """The adapter card: what it is, what it was trained on, how it scored, how to load it. Markdown.

    The front matter is that of model cards on the Hugging Face hub (keys base_model, library_name, tags).
    """
    config, plan, result = record["config"], record["plan"], record["result"]
    named = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "ia3": "IA³"}.get(config.get("method"), "LoRA")
    shape = f"{config['lora_rank']}, {config['lora_alpha']}, {config['lora_dropout']}" if named != "IA³" else "–"
    scores = "\n".join(f"| {name} | {value} |" for name, value in result.items())
    return f"""---
base_model: {record["base"]["path"]}
library_name: peft
tags: [lora, lora-scripts]
---

# {record["name"]}

An adapter ({named}) for `{record["base"]["path"]}`, made by lora-scripts {record["libraries"]["lora-scripts"]} on \
{record["made"][:10]}.

| | |
|---|---|
| rank, alpha, dropout | {shape} |
| trained values | {plan["trainable_parameters"]:,} of {plan["total_parameters"]:,} |
| records trained, validated | {plan["records"]}, {plan["validation_records"]} |
| steps × records a step | {plan["steps"]} × {plan["records_per_step"]} |
{scores}

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({record["base"]["path"]!r})
model = PeftModel.from_pretrained(base, "THIS FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")  # with the chat template of the training
```

`run.yaml` repeats the run, `proof.json` holds what was checked, `eval.json` the answers before and after, \
`provenance.json` the fingerprints of base, data and template.
"""
