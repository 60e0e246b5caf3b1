"""Reading what the config names: records stream through cleaning, masking, findings and split; large sets twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import tee
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lora_scripts.assemble.pictures.records import check_pictures, rows_for
from lora_scripts.assemble.screen import Screen, screen_of
from lora_scripts.config import Config, load_config
from lora_scripts.data.clean import clean
from lora_scripts.data.findings import Finder
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pictures.reading import is_picture_folder
from lora_scripts.data.pii.desensitize import desensitize_text
from lora_scripts.data.reading.formats import iter_drafts, nothing_left
from lora_scripts.data.records import Record
from lora_scripts.data.split import LEFT_OUT, Split
from lora_scripts.errors import AmbiguousDataError, DataError, Problem

SAMPLES = 2  # records that are shown as they will be learned
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


@dataclass(frozen=True, slots=True)
class Given:
    """What the user said about the shape of the files; ``preference`` for pairs of a better and a worse answer."""

    roles: Mapping[str, Sequence[str]] | None = None
    columns: Mapping[str, str] | None = None
    preference: bool = False


@dataclass(slots=True)
class Survey:
    """What is learned of records while they stream by: sides, findings, personal data. None of them is held.

    ``sources`` are the paths to read, each with what it says about validation (see ``Split.add``).
    """

    sources: Sequence[tuple[str | Path, bool | None]]
    given: Given
    screen: Screen
    split: Split
    ledger: Ledger = field(default_factory=Ledger)
    finder: Finder = field(default_factory=Finder)

    def records(self) -> Iterator[Record]:
        """The records of all sources, clean and without personal data.

        Raises:
            DataError: The data are refused, or a source holds nothing.
        """
        self.ledger.findings += self.screen.findings()
        for path, held_out in self.sources:
            try:
                for record in self.again(path, self.ledger):
                    self.finder.add(record)
                    self.split.add(record, held_out=held_out)
                    if len(self.ledger.samples) < SAMPLES:
                        self.ledger.samples.append(record)
                    yield record
            except DataError as error:
                said = [Problem(_masked(p.text), p.where, _masked(p.fix)) for p in error.problems]
                if isinstance(error, AmbiguousDataError):
                    raise AmbiguousDataError(said, error.alternatives) from None
                raise DataError(said) from None
            if not self.ledger.kept:
                raise nothing_left(Path(path), self.ledger)

    def again(self, path: str | Path, ledger: Ledger) -> Iterator[Record]:
        """The records of one source, with an account of their own."""
        return self.screen.records(self.as_read(path, ledger), ledger)

    def as_read(self, path: str | Path, ledger: Ledger) -> Iterator[Record]:
        """The records of one source with the personal data that they hold."""
        given = self.given
        return clean(iter_drafts(path, given.roles, given.columns, ledger, preference=given.preference), ledger)

    def decide(self) -> NDArray[np.int8]:
        """The side of each record; completes the ledger, which then adds up."""
        sides = self.split.decide(self.ledger)
        self.finder.tell(self.ledger)
        self.ledger.check_sum()
        # names of speakers and columns are quoted there, and come from the files
        self.ledger.findings = [replace(f, text=_masked(f.text)) for f in self.ledger.findings]
        self.ledger.decisions = [replace(d, detail=_masked(d.detail)) for d in self.ledger.decisions]
        return sides


def _masked(words: str) -> str:
    return desensitize_text(words)[0]


def survey_of(path: Path) -> Survey:
    """The survey that a run of this config file would make; of data without a config, by the defaults."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return survey_for(load_config(path).config)
    keys = Config.model_fields
    split = Split(keys["eval_ratio"].default, keys["seed"].default)
    return Survey([(path, None)], Given(), Screen(), split)


def survey_for(config: Config) -> Survey:
    """The survey that a run of this config makes."""
    roles = {str(role): names for role, names in config.roles.items()} if config.roles else None
    columns = {str(part): header for part, header in config.columns.items()} if config.columns else None
    screen = screen_of(config)
    given = Given(roles, columns, config.task_type == "preference")
    if config.eval_data:
        sources: list[tuple[str | Path, bool | None]] = [(config.data_path, False), (config.eval_data, True)]
        return Survey(sources, given, screen, Split(0.0, config.seed))
    return Survey([(config.data_path, None)], given, screen, Split(config.eval_ratio, config.seed))


def rows_of(survey: Survey) -> Rows:
    """Read, clean, desensitise and split.

    Raises:
        DataError: The data are refused, or every validation question is trained too.
    """
    held: list[Record] | None = []
    content = sha256()
    for record in survey.records():
        content.update(_bytes(record))
        if held is not None:
            held.append(record)
            held = held if len(held) <= LARGE else None
    sides = survey.decide()
    for path, held_out in survey.sources:
        if held_out and not survey.ledger.validation:
            raise DataError("run.no_validation_left", where=path)

    def sided() -> Iterator[tuple[Record, int]]:
        records = iter(held) if held is not None else _same_again(survey, len(sides), content.digest())
        yield from ((record, int(side)) for record, side in zip(records, sides, strict=True) if side != LEFT_OUT)

    return Rows(sided, survey.ledger, sha256(content.digest() + sides.tobytes()).hexdigest(), held is None)


def _bytes(record: Record) -> bytes:
    said = [(m.role, m.content) if m.trained else (m.role, m.content, "context") for m in record.messages]
    return repr((said, record.rejected) if record.rejected else said).encode("utf-8", "surrogatepass")


def _same_again(survey: Survey, count: int, content: bytes) -> Iterator[Record]:
    """The ``count`` records of ``survey`` once more; they are in its account already.

    Raises:
        DataError: They are not the same ones; where some are missing or changed, at the end.
    """
    ledger, seen, left = Ledger(), sha256(), count
    for path, _ in survey.sources:
        for record in survey.again(path, ledger):
            left -= 1
            if left < 0:
                break
            seen.update(_bytes(record))
            yield record
    if left or seen.digest() != content:
        raise DataError("run.files_changed", where=survey.sources[0][0])


def masked_pairs(config: Config) -> Iterator[tuple[Record, Record]]:
    """Each record of the config's files as read and as masked, one by one: to ask whether a model gives back what was
    masked. Only for modes that keep every record."""
    survey = survey_for(config)
    for path, _ in survey.sources:
        read, to_mask = tee(survey.as_read(path, Ledger()))
        yield from zip(read, survey.screen.records(to_mask, Ledger()), strict=False)


def check_paths(paths: Sequence[Path]) -> Ledger:
    """The ledger over configs and data paths together, each split as a run would split it; no record is held.

    Raises:
        DataError: The data are refused.
    """
    whole = Ledger()
    for path in paths:
        config = load_config(path).config if path.suffix.lower() in (".yaml", ".yml") else None
        if config and config.draws:
            whole.absorb(rows_for(config).ledger)
            continue
        if is_picture_folder(path):
            whole.absorb(check_pictures(path))
            continue
        survey = survey_for(config) if config else survey_of(path)
        for _ in survey.records():
            pass
        survey.decide()
        whole.absorb(survey.ledger)
    return whole
