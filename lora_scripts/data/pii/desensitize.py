"""Personal data out of texts and records: masked, put under a pseudonym, or the record left out.

A second pass changes nothing: masking repeats until the detectors find nothing more, marks are never touched, and a
stand-in is known by its looks (stand_ins.py). Counts and places are kept, values never.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES, PiiSpan, check_types, find_pii
from lora_scripts.data.pii.stand_ins import is_stand_in, stand_in
from lora_scripts.data.records import Record
from lora_scripts.errors import ConfigError
from lora_scripts.messages import fix_for, text

MODES = ("mask", "pseudonym", "drop")
MARKS = {
    "id_card": "[身份证]",
    "phone": "[电话]",
    "landline": "[座机]",
    "email": "[邮箱]",
    "bank_card": "[银行卡]",
    "passport": "[护照]",
    "permit": "[通行证]",
    "plate": "[车牌]",
    "uscc": "[信用代码]",
    "case_no": "[案号]",
    "medical_no": "[病历号]",
    "wechat": "[微信]",
    "qq": "[QQ]",
    "ip": "[IP]",
    "mac": "[MAC]",
    "amount": "[金额]",
    "name": "[姓名]",
    "address": "[地址]",
}
# For files in an encoding that has no Chinese.
ASCII_MARKS = {kind: f"[{kind}]" for kind in PII_TYPES}
_MARK = re.compile("|".join(map(re.escape, [*MARKS.values(), *ASCII_MARKS.values()])))
_NOTHING_ELSE = re.compile(rf"(?:{_MARK.pattern}|[\W_])*")
# After these rounds a pseudonym that still looks like somebody's data becomes a mark.
_ROUNDS = 12
_PSEUDONYM_ROUNDS = 4
_PLACES_KEPT = 1000


@dataclass(slots=True)
class Counts:
    """What was found: number and places (``file:line``, the first 1000) by type, and remarks. Holds no value."""

    by_type: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, where: str) -> None:
        """One more of ``kind`` at ``where``."""
        self.by_type[kind] = self.by_type.get(kind, 0) + 1
        places = self.places.setdefault(kind, [])
        if len(places) < _PLACES_KEPT and where not in places[-1:]:
            places.append(where)

    def words(self) -> str:
        """The numbers in words: ``phone 3, email 1``."""
        return ", ".join(f"{kind} {self.by_type[kind]}" for kind in PII_TYPES if self.by_type.get(kind))


def check_mode(mode: str, key: str) -> None:
    """Refuse what cannot be done.

    Raises:
        ConfigError: No such mode, or a pseudonym without a key.
    """
    if mode not in MODES:
        raise ConfigError("desensitize.unknown_mode", name=str(mode)[:40], known=" ".join(MODES))
    if mode == "pseudonym" and not key:
        raise ConfigError("desensitize.no_key")


def desensitize_text(
    content: str, *, mode: str = "mask", types: Iterable[str] | None = DEFAULT_TYPES, key: str = ""
) -> tuple[str, dict[str, int]]:
    """``content`` without personal data of ``types``, and how many were found of each type.

    Args:
        content: Any text.
        mode: ``mask`` puts a mark (``[身份证]``), ``pseudonym`` a stand-in that is the same for the same value under
            the same key; ``drop`` changes nothing, the counts say whether to leave the text out.
        types: Some of ``PII_TYPES``; None is all.
        key: For pseudonyms.

    Raises:
        ConfigError: An unknown mode or type, or no key.
    """
    check_mode(mode, key)
    new, hits = rewrite(content, mode=mode, types=check_types(types), key=key)
    return new, dict(Counter(hit.type for hit in hits))


class Edit(NamedTuple):
    """``text[start:end]`` becomes ``new``; offsets are into the text as given."""

    start: int
    end: int
    new: str


class Hit(NamedTuple):
    """One piece of personal data: its type, its line from 0, and the value itself (for `--list` alone)."""

    type: str
    line: int
    value: str


def find_edits(
    content: str,
    *,
    mode: str,
    types: frozenset[str],
    key: str = "",
    label: str = "",
    marks: dict[str, str] = MARKS,
) -> tuple[list[Edit], list[Hit]]:
    """What to replace in ``content``, in order and without overlap, and what was found.

    ``label`` is what stands beside the text in its file, the name of a column or key, and tells what a bare number is.
    In mode ``drop`` there are hits and no edits.
    """
    hits: list[Hit] = []
    # The text as it is by now: slices of ``content`` (new is None) and what replaced slices of it.
    pieces: list[tuple[int, int, str | None]] = [(0, len(content), None)]
    front = f"{label}：" if label else ""
    current = content
    for turn in range(_ROUNDS):
        spans = _still_open(front, current, mode, types)
        position = line = 0
        changes = []
        for span in spans:
            start, end = span.start - len(front), span.end - len(front)
            line += current.count("\n", position, start)
            hits.append(Hit(span.type, line, span.value))
            new = stand_in(span.type, span.value, key) if mode == "pseudonym" and turn < _PSEUDONYM_ROUNDS else None
            changes.append(Edit(start, end, new or marks[span.type]))
            position = start
        if not spans or mode == "drop":
            break
        pieces = _replaced(pieces, changes)
        current = "".join(content[a:b] if new is None else new for a, b, new in pieces)
    return _joined(Edit(a, b, new) for a, b, new in pieces if new is not None), hits


def _joined(edits: Iterable[Edit]) -> list[Edit]:
    """``edits`` with those that touch made one."""
    out: list[Edit] = []
    for edit in edits:
        if out and out[-1].end == edit.start:
            out[-1] = Edit(out[-1].start, edit.end, out[-1].new + edit.new)
        else:
            out.append(edit)
    return out


def _replaced(pieces: list[tuple[int, int, str | None]], changes: list[Edit]) -> list[tuple[int, int, str | None]]:
    """``pieces`` after ``changes``, whose offsets are into the text that ``pieces`` make."""
    out: list[tuple[int, int, str | None]] = []
    position, waiting = 0, list(reversed(changes))
    for a, b, words in pieces:
        first, stop = position, position + (b - a if words is None else len(words))
        done = position
        while waiting and waiting[-1].start < stop:
            start, end, new = waiting[-1]
            if start > done:
                out.append(_part(a, b, words, done - first, start - first))
            covered = _part(a, b, words, max(start, first) - first, min(end, stop) - first)
            # A change over several pieces is written in the first one; the others are emptied.
            out.append((covered[0], covered[1], new if start >= first else ""))
            done = min(end, stop)
            if end > stop:
                break
            waiting.pop()
        if done < stop or stop == first:
            out.append(_part(a, b, words, done - first, stop - first))
        position = stop
    return out


def _part(a: int, b: int, words: str | None, start: int, end: int) -> tuple[int, int, str | None]:
    """A part of a piece; what a replacement stands for belongs to its first part."""
    if words is None:
        return a + start, a + end, None
    return (a, b, words[start:end]) if start == 0 else (b, b, words[start:end])


def apply_edits(content: str, edits: Iterable[Edit]) -> str:
    """``content`` with every edit made."""
    pieces, position = [], 0
    for start, end, new in edits:
        pieces += [content[position:start], new]
        position = end
    return "".join([*pieces, content[position:]])


def edit_runs(runs: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """``runs``, the parts of one text, after edits of that text; a replacement stands in the run where it begins."""
    waiting, out, position = list(edits), [], 0
    for run in runs:
        stop, done, pieces = position + len(run), position, []
        for start, end, new in waiting:
            if end <= position or start >= stop:
                continue
            if start >= position:
                pieces += [run[done - position : start - position], new]
            done = min(end, stop)
        out.append("".join([*pieces, run[done - position :]]))
        position = stop
    return out


def rewrite(
    content: str,
    *,
    mode: str,
    types: frozenset[str],
    key: str = "",
    label: str = "",
    marks: dict[str, str] = MARKS,
) -> tuple[str, list[Hit]]:
    """``desensitize_text`` with what was found where; the arguments are those of ``find_edits``."""
    edits, hits = find_edits(content, mode=mode, types=types, key=key, label=label, marks=marks)
    return (apply_edits(content, edits) if edits else content), hits


def _still_open(front: str, content: str, mode: str, types: frozenset[str]) -> list[PiiSpan]:
    """What is neither behind a mark nor one of our stand-ins."""
    whole = front + content
    spans = [span for span in find_pii(whole, types) if span.start >= len(front)]
    if not spans:
        return []
    marks = [mark.span() for mark in _MARK.finditer(whole)]
    return [
        span
        for span in spans
        if not (mode == "pseudonym" and is_stand_in(span.type, span.value))
        and not any(a < span.end and span.start < b for a, b in marks)
    ]


def desensitize_records(
    records: Iterable[Record],
    ledger: Ledger,
    *,
    mode: str = "mask",
    types: Iterable[str] | None = DEFAULT_TYPES,
    key: str = "",
) -> Iterator[Record]:
    """The records without personal data, one by one; those that must go are put into the bin ``masked``.

    Left out are, in mode ``drop``, records that hold any, and otherwise records of which an answer is nothing but
    marks, or whose chosen and rejected answers have become the same. A record that goes was counted as kept before and
    is taken back.

    Args:
        records: As cleaned.
        ledger: Gets the left-out ones and, at the end, counts, places and a finding.
        mode: One of ``MODES``.
        types: Some of ``PII_TYPES``; None is all.
        key: For pseudonyms.

    Raises:
        ConfigError: An unknown mode or type, or no key; at once, not at the first record.
    """
    check_mode(mode, key)
    return _clean_records(records, ledger, mode, check_types(types), key)


def _clean_records(
    records: Iterable[Record], ledger: Ledger, mode: str, types: frozenset[str], key: str
) -> Iterator[Record]:
    counts = Counts()
    for record in records:
        messages, kinds = [], []
        for message in record.messages:
            content, hits = rewrite(message.content, mode=mode, types=types, key=key)
            kinds += [hit.type for hit in hits]
            reasoning = message.reasoning
            if reasoning:
                reasoning, hidden = rewrite(reasoning, mode=mode, types=types, key=key)
                hits = [*hits, *hidden]
                kinds += [hit.type for hit in hidden]
            messages.append(replace(message, content=content, reasoning=reasoning) if hits else message)
        rejected = record.rejected
        if rejected is not None:
            rejected, hits = rewrite(rejected, mode=mode, types=types, key=key)
            kinds += [hit.type for hit in hits]
        for kind in kinds:
            counts.add(kind, record.source)
        names = " ".join(kind for kind in PII_TYPES if kind in kinds)
        new = replace(record, messages=tuple(messages), rejected=rejected) if kinds else record
        if kinds and mode == "drop":
            note = text("desensitize.note.dropped", types=names)
        elif kinds and mode == "mask" and (_only_marks(new.answer) or _only_marks(new.rejected or "")):
            note = text("desensitize.note.only_marks", types=names)
        elif kinds and new.answer == new.rejected:
            note = text("preference.same_without_data", types=names)
        else:
            yield new
            continue
        ledger.take_back(record.source, "masked", note)
    if counts.by_type:
        ledger.findings.append(_summary(mode, counts))
    for kind, count in counts.by_type.items():
        ledger.personal_counts[kind] = ledger.personal_counts.get(kind, 0) + count
        ledger.personal_data.setdefault(kind, []).extend(counts.places[kind])


def _only_marks(answer: str) -> bool:
    return bool(_MARK.search(answer) and _NOTHING_ELSE.fullmatch(answer))


def _summary(mode: str, counts: Counts) -> Finding:
    key = f"desensitize.finding.{mode}"
    return Finding("info", f"personal_data_{mode}", "", text(key, counts=counts.words()), fix_for(key))
