"""Markdown and HTML as lines with levels (``sections.Block``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from lora_scripts.data.reading.questions import ends_asking
from lora_scripts.data.reading.sections import LEFT_OUT, MARKUP, TERM, Block

_ATX = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_BOLD_LINE = re.compile(r"\s*(?:[-*+]\s+|\d{1,4}[.、)]\s*)?(\*\*|__)(?P<head>.+?)\1\s*(?:<br\s*/?>)?\s*(?P<rest>.*)$")
_BULLET = re.compile(r"\s{0,3}[-*+]\s+(?P<head>.+)$")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}$")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_CONTENTS = re.compile(r"\s*(?:(?:[-*+]|\d+[.)])\s*)?\[[^\]]*\]\(#[^)]*\)\s*$")
_TAG_LINE = re.compile(
    r"\s*(?:</?(?:details|summary|p|div|br|hr|center|a|section|ul|ol|dl)\b[^>]*>\s*)+$", re.IGNORECASE
)
_SUMMARY = re.compile(
    r"\s*(?:<details[^>]*>\s*)?<summary[^>]*>(?P<head>.*?)</summary>\s*(?P<rest>.*?)(?:</details>)?\s*$", re.IGNORECASE
)
_ANCHOR = re.compile(r"\s*\{#[\w\-]+\}\s*$|<a\s+(?:name|id)=[^>]*>\s*(?:</a>)?", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|_|`)(.+)\1")


def markdown_blocks(lines: Sequence[str]) -> list[Block]:
    """The lines of a Markdown text, each with its level."""
    out: list[Block] = []
    fence = ""
    comment = front = False
    for i, line in enumerate(lines):
        number, below = i + 1, lines[i + 1] if i + 1 < len(lines) else ""
        mark = line.strip()[:3]
        if i == 0 and line.strip() == "---" and "---" in (x.strip() for x in lines[1:60]):
            front = True
        if front:
            out.append(Block(number, line, MARKUP))
            front = not (i and line.strip() == "---")
        elif fence or mark in ("```", "~~~"):
            fence = "" if fence and mark == fence else fence or mark
            out.append(Block(number, line))
        elif comment or line.lstrip().startswith("<!--"):
            comment = "-->" not in line
            out.append(Block(number, line, LEFT_OUT))
        elif heading := _ATX.match(line):
            out.append(Block(number, _plain(heading[2]), len(heading[1]), raw=line))
        elif (
            line.strip() and re.fullmatch(r"\s*(?:={3,}|-{3,})\s*", below) and "|" not in line and not _RULE.match(line)
        ):
            out.append(Block(number, _plain(line), 1 if "=" in below else 2, raw=line))
        elif _TABLE_RULE.match(line) and "|" in line:
            out.append(Block(number, line, MARKUP, raw=line))
        elif line.count("|") >= 2 and line.strip().startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            out.append(Block(number, line, cells=tuple(_plain(cell.replace("\\|", "|")) for cell in cells)))
        elif _CONTENTS.match(line):
            out.append(Block(number, line, LEFT_OUT))
        elif found := _SUMMARY.match(line):
            out.append(Block(number, _plain(found["head"]), TERM))
            if found["rest"]:
                out.append(Block(number, found["rest"]))
        elif _TAG_LINE.match(line) or _RULE.match(line):
            out.append(Block(number, line, MARKUP))
        elif (found := _BOLD_LINE.match(line)) and (not found["rest"] or ends_asking(found["head"])):
            out.append(Block(number, _plain(found["head"]).rstrip(":："), TERM, raw=line))
            if found["rest"]:
                out.append(Block(number, found["rest"]))
        elif line.startswith(">") and ends_asking(line) and not (below + (lines[i - 1] if i else "")).startswith(">"):
            out.append(Block(number, _plain(line[1:]), TERM, raw=line))
        elif (found := _BULLET.match(line)) and ends_asking(line) and _is_indented(lines, i):
            out.append(Block(number, _plain(found["head"]), TERM, raw=line))
        elif re.match(r":\s+", below) and line.strip() and not re.match(r":\s+", line):
            out.append(Block(number, _plain(line), TERM, raw=line))
        elif re.match(r":\s+", line):
            out.append(Block(number, line[1:].strip()))
        else:
            out.append(Block(number, line))
    return out


def _is_indented(lines: Sequence[str], i: int) -> bool:
    """Whether the next line that is not blank stands deeper than line ``i``."""
    below = next((line for line in lines[i + 1 : i + 3] if line.strip()), "")
    return len(below) - len(below.lstrip()) > len(lines[i]) - len(lines[i].lstrip())


def _plain(text: str) -> str:
    """A heading without anchors, emphasis and blanks around it."""
    out = _ANCHOR.sub("", text).strip()
    while found := _EMPHASIS.fullmatch(out):
        out = found[2].strip()
    return out


_SKIPPED = frozenset({"script", "style", "head", "template", "noscript", "svg", "nav", "iframe", "footer", "aside"})
_BREAKS_WORDS = """
p div section article header main ul ol dl li dt dd table tr td th h1 h2 h3 h4 h5 h6 details summary blockquote
pre br hr figure body html title button form
"""
_BREAKS = frozenset(_BREAKS_WORDS.split())
_BOLD = frozenset({"b", "strong"})
_ASKING_CLASS = re.compile(r"(?:^|[\s_-])(?:question|faq-?q|q)(?:$|[\s_-])", re.IGNORECASE)


class _Blocks(HTMLParser):
    """Collects the lines of a page as they are shown; scripts, styles and navigation as left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._open: list[tuple[str, bool]] = []  # tags, and whether their class says question
        self._words: list[tuple[str, bool]] = []  # pieces of the line, and whether they are bold
        self._line = 1
        self._cells: list[str] | None = None
        self._item = False  # the next line begins an item of a list
        self._skipped = ""
        self._title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped == "head" and tag in _BREAKS and tag != "title":  # its end tag may be left out
            self._skipped = ""
        if self._skipped:
            self._title |= tag == "title"
            return
        if tag in _SKIPPED:
            self._flush()
            self._skipped = tag
            self._line = self.getpos()[0]
            return
        if tag == "br" and self._cells is not None:
            self._words.append(("\n", False))
            return
        if tag in _BREAKS and (self._cells is None or tag in ("tr", "table")):
            self._flush()
        self._item = tag == "li" or (self._item and tag not in _BREAKS)
        if tag == "tr":
            self._cells = []
            self._line = self.getpos()[0]
        if tag in ("td", "th"):
            self._words = []
        if tag not in ("br", "hr", "img", "input", "meta", "link"):
            self._open.append((tag, bool(_ASKING_CLASS.search(dict(attrs).get("class") or ""))))

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._title &= tag != "title"
            if tag == self._skipped:
                self._skipped = ""
            return
        if tag in ("td", "th") and self._cells is not None:
            self._cells.append("".join(words for words, _ in self._words).strip())
            self._words = []
        elif tag == "tr" and self._cells is not None:
            if any(self._cells):
                self.blocks.append(Block(self._line, " | ".join(self._cells), cells=tuple(self._cells)))
            self._cells, self._words = None, []
        elif self._cells is not None and tag in ("p", "div", "li"):
            self._words.append(("\n", False))
        elif tag in _BREAKS and self._cells is None:
            self._flush()
            if tag in ("p", "div", "ul", "ol", "dd", "dl", "table", "section", "details", "blockquote"):
                self._blank()
        if any(tag == one for one, _ in self._open):
            while self._open and self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._skipped:
            if data.strip():
                level = MARKUP if self._title else LEFT_OUT
                self.blocks += [Block(self.getpos()[0], line, level) for line in data.split("\n") if line.strip()]
            return
        pre = any(tag == "pre" for tag, _ in self._open)
        for i, line in enumerate(data.split("\n") if pre else [re.sub(r"\s+", " ", data)]):
            if i:
                self._flush()
            if not any(words.strip() for words, _ in self._words) and self._cells is None:
                self._line = self.getpos()[0] + i
            self._words.append((line, any(tag in _BOLD for tag, _ in self._open)))

    def handle_comment(self, data: str) -> None:
        if data.strip():
            self.blocks.append(Block(self.getpos()[0], data.strip(), LEFT_OUT))

    def _blank(self) -> None:
        if self.blocks and self.blocks[-1].text:
            self.blocks.append(Block(self._line, ""))

    def _flush(self) -> None:
        pieces, self._words = self._words, []
        text = "".join(words for words, _ in pieces).strip()
        if not text or self._cells is not None:
            return
        tags = [tag for tag, _ in self._open]
        heading = next((int(tag[1]) for tag in reversed(tags) if re.fullmatch(r"h[1-6]", tag)), 0)
        bold = all(is_bold for words, is_bold in pieces if words.strip())
        question = any(asking for _, asking in self._open)
        if heading:
            self.blocks.append(Block(self._line, text, heading))
        elif "dt" in tags or "summary" in tags or question or ((bold or "button" in tags) and ends_asking(text)):
            self.blocks.append(Block(self._line, text, TERM))
        else:
            self.blocks.append(Block(self._line, ("- " if self._item else "") + text))
        self._item = False

    def close(self) -> None:
        super().close()
        self._flush()


def html_blocks(text: str) -> list[Block]:
    """The lines of an HTML page as they are shown, each with its level and its line in the file."""
    parser = _Blocks()
    parser.feed(text)
    parser.close()
    return parser.blocks
