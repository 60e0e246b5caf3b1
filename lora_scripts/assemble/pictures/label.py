"""`label`: words for a folder of pictures, of a captioner and ranked by CLIP, into metadata.csv and a sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from lora_scripts.data.pictures.contact_sheet import contact_sheet
from lora_scripts.data.pictures.metadata import Line, matched, read_table, write_table
from lora_scripts.data.pictures.opening import Unreadable, find_pictures, open_picture
from lora_scripts.data.pictures.reading import caption_of_picture, tables_in
from lora_scripts.data.pictures.tags import Tag, vocabulary
from lora_scripts.errors import DataError, Interrupted, UsageError
from lora_scripts.messages import text
from lora_scripts.models.captioner import MOST_TOKENS, Captioner, load_captioner
from lora_scripts.models.clip import Clip, load_clip
from lora_scripts.models.text import resolve_device

TAGS_FILE = "tags.txt"
"""A CLIP folder that knows only some words brings its own vocabulary under this name."""
PICTURES_AT_ONCE = 16
FLAWS = {
    "empty": "pictures.sentence_empty",
    "repeats": "pictures.sentence_repeats",
    "cut": "pictures.sentence_cut",
}
"""The line about sentences with each flaw."""


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
    captioner: Path | None = None,
    tags_files: Sequence[Path] = (),
    wishes: Wishes | None = None,
    overwrite: bool = False,
    device: str = "auto",
    say: Callable[[str], None],
) -> Labelled:
    """Write words for every picture below ``root`` that has no line in ``output`` yet, and write both files.

    The words are the sentence of the model in the folder ``captioner``, if there is one, and the tags that rank first.

    Raises:
        UsageError: ``root`` is not there, ``output`` is no CSV file, or no tag may be given and no sentence.
        DataError: No picture can be read or gets words, or a tags or metadata file cannot be read.
        ModelError: The CLIP model or the captioner cannot be used.
        Interrupted: Ctrl-C; what was labelled until then is written.
    """
    if not root.exists():
        raise UsageError("pictures.no_folder", where=root)
    if output.suffix.lower() != ".csv":
        raise UsageError("pictures.not_csv", where=output)
    wishes = wishes or Wishes()
    if not wishes.most_tags and captioner is None:
        raise UsageError("pictures.no_words_wanted", where="--max-tags 0")
    own = clip_model / TAGS_FILE
    tags = _tags(tags_files, own, wishes, say) if wishes.most_tags else []
    folder = root if root.is_dir() else root.parent
    asked = find_pictures(root)
    if not asked:
        raise DataError("pictures.none_there", where=root)
    paths = find_pictures(folder)
    known, astray = _known(output, paths, overwrite, say)
    if not overwrite:
        known = _taken_over(output, tables_in(folder), paths, known, say)
    wanted = {name: path for name, path in asked.items() if overwrite or name not in known}
    told = _Told()
    found: dict[str, str] = {}
    if wanted:
        ranked, sentences = _models(tags, clip_model, captioner, device, wishes, say)
        label = partial(_label_some, ranked=ranked, captioner=sentences, wishes=wishes, told=told, say=say)
        found = _label_all(wanted, label, told, say)
        told.sum_up(wishes, say)
    captions = {name: words for name in paths if (words := found.get(name) or known.get(name))}
    if not captions or (overwrite and not found):
        key = "pictures.none_worded" if told.wordless else "pictures.none_readable"
        raise DataError(key, where=root, count=len(asked))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_table(output, [*captions.items(), *((line.name, line.caption) for line in astray)])
    sheet = output.with_suffix(".html")
    sheet.write_text(contact_sheet(folder, captions, output), encoding="utf-8")
    if told.is_stopped:
        key, done = ("pictures.label_stopped_anew", found) if overwrite else ("pictures.label_stopped", captions)
        raise Interrupted(key, where=output, done=len(done), count=len(paths))
    return Labelled(captions, len(captions) - len(found), dict(told.left_out), sheet)


@dataclass(slots=True)
class _Told:
    """What is to be told of pictures when all are done: left out ones by reason, and the names of doubtful ones."""

    left_out: Counter[str] = field(default_factory=Counter)
    unsure: list[str] = field(default_factory=list)
    wordless: list[str] = field(default_factory=list)
    flaws: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    is_stopped: bool = False

    def sum_up(self, wishes: Wishes, say: Callable[[str], None]) -> None:
        """A line for each kind of doubt."""
        if self.unsure:
            first, count = self.unsure[0], len(self.unsure)
            say(text("pictures.unsure", count=count, first=first, threshold=wishes.threshold))
        for flaw, key in FLAWS.items():
            if found := self.flaws.get(flaw):
                name, words = found[0]
                say(text(key, count=len(found), first=name, words=words[:80], most=MOST_TOKENS))
        if self.wordless:
            say(text("pictures.wordless", count=len(self.wordless), first=self.wordless[0]))


def _tags(files: Sequence[Path], own: Path, wishes: Wishes, say: Callable[[str], None]) -> list[Tag]:
    """The tags that may be given; the file ``own`` of a CLIP that knows only some words stands in place of ours.

    Raises:
        UsageError: Every tag is undesired.
        DataError: A file cannot be read.
    """
    tags = vocabulary(files, instead=own if own.is_file() else None)
    words = {word for tag in tags for word in (tag.english, tag.chinese)}
    for option, named in (("--undesired", wishes.undesired), ("--replace", wishes.replaced)):
        if unknown := [word for word in named if word not in words]:
            say(text("pictures.no_such_tag", option=option, names=", ".join(sorted(unknown))))
    left = [tag for tag in tags if not {tag.english, tag.chinese} & wishes.undesired]
    if not left:
        raise UsageError("pictures.all_undesired", where="--undesired")
    return left


def _known(
    table: Path, pictures: Collection[str], overwrite: bool, say: Callable[[str], None]
) -> tuple[dict[str, str], list[Line]]:
    """The captions that stand in the table, and its lines that no picture gets: both are the user's work and stay.

    With ``overwrite`` captions stay where no new one comes, and those lines do not; nor does a table's failing matter.

    Raises:
        DataError: It cannot be read, or has columns that would be lost when it is written again.
    """
    if not table.is_file():
        return {}, []
    try:
        lines = read_table(table).lines
    except DataError:
        if not overwrite:
            raise
        return {}, []
    if not overwrite and (others := next((line.others for line in lines if line.others), ())):
        raise DataError("pictures.more_columns", where=table, names=", ".join(others))
    found, astray = matched(lines, pictures)
    if astray:
        key = "pictures.dropped_lines" if overwrite else "pictures.lines_astray"
        say(text(key, count=len(astray), first=astray[0].line.source))
    kept = [] if overwrite else [one.line for one in astray]
    return {name: line.caption for name, line in found.items() if line.caption}, kept


def _taken_over(
    table: Path,
    tables: Sequence[Path],
    pictures: Mapping[str, Path],
    known: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, str]:
    """``known`` and the captions that the table would put out of use: of the folder's other tables and text files."""
    lines: dict[str, Line] = {}
    for other in tables:
        if not table.exists() or not other.samefile(table):
            lines = matched(read_table(other).lines, pictures)[0] | lines
    words = {name: caption_of_picture(name, path, lines) for name, path in pictures.items() if name not in known}
    elsewhere = {name: caption for name, (caption, source) in words.items() if source != name}
    if elsewhere:
        say(text("pictures.taken_over", count=len(elsewhere), path=table, first=next(iter(elsewhere))))
    return {**known, **elsewhere}


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


