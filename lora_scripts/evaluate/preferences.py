"""A sheet that the expert ticked: pairs of a better and a worse answer, or the corrected answers alone.

What a tick gives: *adapter better* chooses the adapter's answer over the base's, *base better* the reverse. A
correction, under any tick or none, is chosen over the adapter's answer, and is then the only pair of its question:
the adapter's answer is what training on preferences moves, so it must not be chosen in one pair and rejected in
another. *Both good* and *both bad* give no pair without a correction.

In Markdown the adapter's answer may also be edited where it stands, in its table: that is a correction too.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from lora_scripts.data.reading.encodings import decode
from lora_scripts.data.records import Message
from lora_scripts.errors import DataError, Problem, problem
from lora_scripts.evaluate.sheet import BEGIN, CHOICES, END, SIDES, from_cell, in_cell, json_line
from lora_scripts.evaluate.sheet_page import DATA_ID
from lora_scripts.messages import text
from lora_scripts.messages.evaluate import TEXTS

_DATA = re.compile(rf"{re.escape(BEGIN)} \d+ (\{{.*\}}) -->")
_BOX = re.compile(r"[-*+]\s*\[(?P<mark>[^\]]*)\]\s*(?P<label>.+)")
_TICKS = frozenset("xXvV√✓✔☑")
# a sheet may be read under another language than it was written in
_LABELS = {words: choice for choice in CHOICES for words in TEXTS[f"choice.{choice}"]}
_CORRECTION = re.compile(rf">?\s*(?:{'|'.join(map(re.escape, TEXTS['correction']))})\s*:(?P<rest>.*)", re.IGNORECASE)
ROLES = ("system", "user", "assistant")
_NAMED = 5  # places that a line names


@dataclass(frozen=True, slots=True)
class Preference:
    """One pair: the conversation that asks, the better and the worse answer, the record that it came from."""

    prompt_messages: tuple[Message, ...]
    chosen: str
    rejected: str
    source: str


@dataclass(frozen=True, slots=True)
class Correction:
    """An answer that the expert wrote in place of the adapter's, and the conversation that asks for it."""

    prompt_messages: tuple[Message, ...]
    answer: str


@dataclass(slots=True)
class _Ticked:
    """One question of a sheet as the expert left it; ``told`` is what ``sheet.told`` wrote."""

    where: str
    told: Any
    choices: list[str] = field(default_factory=list)
    last_tick: str = ""  # its place
    correction: str = ""


def read_sheet(path: str | Path, say: Callable[[str], None]) -> list[Preference]:
    """The pairs of a ticked sheet: Markdown, the JSON of the page's button, or the page as a browser saved it.

    Args:
        path: The sheet; ``.json``, ``.html`` or ``.htm``, else Markdown.
        say: Gets a line for each reason that left questions without a pair: unticked ones, ticks without a
            correction that say nothing about which is better, answers that are equal or empty.

    Raises:
        DataError: The file cannot be read or is no sheet, a question has ticks that contradict each other, a line
            is not understood, or no pair comes out; all problems at once, with their lines.
    """
    return _pairs(_questions(path), path, say)


def read_corrections(path: str | Path, say: Callable[[str], None]) -> list[Correction]:
    """The corrected answers of a sheet, in any form that ``read_sheet`` takes.

    Args:
        path: The sheet.
        say: Gets a line where questions have ticks but no correction: those make preference data only.

    Raises:
        DataError: As ``read_sheet``; or no question has a correction.
    """
    asked = _questions(path)
    corrected = [one for one in asked if one.correction]
    if not corrected:
        raise DataError("evaluate.no_corrections", where=path, count=len(asked))
    if ticks := sum(1 for one in asked if one.choices and not one.correction):
        say(text("evaluate.ticks_only", count=ticks))
    return [Correction(_prompt(one), one.correction) for one in corrected]


def is_filled_in(path: str | Path) -> bool:
    """Whether somebody ticked or wrote anything in a sheet; also where it cannot be read any more."""
    try:
        return any(one.choices or one.correction for one in _questions(path))
    except DataError:
        return True


