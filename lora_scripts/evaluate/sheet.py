"""The sheet for the expert in Markdown: base against adapter side by side, boxes to tick, room for a correction.

What is read back (preferences.py) is a comment that holds the answers as JSON, the boxes and the correction between
it and its end; the words above them are for the eye, escaped so that no answer can look like a box.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lora_scripts.evaluate.rules import RULES
from lora_scripts.messages import text

CHOICES = ("adapter", "base", "both_good", "both_bad")
SIDES = ("base", "adapter")
BEGIN, END = "<!-- lora-scripts", "<!-- end"

_FIGURES = (
    ("loss", ".3f"),
    ("perplexity", ".2f"),
    ("rouge_l", ".3f"),
    ("bleu", ".1f"),
    ("copy_rate", ".0%"),
)
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_ESCAPED = re.compile(r"\\([\\`*_\[\]|~$#])")


def figure_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, base, adapter) of each figure of eval.json, in words of the user's language."""
    asked = evaluation["questions_asked"]
    base, adapter = (evaluation[side] for side in SIDES)
    rows = [
        (
            text(f"evaluate.figure.{name}"),
            *(f"{side[name]:{form}}" if name in side else "–" for side in (base, adapter)),
        )
        for name, form in _FIGURES
        if name in base or name in adapter
    ]
    rows += [
        (rule_words(name), *(f"{side['rules_kept'][name]} / {asked}" for side in (base, adapter)))
        for name in (*RULES, "all")
        if name in adapter.get("rules_kept", {})
    ]
    if "leak" in adapter or "leak" in base:
        found = (f"{s['leak']['leaked']} / {s['leak']['asked']}" if "leak" in s else "–" for s in (base, adapter))
        rows.append((text("evaluate.figure.leak"), *found))
    return [(name, before, after) for name, before, after in rows]


def rule_words(name: str) -> str:
    """What a rule asks for."""
    return text(f"evaluate.rule.{name}")


def role_words(role: str) -> str:
    """Who speaks."""
    return text(f"evaluate.role.{role}")


def broken_words(entry: Mapping[str, Any], side: str) -> list[str]:
    """The rules that an answer of eval.json breaks, each with what broke it, and how much of it is a copy."""
    lines = []
    for name, what in entry.get("broken", {}).get(side, {}).items():
        lines.append(text("evaluate.broken_by", rule=rule_words(name), what=what or "–"))
    if share := entry.get("copied", {}).get(side):
        lines.append(text("evaluate.copied", share=f"{share:.0%}"))
    return lines


def told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What of an entry of eval.json a preference is made from."""
    asked = entry.get("messages") or [{"role": "user", "content": entry["question"]}]
    return {"source": entry["source"], "messages": asked, "base": entry["base"], "adapter": entry["adapter"]}


def embedded(value: Any) -> str:
    """JSON that may stand in an HTML comment or a script: nothing in it ends either."""
    return json_line(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")


def json_line(value: Any) -> str:
    """JSON on one line, also for readers that take a line to end where Unicode says so."""
    return json.dumps(value, ensure_ascii=False).translate({code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)})


def markdown_sheet(evaluation: Mapping[str, Any]) -> str:
    """The sheet of an eval.json, in the user's language; ``preferences.read_sheet`` reads it back."""
    entries: Sequence[Mapping[str, Any]] = evaluation["answers"]
    parts = [f"# {text('evaluate.title')}", text("evaluate.lead"), text("evaluate.lead_markdown")]
    heads = ("", *(text(f"evaluate.side.{side}") for side in SIDES))
    parts.append(_table(heads, figure_rows(evaluation)))
    parts += [_question(number, entry) for number, entry in enumerate(entries, 1)]
    return "\n\n".join(parts) + "\n"


def _question(number: int, entry: Mapping[str, Any]) -> str:
    asked = [f"**{role_words(m['role'])}** {_shown(m['content'])}" for m in told(entry)["messages"]]
    rows = [tuple(in_cell(entry[side]) for side in SIDES)]
    said = [broken_words(entry, side) for side in SIDES]
    if any(said):
        rows.append(tuple(_shown("\n".join(lines)) or "–" for lines in said))
    boxes = [f"- [ ] {text(f'evaluate.choice.{choice}')}" for choice in CHOICES]
    return "\n\n".join(
        [
            f"## {number}. {_shown(entry['source'])}",
            _quoted(asked),
            f"**{text('evaluate.reference')}**\n\n{_quoted([_shown(entry['reference'])])}",
            _table(tuple(text(f"evaluate.side.{side}") for side in SIDES), rows),
            "\n".join([f"{BEGIN} {number} {embedded(told(entry))} -->", *boxes]),
            f"> {text('evaluate.correction')}:",
            f"{END} {number} -->",
        ]
    )


def _shown(words: str) -> str:
    """Words as they are, whatever Markdown would make of them, on one line."""
    plain = words.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "<br>".join(_SPECIAL.sub(r"\\\1", line) for line in plain.splitlines())


def in_cell(words: str) -> str:
    """An answer as the cell of a table."""
    return _shown(words) or "–"


def from_cell(cell: str) -> str:
    """The answer in a cell of a table, as ``in_cell`` writes it or as a user edited it."""
    lines = [_ESCAPED.sub(r"\1", line.strip()) for line in re.split(r"<br\s*/?>", cell)]
    plain = "\n".join(lines).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return "" if plain == "–" else plain


def _quoted(lines: Iterable[str]) -> str:
    return "\n>\n".join(f"> {line}" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
