"""The beginning of a file of rows: what columns are decided on, and how the user is asked about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lora_scripts.data.reading.ambiguity import Settings, ambiguous, try_alternatives
from lora_scripts.data.records import Draft
from lora_scripts.errors import DataError

Names = Mapping[str, str | Sequence[str]] | None


class Row(NamedTuple):
    """A row of a table or a value of JSON.

    Attributes:
        line: Where it begins.
        value: Column name → value; from JSON also a list of messages or a pair of texts. None with a ``problem``.
        problem: Why it cannot be read.
        index_on_line: ``Draft.index``.
        reason: The bin that a row with a problem goes to.
    """

    line: int
    value: Any
    problem: str = ""
    index_on_line: str = ""
    reason: str = "unreadable"


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a file or sheet.

    Attributes:
        rows: These.
        file: For messages.
        part: Sheet or table, see ``Draft``.
        line: Where the names of the columns stand.
        columns: The user's names of columns.
        roles: The user's names of speakers.
        reread: The drafts of these rows under other settings.
    """

    rows: Sequence[Row]
    file: str
    part: str
    line: int
    columns: Names
    roles: Names
    reread: Callable[[Settings], Iterable[Draft]]

    @property
    def place(self) -> str:
        """``file[part]:line``."""
        return f"{self.file}{self.part}:{self.line}"

    def question(self, key: str, settings: Sequence[Settings], **values: object) -> DataError:
        """The error that asks which of ``settings`` is meant, as far as they give records; ``key`` is its text."""
        return ambiguous(key, self.place, try_alternatives(settings, self.reread, self.file), **values)