def correction_lines(corrections: Sequence[Correction]) -> str:
    """JSON lines, ``{"messages": […]}``, as training reads them."""
    lines = []
    for one in corrections:
        told = [*one.prompt_messages, Message("assistant", one.answer)]
        lines.append(json_line({"messages": [{"role": m.role, "content": m.content} for m in told]}) + "\n")
    return "".join(lines)


def _prompt(one: _Ticked) -> tuple[Message, ...]:
    return tuple(Message(message["role"], message["content"]) for message in one.told["messages"])


def _questions(path: str | Path) -> list[_Ticked]:
    """The questions of a sheet, each whole and without contradicting ticks."""
    try:
        content = decode(Path(path).expanduser().read_bytes(), str(path)).text
    except OSError as error:
        raise DataError("evaluate.sheet_unreadable", where=path, reason=error.strerror or error) from None
    suffix = Path(path).suffix.lower()
    wrong: list[Problem] = []
    if suffix == ".json":
        ticked = list(_from_json(content, str(path)))
    elif suffix in (".html", ".htm"):
        ticked = list(_from_page(content, str(path)))
    else:
        ticked = list(_from_markdown(content, str(path), wrong))
    if not ticked and not wrong:
        raise DataError("evaluate.no_sheet", where=path)
    for one in ticked:
        if len(one.choices) > 1:
            both = " + ".join(text(f"evaluate.choice.{choice}") for choice in one.choices)
            wrong.append(problem("evaluate.contradiction", one.last_tick or one.where, ticks=both))
        elif not _is_whole(one):
            wrong.append(problem("evaluate.entry_broken", one.where))
    if wrong:
        raise DataError(wrong)
    return ticked


def preference_lines(preferences: Sequence[Preference]) -> str:
    """JSON lines, ``{"messages", "chosen", "rejected", "source"}``, as ``task_type: preference`` reads them."""
    lines = []
    for pair in preferences:
        asked = [{"role": message.role, "content": message.content} for message in pair.prompt_messages]
        line = {"messages": asked, "chosen": pair.chosen, "rejected": pair.rejected, "source": pair.source}
        lines.append(json_line(line) + "\n")
    return "".join(lines)


def _pairs(ticked: Sequence[_Ticked], path: str | Path, say: Callable[[str], None]) -> list[Preference]:
    pairs = []
    without: dict[str, list[str]] = {}
    for one in ticked:
        base, adapter = one.told["base"].strip(), one.told["adapter"].strip()
        if one.correction:
            chosen, rejected = one.correction, adapter
        elif one.choices in (["adapter"], ["base"]):
            chosen, rejected = (adapter, base) if one.choices == ["adapter"] else (base, adapter)
        else:
            without.setdefault("no_correction" if one.choices else "unticked", []).append(one.where)
            continue
        if chosen == rejected or not chosen or not rejected:
            without.setdefault("equal" if chosen == rejected else "empty", []).append(one.where)
            continue
        pairs.append(Preference(_prompt(one), chosen, rejected, one.told["source"]))
    for reason, places in without.items():
        named = ", ".join(places[:_NAMED]) + (" …" if len(places) > _NAMED else "")
        say(text(f"evaluate.without.{reason}", count=len(places), places=named))
    if not pairs:
        raise DataError("evaluate.no_pairs", where=path, count=len(ticked))
    return pairs


def _is_whole(one: _Ticked) -> bool:
    """Whether what the sheet holds of a question is as it was written, and the ticks are ones that exist."""
    told = one.told
    if not isinstance(told, dict) or not isinstance(told.get("messages"), list) or not told["messages"]:
        return False
    asked = [m.get(key) if isinstance(m, dict) else None for m in told["messages"] for key in ("role", "content")]
    words = [told.get("base"), told.get("adapter"), told.get("source"), one.correction, *asked]
    known = all(role in ROLES for role in asked[::2]) and all(choice in CHOICES for choice in one.choices)
    return known and all(isinstance(word, str) for word in words)


