"""The ledger: the account of every input record, where it ended and why."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from lora_scripts.data.records import Record
from lora_scripts.errors import LoraScriptsError

MOST_LISTED = 10_000  # places kept per reason; the counts stay exact beyond it


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


class Sources:
    """Places (``file:line``) of many records, at 12 bytes each."""

    __slots__ = ("_file", "_files", "_line", "_names")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._files: dict[str, int] = {}
        self._file = array("I")
        self._line = array("q")

    def __len__(self) -> int:
        return len(self._file)

    def add(self, source: str) -> None:
        """Append ``source``; a number behind its last colon is kept as a number."""
        file, colon, line = source.rpartition(":")
        plain = bool(colon) and line.isascii() and line.isdecimal() and len(line) < 19 and str(int(line)) == line
        name, number = (file, int(line)) if plain else (source, -1)
        at = self._files.get(name)
        if at is None:
            at = self._files[name] = len(self._names)
            self._names.append(name)
        self._file.append(at)
        self._line.append(number)

    def __getitem__(self, index: int) -> str:
        name, line = self._names[self._file[index]], self._line[index]
        return name if line < 0 else f"{name}:{line}"


@dataclass(slots=True)
class Ledger:
    """Bins of one reading: ``read`` counts what came in, ``kept`` and ``bins`` where it went; ``check_sum`` compares.

    Attributes:
        read: Input records seen.
        kept: Those that are trained on or validate.
        validation: Those of ``kept`` that are set aside for validation.
        bins: The others, counted by reason.
        left_out: Their places, at most ``MOST_LISTED`` for each reason; ``unlisted`` counts the rest.
        distributions: Lengths and openings, made by ``findings.Finder``.
        personal_data: Places (``file:line``, the first 1000) of what was taken out, by type.
        personal_counts: How much that was, by type.
        units: Units of the files (non-blank lines, filled cells, keys) by what they were read as, see
            ``records.UNIT_ROLES``.
        samples: The first records as they are learned. Shown on the terminal; no file holds them.
    """

    read: int = 0
    kept: int = 0
    validation: int = 0
    bins: dict[str, int] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    distributions: dict[str, dict[str, int]] = field(default_factory=dict)
    personal_data: dict[str, list[str]] = field(default_factory=dict)
    personal_counts: dict[str, int] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)
    samples: list[Record] = field(default_factory=list)

    @property
    def trained(self) -> int:
        """Number of records that will be trained on."""
        return self.kept - self.validation

    @property
    def unlisted(self) -> int:
        """Left-out records whose places are not kept because there are too many."""
        return sum(self.bins.values()) - len(self.left_out)

    def reasons(self) -> dict[str, int]:
        """Left-out records by reason."""
        return dict(self.bins)

    def leave_out(self, source: str, reason: str, note: str = "") -> None:
        """Put one read record into the bin ``reason``."""
        self.bins[reason] = count = self.bins.get(reason, 0) + 1
        if count <= MOST_LISTED:
            self.left_out.append(LeftOut(source, reason, note))

    def take_back(self, source: str, reason: str, note: str = "", *, validation: bool = False) -> None:
        """Move a record that was kept into the bin ``reason``; ``validation`` if it was set aside for that."""
        self.kept -= 1
        self.validation -= validation
        self.leave_out(source, reason, note)

    def absorb(self, other: Ledger) -> None:
        """Add the account of another reading to this one."""
        self.read += other.read
        self.kept += other.kept
        self.validation += other.validation
        room = {reason: MOST_LISTED - min(self.bins.get(reason, 0), MOST_LISTED) for reason in other.bins}
        for entry in other.left_out:
            if room[entry.reason] > 0:
                room[entry.reason] -= 1
                self.left_out.append(entry)
        for reason, count in other.bins.items():
            self.bins[reason] = self.bins.get(reason, 0) + count
        self.findings += other.findings
        self.decisions += other.decisions
        self.units.update(other.units)
        self.samples += other.samples
        for kind, count in other.personal_counts.items():
            self.personal_counts[kind] = self.personal_counts.get(kind, 0) + count
            self.personal_data.setdefault(kind, []).extend(other.personal_data.get(kind, []))
        for name, told in other.distributions.items():
            mine = self.distributions.setdefault(name, {})
            for key, count in told.items():
                mine[key] = max(mine.get(key, 0), count) if key == "longest" else mine.get(key, 0) + count

    def check_sum(self) -> None:
        """Hold what was read against where it went.

        Raises:
            LoraScriptsError: A record is missing or counted twice: a bug of ours, and no run goes on with it.
        """
        out = sum(self.bins.values())
        if self.read != self.trained + self.validation + out or min(self.trained, self.validation) < 0:
            counts = {"read": self.read, "trained": self.trained, "validation": self.validation, "left_out": out}
            raise LoraScriptsError("report.does_not_add_up", **counts)
