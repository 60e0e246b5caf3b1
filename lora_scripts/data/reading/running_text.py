"""Running text: which of its layouts a file has, and its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from lora_scripts.data.reading.blocks import read_blocks
from lora_scripts.data.reading.chat_export import read_chat_export
from lora_scripts.data.reading.forms import read_form
from lora_scripts.data.reading.line_roles import refuse_unread
from lora_scripts.data.reading.paragraphs import read_paragraphs
from lora_scripts.data.reading.sources import Source
from lora_scripts.data.reading.speakers import unmarked_speakers
from lora_scripts.data.reading.tables import read_table
from lora_scripts.data.reading.transcript import read_transcript
from lora_scripts.data.records import Parsed
from lora_scripts.errors import DataError

Names = Mapping[str, str | Sequence[str]] | None

_SAMPLED_LINES = 2_000  # of a large file, from which its layout is told


def read_running_text(source: Source, roles: Names, columns: Names) -> Parsed | None:
    """The records of a text: a chat export, a form, a transcript, a table, or questions and answers without names.

    Args:
        source: The file.
        roles: Names by role.
        columns: Names of fields or columns.

    Raises:
        DataError: Several readings are equally good, or too much of the text fits none.
    """
    large = source.whole is None
    text = "\n".join(islice(source.lines(), _SAMPLED_LINES)) if source.whole is None else source.whole
    for read in (_read_chat, _read_form):
        if found := read(text, source.where, roles, columns):
            return _accounted(read(source.text(), source.where, roles, columns) if large else found, source.where)
    parsed = read_blocks(source, roles) if large else read_transcript(text, source.where, roles)
    if parsed is None:
        refuse_names_without_colon(text, source.where)
        parsed = read_table(source, columns, sure=columns is not None)
    if parsed is None:
        parsed = read_blocks(source, roles, spoken=False) if large else read_paragraphs(text)
    return _accounted(parsed, source.where)


def _read_chat(text: str, where: str, roles: Names, columns: Names) -> Parsed | None:
    return read_chat_export(text, where, roles)


def _read_form(text: str, where: str, roles: Names, columns: Names) -> Parsed | None:
    return read_form(text, where, columns) if not roles else None


def _accounted(parsed: Parsed | None, where: str) -> Parsed | None:
    if parsed:
        refuse_unread(parsed.units, where)
    return parsed


def refuse_names_without_colon(text: str, where: str) -> None:
    """Stop where lines begin with speakers' names but without a colon.

    Raises:
        DataError: They do.
    """
    if names := unmarked_speakers(text):
        raise DataError("data.no_colon", where=where, user=names[0], assistant=names[1])
