"""Pictures as a run reads them: which are trained, which validate, in which bucket, with which words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from lora_scripts.assemble.screen import Screen, screen_of
from lora_scripts.config import Config
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.pictures.captions import with_trigger
from lora_scripts.data.pictures.documents import PictureDocument, fitting_findings, lay_out
from lora_scripts.data.pictures.looks import findings_of
from lora_scripts.data.pictures.reading import PictureRecord, none_left, read_pictures
from lora_scripts.data.records import Message, Record
from lora_scripts.data.split import FEWEST
from lora_scripts.errors import DataError
from lora_scripts.messages import fix_for, text
from lora_scripts.models.diffusion import check_picture_base, load_tokenizers


@dataclass(frozen=True, slots=True)
class PictureRows:
    """What is trained on, each as often as it comes in an epoch, and what validates."""

    training: list[PictureDocument]
    validation: list[PictureDocument]
    ledger: Ledger


def check_pictures(root: Path) -> Ledger:
    """The ledger of a folder of pictures, split as by the defaults.

    Raises:
        DataError: None of them can be used.
    """
    keys = Config.model_fields
    ledger = Ledger()
    records = _read(root, None, Screen(), ledger)
    ledger.validation = len(held_out(records, keys["eval_ratio"].default, keys["seed"].default))
    ledger.findings += [] if ledger.validation else [_no_validation(records)]
    ledger.check_sum()
    return ledger


def rows_for(config: Config) -> PictureRows:
    """The pictures of a run, laid out for its base.

    Raises:
        ModelError: The base cannot be used.
        DataError: The pictures are refused.
    """
    base = check_picture_base(config.base_model)
    return picture_rows(config, config.resolution or base.resolution, base.unit)


def preview_pictures(config: Config, count: int) -> Iterator[tuple[str, list[tuple[str, bool]], int, int]]:
    """The first ``count`` training pictures as they are shown first: source and size, caption, its tokens, the most."""
    base = check_picture_base(config.base_model)
    tokenizer = min(load_tokenizers(base).values(), key=lambda t: t.model_max_length)
    trigger = config.trigger_word or ""
    for document in rows_for(config).training[:count]:
        caption = document.caption if document.prior else with_trigger(document.caption, trigger)
        width, height = document.bucket
        length = len(tokenizer(caption, verbose=False).input_ids)
        yield f"{document.source} → {width}×{height}", [(caption, True)], length, tokenizer.model_max_length


def picture_rows(config: Config, resolution: int, unit: int) -> PictureRows:
    """The pictures of a run, laid out for a base that takes sides of multiples of ``unit``.

    Raises:
        DataError: No picture is left, or every validation picture is trained too.
    """
    ledger, screen = Ledger(), screen_of(config)
    ledger.findings += screen.findings()
    table = Path(config.metadata_path).expanduser() if config.metadata_path else None
    root = Path(config.train_data_dir).expanduser() if config.train_data_dir else Path(config.data_path).parent
    records = _read(root, table, screen, ledger)
    if config.eval_data:
        known = {record.digest for record in records}
        own = Ledger()
        others = _read(Path(config.eval_data).expanduser(), None, screen, own)
        ledger.absorb(own)
        validating = [record for record in others if record.digest not in known]
        for record in others:
            if record.digest in known:
                ledger.take_back(record.source, "picture_trained", text("picture_run.trained_too"))
        if not validating:
            raise DataError("picture_run.no_validation_left", where=config.eval_data)
        trained = records
    else:
        aside = held_out(records, config.eval_ratio, config.seed)
        validating = [record for i, record in enumerate(records) if i in aside]
        trained = [record for i, record in enumerate(records) if i not in aside]
        if config.eval_ratio and not validating:
            ledger.findings.append(_no_validation(records))
    ledger.validation = len(validating)
    documents, held = lay_out(trained, resolution, unit), lay_out(validating, resolution, unit)
    ledger.findings += fitting_findings([*documents, *held])
    shown = documents * config.repeats + _prior(config, len(documents) * config.repeats, resolution, unit, ledger)
    ledger.check_sum()
    return PictureRows(shown, held, ledger)


def _no_validation(records: Sequence[PictureRecord]) -> Finding:
    key = "picture_run.no_validation"
    return Finding("warning", "no_validation", "", text(key, count=len(records)), fix_for(key, least=FEWEST))


def _prior(config: Config, most: int, resolution: int, unit: int, ledger: Ledger) -> list[PictureDocument]:
    """Pictures of the same kind that are learned beside, an account of their own; those of ``prior_images``."""
    if not config.prior_images:
        return []
    own = Ledger()
    records = _read(Path(config.prior_images).expanduser(), None, screen_of(config), own)
    said = text("picture_run.prior", count=len(records), most=min(most, len(records)))
    ledger.findings += [Finding("info", "prior", config.prior_images, said), *own.findings]
    if len(records) > most:
        ledger.findings.append(Finding("warning", "prior_left", config.prior_images, text("picture_run.prior_left")))
    for entry in own.left_out:
        ledger.findings.append(Finding("warning", f"prior_{entry.reason}", entry.source, entry.note))
    order = sorted(records, key=lambda r: sha256(f"{config.seed} {r.digest}".encode()).digest())
    return lay_out(order[:most], resolution, unit, prior=True)


def _read(root: Path, table: Path | None, screen: Screen, ledger: Ledger) -> list[PictureRecord]:
    """The pictures below ``root``, their captions without personal data."""
    records = read_pictures(root, ledger, table)
    ledger.findings += findings_of([(r.path.relative_to(root).as_posix(), r.looks) for r in records])
    by_source: dict[str, list[PictureRecord]] = {}
    for record in records:  # a.png and a.jpg share a.txt
        by_source.setdefault(record.source, []).append(record)
    captions = (Record((Message("assistant", r.caption),), r.source) for r in records)
    left = [replace(by_source[c.source].pop(0), caption=c.answer) for c in screen.records(captions, ledger)]
    if not left:
        raise none_left(root, ledger)
    return left


def held_out(records: Sequence[PictureRecord], ratio: float, seed: int) -> set[int]:
    """Which records validate: by a hash of seed and picture, whatever their names and order; none of very few.

    All copies of a picture are on one side.
    """
    pictures = sorted({r.digest for r in records}, key=lambda d: sha256(f"{seed} {d}".encode()).digest())
    count = min(max(1, round(ratio * len(pictures))), len(pictures) - 1) if ratio and len(pictures) >= FEWEST else 0
    chosen = set(pictures[:count])
    return {i for i, record in enumerate(records) if record.digest in chosen}
