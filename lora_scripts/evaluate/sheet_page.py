"""The sheet for the expert as one HTML page: works from the disk, asks the network for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from lora_scripts.evaluate.sheet import CHOICES, SIDES, broken_words, embedded, figure_rows, role_words, told
from lora_scripts.messages import language, text

DATA_ID = "sheet"
# nothing may be loaded, whatever an answer holds
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5c6876;--line:#dde2e8;--paper:#fff;--card:#f6f8fa;
--one:#2f6f9f;--two:#5fa58a;--danger:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#333c46;--paper:#15191e;--card:#1d232a;
--one:#6aa9d8;--two:#74c0a2;--danger:#f2857c}}
*{box-sizing:border-box}
body{font:15px/1.65 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
color:var(--ink);background:var(--paper);max-width:72rem;margin:0 auto;padding:2.5rem 1.5rem 6rem}
header{border-bottom:2px solid var(--ink);padding-bottom:.9rem;margin-bottom:1.6rem}
h1{font-size:1.7rem;line-height:1.3;margin:0 0 .4rem}h2{font-size:.95rem;margin:0 0 .5rem;color:var(--soft)}
h3{font-size:.88rem;font-weight:600;margin:0 0 .3rem}p{margin:.3rem 0}.soft{color:var(--soft);font-size:.88rem}
table{border-collapse:collapse;font-size:.92rem;min-width:26rem;max-width:100%}th{color:var(--soft);font-weight:600}
td,th{border-bottom:1px solid var(--line);padding:.35rem 1.2rem .35rem 0;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
article{border:1px solid var(--line);border-radius:6px;padding:1rem 1.2rem;margin:1.4rem 0;break-inside:avoid}
article.done{border-left:4px solid var(--two)}
.said{white-space:pre-wrap;overflow-wrap:anywhere}.ask{font-weight:600}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:1rem;margin:.8rem 0}
.card{background:var(--card);border:1px solid var(--line);border-top:3px solid var(--tone);border-radius:6px;
padding:.7rem 1rem}.base{--tone:var(--soft)}.adapter{--tone:var(--one)}.broken{color:var(--danger);font-size:.88rem}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--soft)}
fieldset{border:0;padding:0;margin:.6rem 0;display:flex;flex-wrap:wrap;gap:.3rem 1.4rem}label{cursor:pointer}
textarea{width:100%;min-height:4.5rem;font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);
border-radius:6px;padding:.5rem .7rem;resize:vertical}
footer{position:fixed;left:0;right:0;bottom:0;background:var(--card);border-top:1px solid var(--line);
padding:.6rem 1.5rem;display:flex;gap:1.2rem;align-items:center;justify-content:center}
button{font:inherit;font-weight:600;color:var(--paper);background:var(--one);border:0;border-radius:6px;
padding:.4rem 1.4rem;cursor:pointer}
@media print{body{max-width:none;padding:0;font-size:11pt}footer{display:none}}
"""
# Ticks are kept as attributes too, so that a page which the browser saves holds them.
_SCRIPT = """
const told = JSON.parse(document.getElementById("sheet").textContent);
const cards = [...document.querySelectorAll("article")];
let unsaved = false;
const boxes = card => [...card.querySelectorAll("input")];
const written = card => card.querySelector("textarea").value.trim();
function count() {
  const done = cards.map(card => boxes(card).some(box => box.checked) || written(card) !== "");
  cards.forEach((card, i) => card.classList.toggle("done", done[i]));
  document.getElementById("count").textContent = done.filter(Boolean).length + " / " + cards.length;
}
document.addEventListener("input", event => {
  const touched = event.target, all = boxes(touched.closest("article"));
  if (touched.type === "checkbox") {
    if (touched.checked) all.forEach(box => { box.checked = box === touched; });
    all.forEach(box => box.toggleAttribute("checked", box.checked));
  } else {
    touched.defaultValue = touched.value;
  }
  unsaved = true;
  count();
});
document.getElementById("save").addEventListener("click", () => {
  const answers = told.map((entry, i) => ({...entry,
    ticked: boxes(cards[i]).filter(box => box.checked).map(box => box.value), correction: written(cards[i])}));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({answers}, null, 1)], {type: "application/json"}));
  link.download = "eval_ticked.json";
  link.click();
  unsaved = false;
});
window.addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });
count();
"""


def html_sheet(evaluation: Mapping[str, Any]) -> str:
    """The page of an eval.json, in the user's language; its button saves what ``preferences.read_sheet`` reads."""
    title = _say("title")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>"
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{escape(before)}</td><td class=n>{escape(after)}</td></tr>"
        for name, before, after in figure_rows(evaluation)
    )
    sides = "".join(f"<th class=n>{_say(f'side.{side}')}</th>" for side in SIDES)
    top = f"<header><h1>{title}</h1><p>{_say('lead')}</p><p class=soft>{_say('lead_html')}</p></header>"
    top += f"<table><tr><th></th>{sides}</tr>{rows}</table>"
    cards = "".join(_card(number, entry) for number, entry in enumerate(evaluation["answers"], 1))
    foot = f"<footer><span>{_say('ticked')} <b id=count></b></span><button id=save>{_say('save')}</button></footer>"
    data = embedded([told(entry) for entry in evaluation["answers"]])
    script = f'<script type="application/json" id="{DATA_ID}">{data}</script><script>{_SCRIPT}</script>'
    lang = "zh-CN" if language() == "zh" else "en"
    return (
        f'<!doctype html><html lang="{lang}"><head>{head}</head><body>{top}<main>{cards}</main>{foot}{script}'
        "</body></html>\n"
    )


def _say(key: str, **values: object) -> str:
    return escape(text(f"evaluate.{key}", **values))


def _card(number: int, entry: Mapping[str, Any]) -> str:
    asked = "".join(
        f"<p class=soft>{escape(role_words(message['role']))}</p><p class='said ask'>{escape(message['content'])}</p>"
        for message in told(entry)["messages"]
    )
    answers = ""
    for side in SIDES:
        broken = "".join(f"<p class=broken>{escape(line)}</p>" for line in broken_words(entry, side))
        said = f"<p class=said>{escape(entry[side])}</p>"
        answers += f'<div class="card {side}"><h3>{_say(f"side.{side}")}</h3>{said}{broken}</div>'
    boxes = "".join(
        f'<label><input type=checkbox name="{number}" value="{choice}"> {_say(f"choice.{choice}")}</label>'
        for choice in CHOICES
    )
    reference = f"<details open><summary>{_say('reference')}</summary><p class=said>{escape(entry['reference'])}</p>"
    field = (
        f'<textarea name="{number}" aria-label="{_say("correction")}" placeholder="{_say("correction")}"></textarea>'
    )
    return (
        f"<article><h2>{number} · {escape(entry['source'])}</h2>{asked}{reference}</details>"
        f"<div class=two>{answers}</div><fieldset>{boxes}</fieldset>{field}</article>"
    )
