"""One run over one file: how to rewrite its texts, and what was found where."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from lora_scripts.data.ledger import Finding
from lora_scripts.data.pii.desensitize import ASCII_MARKS, MARKS, Edit, apply_edits, find_edits, rewrite
from lora_scripts.data.pii.find import PII_TYPES
from lora_scripts.messages import fix_for, text

_LABEL = re.compile(r"[^\d\n]{1,16}")
_WHOLE_FRACTION = re.compile(r"[0-9]{7,20}\.0")


class FileHit(NamedTuple):
    """One piece of personal data: its type, ``file:line`` or ``file:cell``, and the value itself."""

    type: str
    place: str
    value: str


@dataclass(slots=True)
class Pass:
    """How to rewrite the texts of one file, what the file is called in the report, and the hits to fill."""

    mode: str
    types: frozenset[str]
    key: str
    file: str
    marks: dict[str, str] = field(default_factory=lambda: MARKS)
    hits: list[FileHit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def edits(self, content: str, line: int = 1, label: str = "", place: str = "", *, keep: bool = False) -> list[Edit]:
        """What to replace in ``content``; hits are noted at ``place`` or at their line.

        ``keep`` is for what must stay in mode ``drop`` (the header of a table): it is masked.
        """
        if not content:
            return []
        label = label if _LABEL.fullmatch(label) else ""
        mode = "mask" if keep and self.mode == "drop" else self.mode
        # A number that a spreadsheet made a fraction of: 13800138000.0 is no sum of money.
        shown = content[:-2] if _WHOLE_FRACTION.fullmatch(content) else content
        edits, hits = find_edits(shown, mode=mode, types=self.types, key=self.key, label=label, marks=self.marks)
        self.hits += [FileHit(hit.type, f"{self.file}:{place or line + hit.line}", hit.value) for hit in hits]
        if edits and len(shown) < len(content) and edits[-1].end == len(shown):
            edits[-1] = edits[-1]._replace(end=len(content))
        return edits

    def rewrite(self, content: str, line: int = 1, label: str = "", place: str = "", *, keep: bool = False) -> str:
        """``content`` without personal data."""
        edits = self.edits(content, line, label, place, keep=keep)
        return apply_edits(content, edits) if edits else content

    def holds_any(self, content: str, line: int = 1, label: str = "", place: str = "") -> bool:
        """Whether there is anything to leave out; notes it."""
        count = len(self.hits)
        self.edits(content, line, label, place)
        return len(self.hits) > count

    def move_hits(self, first: int, place: str) -> bool:
        """Say of all hits from number ``first`` on that they are at ``place``; whether there are any."""
        self.hits[first:] = [hit._replace(place=f"{self.file}:{place}") for hit in self.hits[first:]]
        return len(self.hits) > first

    def remark(self, severity: str, kind: str, **values: object) -> None:
        """Note a finding about the file."""
        key = f"desensitize.finding.{kind}"
        self.findings.append(Finding(severity, kind, self.file, text(key, **values), fix_for(key)))


def safe_text(words: str) -> str:
    """``words`` for a message: personal data in it is masked."""
    types = frozenset(PII_TYPES) - {"amount", "address"}
    masked = rewrite(words, mode="mask", types=types, marks=ASCII_MARKS)[0]
    # A name of a file is read in its parts too: signs join words there.
    parts = re.split(r"([/\\_.\s]+)", masked)
    return "".join(rewrite(part, mode="mask", types=types, marks=ASCII_MARKS)[0] for part in parts)
