"""From config keys to records and documents: what will be trained, what validates, what was left out and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts.config import Config, load_config
from lora_scripts.data.chat_format import ChatFormat, template_of
from lora_scripts.data.clean import normal
from lora_scripts.data.formats import read_records
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.records import Message, Record
from lora_scripts.data.render import Document, preview_lines, render_prompt, render_records
from lora_scripts.data.split import split_records
from lora_scripts.errors import DataError
from lora_scripts.messages import text
from lora_scripts.models.text import check_base, load_tokenizer


@dataclass(frozen=True, slots=True)
class Rows:
    """Training and validation records, with the ledger that accounts for both."""

    training: list[Record]
    validation: list[Record]
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rows as documents. ``form`` is how conversations are spelled; ``notes`` are lines for the user."""

    training: list[Document]
    validation: list[Document]
    questions: list[Record]
    form: ChatFormat
    notes: list[str]


def read_rows(config: Config) -> Rows:
    """Read and split what the config names.

    Raises:
        DataError: The data are refused.
    """
    roles = {str(role): names for role, names in config.roles.items()} if config.roles else None
    columns = {str(part): header for part, header in config.columns.items()} if config.columns else None
    reading = read_records(config.data_path, roles=roles, columns=columns)
    ledger = reading.ledger
    if config.eval_data is None:
        training, validation = split_records(reading.records, config.eval_ratio, config.seed, ledger)
        return Rows(training, validation, ledger)
    held_out = read_records(config.eval_data, roles=roles, columns=columns)
    asked = {normal(record.question) for record in reading.records}
    validation = [record for record in held_out.records if normal(record.question) not in asked]
    for record in held_out.records:
        if normal(record.question) in asked:
            held_out.ledger.leave_out(record.source, "asked_in_training", text("run.asked_in_training"))
    if not validation:
        raise DataError("run.no_validation_left", where=config.eval_data)
    ledger.kept += len(validation)
    ledger.validation = len(validation)
    ledger.left_out += held_out.ledger.left_out
    ledger.findings += held_out.ledger.findings
    ledger.decisions += held_out.ledger.decisions
    return Rows(reading.records, validation, ledger)


def render_rows(rows: Rows, tokenizer: Any, config: Config) -> Rendered:
    """Rows as documents; records that are too long go where ``too_long`` says, and the ledger with them.

    Raises:
        DataError: A document is too long under ``too_long: stop``, or none is left.
    """
    notes: list[str] = []
    sides: list[list[Document]] = []
    for records, validation in ((rows.training, False), (rows.validation, True)):
        rendering = render_records(
            records,
            tokenizer,
            max_length=config.max_seq_length,
            too_long=config.too_long,
            system_prompt=config.system_prompt or "",
        )
        for source, length in rendering.too_long:
            rows.ledger.kept -= 1
            rows.ledger.validation -= validation
            note = text("run.too_long", length=length, limit=config.max_seq_length)
            rows.ledger.leave_out(source, "too_long", note)
        for source, count in rendering.cut:
            said = text("run.cut", count=count)
            rows.ledger.findings.append(Finding("warning", "prompt_cut", source, said))
        notes += [note for note in rendering.notes if note not in notes]
        sides.append(rendering.documents)
    if not sides[0]:
        raise DataError("run.nothing_left", where=config.data_path, limit=config.max_seq_length)
    kept = {document.source for document in sides[1]}
    questions = [record for record in rows.validation if record.source in kept]
    return Rendered(sides[0], sides[1], questions, template_of(tokenizer), notes)


def prompt_of(record: Record, tokenizer: Any, system_prompt: str | None) -> list[int]:
    """The ids that ask for the last answer of ``record``."""
    messages: Sequence[Message] = record.messages
    last = max(i for i, message in enumerate(messages) if message.role == "assistant")
    return question_prompt(messages[:last], tokenizer, system_prompt)


def question_prompt(messages: Sequence[Message], tokenizer: Any, system_prompt: str | None) -> list[int]:
    """The ids of a conversation that ends with a question, under the run's system prompt."""
    has_own = any(message.role == "system" for message in messages)
    opening = [Message("system", system_prompt)] if system_prompt and not has_own else []
    return render_prompt([*opening, *messages], tokenizer)


def data_fingerprint(rendered: Rendered) -> str:
    """sha256 over all documents and masks: equal where the same things are learned and validated."""
    digest = hashlib.sha256()
    for documents in (rendered.training, rendered.validation):
        for document in documents:
            digest.update(repr((document.input_ids, document.loss_mask)).encode())
        digest.update(b"|")
    return f"sha256:{digest.hexdigest()}"


def check_paths(paths: Sequence[Path]) -> Ledger:
    """The ledger over configs and data paths together, each split as a run would split it.

    Raises:
        DataError: The data are refused.
    """
    whole = Ledger()
    for path in paths:
        if path.suffix.lower() in (".yaml", ".yml"):
            ledger = read_rows(load_config(path).config).ledger
        else:
            reading = read_records(path)
            split_records(reading.records, Config.model_fields["eval_ratio"].default, ledger=reading.ledger)
            ledger = reading.ledger
        whole.kept += ledger.kept
        whole.validation += ledger.validation
        whole.left_out += ledger.left_out
        whole.findings += ledger.findings
        whole.decisions += ledger.decisions
    return whole


def preview_records(config: Config, count: int) -> Iterator[tuple[str, list[tuple[str, bool]], int, int]]:
    """The first ``count`` training records as the model sees them: source, (text, learned) runs, learned, total."""
    tokenizer = load_tokenizer(check_base(config.base_model))
    rows = read_rows(config)
    for document in render_rows(rows, tokenizer, config).training[:count]:
        pieces = preview_lines(document, tokenizer)
        yield document.source, pieces, sum(document.loss_mask), len(document.input_ids)
