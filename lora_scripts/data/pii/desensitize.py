"""Personal data out of texts and records: masked, put under a pseudonym, or the record left out.

A second pass changes nothing: masking repeats until the detectors find nothing more, marks are never touched, and a
stand-in is known by its looks (stand_ins.py). Counts and places are kept, values never.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

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
    return new, dict(Counter(kind for kind, _ in hits))


def rewrite(
    content: str,
    *,
    mode: str,
    types: frozenset[str],
    key: str = "",
    label: str = "",
    marks: dict[str, str] = MARKS,
) -> tuple[str, list[tuple[str, int]]]:
    """``desensitize_text`` with the places: ``(type, line from 0)`` of each hit.

    ``label`` is what stands beside the text in its file, the name of a column or key, and tells what a bare number is.
    """
    hits: list[tuple[str, int]] = []
    front = f"{label}：" if label else ""
    for turn in range(_ROUNDS):
        spans = _still_open(front, content, mode, types)
        pieces, position, line = [], 0, 0
        for span in spans:
            start, end = span.start - len(front), span.end - len(front)
            line += content.count("\n", position, start)
            hits.append((span.type, line))
            new = stand_in(span.type, span.value, key) if mode == "pseudonym" and turn < _PSEUDONYM_ROUNDS else None
            pieces += [content[position:start], new or marks[span.type]]
            position = end
        if not spans or mode == "drop":
            break
        content = "".join([*pieces, content[position:]])
    return content, hits


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
            kinds += [kind for kind, _ in hits]
            messages.append(message if not hits else replace(message, content=content))
        rejected = record.rejected
        if rejected is not None:
            rejected, hits = rewrite(rejected, mode=mode, types=types, key=key)
            kinds += [kind for kind, _ in hits]
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
