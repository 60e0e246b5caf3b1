"""`augment`: more ways to ask what a set already answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lora_scripts.assemble.survey import Given, Screen, Survey, read_rows
from lora_scripts.config import Config, load_config
from lora_scripts.data.growing.endpoint import ask_endpoint
from lora_scripts.data.growing.rules import Growth, Variant, augment_records, summary_lines, write_augmented
from lora_scripts.data.private.desensitize import desensitize_text
from lora_scripts.data.records import Record
from lora_scripts.data.split import TRAINING, Split
from lora_scripts.errors import UsageError


def augment(
    path: Path,
    target: Path,
    *,
    per_record: int,
    seed: int,
    addressees: Sequence[str],
    endpoint: str | None,
    model: str | None,
    say: Callable[[str], None],
) -> list[str]:
    """Write variants of the training records of a config, file or folder to ``target``; the lines of the account.

    Variants are made of records without personal data, and of none that would validate.

    Raises:
        UsageError: An endpoint without a model's name or the reverse, or ``target`` cannot be written.
        DataError: The data are refused, or give no variant.
    """
    if (endpoint is None) != (model is None):
        raise UsageError("augment.endpoint_and_model")
    records = training_records(path)
    growth = Growth()

    def variants() -> Iterator[Variant]:
        if endpoint and model:
            yield from ask_endpoint(
                records,
                endpoint=endpoint,
                model=model,
                per_record=per_record,
                screen=lambda words: desensitize_text(words)[0],
                say=say,
                growth=growth,
            )
        else:
            yield from augment_records(records, per_record=per_record, seed=seed, addressees=addressees, growth=growth)

    write_augmented(target, variants(), growth)
    return summary_lines(growth)


def training_records(path: Path) -> list[Record]:
    """The records that a run of this config, or of this data by the defaults, would train on."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return list(read_rows(load_config(path).config).of(TRAINING))
    keys = Config.model_fields
    survey = Survey(Split(keys["eval_ratio"].default, keys["seed"].default), Screen("mask"))
    records = list(survey.take(path, Given()))
    return [record for record, side in zip(records, survey.decide(), strict=True) if side == TRAINING]
