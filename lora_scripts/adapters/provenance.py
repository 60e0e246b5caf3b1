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
LIBRARIES = ("lora-scripts", "torch", "transformers", "diffusers", "peft", "tokenizers", "safetensors")


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


def _head(record: Mapping[str, Any], library: str) -> str:
    """Front matter, as of model cards on the Hugging Face hub (base_model, library_name, tags), and what it is."""
    names = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "ia3": "IA³"}
    named = names.get(record["config"].get("method"), "LoRA")
    return f"""---
base_model: {record["base"]["path"]}
library_name: {library}
tags: [lora, lora-scripts]
---

# {record["name"]}

An adapter ({named}) for `{record["base"]["path"]}`, made by lora-scripts {record["libraries"]["lora-scripts"]} on \
{record["made"][:10]}.
"""


def _table(record: Mapping[str, Any], more: Mapping[str, object]) -> str:
    config, plan = record["config"], record["plan"]
    shape = "–"
    if config.get("method") != "ia3":
        shape = f"{config['lora_rank']}, {config['lora_alpha']}, {config['lora_dropout']}"
    rows: dict[str, object] = {
        "rank, alpha, dropout": shape,
        "trained values": f"{plan['trainable_parameters']:,} of {plan['total_parameters']:,}",
        "records trained, validated": f"{plan['records']}, {plan['validation_records']}",
        "steps × records a step": f"{plan['steps']} × {plan['records_per_step']}",
        **more,
        **record["result"],
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def card(record: Mapping[str, Any]) -> str:
    """The adapter card: what it is, what it was trained on, how it scored, how to load it. Markdown."""
    return f"""{_head(record, "peft")}
{_table(record, {})}

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


def picture_card(record: Mapping[str, Any]) -> str:
    """The card of a picture adapter."""
    trigger = record["config"].get("trigger_word")
    more = {"trigger word": trigger} if trigger else {}
    return f"""{_head(record, "diffusers")}
{_table(record, more)}

![base left, adapter right](samples/base-and-adapter.png)

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained({record["base"]["path"]!r})
pipe.load_lora_weights("THIS FOLDER")
```

`run.yaml` repeats the run, `proof.json` holds what was checked, `samples/` what was drawn on the way, \
`provenance.json` the fingerprints of base and pictures. For A1111 and ComfyUI: `lora-scripts export THIS_FOLDER \
--to kohya`.
"""
