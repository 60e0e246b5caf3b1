"""The words that a CLIP model ranks for a picture, in English and Chinese, by kind.

A vocabulary is a text file (``tags.txt`` beside this one is ours): a line in brackets begins a kind and says how CLIP
is asked, then a tag a line, ``english = 中文``. A second file adds to the kinds of the first; its tags win.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError, Problem, problem

HEAD = re.compile(r"\[(?P<kind>[^\]]+)\]\s*(?P<question>.*)")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag; ``question`` is what CLIP compares the picture with."""

    kind: str
    english: str
    chinese: str
    question: str

    def word(self, language: str) -> str:
        """The tag in ``en`` or ``zh``."""
        return self.chinese if language == "zh" else self.english


def read_tags(text: str, where: str) -> list[Tag]:
    """The tags of a vocabulary in order; a tag that stands there twice counts once.

    Raises:
        DataError: A line says nothing, with every such line.
    """
    kind, question = "subject", "{}"
    found: dict[str, Tag] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if head := HEAD.fullmatch(line):
            kind, question = head["kind"].strip(), head["question"].strip() or "{}"
            if question.count("{}") != 1 or "{" in question.replace("{}", ""):
                problems.append(problem("pictures.bad_question", f"{where}:{number}", question=question))
                question = "{}"
            continue
        if line.startswith("["):
            problems.append(problem("pictures.open_bracket", f"{where}:{number}"))
            continue
        english, _, chinese = (part.strip() for part in line.partition("="))
        if not english:
            problems.append(problem("pictures.empty_tag", f"{where}:{number}"))
            continue
        found.setdefault(english, Tag(kind, english, chinese or english, question.replace("{}", english)))
    if problems:
        raise DataError(problems)
    return list(found.values())


def vocabulary(paths: Iterable[Path] = (), *, instead: Path | None = None) -> list[Tag]:
    """Our tags, or those of the file ``instead``, and those of ``paths`` after them or in place of their like.

    Raises:
        DataError: A file cannot be read as tags, or there is no tag at all.
    """
    own = (files(__package__) / "tags.txt").read_text(encoding="utf-8")
    tags = read_tags(own, "tags.txt") if instead is None else _of_file(instead)
    for path in paths:
        tags = list(({tag.english: tag for tag in tags} | {tag.english: tag for tag in _of_file(path)}).values())
    return tags


def _of_file(path: Path) -> list[Tag]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError("pictures.no_tags_file", where=path, reason=error.strerror or error) from error
    tags = read_tags(decode(data, str(path)).text, str(path))
    if not tags:
        raise DataError("pictures.no_tags", where=path)
    return tags
