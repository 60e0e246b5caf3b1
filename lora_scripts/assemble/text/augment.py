"""`augment`: more ways to ask what a set already answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lora_scripts.assemble.text.survey import rows_of, survey_of
from lora_scripts.data.augment.endpoint import ask_endpoint
from lora_scripts.data.augment.rules import Growth, Variant, augment_records, summary_lines, write_augmented
from lora_scripts.data.pii.desensitize import desensitize_text
from lora_scripts.data.split import TRAINING
from lora_scripts.errors import UsageError


def write_variants(
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
    records = list(rows_of(survey_of(path)).of(TRAINING))
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
