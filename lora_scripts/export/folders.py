"""Folders that Python programs load: the merged model, and the adapter as peft keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_scripts.adapters.files import write_adapter
from lora_scripts.export.merge import merged_model, stored_dtype
from lora_scripts.export.source import Source, save_tokenizer
from lora_scripts.export.stock import quiet, stock_model, stock_tokenizer
from lora_scripts.export.verify import Check, Reference, compare, free_memory, reference_of, tolerance_for
from lora_scripts.messages import text

SHARD = "4GB"


@dataclass(slots=True)
class Written:
    """What a layout function did: its checks, lines for the user, and how the folder is used (Markdown)."""

    checks: list[Check]
    notes: list[str]
    usage: str
    kind: dict[str, Any] = field(default_factory=dict)


def write_merged(source: Source, folder: Path) -> Written:
    """A Hugging Face folder of base and adapter in one, in the dtype of the base's files.

    Raises:
        ModelError: The base is quantised or cannot be loaded.
    """
    from transformers import GenerationConfig

    reference = reference_of(source)
    model = merged_model(source)
    dtype = str(model.dtype).removeprefix("torch.")
    stops = list(source.form.stop_ids)
    model.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    model.generation_config.pad_token_id = source.tokenizer.pad_token_id
    with quiet():
        model.save_pretrained(folder, max_shard_size=SHARD)
    del model
    free_memory()
    save_tokenizer(source, folder)
    stock = stock_model(folder, dtype=source.dtype, device=source.device)
    checks, notes = compare(reference, stock, tolerance_for(stored_dtype(source.base), source.dtype))
    tokenizer = stock_tokenizer(folder)
    ends = GenerationConfig.from_pretrained(str(folder), local_files_only=True).eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    missing = len(set(stops) - set(ends))
    checks += [template_check(source, tokenizer), Check("stop_ids_missing", missing == 0, missing, 0)]
    usage = f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("THIS FOLDER")  # {dtype}
tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")  # with the chat template of the training
```
"""
    return Written(checks, [*quantized_note(source), *notes], usage, {"dtype": dtype})


def write_peft(source: Source, folder: Path) -> Written:
    """The adapter, its tokenizer and chat template, and nothing else of the run.

    Raises:
        ModelError: The adapter or its base cannot be loaded.
    """
    checks, notes = put_peft(source, folder, reference_of(source))
    usage = f"""```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({str(source.config["base_model_name_or_path"])!r})
model = PeftModel.from_pretrained(base, "THIS FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")  # with the chat template of the training
```
"""
    return Written(checks, notes, usage)


def put_peft(source: Source, folder: Path, reference: Reference) -> tuple[list[Check], list[str]]:
    """Write the PEFT folder and compare what stock peft makes of it with the reference."""
    from peft import PeftModel

    config = json.dumps(dict(source.config), indent=2, sort_keys=True) + "\n"
    write_adapter(folder, source.tensors, config)
    save_tokenizer(source, folder)
    base = stock_model(source.base, dtype=source.dtype, device=source.device)
    stock = PeftModel.from_pretrained(base, str(folder)).eval()
    checks, notes = compare(reference, stock, tolerance_for(source.dtype))
    checks.append(template_check(source, stock_tokenizer(folder)))
    return checks, [*quantized_note(source), *notes]


def template_check(source: Source, tokenizer: Any) -> Check:
    """How many sample questions a program that calls the folder's chat template asks by other ids than training.

    A question that spells a control token is left out: templates do not keep it apart, ``chat`` does.
    """
    other = 0
    for question, prompt in zip(source.questions, source.prompts, strict=True):
        if not source.form.reserved.search(question):
            ids = tokenizer.apply_chat_template(
                source.messages(question), add_generation_prompt=True, return_dict=False, tokenize=True
            )
            other += list(ids) != list(prompt)
    return Check("prompts_with_other_ids", other == 0, other, 0)


def quantized_note(source: Source) -> list[str]:
    """What it means that a run's base was quantised and an export's is not."""
    kind = source.record.get("config", {}).get("quantization", "none")
    return [text("export.was_quantized", kind=kind)] if kind != "none" else []