def _models(
    tags: Sequence[Tag],
    clip_model: Path,
    captioner: Path | None,
    device: str,
    wishes: Wishes,
    say: Callable[[str], None],
) -> tuple[_Ranked | None, Captioner | None]:
    """What ranks the tags, and what writes a sentence; lines say what they cannot do."""
    place, notes = resolve_device(device)
    for note in notes:
        say(note)
    ranked = _Ranked(load_clip(clip_model, place), tags) if tags else None
    sentences = load_captioner(captioner, place) if captioner else None
    if ranked and (own := clip_model / TAGS_FILE).is_file():
        say(text("pictures.few_words", folder=clip_model, count=len(tags), file=own))
    if ranked and sentences and wishes.language == "zh":
        say(text("pictures.sentence_language"))
    return ranked, sentences


def _label_all(
    paths: Mapping[str, Path],
    label: Callable[[Mapping[str, Path]], dict[str, str]],
    told: _Told,
    say: Callable[[str], None],
) -> dict[str, str]:
    """The captions that ``label`` gives to some at a time, of all or of those before Ctrl-C."""
    found: dict[str, str] = {}
    names = list(paths)
    try:
        for i in range(0, len(names), PICTURES_AT_ONCE):
            some = {name: paths[name] for name in names[i : i + PICTURES_AT_ONCE]}
            found |= label(some)
            say(text("pictures.progress", done=i + len(some), count=len(names)))
    except KeyboardInterrupt:
        if not found:
            raise
        told.is_stopped = True
    return found


