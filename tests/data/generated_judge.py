"""Reads a generated file and says whether what would be learned from it is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts import read_records
from lora_scripts.errors import DataError
from tests.data.generated_truth import Conversation, GeneratedFile, Joined, Turn, normalised

READ = "read"
ASKED = "asked, advice right"
UNADVISED = "asked without right advice"
REFUSED = "refused"
WRONG = "silently wrong"
CRASHED = "crashed"
VERDICTS = (READ, ASKED, UNADVISED, REFUSED, WRONG, CRASHED)

ReadTurn = tuple[str, str, bool]  # role, text, whether it is trained on


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one file, with the reason where something falls short."""

    file: GeneratedFile
    verdict: str
    reason: str = ""


def judge(file: GeneratedFile, folder: Path) -> Judgement:
    """Write ``file`` into ``folder``, read it, and compare with its truths."""
    path = folder / file.name
    path.write_bytes(file.content)
    try:
        reading = read_records(path)
        reason = shortfall(file, reading)
    except DataError as error:
        return _judge_question(file, path, error)
    except Exception as error:  # any other exception is the verdict
        return Judgement(file, CRASHED, f"{type(error).__name__}: {error}"[:200])
    if not file.truths and not reading.records:
        return Judgement(file, REFUSED)
    return Judgement(file, WRONG, reason) if reason else Judgement(file, READ)


def _judge_question(file: GeneratedFile, path: Path, error: DataError) -> Judgement:
    alternatives = getattr(error, "alternatives", ())
    if not file.truths:
        return Judgement(file, REFUSED if file.may_ask else UNADVISED, str(error)[:200])
    if not alternatives:
        return Judgement(file, UNADVISED, "no alternatives: " + " ".join(str(error).split())[:160])
    shortfalls = []
    for alternative in alternatives:
        settings: Mapping[str, Any] = alternative.settings
        try:
            shortfalls.append(shortfall(file, read_records(path, **settings)))
        except Exception as failure:  # advice that cannot be followed is no advice, whatever it raises
            return Judgement(file, UNADVISED, f"{settings} fails: {' '.join(str(failure).split())}"[:200])
    if "" in shortfalls:
        return Judgement(file, ASKED)
    return Judgement(file, UNADVISED, f"none of {[a.settings for a in alternatives]} is right: {shortfalls[0]}"[:300])


def shortfall(file: GeneratedFile, reading: Any) -> str:
    """What is wrong with a reading; empty where nothing is."""
    records = [
        tuple((m.role, normalised(m.content), getattr(m, "trained", True) is not False) for m in record.messages)
        for record in reading.records
    ]
    if not file.truths:
        return f"{len(records)} records read where there are none, e.g. {_shown(records[0])}" if records else ""
    ledger = reading.ledger
    report = " ".join(repr(entry) for entry in (*ledger.decisions, *ledger.left_out, *ledger.findings))
    for text in file.never_learned:
        for role, content, trained in (turn for record in records for turn in record):
            if role == "assistant" and trained and text in content:
                return f"{text[:40]!r} is learned: {content[:60]!r}"
    reasons = []
    for truth in file.truths:
        reason = _difference(records, truth.records)
        if not reason:
            unreported = [n for n in (*file.must_report, *truth.must_report) if not _is_reported(n, report)]
            reason = f"not learned and not reported: {', '.join(unreported)}" if unreported else ""
        if not reason and file.own_places and len({r.source for r in reading.records}) < len(records):
            reason = "records share a place"
        if not reason:
            return ""
        reasons.append(reason)
    closest = [r for r in reasons if r.startswith(("not learned", "records share"))] or reasons
    left = f"; left out: {dict(ledger.bins)}" if getattr(ledger, "bins", None) else ""
    return closest[0] + left


def _is_reported(name: str, report: str) -> bool:
    return any(alternative in report for alternative in name.split("|"))


def _difference(records: list[tuple[ReadTurn, ...]], expected: tuple[Conversation, ...]) -> str:
    """How the records differ from those expected, in any order; empty where they do not."""
    remaining = list(records)
    missing = []
    for wanted in expected:
        match = next((r for r in remaining if _record_matches(r, wanted)), None)
        if match is None:
            missing.append(wanted)
        else:
            remaining.remove(match)
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(expected)} records not read")
    if remaining:
        parts.append(f"{len(remaining)} others taught, e.g. {_shown(remaining[0])}")
    return ", ".join(parts)


def _record_matches(record: tuple[ReadTurn, ...], expected: Conversation) -> bool:
    return len(record) == len(expected) and all(
        _turn_matches(turn, wanted) for turn, wanted in zip(record, expected, strict=True)
    )


def _turn_matches(turn: ReadTurn, expected: Turn) -> bool:
    role, content, trained = turn
    wanted_role, text = expected
    if wanted_role in ("assistant", "context", "either"):
        right_role = role == "assistant" and (wanted_role == "either" or trained == (wanted_role == "assistant"))
    else:
        right_role = role == wanted_role
    if not right_role:
        return False
    return text.matches(content) if isinstance(text, Joined) else content == normalised(text)


def _shown(record: tuple[ReadTurn, ...]) -> str:
    return " / ".join(f"{role}: {content[:40]!r}" for role, content, _ in record[:4])
