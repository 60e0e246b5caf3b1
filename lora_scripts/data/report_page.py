"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from html import escape

from lora_scripts.data.ledger import MOST_LISTED, Finding, Ledger
from lora_scripts.data.records import UNIT_ROLES
from lora_scripts.messages import language, text

_MOST_ROWS = 500  # of the left-out records in the page; the JSON holds more
_MOST_ALIKE = 4  # findings of one kind that are shown in full
_SEVERITIES = ("danger", "warning", "info")
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5c6876;--line:#dde2e8;--paper:#fff;--card:#f6f8fa;
--one:#2f6f9f;--two:#5fa58a;--out:#b9bfc7;--danger:#b3261e;--warning:#9a6400;--info:#4a6785}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#333c46;--paper:#15191e;--card:#1d232a;
--one:#6aa9d8;--two:#74c0a2;--out:#59636e;--danger:#f2857c;--warning:#e0ac4c;--info:#8fb2d4}}
*{box-sizing:border-box}
body{font:15px/1.65 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
header{border-bottom:2px solid var(--ink);padding-bottom:.9rem;margin-bottom:1.6rem}
h1{font-size:1.7rem;line-height:1.3;margin:0 0 .4rem}h2{font-size:1.15rem;margin:2.4rem 0 .7rem}
h3{font-size:.95rem;font-weight:600;margin:0 0 .3rem}p{margin:.3rem 0}.soft{color:var(--soft);font-size:.88rem}
.sum{font-size:1.08rem;font-weight:600;margin:0 0 .7rem}
.key{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.6rem 0 0;padding:0;list-style:none}
.key i{display:inline-block;width:.75rem;height:.75rem;border-radius:2px;margin-right:.45rem}
.key b{font-variant-numeric:tabular-nums;margin-left:.35rem}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1.2rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.9rem 1.1rem}
.found{border:1px solid var(--line);border-left:4px solid var(--tone);border-radius:4px;padding:.6rem 1rem;
margin:.6rem 0;break-inside:avoid;overflow-wrap:anywhere}
.found .tag{color:var(--tone);font-weight:700;margin-right:.6em}
.danger{--tone:var(--danger)}.warning{--tone:var(--warning)}.info{--tone:var(--info)}
.fix{white-space:pre-line;margin-top:.25rem}.fix b{font-weight:600}
table{border-collapse:collapse;width:100%;font-size:.92rem}th{color:var(--soft);font-weight:600}
td,th{border-bottom:1px solid var(--line);padding:.35rem .7rem .35rem 0;text-align:left;vertical-align:top;
overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums;width:5rem}td.bar{width:38%}
.bar i{display:block;height:.7rem;margin-top:.4rem;border-radius:2px;background:var(--one);min-width:2px}
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}
@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}tr{break-inside:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def reason_words(reason: str) -> str:
    """A bin's name in the user's language; the bin's own name where no text is filed."""
    for key in (f"report.reason.{reason}", f"data.reason.{reason}"):
        try:
            return text(key)
        except KeyError:
            continue
    return reason


def sum_line(ledger: Ledger) -> str:
    """``214 read = 180 trained + 20 validation + 14 left out``."""
    out = sum(ledger.reasons().values())
    values = {"read": ledger.read, "trained": ledger.trained, "validation": ledger.validation, "left_out": out}
    return text("data.report.sum", **values)


def page(ledger: Ledger) -> str:
    """The whole report as HTML, in the user's language."""
    title = escape(text("data.report.title"))
    sections = (
        _totals(ledger),
        _findings(ledger.findings),
        _reasons(ledger),
        _units(ledger),
        _lengths(ledger),
        _openings(ledger),
        _personal(ledger.personal_counts),
        _files(ledger),
        _places(ledger),
    )
    lang = "zh-CN" if language() == "zh" else "en"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
    )
    made = escape(text("report.made_on", date=date.today().isoformat()))
    top = f"<header><h1>{title}</h1><p>{_say('lead')}</p><p class=soft>{made}</p></header>"
    return f'<!doctype html><html lang="{lang}"><head>{head}</head><body>{top}{"".join(sections)}</body></html>\n'


def _say(key: str, **values: object) -> str:
    return escape(text(f"report.{key}", **values))


def _head(key: str) -> str:
    return escape(text(f"data.report.{key}"))


def _totals(ledger: Ledger) -> str:
    out = sum(ledger.reasons().values())
    parts = (("trained", ledger.trained, "one"), ("validation", ledger.validation, "two"), ("left_out", out, "out"))
    bars, at = "", 0.0
    for _, count, tone in parts:
        width = 1000 * count / max(ledger.read, 1)
        bars += f'<rect x="{at:.2f}" y="0" width="{width:.2f}" height="22" style="fill:var(--{tone})"/>'
        at += width
    keys = "".join(
        f'<li><i style="background:var(--{tone})"></i>{_head(name)}<b>{count:,}</b></li>' for name, count, tone in parts
    )
    said = escape(sum_line(ledger))
    chart = f'<svg viewBox="0 0 1000 22" preserveAspectRatio="none" style="height:22px" role="img" aria-label="{said}">'
    return f"<section><p class=sum>{said}</p>{chart}{bars}</svg><ul class=key>{keys}</ul></section>"


def _findings(findings: Sequence[Finding]) -> str:
    """The worst first; of one kind the first few in full, of the others the place."""
    body = ""
    for severity in _SEVERITIES:
        by_kind: dict[str, list[Finding]] = {}
        for found in findings:
            if found.severity == severity:
                by_kind.setdefault(found.kind, []).append(found)
        for same in by_kind.values():
            body += "".join(_finding(found) for found in same[:_MOST_ALIKE])
            if rest := same[_MOST_ALIKE:]:
                shown = ", ".join(found.where for found in rest[:_MOST_ROWS])
                body += f'<div class="found {severity}">{_say("as_above", count=len(rest))} {escape(shown)}</div>'
    body = body or f"<p>{_head('none')}</p>"
    return f"<section><h2>{_head('findings')}</h2>{body}</section>"


