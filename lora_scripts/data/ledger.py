"""The ledger: the account of every input record, where it ended and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that will not be trained on: ``reason`` is its bin, ``note`` says more (never raw personal data)."""

    source: str
    reason: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the user should know; ``severity`` is ``info``, ``warning`` or ``danger``."""

    severity: str
    kind: str
    where: str
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a file was read: what was taken for its encoding, its shape, its roles or columns."""

    file: str
    encoding: str
    format: str
    detail: str


@dataclass(slots=True)
class Ledger:
    """Bins of one reading. ``read = kept + len(left_out)`` by construction.

    ``validation`` counts those of ``kept`` that are set aside for validation.
    """

    kept: int = 0
    validation: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Number of input records seen."""
        return self.kept + len(self.left_out)

    @property
    def trained(self) -> int:
        """Number of records that will be trained on."""
        return self.kept - self.validation

    def reasons(self) -> dict[str, int]:
        """Left-out records by reason."""
        return dict(Counter(entry.reason for entry in self.left_out))

    def leave_out(self, source: str, reason: str, note: str = "") -> None:
        """Put one read record into the bin ``reason``."""
        self.left_out.append(LeftOut(source, reason, note))
