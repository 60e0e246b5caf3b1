"""Personal data in a text that comes in pieces, by the detectors that desensitise training data.

These detectors look at words around a number, so they are asked about pieces that cannot grow any more: a run of
letters and figures that may hold a number, with what stands around it; or, for names, addresses, sums and case
numbers, which may be any words, a whole sentence.
"""

from __future__ import annotations

from functools import cache

import regex

from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES, find_pii
from lora_scripts.data.pii.plain import plain_view
from lora_scripts.serve.guardrails.patterns import Pattern, PatternScanner
from lora_scripts.serve.guardrails.spans import Scan, Span

# Types that may be any words: held back by the sentence.
BY_SENTENCE = frozenset({"name", "address", "amount", "case_no"})
SENTENCE = 200  # characters after which a sentence is cut
BEFORE, AFTER = 48, 16  # characters around a run that the detectors may look at

_UNSEEN = "\u200b"
_PLACES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_JOINT = (
    rf" (?:at|dot) | ?(?:艾特|点) ?|[._%+\-@:·/*#=][._%+\-@:·/*#{_UNSEEN}]{{0,3}}"
    rf"|[ .\-·()\[\]][ .\-·()\[\]{_UNSEEN}]{{0,4}}(?=0)"
    rf"|(?<=[0{_UNSEEN}])[ .\-·()][ .\-·(){_UNSEEN}]{{0,4}}(?=[a-z0])|(?<=[0{_UNSEEN}]) ?[,、|~/_·] ?(?=0)"
    r"| ?[(\[](?:at|dot|艾特|点)[)\]] ?| ?@ ?|。(?=[a-z])"
    r"|[ \-]?(?:转|分机号?)[ :]{0,2}(?=0)"
)
_RUN = Pattern(
    rf"(?:[{_PLACES}使军海空沈兰济南广成北临][ ·{_UNSEEN}]{{0,2}}(?:[a-z][ ·.\-{_UNSEEN}]{{0,3}}临?)?(?=[a-z0]))?"
    rf"[(\[+]{{0,2}}[0a-z][0a-z{_UNSEEN}]{{0,40}}(?:(?:{_JOINT})[0a-z][0a-z{_UNSEEN}]{{0,39}}){{0,30}}"
    rf"(?:[{_PLACES}] ?[0a-z·\-]{{4,8}})?(?:[挂学警港澳领试超使临)\]]|应急)?"
)
_SENTENCE = Pattern(rf"[^。！？；\n]{{1,{SENTENCE}}}")
_LABELLED = regex.compile(
    r"微信|微 信|[薇葳徽]|威信|威芯|v信|[加+➕] ?[v微]|(?<![a-z0])v(?=号?:)|绿泡泡|wechat|weixin|wx|vx"
)
_SPELT_MAIL = regex.compile(r"[(\[]at|艾特|#| at ")
_SIGNS = regex.compile("[0a-z]")
_LEAST = 4  # letters and figures of the shortest number


class _Shapes(dict[int, str]):
    """Code point → one character: figures (Chinese ones too) as 0, small ASCII letters, the unseen as one."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        plain, _ = plain_view(char)
        eight, _ = plain_view(char * 8)  # Chinese figures are read as figures in rows only
        shape = _UNSEEN if not plain else "0" if eight.isdigit() else plain.lower() if plain.isascii() else char
        self[code] = shape
        return shape


_SHAPES: dict[int, str] = _Shapes()


@cache
def warm(types: frozenset[str]) -> None:
    """Load what the detectors of ``types`` load at their first look (names: a dictionary, a second)."""
    find_pii("王小明先生的电话是13800138000，+44 20 7946 0958", types)


class PersonalScanner:
    """Follows one text with the detectors of ``types``."""

    def __init__(self, types: frozenset[str], rule: int) -> None:
        self._types, self._rule = types, rule
        self._by_sentence = bool(types & BY_SENTENCE)
        self._runs = PatternScanner(_SENTENCE if self._by_sentence else _RUN, rule)
        self._after = 0 if self._by_sentence else AFTER
        self._waiting: list[Span] = []
        self._shape, self._shape_base = "", 0

    def scan(self, text: str, base: int, ended: bool) -> Scan:
        """See ``spans.Scanner``."""
        shape = self._shape_of(text, base)
        runs, hold = self._runs.scan(shape, base, ended)
        self._waiting += [run for run in runs if self._may_hold(shape, run.start - base, run.end - base)]
        found: list[Span] = []
        while self._waiting and (ended or self._waiting[0].end + self._after <= base + len(text)):
            found += self._look(text, base, self._waiting.pop(0))
        return found, min(hold, self._waiting[0].start if self._waiting else hold)

    def _shape_of(self, text: str, base: int) -> str:
        known = self._shape[base - self._shape_base :]
        self._shape, self._shape_base = known + text[len(known) :].translate(_SHAPES), base
        return self._shape

    def _may_hold(self, shape: str, start: int, stop: int) -> bool:
        """Whether a run is worth a look."""
        if self._by_sentence:
            return True
        run = shape[start:stop]
        if len(_SIGNS.findall(run)) < _LEAST:
            return False
        if any(sign in run for sign in "0@:") or _SPELT_MAIL.search(run):
            return True
        return "wechat" in self._types and bool(_LABELLED.search(shape, max(0, start - 24), stop))

    def _look(self, text: str, base: int, run: Span) -> list[Span]:
        start, stop = run.start - base, run.end - base
        front = max(0, start - BEFORE)
        spans = find_pii(text[front : stop + self._after], self._types)
        places = [(base + front + span.start, base + front + span.end, span.type) for span in spans]
        return [Span(a, b, self._rule, kind) for a, b, kind in places if run.start <= a and b <= run.end]


def types_of(wanted: object) -> frozenset[str] | None:
    """The types that ``default``, ``all`` or a list of types names; None where it names none."""
    if wanted in ("default", "all"):
        return frozenset(DEFAULT_TYPES if wanted == "default" else PII_TYPES)
    listed = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(listed, list) or not listed or not all(name in PII_TYPES for name in listed):
        return None
    return frozenset(listed)
