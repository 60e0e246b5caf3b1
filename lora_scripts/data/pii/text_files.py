"""Text files without personal data: decoded, changed where something stands, and encoded as they were."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from lora_scripts.data.pii.desensitize import ASCII_MARKS
from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError


def text_writer(change: Callable[[str, Pass], str]) -> Callable[[Path, Pass], bytes]:
    """A writer for a kind of text file; ``change`` gets the text with its line ends and byte order mark."""

    def write(path: Path, job: Pass) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError("desensitize.cannot_read", where=job.file, why=error.strerror or str(error)) from None
        decoded = decode(data, job.file)
        encoding = decoded.encoding
        if decoded.strays:  # single lines in a second encoding: the copy has one
            job.remark("warning", "one_encoding", count=len(decoded.strays), other=decoded.other, encoding=encoding)
            content = _in_one(data, frozenset(decoded.strays), encoding, decoded.other)
        else:
            content = data.decode(encoding)
        try:
            return change(content, job).encode(encoding)
        except UnicodeEncodeError:  # no Chinese in this encoding
            job.hits.clear()
            job.marks, job.mode = ASCII_MARKS, "mask" if job.mode == "pseudonym" else job.mode
            return change(content, job).encode(encoding)

    return write


def _in_one(data: bytes, strays: frozenset[int], encoding: str, other: str) -> str:
    lines = data.split(b"\n")
    return "\n".join(line.decode(other if n in strays else encoding) for n, line in enumerate(lines, 1))


def paragraphs(content: str, job: Pass) -> str:
    """Running text; in mode ``drop`` paragraphs between blank lines are left out."""
    if job.mode != "drop":
        return job.rewrite(content)
    return _without(re.split(r"((?:\r\n|\n|\r)(?:[ \t　]*(?:\r\n|\n|\r))+)", content), job)


def lines(content: str, job: Pass) -> str:
    """A log; in mode ``drop`` lines are left out."""
    if job.mode != "drop":
        return job.rewrite(content)
    return _without(re.split(r"(\r\n|\n|\r)", content), job)


def _without(pieces: list[str], job: Pass) -> str:
    """The pieces (each followed by its separator) that hold no personal data."""
    kept, line = [], 1
    for piece, gap in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if not job.holds_any(piece, line):
            kept += [piece, gap]
        line += piece.count("\n") + gap.count("\n")
    return "".join(kept)
