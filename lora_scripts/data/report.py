"""The account of a reading, for people and for scripts: counts, places and reasons, never the texts themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lora_scripts.data.ledger import Ledger
from lora_scripts.messages import language, text

_MOST_ROWS = 500  # of the left-out records in the page; the JSON holds all
_NOTHING: Mapping[str, object] = MappingProxyType({})
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#c0392b;--warn:#b9770e}
body{font:15px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
.sum{font-size:1.15rem;font-weight:600}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.35rem .6rem;
text-align:left;vertical-align:top;overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums}
.danger{color:var(--bad);font-weight:600}.warning{color:var(--warn);font-weight:600}
"""


def counts(ledger: Ledger) -> dict[str, Any]:
    """What ``check --json`` prints; read = trained + validation + the sum of left_out."""
    return {
        "read": ledger.read,
        "trained": ledger.trained,
        "validation": ledger.validation,
        "left_out": ledger.reasons(),
        "findings": [asdict(f) for f in ledger.findings],
    }


def summary(ledger: Ledger) -> list[tuple[str, str]]:
    """Rows ``(label, value)`` for the terminal: the sum, each reason, each file's reading, each finding."""
    rows = [(_say("title"), _sum_line(ledger))]
    rows += [(f"  {reason_words(reason)}", str(count)) for reason, count in ledger.reasons().items()]
    rows += [(d.file, f"{d.encoding} · {d.format} · {d.detail}") for d in ledger.decisions]
    for found in ledger.findings:
        place = f"{found.where}: " if found.where else ""
        rows.append(
            (text(f"data.severity.{found.severity}"), f"{place}{found.text}" + (f" → {found.fix}" if found.fix else ""))
        )
    return rows


def reason_words(reason: str) -> str:
    """A bin's name in the user's language; the bin's own name where no text is filed."""
    try:
        return text(f"data.reason.{reason}")
    except KeyError:
        return reason


def write_report(ledger: Ledger, folder: str | Path, *, extra: Mapping[str, object] = _NOTHING) -> None:
    """Write ``data_report.json`` and a self-contained ``data_report.html`` into ``folder`` (made if absent).

    Args:
        ledger: The account.
        folder: Where to.
        extra: More keys for the JSON (they may not shadow the ledger's), shown as a table in the page.

    Raises:
        OSError: The folder cannot be written.
        ValueError: ``extra`` holds a key of the ledger.
    """
    told = counts(ledger)
    told["decisions"] = [asdict(d) for d in ledger.decisions]
    told["left_out_records"] = [asdict(entry) for entry in ledger.left_out]
    if shadowed := set(extra) & set(told):
        raise ValueError(f"extra holds {sorted(shadowed)}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    body = json.dumps({**told, **extra}, ensure_ascii=False, indent=1, default=str)
    (target / "data_report.json").write_text(body + "\n", encoding="utf-8")
    (target / "data_report.html").write_text(_page(ledger, extra), encoding="utf-8")


def _say(key: str, **values: object) -> str:
    return text(f"data.report.{key}", **values)


def _sum_line(ledger: Ledger) -> str:
    return _say(
        "sum", read=ledger.read, trained=ledger.trained, validation=ledger.validation, left_out=len(ledger.left_out)
    )


def _page(ledger: Ledger, extra: Mapping[str, object]) -> str:
    title = escape(_say("title"))
    reasons = [(reason_words(r), n) for r, n in ledger.reasons().items()]
    entries = [(e.source, reason_words(e.reason), e.note) for e in ledger.left_out[:_MOST_ROWS]]
    more = len(ledger.left_out) - len(entries)
    findings = "".join(
        f'<tr><td class="{escape(f.severity)}">{escape(text(f"data.severity.{f.severity}"))}</td>'
        f"<td>{escape(f.where)}</td><td>{escape(f.text)}</td><td>{escape(f.fix)}</td></tr>"
        for f in ledger.findings
    )
    parts = [
        f"<h1>{title}</h1><p class=sum>{escape(_sum_line(ledger))}</p>",
        _table(("reason", "left_out"), reasons) if reasons else "",
        f"<h2>{escape(_say('findings'))}</h2>",
        f"<table><tr>{_heads(('what', 'where', 'note', 'fix'))}</tr>{findings}</table>"
        if findings
        else f"<p>{escape(_say('none'))}</p>",
        f"<h2>{escape(_say('decisions'))}</h2>",
        _table(
            ("file", "encoding", "format", "detail"),
            [(d.file, d.encoding, d.format, d.detail) for d in ledger.decisions],
        ),
        f"<h2>{escape(_say('left_out'))}</h2>" if entries else "",
        _table(("where", "reason", "note"), entries) if entries else "",
        f"<p>{escape(_say('more', count=more))}</p>" if more else "",
        "".join(f"<p>{escape(str(k))}: {escape(str(v))}</p>" for k, v in extra.items()),
    ]
    lang = "zh-CN" if language() == "zh" else "en"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    top = f'<!doctype html><html lang="{lang}"><head>{head}<style>{_STYLE}</style></head>'
    return f"{top}<body>{''.join(parts)}</body></html>\n"


def _heads(keys: Iterable[str]) -> str:
    return "".join(f"<th>{escape(_say(k))}</th>" for k in keys)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = "".join(
        "<tr>" + "".join(f"<td{' class=n' if isinstance(c, int) else ''}>{escape(str(c))}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{_heads(heads)}</tr>{cells}</table>"
