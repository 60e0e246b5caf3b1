"""Rules between keys: what cannot be together, and what has no effect in this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lora_scripts.config.picture_keys import PictureKeys
from lora_scripts.config.schema import Config
from lora_scripts.errors import Problem, problem
from lora_scripts.messages import text

WORDS_ONLY = (
    "columns", "roles", "system_prompt", "max_seq_length", "too_long", "preference_beta", "sample_questions",
    "answer_rules", "folds", "coach", "replay",
)  # fmt: skip
"""Keys that say something about texts, which a picture run does not have."""


def contradictions(config: Config, where: Mapping[str, str], name: str) -> list[Problem]:
    """Pairs of keys of which one undoes the other; ``where`` has the line of each key, ``name`` is the file."""

    def at(*keys: str) -> str:
        return next((where[key] for key in keys if key in where), name)

    found = []
    if config.early_stopping_patience is not None and not config.validates:
        found.append(problem("config.stop_without_validation", at("early_stopping_patience")))
    if config.overwrite and config.resume_from_checkpoint == "auto":
        found.append(problem("config.overwrite_and_resume", at("overwrite")))
    if _same(config.eval_data, config.data_path):
        found.append(problem("config.eval_is_train", at("eval_data"), path=config.eval_data))
    if config.data_path and (_same(config.output_dir, config.data_path) or _inside(config.output_dir, config)):
        values = {"path": config.output_dir, "data": config.data_path}
        found.append(problem("config.output_in_data", at("output_dir"), **values))
    if _same(config.output_dir, config.base_model):
        found.append(problem("config.output_is_base", at("output_dir"), path=config.output_dir))
    if config.shard and config.quantization != "none":
        found.append(problem("config.shard_and_quantization", at("shard", "quantization")))
    if config.shard and config.task_type == "preference":
        found.append(problem("config.shard_and_preference", at("shard", "task_type")))
    if config.task_type == "preference" and config.folds:
        found.append(problem("config.folds_and_preference", at("folds")))
    found += _shared_roles(config, at("roles"))
    return found + (_for_words_only(config, at) if config.draws else [])


def _for_words_only(config: Config, at: Callable[..., str]) -> list[Problem]:
    """What would make another thing of a picture run, and cannot be had there."""
    taken = {
        "quantization": config.quantization != "none",
        "method": config.method == "ia3",
        "shard": config.shard,
    }
    return [
        problem("config.words_only", at(key), name=key, value=str(getattr(config, key)).lower())
        for key, wrong in taken.items()
        if wrong
    ]


def without_effect(config: Config, given: Mapping[str, object]) -> list[str]:
    """A line for each key that was written and changes nothing in this run."""
    reasons: dict[str, str] = {}
    if config.max_steps is not None:
        reasons["epochs"] = text("config.because_set", name="max_steps")
    if config.eval_data is not None:
        reasons["eval_ratio"] = text("config.because_set", name="eval_data")
    if config.metadata_path is not None and not config.draws:
        reasons["train_data_dir"] = text("config.because_set", name="metadata_path")
    reasons |= _without_effect_here(config)
    if not config.validates and not config.sample_questions and not config.sample_prompts:
        reasons["eval_steps"] = text("config.because_no_validation")
    if not config.validates:
        reasons["answer_rules"] = text("config.because_no_validation")
    notes = [text("config.no_effect", name=key, reason=reason) for key, reason in reasons.items() if key in given]
    for key in ("save_steps", "eval_steps", "log_steps"):
        every = getattr(config, key)
        if key in given and key not in reasons and config.max_steps is not None and every and every > config.max_steps:
            notes.append(text("config.only_at_end", name=key, value=every, steps=config.max_steps))
    return notes


def _without_effect_here(config: Config) -> dict[str, str]:
    """Keys of other methods, tasks and starts. At its default such a key says nothing: run.yaml holds them all."""
    reasons: dict[str, str] = {}
    if config.method == "ia3":
        because = text("config.because_is", name="method", value="ia3")
        reasons |= dict.fromkeys(("lora_rank", "lora_alpha", "lora_dropout", "lora_plus_ratio"), because)
    other = text("config.because_is", name="task_type", value=config.task_type)
    if config.draws:
        reasons |= dict.fromkeys(WORDS_ONLY, other) | _without_effect_on_pictures(config)
    else:
        reasons |= dict.fromkeys(PictureKeys.model_fields, other)
    if config.task_type != "preference":
        reasons["preference_beta"] = other
    if config.resume_from_checkpoint is None:
        reasons["replay"] = text("config.because_not_set", name="resume_from_checkpoint")
    if not config.validates:
        reasons["coach"] = text("config.because_no_validation")
    defaults = Config.model_fields
    return {key: reason for key, reason in reasons.items() if getattr(config, key) != defaults[key].default}


def _without_effect_on_pictures(config: Config) -> dict[str, str]:
    reasons: dict[str, str] = {}
    if not config.shuffle_tags:
        reasons["keep_tags"] = text("config.because_not_set", name="shuffle_tags")
    if not config.train_text_encoder:
        reasons["text_encoder_learning_rate"] = text("config.because_not_set", name="train_text_encoder")
    return reasons


def _same(first: str | None, second: str | None) -> bool:
    return bool(first and second) and _absolute(str(first)) == _absolute(str(second))


def _inside(folder: str, config: Config) -> bool:
    # a run's JSON files inside the data folder would be read as records by the next run
    return config.metadata_path is None and _absolute(config.data_path) in _absolute(folder).parents


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return Path(path)


def _shared_roles(config: Config, where: str) -> list[Problem]:
    seen: dict[str, str] = {}
    found = []
    for role, names in (config.roles or {}).items():
        for name in names:
            if seen.setdefault(name, role) != role:
                found.append(problem("config.role_twice", where, name=name, first=seen[name], second=role))
    return found
