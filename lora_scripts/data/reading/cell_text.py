"""What text cells hold beside text: HTML, line breaks spelled ``\\n``, marks of roles; mended where it is the rule."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from lora_scripts.data.records import Draft, Message, Remark

_HTML = re.compile(
    r"&(?:nbsp|lt|gt|amp|quot|#\d{1,6}|#x[0-9a-fA-F]{1,5});|<br\s*/?>|</?(?:p|div|span|b|strong|li|ul|ol)(?:\s[^<>]*)?>"
)
_LINE_TAGS = re.compile(r"<br\s*/?>|</(?:p|div|li)>", re.IGNORECASE)
_OTHER_TAGS = re.compile(r"</?(?:p|div|span|b|strong|li|ul|ol)(?:\s[^<>]*)?>", re.IGNORECASE)
_ROLE_MARKS = re.compile(
    r"(?:^|\n)\s*(?:###\s*)?(Human|User|Assistant|Instruction|Response|用户|助手|人类|客户|客服|问|答)\s*[:：]"
    r"|<\|(im_start|user|assistant|end_of_turn|eot_id)\|>|\[(/?INST)\]"
)
_MOST_OF_THEM = 0.2  # share of the texts of one role from which markup is taken out of all of them
_STUDIED = 200  # drafts
_LITERAL = re.compile(r"(?<![A-Za-z]:)(?:\\r)?\\n")  # not in C:\new_data


@dataclass(slots=True)
class CellText:
    """Takes markup out of the turns of one file, and counts what was met.

    Markup in single texts may be meant (an answer about HTML) and is only reported; where ``_MOST_OF_THEM`` of the
    first texts of a role hold it, it is the export's and is taken out of all texts of that role.
    """

    rules: set[tuple[str, str]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    role_marks: Counter[str] = field(default_factory=Counter)

    def clean(self, drafts: Iterable[Draft]) -> Iterator[Draft]:
        """``drafts`` with their texts as they are learned."""
        drafts = iter(drafts)
        head = list(islice(drafts, _STUDIED))
        texts: Counter[str] = Counter()
        marked: Counter[tuple[str, str]] = Counter()
        for message in (message for draft in head for message in draft.turns):
            texts[message.role] += 1
            marked.update((kind, message.role) for kind in _markup(message.content))
        self.rules = {(kind, role) for (kind, role), n in marked.items() if n >= _MOST_OF_THEM * texts[role]}
        for draft in chain(head, drafts):
            turns = tuple(self._cleaned(message) for message in draft.turns)
            yield draft if turns == draft.turns else replace(draft, turns=turns)

    def _cleaned(self, message: Message) -> Message:
        content = message.content
        for kind in _markup(content):
            if (kind, message.role) not in self.rules:
                self.counts[f"{kind}_kept"] += 1
                continue
            self.counts[f"{kind}_read"] += 1
            content = _without_html(content) if kind == "html" else _LITERAL.sub("\n", content)
        if ":" in content or "：" in content or "[" in content or "<" in content:
            marks = [next(filter(None, groups)) for groups in _ROLE_MARKS.findall(content)]
            if len(marks) > 1:
                self.counts["role_marks"] += 1
                self.role_marks.update(marks)
        return message if content == message.content else replace(message, content=content)

    def remarks(self, line: int) -> list[Remark]:
        """What has to be said at the end of the file."""
        out: list[Remark] = []
        for kind, severity in (
            ("literal_breaks_read", "info"),
            ("literal_breaks_kept", "warning"),
            ("html_read", "info"),
            ("html_kept", "warning"),
        ):
            if count := self.counts[kind]:
                out.append((severity, kind, line, {"count": count}))
        if self.role_marks:
            names = ", ".join(self.role_marks)
            out.append(("warning", "role_marks_in_text", line, {"count": self.counts["role_marks"], "names": names}))
        return out


def _markup(content: str) -> Iterator[str]:
    if "\\n" in content and "\n" not in content:
        yield "literal_breaks"
    if ("<" in content or "&" in content) and _HTML.search(content):
        yield "html"


def _without_html(content: str) -> str:
    return html.unescape(_OTHER_TAGS.sub("", _LINE_TAGS.sub("\n", content)))