def _label_some(
    paths: Mapping[str, Path],
    ranked: _Ranked | None,
    captioner: Captioner | None,
    wishes: Wishes,
    told: _Told,
    say: Callable[[str], None],
) -> dict[str, str]:
    """The captions of those that can be read; ``told`` grows by the others and the doubtful ones."""
    opened: dict[str, Image] = {}
    for name, path in paths.items():
        try:
            picture = open_picture(path)
        except Unreadable as error:
            told.left_out[error.bin] += 1
            say(f"{name}: {error}")
            continue
        opened[name] = picture.image
        for note in picture.notes:
            say(f"{name}: {note}")
    if not opened:
        return {}
    pictures = list(opened.values())
    best: dict[str, list[tuple[Tag, float]]] = {}
    if ranked:
        features_ND = ranked.clip.of_pictures(pictures)
        best = {name: ranked.best(features_D) for name, features_D in zip(opened, features_ND, strict=True)}
        told.unsure += [name for name, tags in best.items() if tags[0][1] < wishes.threshold]
    said: dict[str, str] = {}
    for name, one in zip(opened, captioner.of_pictures(pictures), strict=True) if captioner else ():
        if one.flaw:
            told.flaws.setdefault(one.flaw, []).append((name, one.words))
        said[name] = "" if one.flaw == "repeats" else one.words
    captions = {name: caption_of(best.get(name, []), wishes, said.get(name, "")) for name in opened}
    told.wordless += [name for name, caption in captions.items() if not caption]
    return {name: caption for name, caption in captions.items() if caption}


def caption_of(best: Sequence[tuple[Tag, float]], wishes: Wishes, sentence: str = "") -> str:
    """The words for one picture: the prefix, the sentence, then the sure tags in the order of their kinds' sureness.

    Where none is sure enough the surest one is taken, since a picture without words teaches nothing.
    """
    sure = [tag for tag, probability in best if probability >= wishes.threshold] or [tag for tag, _ in best[:1]]
    words = [_replaced(tag, wishes) for tag in sure[: wishes.most_tags]]
    comma = "，" if wishes.language == "zh" else ", "
    return comma.join(dict.fromkeys(word for word in [wishes.prefix, sentence, *words] if word))


def _replaced(tag: Tag, wishes: Wishes) -> str:
    """The word for a tag; a replacement may name it in either language."""
    word = tag.word(wishes.language)
    return next((wishes.replaced[w] for w in (word, tag.english, tag.chinese) if w in wishes.replaced), word)
