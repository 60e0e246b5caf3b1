"""Asking instead of guessing: the ways to read a file that are shown to the user, each tried before it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from lora_scripts.data.clean import clean
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pii.desensitize import desensitize_text
from lora_scripts.data.records import Draft, Record
from lora_scripts.errors import Alternative, AmbiguousDataError, DataError, Problem
from lora_scripts.messages import text

Settings = dict[str, dict[str, Any]]

_TRIED_DRAFTS = 200
_SHOWN_RECORDS = 3
_SHOWN_ALTERNATIVES = 4


def try_alternatives(
    settings: Iterable[Settings], read: Callable[[Settings], Iterable[Draft]], where: str
) -> list[Alternative]:
    """The ``settings`` under which ``read`` gives records, with the first of these; the others are not worth showing.

    Args:
        settings: Config keys that decide, see ``Alternative``; the best first.
        read: Reads (the beginning of) the file under them.
        where: The file's name, for the places of the records.
    """
    alternatives: list[Alternative] = []
    for one in settings:
        if any(one == other.settings for other in alternatives):
            continue
        try:
            drafts = ((where + draft.part, draft) for draft in islice(read(one), _TRIED_DRAFTS))
            records = tuple(map(_masked, islice(clean(drafts, Ledger()), _SHOWN_RECORDS)))
        except DataError:
            continue
        if records:
            alternatives.append(Alternative(one, records))
        if len(alternatives) == _SHOWN_ALTERNATIVES:
            break
    return alternatives


def _masked(record: Record) -> Record:
    """What is shown on a screen and goes into logs holds no personal data."""
    messages = (replace(m, content=desensitize_text(m.content)[0]) for m in record.messages)
    return replace(record, messages=tuple(messages))


def ambiguous(key: str, where: str, alternatives: Sequence[Alternative], **values: object) -> DataError:
    """The error that asks which of ``alternatives`` is meant; ``key`` is the text of the question.

    Without alternatives it is a plain refusal, whose text says what is unclear.
    """
    if not alternatives:
        return DataError(key, where=where, **values)
    shown = []
    for number, one in enumerate(alternatives, 1):
        shown += [f"{number}) {one.config_lines()}", *(line for record in one.records for line in record.excerpt())]
    fix = text("reading.choose_reading", alternatives="\n" + "\n".join(shown))
    return AmbiguousDataError([Problem(text(key, **values), where, fix)], alternatives)
