"""`label`: tags for a folder of pictures, ranked by CLIP, into metadata.csv and a sheet to look over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lora_scripts.data.pictures.contact_sheet import contact_sheet
from lora_scripts.data.pictures.metadata import Line, matched, read_table, write_table
from lora_scripts.data.pictures.opening import Unreadable, find_pictures, open_picture
from lora_scripts.data.pictures.tags import Tag, vocabulary
from lora_scripts.errors import DataError, UsageError
from lora_scripts.messages import text
from lora_scripts.models.clip import Clip, load_clip
from lora_scripts.models.text import resolve_device

TAGS_FILE = "tags.txt"
"""A CLIP folder that knows only some words brings its own vocabulary under this name."""
PICTURES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caption is made of. ``threshold`` is the least probability of a tag among those of its kind."""

    threshold: float = 0.25
    most_tags: int = 8
    language: str = "en"
    prefix: str = ""
    undesired: frozenset[str] = frozenset()
    replaced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Labelled:
    """What was written: captions by file name, those kept from before, and why pictures were left out."""

    captions: dict[str, str]
    kept: int
    left_out: dict[str, int]
    sheet: Path


def label_folder(
    root: Path,
    output: Path,
    *,
    clip_model: Path,
    tags_files: Sequence[Path] = (),
    wishes: Wishes | None = None,
    overwrite: bool = False,
    device: str = "auto",
    say: Callable[[str], None],
) -> Labelled:
    """Rank the tags for every picture below ``root`` that has no line in ``output`` yet, and write both files.

    Raises:
        UsageError: ``root`` is not there, ``output`` is no CSV file, or every tag is undesired.
        DataError: No picture can be read, or a tags or metadata file cannot.
        ModelError: The CLIP model cannot be used.
    """
    if not root.exists():
        raise UsageError("pictures.no_folder", where=root)
    if output.suffix.lower() != ".csv":
        raise UsageError("pictures.not_csv", where=output)
    wishes = wishes or Wishes()
    own = clip_model / TAGS_FILE
    tags = [
        tag
        for tag in vocabulary(tags_files, instead=own if own.is_file() else None)
        if not {tag.english, tag.chinese} & wishes.undesired
    ]
    if not tags:
        raise UsageError("pictures.all_undesired", where="--undesired")
    folder = root if root.is_dir() else root.parent
    paths = find_pictures(root)
    if not paths:
        raise DataError("pictures.none_there", where=root)
    known, astray = _known(output, paths, overwrite)
    if astray:
        say(text("pictures.lines_astray", count=len(astray), first=astray[0].source))
    wanted = [name for name in paths if name not in known]
    found: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    if wanted:
        place, notes = resolve_device(device)
        for note in notes:
            say(note)
        ranked = _Ranked(load_clip(clip_model, place), tags)
        if own.is_file():
            say(text("pictures.few_words", folder=clip_model, count=len(tags), file=own))
        unsure: list[str] = []
        for i in range(0, len(wanted), PICTURES_AT_ONCE):
            names = wanted[i : i + PICTURES_AT_ONCE]
            found |= _label_some({name: paths[name] for name in names}, ranked, wishes, left_out, unsure, say)
            say(text("pictures.progress", done=min(i + PICTURES_AT_ONCE, len(wanted)), count=len(wanted)))
        if unsure:
            say(text("pictures.unsure", count=len(unsure), first=unsure[0], threshold=wishes.threshold))
    captions = {name: known.get(name, found.get(name, "")) for name in paths if name in known or name in found}
    if not captions:
        raise DataError("pictures.none_readable", where=root, count=len(paths))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_table(output, [*captions.items(), *((line.name, line.caption) for line in astray)])
    sheet = output.with_suffix(".html")
    sheet.write_text(contact_sheet(folder, captions, output), encoding="utf-8")
    return Labelled(captions, len(captions) - len(found), dict(left_out), sheet)


def _known(table: Path, pictures: Collection[str], overwrite: bool) -> tuple[dict[str, str], list[Line]]:
    """The captions that stand in the table, and its lines that no picture gets: both are the user's work and stay.

    Raises:
        DataError: It cannot be read, or has columns that would be lost when it is written again.
    """
    if overwrite or not table.is_file():
        return {}, []
    lines = list(read_table(table))
    if others := next((line.others for line in lines if line.others), ()):
        raise DataError("pictures.more_columns", where=table, names=", ".join(others))
    found, astray = matched(lines, pictures)
    return {name: line.caption for name, line in found.items()}, [one.line for one in astray]


class _Ranked:
    """Tags in order of a picture's likeness to them; the words are looked at once."""

    def __init__(self, clip: Clip, tags: Sequence[Tag]) -> None:
        self.clip, self.tags = clip, tags
        self._words_WD = clip.of_words([tag.question for tag in tags])
        self.kinds: dict[str, list[int]] = {}
        for i, tag in enumerate(tags):
            self.kinds.setdefault(tag.kind, []).append(i)

    def best(self, features_D: Tensor) -> list[tuple[Tag, float]]:
        """The best tag of each kind with its probability among them, the surest one first."""
        alike_W = self._words_WD @ features_D * self.clip.logit_scale
        found = []
        for places in self.kinds.values():
            probabilities = torch.softmax(alike_W[places], 0)
            at = int(probabilities.argmax())
            found.append((self.tags[places[at]], float(probabilities[at])))
        return sorted(found, key=lambda pair: -pair[1])


def _label_some(
    paths: Mapping[str, Path],
    ranked: _Ranked,
    wishes: Wishes,
    left_out: Counter[str],
    unsure: list[str],
    say: Callable[[str], None],
) -> dict[str, str]:
    """The captions of those that can be read; ``left_out`` and ``unsure`` grow by the others and the doubtful ones."""
    opened = {}
    for name, path in paths.items():
        try:
            picture = open_picture(path)
        except Unreadable as error:
            left_out[error.bin] += 1
            say(f"{name}: {error}")
            continue
        opened[name] = picture.image
        for note in picture.notes:
            say(f"{name}: {note}")
    if not opened:
        return {}
    features_ND = ranked.clip.of_pictures(list(opened.values()))
    best = {name: ranked.best(features_D) for name, features_D in zip(opened, features_ND, strict=True)}
    unsure += [name for name, tags in best.items() if tags[0][1] < wishes.threshold]
    return {name: caption_of(tags, wishes) for name, tags in best.items()}


def caption_of(best: Sequence[tuple[Tag, float]], wishes: Wishes) -> str:
    """The words for one picture: the prefix, then the sure tags in the order of their kinds' sureness.

    Where none is sure enough the surest one is taken, since a picture without words teaches nothing.
    """
    sure = [tag for tag, probability in best if probability >= wishes.threshold] or [tag for tag, _ in best[:1]]
    words = [tag.word(wishes.language) for tag in sure[: wishes.most_tags]]
    words = [wishes.replaced.get(word, word) for word in words]
    comma = "，" if wishes.language == "zh" else ", "
    return comma.join(dict.fromkeys(word for word in [wishes.prefix, *words] if word))