def _finding(found: Finding) -> str:
    tag = escape(text(f"data.severity.{found.severity}"))
    place = f"<span class=soft>{escape(found.where)}</span>" if found.where else ""
    fix = f"<p class=fix><b>{_head('fix')}</b>　{escape(found.fix)}</p>" if found.fix else ""
    top = f'<div class="found {escape(found.severity)}"><span class=tag>{tag}</span>{place}'
    return f"{top}<p>{escape(found.text)}</p>{fix}</div>"


def _reasons(ledger: Ledger) -> str:
    reasons = sorted(ledger.reasons().items(), key=lambda item: -item[1])
    cut = sum(1 for found in ledger.findings if found.kind == "prompt_cut")
    dropped = ledger.reasons().get("too_long", 0)
    long = f"<p>{_say('too_long', dropped=dropped, cut=cut)}</p>" if cut or dropped else ""
    if not reasons:
        return f"<section>{long}</section>" if long else ""
    rows = [(reason_words(reason), count) for reason, count in reasons]
    return f"<section><h2>{_say('why')}</h2>{_bars(_head('reason'), rows)}{long}</section>"


def _units(ledger: Ledger) -> str:
    rows = [(text(f"report.unit.{role}"), ledger.units[role]) for role in UNIT_ROLES if ledger.units[role]]
    if not rows:
        return ""
    table = _bars(_say("unit"), rows)
    return f"<section><h2>{_say('units')}</h2>{table}<p class=soft>{_say('units_note')}</p></section>"


def _lengths(ledger: Ledger) -> str:
    charts = ""
    for name in ("question_length", "answer_length"):
        bins = dict(ledger.distributions.get(name, {}))
        longest = bins.pop("longest", 0)
        if bins:
            note = f"<p class=soft>{_say('longest', count=f'{longest:,}')}</p>"
            charts += f"<div class=card><h3>{_say(name)}</h3>{_columns(bins)}{note}</div>"
    return f"<section><h2>{_say('lengths')}</h2><div class=two>{charts}</div></section>" if charts else ""


def _columns(bins: Mapping[str, int]) -> str:
    """A histogram: one column a bin, its count above and its range below."""
    most, step, height = max(1, *bins.values()), 44, 120
    body = ""
    for i, (label, count) in enumerate(bins.items()):
        tall = height * count / most
        middle = i * step + step / 2
        body += f'<rect x="{i * step + 5}" y="{height + 16 - tall:.1f}" width="{step - 10}" height="{tall:.1f}"'
        body += ' rx="1.5" style="fill:var(--one)"/>'
        if count:
            body += f'<text x="{middle}" y="{height + 11 - tall:.1f}" text-anchor="middle">{count}</text>'
        low, _, high = label.partition("-")
        body += f'<text x="{middle}" y="{height + 32}" text-anchor="middle">{escape(low)}{"–" if high else ""}</text>'
    return f'<svg viewBox="0 0 {step * len(bins)} {height + 38}" role="img">{body}</svg>'


def _openings(ledger: Ledger) -> str:
    rows = list(ledger.distributions.get("openings", {}).items())
    if not rows:
        return ""
    rows.sort(key=lambda row: -row[1])
    table = _bars(_say("opening"), rows)
    return f"<section><h2>{_say('openings')}</h2>{table}<p class=soft>{_say('openings_note')}</p></section>"


def _personal(found: Mapping[str, int]) -> str:
    if not found:
        return ""
    rows = [(_kind(name), count) for name, count in sorted(found.items(), key=lambda item: -item[1])]
    table = _bars(_say("type"), rows)
    return f"<section><h2>{_say('personal_data')}</h2>{table}<p class=soft>{_say('personal_data_note')}</p></section>"


def _kind(name: str) -> str:
    try:
        return text(f"report.pii.{name}")
    except KeyError:
        return name


def _files(ledger: Ledger) -> str:
    if not ledger.decisions:
        return ""
    rows = ((d.file, d.encoding, d.format, d.detail) for d in ledger.decisions)
    return f"<section><h2>{_head('decisions')}</h2>{_table(('file', 'encoding', 'format', 'detail'), rows)}</section>"


def _places(ledger: Ledger) -> str:
    shown = ledger.left_out[:_MOST_ROWS]
    if not shown:
        return ""
    rows = ((entry.source, reason_words(entry.reason), entry.note) for entry in shown)
    more = len(ledger.left_out) - len(shown)
    notes = escape(text("data.report.more", count=more)) if more else ""
    if ledger.unlisted:
        notes += f" {_say('not_listed', count=ledger.unlisted, most=MOST_LISTED)}"
    table = _table(("where", "reason", "note"), rows)
    return f"<section><h2>{_head('left_out')}</h2>{table}<p class=soft>{notes}</p></section>"


def _bars(head: str, rows: Sequence[tuple[str, int]]) -> str:
    most = max(1, *(count for _, count in rows), 1)
    body = "".join(
        f"<tr><td>{escape(label)}</td><td class=n>{count:,}</td>"
        f'<td class=bar><i style="width:{100 * count / most:.1f}%"></i></td></tr>'
        for label, count in rows
    )
    return f"<table><tr><th>{head}</th><th>{_say('count')}</th><th></th></tr>{body}</table>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_head(key)}</th>" for key in heads)
    cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{cells}</table>"
