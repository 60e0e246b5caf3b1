"""The account of a reading, for people and for scripts: counts, places and reasons, never the texts themselves."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.records import UNIT_ROLES
from lora_scripts.data.report_page import page, reason_words, sum_line
from lora_scripts.messages import text

_FOLDED = 3  # findings of one kind from which the terminal shows the first alone


def counts(ledger: Ledger) -> dict[str, Any]:
    """What ``check --json`` prints; read = trained + validation + the sum of left_out."""
    return {
        "read": ledger.read,
        "trained": ledger.trained,
        "validation": ledger.validation,
        "left_out": ledger.reasons(),
        "findings": [asdict(f) for f in ledger.findings],
    }


def sample_lines(ledger: Ledger) -> list[str]:
    """The first records as they will be learned, for the terminal."""
    if not ledger.samples:
        return []
    return [text("report.samples"), *(line for record in ledger.samples for line in record.excerpt())]


def units_line(ledger: Ledger) -> str:
    """What the lines, cells and keys of the files were read as: ``question 40 %, answer 38 %, metadata 22 %``."""
    total = ledger.units.total()
    shares = [(role, ledger.units[role]) for role in UNIT_ROLES if ledger.units[role]]
    return ", ".join(f"{text(f'report.unit.{role}')} {_percent(count, total)}" for role, count in shares)


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return "< 1 %" if share < 1 else f"{share:.0f} %"


def summary(ledger: Ledger) -> list[tuple[str, str]]:
    """Rows ``(label, value)`` for the terminal: the sum, each reason, each file's reading, the findings.

    Findings of one kind that come many times, as one for each file, are one row.
    """
    rows = [(text("data.report.title"), sum_line(ledger))]
    rows += [(f"  {reason_words(reason)}", str(count)) for reason, count in ledger.reasons().items()]
    if ledger.units:
        rows.append((text("report.units"), units_line(ledger)))
    rows += [(d.file, f"{d.encoding} · {d.format} · {d.detail}") for d in ledger.decisions]
    by_kind: dict[tuple[str, str], list[Finding]] = {}
    for found in ledger.findings:
        by_kind.setdefault((found.severity, found.kind), []).append(found)
    for same in by_kind.values():
        rows += [_row(f, len(same) - 1) for f in same[:1]] if len(same) >= _FOLDED else [_row(f, 0) for f in same]
    return rows


def write_report(ledger: Ledger, folder: str | Path) -> None:
    """Write ``data_report.json`` and a self-contained ``data_report.html`` into ``folder`` (made if absent).

    Args:
        ledger: The account.
        folder: Where to.

    Raises:
        OSError: The folder cannot be written.
    """
    told = counts(ledger)
    told["decisions"] = [asdict(d) for d in ledger.decisions]
    told["distributions"] = ledger.distributions
    told["left_out_records"] = [asdict(entry) for entry in ledger.left_out]
    told["units"] = {role: ledger.units[role] for role in UNIT_ROLES if ledger.units[role]}
    told["left_out_unlisted"] = ledger.unlisted
    told["personal_data"] = {
        kind: {"count": count, "places": ledger.personal_data[kind]} for kind, count in ledger.personal_counts.items()
    }
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    body = json.dumps(told, ensure_ascii=False, indent=1)
    (target / "data_report.json").write_text(body + "\n", encoding="utf-8")
    (target / "data_report.html").write_text(page(ledger), encoding="utf-8")


def _row(found: Finding, more: int) -> tuple[str, str]:
    place = f"{found.where}: " if found.where else ""
    said = text("report.folded", text=found.text, count=more) if more else found.text
    return text(f"data.severity.{found.severity}"), place + said + (f" → {found.fix}" if found.fix else "")
