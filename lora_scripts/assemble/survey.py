"""Reading what the config names: records stream through cleaning, masking, findings and split; large sets twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from lora_scripts.config import Config, load_config
from lora_scripts.data.clean import clean
from lora_scripts.data.findings import Finder
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.private.desensitize import desensitize_records, desensitize_text
from lora_scripts.data.private.pii import DEFAULT_TYPES
from lora_scripts.data.reading.formats import iter_drafts, nothing_left
from lora_scripts.data.records import Record
from lora_scripts.data.split import LEFT_OUT, VALIDATION, Split
from lora_scripts.errors import DataError, Problem
from lora_scripts.messages import text

PSEUDONYM_KEY = "LORA_SCRIPTS_PSEUDONYM_KEY"
LARGE = 20_000  # more records than this are not held in memory but read again where they are needed


@dataclass(frozen=True, slots=True)
class Rows:
    """What is trained on and what validates.

    Attributes:
        sided: Yields each such record with its side, ``TRAINING`` or ``VALIDATION``, from the first; may be called
            again and again.
        ledger: Accounts for all of them.
        content: sha256 of the records and their sides, in hexadecimal.
        large: Each call of ``sided`` reads the files again.
    """

    sided: Callable[[], Iterator[tuple[Record, int]]]
    ledger: Ledger
    content: str
    large: bool = False

    def of(self, side: int) -> Iterator[Record]:
        """The records of one side."""
        return (record for record, its in self.sided() if its == side)


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
            return records
        key = os.environ.get(PSEUDONYM_KEY, "")
        return desensitize_records(records, ledger, mode=self.mode, types=self.types, key=key)

    def findings(self) -> list[Finding]:
        """What the choice of mode and types leaves in the records."""
        if self.mode == "off":
            return [Finding("warning", "desensitize_off", "desensitize", text("run.desensitize_off"))]
        left = [kind for kind in DEFAULT_TYPES if kind not in self.types]
        said = text("run.types_left", names=" ".join(left))
        return [Finding("warning", "types_left", "desensitize_types", said)] if left else []


def survey_of(config: Config) -> tuple[Survey, Given]:
    """The survey that a run of this config makes, and what it says about the files."""
    roles = {str(role): names for role, names in config.roles.items()} if config.roles else None
    columns = {str(part): header for part, header in config.columns.items()} if config.columns else None
    screen = Screen(config.desensitize, config.desensitize_types or DEFAULT_TYPES)
    ratio = 0.0 if config.eval_data else config.eval_ratio
    return Survey(Split(ratio, config.seed), screen), Given(roles, columns)


def sources_of(config: Config) -> list[tuple[str, bool | None]]:
    """The paths that a config names, each with what it says about validation (see ``Split.add``)."""
    if config.eval_data:
        return [(config.data_path, False), (config.eval_data, True)]
    return [(config.data_path, None)]


def read_rows(config: Config) -> Rows:
    """Read, clean, desensitise and split what the config names.

    Raises:
        DataError: The data are refused.
    """
    survey, given = survey_of(config)
    survey.ledger.findings += survey.screen.findings()
    sources = sources_of(config)
    held: list[Record] | None = []
    digest = sha256()
    for path, held_out in sources:
        for record in survey.take(path, given, held_out=held_out):
            digest.update(repr([(m.role, m.content) for m in record.messages]).encode("utf-8", "surrogatepass"))
            if held is not None:
                held.append(record)
                held = held if len(held) <= LARGE else None
        if not survey.ledger.kept:
            raise nothing_left(Path(path), survey.ledger)
    sides = survey.decide()
    digest.update(sides.tobytes())
    if config.eval_data and not (sides == VALIDATION).any():
        raise DataError("run.no_validation_left", where=config.eval_data)

    def sided() -> Iterator[tuple[Record, int]]:
        records = iter(held) if held is not None else _again(sources, given, survey.screen)
        try:
            yield from ((record, int(side)) for record, side in zip(records, sides, strict=True) if side != LEFT_OUT)
        except ValueError as error:
            raise DataError("run.files_changed", where=config.data_path) from error

    return Rows(sided, survey.ledger, digest.hexdigest(), held is None)


def _again(sources: Sequence[tuple[str, bool | None]], given: Given, screen: Screen) -> Iterator[Record]:
    """The same records once more; they are in the account already."""
    ledger = Ledger()
    for path, _ in sources:
        yield from screen.records(clean(iter_drafts(path, given.roles, given.columns, ledger), ledger), ledger)


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
            survey.ledger.findings += survey.screen.findings()
            sources = sources_of(config)
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
