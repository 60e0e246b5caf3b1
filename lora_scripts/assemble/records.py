"""From config keys to records and documents: what will be trained, what validates, what was left out and why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_scripts.config import Config, load_config
from lora_scripts.data.chat_format import ChatFormat, template_of
from lora_scripts.data.clean import clean
from lora_scripts.data.findings import Finder
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.private.desensitize import desensitize_records, desensitize_text
from lora_scripts.data.private.pii import DEFAULT_TYPES
from lora_scripts.data.reading.formats import iter_drafts, nothing_left
from lora_scripts.data.records import Message, Record
from lora_scripts.data.render import Document, preview_lines, render_prompt, render_records
from lora_scripts.data.split import TRAINING, VALIDATION, Split
from lora_scripts.errors import DataError, Problem
from lora_scripts.messages import text
from lora_scripts.models.text import check_base, load_tokenizer

PSEUDONYM_KEY = "LORA_SCRIPTS_PSEUDONYM_KEY"


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


@dataclass(slots=True)
class Survey:
    """What is learned of records while they stream by: sides, findings, personal data. None of them is held."""

    split: Split
    screen: Screen
    ledger: Ledger = field(default_factory=Ledger)
    finder: Finder = field(default_factory=Finder)

    def take(self, path: str | Path, given: Given, *, held_out: bool | None = None) -> Iterator[Record]:
        """The records of ``path``, clean and without personal data; ``held_out`` as for ``Split.add``."""
        records = clean(iter_drafts(path, given.roles, given.columns, self.ledger), self.ledger)
        try:
            for record in self.screen.records(records, self.ledger):
                self.finder.add(record)
                self.split.add(record, held_out=held_out)
                yield record
        except DataError as error:
            said = [Problem(_masked(p.text), p.where, _masked(p.fix)) for p in error.problems]
            raise DataError(said) from None

    def decide(self) -> Any:
        """The side of each record taken; completes the ledger, which then adds up."""
        sides = self.split.decide(self.ledger)
        self.finder.tell(self.ledger)
        self.ledger.check_sum()
        # names of speakers and columns are quoted there, and come from the files
        self.ledger.findings = [replace(f, text=_masked(f.text)) for f in self.ledger.findings]
        self.ledger.decisions = [replace(d, detail=_masked(d.detail)) for d in self.ledger.decisions]
        return sides


def _masked(words: str) -> str:
    return desensitize_text(words)[0]


@dataclass(frozen=True, slots=True)
class Given:
    """What the user said about the shape of the files."""

    roles: Mapping[str, Sequence[str]] | None = None
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """How personal data are taken out of records: ``mode`` as in the config, ``off`` for not at all."""

    mode: str
    types: tuple[str, ...] = DEFAULT_TYPES

    def records(self, records: Iterator[Record], ledger: Ledger) -> Iterator[Record]:
        """``records`` without personal data; the ledger tells how much was found."""
        if self.mode == "off":
            ledger.findings.append(Finding("warning", "desensitize_off", "", text("run.desensitize_off")))
            return records
        if left := [t for t in DEFAULT_TYPES if t not in self.types]:
            said = text("run.types_left", names=" ".join(left))
            ledger.findings.append(Finding("warning", "types_left", "desensitize_types", said))
        key = os.environ.get(PSEUDONYM_KEY, "")
        return desensitize_records(records, ledger, mode=self.mode, types=self.types, key=key)


def survey_of(config: Config) -> tuple[Survey, Given]:
    """The survey that a run of this config makes, and what it says about the files."""
    roles = {str(role): names for role, names in config.roles.items()} if config.roles else None
    columns = {str(part): header for part, header in config.columns.items()} if config.columns else None
    screen = Screen(config.desensitize, config.desensitize_types or DEFAULT_TYPES)
    ratio = 0.0 if config.eval_data else config.eval_ratio
    return Survey(Split(ratio, config.seed), screen), Given(roles, columns)


def read_rows(config: Config) -> Rows:
    """Read, clean, desensitise and split what the config names.

    Raises:
        DataError: The data are refused.
    """
    survey, given = survey_of(config)
    records = list(survey.take(config.data_path, given, held_out=False if config.eval_data else None))
    if not records:
        raise nothing_left(Path(config.data_path), survey.ledger)
    if config.eval_data:
        records += survey.take(config.eval_data, given, held_out=True)
    sides = survey.decide()
    training, validation = (
        [record for record, side in zip(records, sides, strict=True) if side == wanted]
        for wanted in (TRAINING, VALIDATION)
    )
    if config.eval_data and not validation:
        raise DataError("run.no_validation_left", where=config.eval_data)
    return Rows(training, validation, survey.ledger)


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
            note = text("run.too_long", length=length, limit=config.max_seq_length)
            rows.ledger.take_back(source, "too_long", note, validation=validation)
        for source, count in rendering.cut:
            said = text("run.cut", count=count)
            rows.ledger.findings.append(Finding("warning", "prompt_cut", source, said))
        notes += [note for note in rendering.notes if note not in notes]
        sides.append(rendering.documents)
    rows.ledger.check_sum()
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
    """The ledger over configs and data paths together, each split as a run would split it; no record is held.

    Raises:
        DataError: The data are refused.
    """
    whole = Ledger()
    for path in paths:
        if path.suffix.lower() in (".yaml", ".yml"):
            config = load_config(path).config
            survey, given = survey_of(config)
            sources = [(config.data_path, False if config.eval_data else None)]
            sources += [(config.eval_data, True)] if config.eval_data else []
        else:
            keys = Config.model_fields
            survey = Survey(Split(keys["eval_ratio"].default, keys["seed"].default), Screen("mask"))
            given, sources = Given(), [(str(path), None)]
        for source, held_out in sources:
            for _ in survey.take(source, given, held_out=held_out):
                pass
        survey.decide()
        if not survey.ledger.kept:
            raise nothing_left(path, survey.ledger)
        whole.absorb(survey.ledger)
    return whole


def preview_records(config: Config, count: int) -> Iterator[tuple[str, list[tuple[str, bool]], int, int]]:
    """The first ``count`` training records as the model sees them: source, (text, learned) runs, learned, total."""
    tokenizer = load_tokenizer(check_base(config.base_model))
    rows = read_rows(config)
    for document in render_rows(rows, tokenizer, config).training[:count]:
        pieces = preview_lines(document, tokenizer)
        yield document.source, pieces, sum(document.loss_mask), len(document.input_ids)
