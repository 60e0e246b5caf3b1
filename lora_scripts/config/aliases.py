"""Names that other tools give to the same things, each read with a printed note.

Sources: the argument lists of LLaMA-Factory, ms-swift, axolotl, TRL / Hugging Face ``TrainingArguments``,
alpaca-lora and kohya's sd-scripts. Only names that mean the same are here; what would need guessing is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from lora_scripts.config.schema import Config
from lora_scripts.config.yaml_lines import Entry
from lora_scripts.errors import Problem, problem
from lora_scripts.messages import text

ALIASES: dict[str, str] = {
    alias: key
    for key, names in {
        "train_data_dir": "dataset dataset_dir dataset_path datasets train_file train_path data data_path data_dir",
        "eval_data": "eval_dataset val_dataset validation_file eval_data_dir eval_data_path",
        "eval_ratio": "val_size val_set_size split_dataset_ratio",
        "system_prompt": "system default_system",
        "max_seq_length": "cutoff_len max_length max_seq_len sequence_len model_max_length",
        "base_model": "model model_path model_name_or_path base_model_name_or_path model_id_or_path"
        " pretrained_model_name_or_path",
        "lora_rank": "lora_r r rank network_dim",
        "lora_alpha": "alpha network_alpha",
        "target_modules": "lora_target lora_target_modules",
        "batch_size": "per_device_train_batch_size micro_batch_size train_batch_size",
        "gradient_accumulation_steps": "gradient_accumulation accumulation_steps",
        "epochs": "num_train_epochs num_epochs max_train_epochs",
        "max_steps": "max_train_steps iters",
        "learning_rate": "lr",
        "lr_schedule": "lr_scheduler_type lr_scheduler",
        "max_grad_norm": "gradient_clipping",
        "lora_plus_ratio": "loraplus_lr_ratio",
        "preference_beta": "pref_beta beta rlhf_beta",
        "precision": "torch_dtype dtype mixed_precision",
        "log_steps": "logging_steps steps_per_report",
        "eval_steps": "steps_per_eval",
        "save_steps": "save_every save_every_n_steps",
        "resolution": "image_size",
        "trigger_word": "activation_tag",
        "caption_dropout": "caption_dropout_rate",
        "shuffle_tags": "shuffle_caption",
        "keep_tags": "keep_tokens",
        "snr_gamma": "min_snr_gamma",
        "flip": "flip_aug random_flip",
        "text_encoder_learning_rate": "text_encoder_lr",
        "prior_images": "reg_data_dir class_data_dir",
        "sample_prompts": "validation_prompt validation_prompts",
        "output_dir": "output_path",
        "resume_from_checkpoint": "resume",
        "overwrite": "overwrite_output_dir",
    }.items()
    for alias in names.split()
}

# key, value as written -> value as meant
VALUES: dict[tuple[str, str], str | None] = {
    ("lr_schedule", "constant_with_warmup"): "constant",
    ("target_modules", "all"): "all-linear",
    ("precision", "float16"): "fp16",
    ("precision", "half"): "fp16",
    ("precision", "bfloat16"): "bf16",
    ("precision", "float32"): "fp32",
    ("precision", "no"): "fp32",
    ("device", "gpu"): "cuda",
    ("task_type", "dpo"): "preference",
    ("task_type", "text-to-image"): "image-generation",
    ("quantization", "4"): "nf4",
    ("quantization", "8"): "int8",
    ("quantization", "bnb"): "nf4",
    ("resume_from_checkpoint", "true"): "auto",
    ("resume_from_checkpoint", "false"): None,
}

# switches of other tools: the key that each stands for, and its value when on and when off
SWITCHES: dict[str, tuple[str, str, str | None]] = {
    "fp16": ("precision", "fp16", "fp32"),
    "bf16": ("precision", "bf16", "fp32"),
    "lora_target_linear": ("target_modules", "all-linear", None),
    "use_dora": ("method", "dora", None),
    "use_rslora": ("method", "rslora", None),
    "load_in_4bit": ("quantization", "nf4", None),
    "load_in_8bit": ("quantization", "int8", None),
}


def canonical(entries: Iterable[Entry]) -> tuple[dict[str, Entry], list[str], list[Problem]]:
    """The entries of one source under their real keys, with the notes to print and the problems found.

    Keys without a value are left out: they mean the default. Unknown keys stay, for the schema to answer.
    """
    found: dict[str, Entry] = {}
    notes: list[str] = []
    problems: list[Problem] = []
    switches: list[Entry] = []
    for entry in entries:
        if entry.key in SWITCHES:
            switches.append(entry)
            continue
        key = ALIASES.get(entry.key, entry.key)
        value = _meant(key, entry, notes)
        if value is None and key in Config.model_fields:
            continue
        if key != entry.key:
            notes.append(text("config.alias", name=entry.key, real=key))
        _put(found, problems, key, entry, value)
    for entry in sorted(switches, key=lambda e: e.value is False):  # `bf16: true` before `fp16: false`
        _switch(entry, found, notes, problems)
    return found, notes, problems


def _meant(key: str, entry: Entry, notes: list[str]) -> object:
    written = entry.value
    spelt = str(written).lower() if isinstance(written, str | bool) else None
    if spelt is None or (key, spelt) not in VALUES:
        return written
    meant = VALUES[key, spelt]
    notes.append(text("config.alias_value", name=entry.key, value=spelt, real=key, meant=meant or "null"))
    return meant


def _put(found: dict[str, Entry], problems: list[Problem], key: str, entry: Entry, value: object) -> None:
    if key in found:
        values = {"name": entry.key, "other": found[key].key, "line": found[key].where, "real": key}
        problems.append(problem("config.both_names", where=entry.where, **values))
        return
    lines = {(key, *path[1:]): line for path, line in entry.lines.items()}
    found[key] = Entry(entry.key, value, entry.where, lines)


def _switch(entry: Entry, found: dict[str, Entry], notes: list[str], problems: list[Problem]) -> None:
    key, on, off = SWITCHES[entry.key]
    if entry.value is None or entry.value == "auto":
        return
    if not isinstance(entry.value, bool):
        problems.append(
            problem("config.wrong_type", entry.where, name=entry.key, value=repr(entry.value), kind=text("config.bool"))
        )
        return
    meant = on if entry.value else off
    spelt = str(entry.value).lower()
    if key in found:
        taken = found[key].value
        if entry.value and taken != meant:
            values = {"name": entry.key, "other": found[key].key, "line": found[key].where, "real": key}
            problems.append(problem("config.both_names", where=entry.where, **values))
        elif not entry.value and taken == on:
            problems.append(problem("config.switched_off", entry.where, name=entry.key, real=key, value=taken))
        return
    notes.append(text("config.alias_value", name=entry.key, value=spelt, real=key, meant=meant or "null"))
    if meant is not None:
        found[key] = Entry(entry.key, meant, entry.where)