def _from_markdown(content: str, name: str, wrong: list[Problem]) -> Iterator[_Ticked]:
    """Questions of a Markdown sheet; only what stands between a question's comment and its end is read."""
    current: _Ticked | None = None
    correction: list[str] | None = None
    table: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):
        where = f"{name}:{number}"
        bare = line.strip()
        if bare.startswith(BEGIN):
            if current:
                wrong.append(problem("evaluate.end_missing", current.where))
            data = _DATA.fullmatch(bare)
            current, correction = _Ticked(where, _json(data[1]) if data else None), None
            current.correction = _edited_answer(current, table, wrong)
            table = []
        elif current and bare.startswith(END):
            current.correction = "\n".join(correction or []).strip() or current.correction
            yield current
            current = None
        elif current and correction is not None:
            correction.append(re.sub(r"^\s*> ?", "", line))
        elif current and (begun := _CORRECTION.fullmatch(unicodedata.normalize("NFKC", bare))):
            # the words of the expert stay as they are; only the label is looked at in another form
            correction = [re.split("[:：]", bare, maxsplit=1)[1]] if begun["rest"].strip() else []
        elif current and bare:
            _tick(current, bare, where, wrong)
        elif bare.startswith("|"):
            table.append(bare)
    if current:
        wrong.append(problem("evaluate.end_missing", current.where))


def _edited_answer(current: _Ticked, table: Sequence[str], wrong: list[Problem]) -> str:
    """The adapter's answer as it stands in the table of a question, where it was edited there; else nothing."""
    told = current.told
    if not isinstance(told, dict) or not all(isinstance(told.get(side), str) for side in SIDES):
        return ""  # told elsewhere
    # an answer's own bars are escaped, so " | " stands between cells only
    as_written = tuple(in_cell(told[side]) for side in SIDES)
    cells = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in table]
    if as_written in cells:
        return ""
    edited = [row[1] for row in cells if len(row) == 2 and row[0] == as_written[0]]
    if len(edited) == 1:
        return from_cell(edited[0])
    wrong.append(problem("evaluate.table_edited", current.where))
    return ""


def _tick(current: _Ticked, line: str, where: str, wrong: list[Problem]) -> None:
    box = _BOX.fullmatch(unicodedata.normalize("NFKC", line))
    choice = _LABELS.get(box["label"].strip()) if box else None
    mark = box["mark"].strip() if box else ""
    if choice is None or (mark and mark not in _TICKS):
        wrong.append(problem("evaluate.line_unknown", where, line=line[:60]))
    elif mark:
        current.last_tick = where
        current.choices.append(choice)


def _from_json(content: str, name: str) -> Iterator[_Ticked]:
    data = _json(content)
    entries = data.get("answers") if isinstance(data, dict) else None
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        if isinstance(entry, dict):
            if "messages" not in entry and "question" in entry:
                entry = {**entry, "messages": [{"role": "user", "content": entry["question"]}]}
            ticks = entry.get("ticked") or []
            said = entry.get("correction") or ""
            choices = ticks if isinstance(ticks, list) else [ticks]
            said = said.strip() if isinstance(said, str) else said
            yield _Ticked(f"{name} [{number}]", entry, choices, correction=said)
        else:
            yield _Ticked(f"{name} [{number}]", None)


def _from_page(content: str, name: str) -> Iterator[_Ticked]:
    page = _Page()
    page.feed(content)
    page.close()
    entries = _json(page.data)
    for number, told in enumerate(entries if isinstance(entries, list) else [], 1):
        ticks = page.ticks.get(str(number), [])
        where, last_tick = (f"{name}:{line}" for line in (page.lines.get(str(number), 1), ticks[-1][0] if ticks else 1))
        correction = page.corrections.get(str(number), "").strip()
        yield _Ticked(where, told, [choice for _, choice in ticks], last_tick, correction)


def _json(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


class _Page(HTMLParser):
    """What a saved page holds: the data, ticks as (line, choice), corrections, the line of each correction."""

    def __init__(self) -> None:
        super().__init__()
        self.data = ""
        self.ticks: dict[str, list[tuple[int, str]]] = {}
        self.corrections: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        name = values.get("name") or ""
        if tag == "input" and "checked" in values:
            self.ticks.setdefault(name, []).append((self.getpos()[0], values.get("value") or ""))
        elif tag == "textarea":
            self._inside, self.lines[name] = name, self.getpos()[0]
        elif tag == "script":
            self._inside = "data" if values.get("id") == DATA_ID else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("textarea", "script"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "data":
            self.data += data
        elif self._inside:
            self.corrections[self._inside] = self.corrections.get(self._inside, "") + data
