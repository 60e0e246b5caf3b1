"""A text file to read from: held in memory where it is small, else decoded line by line from disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lora_scripts.data.reading.encodings import decode, survey
from lora_scripts.data.records import Remark
from lora_scripts.errors import DataError

WHOLE = 16 << 20  # bytes up to which a file is held; some shapes are only told from a whole text


@dataclass(frozen=True, slots=True)
class Source:
    """A text with its name and encoding; ``remarks`` are what its bytes gave to say.

    ``whole`` is None for a file that is read from ``path`` by ``codec`` instead.
    """

    where: str
    encoding: str = "utf-8"
    whole: str | None = None
    path: Path = Path()
    codec: str = "utf-8"
    remarks: list[Remark] = field(default_factory=list)

    def text(self) -> str:
        """All of it, with line ends as ``\\n``; for a large file too, where there is no other way."""
        return self.path.read_text(encoding=self.codec) if self.whole is None else self.whole

    def lines(self) -> Iterator[str]:
        """Its lines without their ends, from the beginning; of a large file one is held at a time."""
        if self.whole is not None:
            yield from self.whole.split("\n")
            return
        with self.path.open(encoding=self.codec) as file:
            for line in file:
                yield line[:-1] if line.endswith("\n") else line


def open_source(path: Path, where: str) -> Source:
    """The text of a file.

    Raises:
        DataError: Empty, not text, or in no encoding that is certain.
    """
    if path.stat().st_size > WHOLE:
        found = survey(path, where)
        source = Source(where, found.encoding, None, path, found.codec)
        guessed, replaced, line = found.guessed, found.replaced, found.line
    else:
        decoded = decode(path.read_bytes(), where)
        if not decoded.text.strip():
            raise DataError("data.empty_file", where=where)
        source = Source(where, decoded.encoding, decoded.text)
        guessed, replaced = decoded.guessed, decoded.text.count("\ufffd")
        line = decoded.text.count("\n", 0, decoded.text.find("\ufffd")) + 1 if replaced else 0
        if decoded.strays:
            shown = ", ".join(map(str, decoded.strays[:12])) + (" …" if len(decoded.strays) > 12 else "")
            values = {"count": len(decoded.strays), "other": decoded.other, "main": decoded.encoding, "lines": shown}
            source.remarks.append(("warning", "stray_encoding", decoded.strays[0], values))
    if guessed:
        source.remarks.append(("warning", "guessed_encoding", 0, {"encoding": source.encoding}))
    if replaced:
        source.remarks.append(("warning", "replacement_characters", line, {"count": replaced}))
    return source
