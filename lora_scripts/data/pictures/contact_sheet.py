"""The contact sheet: all pictures with their captions on one page, to look over, edit and save as metadata.csv."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from lora_scripts.data.pictures.metadata import COLUMNS
from lora_scripts.messages import language, text

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5c6876;--line:#dde2e8;--paper:#fff;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#333c46;--paper:#15191e;--card:#1d232a}}
*{box-sizing:border-box}
body{font:15px/1.6 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
color:var(--ink);background:var(--paper);max-width:76rem;margin:0 auto;padding:2rem 1.5rem 4rem}
header{position:sticky;top:0;background:var(--paper);border-bottom:2px solid var(--ink);padding:.6rem 0;
margin-bottom:1.2rem;display:flex;flex-wrap:wrap;gap:.6rem 1.4rem;align-items:baseline}
h1{font-size:1.4rem;margin:0}header p{margin:0;color:var(--soft);flex:1 1 20rem}
button{font:inherit;padding:.3rem 1rem;border:1px solid var(--ink);border-radius:4px;background:var(--card);
color:inherit;cursor:pointer}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem}
img{display:block;width:100%;height:11rem;object-fit:contain}
label{display:block;color:var(--soft);font-size:.82rem;overflow-wrap:anywhere;margin:.5rem 0 .2rem}
textarea{width:100%;font:inherit;font-size:.92rem;background:var(--paper);color:inherit;border:1px solid var(--line);
border-radius:4px;padding:.3rem .5rem}
textarea.changed{border-color:#9a6400}
"""
_SCRIPT = """
const boxes=[...document.querySelectorAll("textarea")],said=boxes.map(b=>b.value);
const cell=s=>/[",\\r\\n]/.test(s)?'"'+s.replaceAll('"','""')+'"':s;
boxes.forEach((b,i)=>b.addEventListener("input",()=>b.classList.toggle("changed",b.value!==said[i])));
document.querySelector("button").addEventListener("click",()=>{
const rows=[COLUMNS,...boxes.map(b=>[b.name,b.value.trim()])].map(r=>r.map(cell).join(",")).join("\\n")+"\\n";
const link=document.createElement("a");link.href=URL.createObjectURL(new Blob(["\\ufeff"+rows],{type:"text/csv"}));
link.download=FILE;link.click();URL.revokeObjectURL(link.href)});
"""


def contact_sheet(folder: Path, captions: Mapping[str, str], table: Path) -> str:
    """The page for ``table``, which names pictures below ``folder``; it lies beside the table and links to them."""
    here = table.parent
    shown = "".join(_figure(name, caption, _link(folder / name, here)) for name, caption in captions.items())
    script = _SCRIPT.replace("COLUMNS", _safe(COLUMNS)).replace("FILE", _safe(table.name))
    title = escape(text("pictures.sheet_title", count=len(captions)))
    return (
        f'<!doctype html>\n<html lang="{language()}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>\n"
        f"<header><h1>{title}</h1><p>{escape(text('pictures.sheet_use', name=table.name))}</p>"
        f"<button>{escape(text('pictures.sheet_save', name=table.name))}</button></header>\n"
        f"<main>{shown}</main>\n<script>{script}</script></html>\n"
    )


def _figure(name: str, caption: str, link: str) -> str:
    name = escape(name)
    return (
        f'<figure><img src="{link}" alt="" loading="lazy"><label for="{name}">{name}</label>'
        f'<textarea id="{name}" name="{name}" rows="3">{escape(caption)}</textarea></figure>\n'
    )


def _link(picture: Path, here: Path) -> str:
    return quote(Path(os.path.relpath(picture, here)).as_posix())


def _safe(value: object) -> str:
    """JSON that cannot end the script that it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
