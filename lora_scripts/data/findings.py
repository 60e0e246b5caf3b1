"""What a small set suffers from: one pass over the records, places and figures out, no text of theirs.

Only words that many answers share are ever shown (an opening, a sentence of the house).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_scripts.data.advice import FEW, SMALL, advice_lines
from lora_scripts.data.clean import Places, finding, normal
from lora_scripts.data.ledger import Finding, Ledger, Sources
from lora_scripts.data.near_duplicates import figures
from lora_scripts.data.records import Record
from lora_scripts.messages import fix_for, text

LENGTHS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # upper ends of the bins of lengths, in characters
MOST_KEYS = 50_000  # different openings or sentences counted; one that most answers share is met long before
FEWEST_SHARED = 3  # an opening is shown when so many answers share it

_HOUSE = 0.8  # share of answers that makes a form the house's
_ENOUGH = 20  # records below which nothing is called a house form
_PREFIXES = (4, 8, 16, 32)  # characters of an opening that are compared
_MOST_OTHER = 0.05  # a larger share of another language is meant
_NUMERAL = "[零〇一二三四五六七八九十百千万\\d]+"
_BROKEN = re.compile("锟斤拷|烫烫|屯屯屯|\ufffd|[锛銆][\\s\\S]{0,40}[锛銆鐨]|Ã[\x80-\xbf]|Â[\xa0-\xbf]|â€|ï»¿")
_MACHINE = re.compile(
    r"作为(?:一个|一名|一款)?(?:AI|人工智能|大型?语言模型|语言模型)|我(?:只)?是(?:一个|一款)?(?:大型?)?语言模型|"
    r"截至我(?:的知识|最后)|as an ai\b|as a (?:large )?language model|my (?:knowledge|training) (?:cutoff|data)",
    re.IGNORECASE,
)
_FIELD = "姓名|公司名称|你的名字|您的姓名|日期|填写.{0,8}|name|your name|company(?: name)?|date"
_UNFILLED = re.compile(rf"\{{\{{\s*\w+\s*\}}\}}|[\[【(（<《](?:{_FIELD})[\]】)）>》]", re.IGNORECASE)
_REMARK = re.compile(
    r"(?:^|\n)\s*@\S{1,12}(?:\s|$)|[（(【\[][^（）()【】\[\]\n]{0,12}(?:批注|内部备注|审核意见|待确认|待核实|待补充|TODO)\s*[:：]|\bTODO\b"
)
_CITES = re.compile(f"《[^》]{{2,40}}》[^。；]{{0,12}}第{_NUMERAL}条")
_ASKS_FOR_OTHER = re.compile(r"翻译|译成|英文|英语|中文|代码|translat|chinese|english|code|python|sql", re.IGNORECASE)
_SCRIPTS = (
    ("zh", re.compile("[\u3400-\u9fff]+"), 1),
    ("en", re.compile("[A-Za-zÀ-ÖØ-öø-ɏ]+"), 3),  # letters that say as much as one Chinese character
    ("ja", re.compile("[\u3040-\u30ff]+"), 1),
    ("ko", re.compile("[\uac00-\ud7af]+"), 1),
    ("ru", re.compile("[\u0400-\u04ff]+"), 3),
)
_SENTENCE = re.compile(r"[。！？!?\n]+|\.\s+")
_LAW, _PART, _DIGITS = re.compile("《[^》]*》"), re.compile(f"第{_NUMERAL}"), re.compile(r"\d+")
_NO_WORD = re.compile(r"[\W\d_]+")
_CLAUSE = re.compile(r"[，。！？；：,.!?;:\n]")
_START = r"(?:您好|你好|亲|依据.{2,40}条)?[，,！!。\s]*"
_YES = re.compile(rf"{_START}(?:可以|能够|能(?!否)|是的|是(?!否)|属于|需要|应当|合法|有权|yes\b)", re.IGNORECASE)
_NO = re.compile(rf"{_START}(?:不|无需|无权|没有|并非|否|违法|no\b|not\b)", re.IGNORECASE)
_SHORT = 60  # characters of an answer that says one thing: another figure in it is another answer


def observe(severity: str, kind: str, where: str, **values: object) -> Finding:
    """The finding whose text is ``findings.<kind>``."""
    key = f"findings.{kind}"
    return Finding(severity, kind, where, text(key, **values), fix_for(key, **values))


def script(words: str) -> str:
    """The language that most of ``words`` is written in (``zh en ja ko ru``), judged by letters; empty if too few."""
    head = words[:300]
    weights = {}
    for name, letters, worth in _SCRIPTS:
        weights[name] = (len(head) - len(letters.sub("", head))) / worth
        if weights[name] * worth > 0.6 * len(head):
            break
    if weights.get("ja", 0) * 10 > weights["zh"]:  # Japanese is half Chinese characters
        weights["zh"] = 0
    elif weights["zh"] * 10 > weights.get("en", 0):  # names and code in a Chinese text leave it Chinese
        weights["en"] = 0
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] >= 4 else ""


def opening(answer: str) -> str:
    """The opening of an answer without what changes in it: ``依据《…》第…条``, at most 60 characters."""
    return _DIGITS.sub("…", _PART.sub("第…", _LAW.sub("《…》", answer[:80])))[:60]


class _Counts:
    """How often keys occur; once ``MOST_KEYS`` are known, new ones are not counted, so memory has a bound."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def add(self, key: str) -> None:
        known = self.of.get(key)
        if known is not None or len(self.of) < MOST_KEYS:
            self.of[key] = (known or 0) + 1

    def top(self) -> tuple[str, int]:
        return max(self.of.items(), key=lambda item: (item[1], item[0]), default=("", 0))


class Finder:
    """Looks at records one by one; keeps some 80 bytes of each, and none of its text.

    ``add`` each kept record, then ``tell`` the ledger. ``base_parameters`` is the size of the base that will be
    trained, where it is known: advice then suits it.
    """

    base_parameters: int | None = None

    def __init__(self) -> None:
        self._sources = Sources()
        self._context, self._answer, self._figure = array("q"), array("q"), array("q")
        self._prefix = tuple(array("q") for _ in _PREFIXES)
        self._prefixes = tuple(_Counts() for _ in _PREFIXES)
        self._verdict, self._cites = array("b"), array("b")
        self._asked, self._length = array("Q"), array("Q")
        self._pair, self._chosen, self._refused = array("Q"), array("q"), array("q")  # preference records only
        self._language: dict[str, int] = {}
        self._other: dict[str, Places] = {}
        self._openings, self._sentences = _Counts(), _Counts()
        self._places: dict[str, Places] = {}
        self._synthetic = array("b")

    def add(self, record: Record) -> None:
        """Look at one record."""
        question, answer = record.question, record.answer
        bare = [normal(m.content) for m in record.messages]
        source = record.source
        self._synthetic.append(record.synthetic)
        self._sources.add(source)
        self._context.append(hash("\0".join(bare[:-1])))
        self._answer.append(hash(bare[-1]))
        self._figure.append(hash(named) if len(answer) <= _SHORT and (named := figures(answer)) else 0)
        self._verdict.append(1 if _YES.match(answer) else -1 if _NO.match(answer) else 0)
        self._cites.append(_CITES.search(answer) is not None)
        self._asked.append(len(question))
        self._length.append(len(answer))
        if record.rejected is not None:
            self._pair.append(len(self._sources) - 1)
            self._chosen.append(hash((self._context[-1], bare[-1])))
            self._refused.append(hash((self._context[-1], normal(record.rejected))))
        self._look_at_form(answer)
        self._look_at_language(question, answer, source)
        asked = normal(question)
        for kind, found in (
            ("mojibake", _BROKEN.search(answer) or _BROKEN.search(question)),
            ("machine_talk", _MACHINE.search(answer)),
            ("unfilled", _UNFILLED.search(answer)),
            ("remark_in_answer", _REMARK.search(answer)),
            ("question_repeated", len(asked) >= 8 and bare[-1].startswith(asked)),
        ):
            if found:
                self._places.setdefault(kind, Places()).add(source)

    def tell(self, ledger: Ledger) -> None:
        """Add what was found, and the distributions, to ``ledger``."""
        ledger.findings += self.findings()
        ledger.distributions = self.distributions()

    def distributions(self) -> dict[str, dict[str, int]]:
        """Records by length of question and answer (characters), and the openings that several answers share."""
        shared = [(key, n) for key, n in self._openings.of.items() if n >= FEWEST_SHARED]
        return {
            "question_length": _histogram(self._asked),
            "answer_length": _histogram(self._length),
            "openings": dict(sorted(shared, key=lambda item: (-item[1], item[0]))[:15]),
        }

    def findings(self) -> list[Finding]:
        """What was found, the worst first."""
        found = [*self._disagreements(), *self._opposed()]
        found += [*self._house_form(), *self._languages(), *self._boilerplate(), *self._stale_variants()]
        severities = {
            "mojibake": "danger",
            "machine_talk": "warning",
            "unfilled": "warning",
            "remark_in_answer": "warning",
            "question_repeated": "info",
        }
        for kind, places in self._places.items():
            found.append(observe(severities[kind], kind, places.first[0], count=places.count, places=places))
        found += self._size()
        return sorted(found, key=lambda f: ("danger", "warning", "info").index(f.severity))

    def _look_at_form(self, answer: str) -> None:
        shape = opening(answer)
        for length, hashes, counts in zip(_PREFIXES, self._prefix, self._prefixes, strict=True):
            hashes.append(hash(shape[:length]))
            counts.add(shape[:length])
        clause = _CLAUSE.split(shape, maxsplit=1)[0][:24].strip()
        if len(_NO_WORD.sub("", clause)) >= 2:
            self._openings.add(clause)
        for sentence in {part.strip()[:80] for part in _SENTENCE.split(answer)}:
            if len(sentence) >= 12:
                self._sentences.add(sentence)

    def _look_at_language(self, question: str, answer: str, source: str) -> None:
        said = script(answer)
        if not said:
            return
        self._language[said] = self._language.get(said, 0) + 1
        asked = script(question)
        if "```" in answer or _ASKS_FOR_OTHER.search(question):
            return
        kind = "same" if asked == said or not asked else "crossed"
        self._other.setdefault(f"{kind} {said}", Places()).add(source)

    def _at(self, indices: NDArray[np.intp]) -> Places:
        places = Places()
        for index in indices:
            places.add(self._sources[int(index)])
        return places

    def _disagreements(self) -> Iterator[Finding]:
        """Questions with several answers; danger where one says yes and one no, or short ones name other figures."""
        context = np.array(self._context, np.int64)
        by = np.argsort(context, kind="stable")
        several: list[tuple[int, int, bool]] = []
        first, answers, verdicts, named = -1, set[int](), set[int](), set[int]()
        for at in np.flatnonzero(context[by[1:]] == context[by[:-1]]):
            before, index = int(by[at]), int(by[at + 1])
            if first < 0 or context[first] != context[index]:
                first = before
                answers, verdicts = {self._answer[first]}, {self._verdict[first]}
                named = {self._figure[first]} - {0}
            if self._answer[index] in answers:
                continue
            verdict, figure = self._verdict[index], self._figure[index]
            contrary = (verdict and -verdict in verdicts) or (figure and bool(named - {figure}))
            several.append((index, first, bool(contrary)))
            answers.add(self._answer[index])
            verdicts.add(verdict)
            named |= {figure} - {0}
        different, contradicting = Places(), Places()
        for index, earlier, contrary in sorted(several):
            place = f"{self._sources[index]} ↔ {self._sources[earlier]}"
            (contradicting if contrary else different).add(place)
        if contradicting.count:
            where = contradicting.first[0].split(" ↔ ")[0]
            count = contradicting.count
            yield observe("danger", "contradicting_answers", where, count=count, places=contradicting)
        if different.count:
            where = different.first[0].split(" ↔ ")[0]
            yield finding("warning", "different_answers", where, count=different.count, places=different)

    def _opposed(self) -> Iterator[Finding]:
        """Answers that one preference record chooses and another rejects, the question being the same."""
        both = np.flatnonzero(np.isin(np.array(self._refused, np.int64), np.array(self._chosen, np.int64)))
        if both.size:
            places = self._at(np.array(self._pair, np.intp)[both])
            yield observe("danger", "opposed_pairs", places.first[0], count=places.count, places=places)

    def _house_form(self) -> Iterator[Finding]:
        """Answers that break the opening, length or citation that the others keep."""
        total = len(self._sources)
        if total < _ENOUGH:
            return
        tops = [counts.top() for counts in self._prefixes]
        loosest = tops[0][1]
        kept = [i for i, (_, n) in enumerate(tops) if n >= max(_HOUSE * total, 0.95 * loosest)]
        strangers = np.empty(0, np.intp)
        if kept and tops[kept[-1]][1] < total:
            shape, count = tops[kept[-1]]
            strangers = np.flatnonzero(np.array(self._prefix[kept[-1]], np.int64) != hash(shape))
            values = {"count": len(strangers), "share": _percent(count, total), "opening": _whole_words(shape)}
            yield self._about("house_opening", strangers, **values)
        lengths = np.array(self._length, np.int64)
        low, middle, high = np.percentile(lengths, (25, 50, 75))
        if middle >= 40 and high - low <= middle / 2:
            odd = np.flatnonzero((lengths > 3 * middle) | (lengths * 3 < middle))
            if 0 < len(odd) <= total * _MOST_OTHER:
                yield self._about("house_length", odd, count=len(odd), middle=int(middle))
        cites = np.array(self._cites, bool)
        bare = np.flatnonzero(~cites)
        if len(bare) and cites.sum() >= _HOUSE * total and not np.array_equal(bare, strangers):
            yield self._about("house_citation", bare, count=len(bare), share=_percent(int(cites.sum()), total))

    def _about(self, kind: str, indices: NDArray[np.intp], **values: Any) -> Finding:
        places = self._at(indices)
        return observe("warning", kind, places.first[0], places=places, **values)

    def _languages(self) -> Iterator[Finding]:
        """Answers in another language than the rest: an accident where the question is not in it either."""
        total = sum(self._language.values())
        main = max(self._language, key=self._language.__getitem__, default="")
        if total < _ENOUGH or self._language[main] < (1 - 2 * _MOST_OTHER) * total:
            return
        for key, places in self._other.items():
            kind, said = key.split()
            names = {"language": text(f"findings.language.{said}"), "main": text(f"findings.language.{main}")}
            values = {"count": places.count, "places": places, **names}
            if said == main:
                continue
            if kind == "crossed":
                yield observe("warning", "wrong_language", places.first[0], **values)
            elif places.count <= _MOST_OTHER * total:
                yield observe("info", "other_language", places.first[0], **values)

    def _boilerplate(self) -> Iterator[Finding]:
        total = len(self._sources)
        sentence, count = self._sentences.top()
        if total >= _ENOUGH and count * 2 >= total:
            yield observe("info", "boilerplate", "", share=_percent(count, total), sentence=sentence[:40])

    def _stale_variants(self) -> Iterator[Finding]:
        """Variants that `augment` made of records whose answer was changed since: their answer is nobody's any more."""
        made, answers = np.array(self._synthetic, bool), np.array(self._answer, np.int64)
        stale = np.flatnonzero(made & ~np.isin(answers, answers[~made]))
        if len(stale) and not made.all():
            yield self._about("stale_variants", stale, count=len(stale))

    def _size(self) -> Iterator[Finding]:
        real = len(self._sources) - sum(self._synthetic)
        if 0 < real < SMALL:
            size = self.base_parameters
            lines, base = advice_lines(real, size), text("findings.base_7b")
            if size is not None:
                base = text("findings.base_millions", millions=f"{size / 1e6:,.0f}")
            severity, kind = ("warning", "too_few") if real < FEW else ("info", "small_set")
            yield observe(severity, kind, "", count=real, lines=lines, base=base)


def _whole_words(shape: str) -> str:
    """``shape`` without half a word at its end, where it is written with spaces."""
    return shape.rpartition(" ")[0] if shape.isascii() and " " in shape else shape


def _percent(count: int, total: int) -> int:
    return min(99, round(100 * count / total)) if count < total else 100


def _histogram(lengths: Sequence[int]) -> dict[str, int]:
    """Records by length, as ``"100-199": n``, and the longest."""
    values = np.array(lengths, np.int64)
    bins = np.bincount(np.digitize(values, LENGTHS), minlength=len(LENGTHS) + 1)
    starts = (0, *LENGTHS)
    names = [f"{low}-{high - 1}" for low, high in zip(starts, LENGTHS, strict=False)] + [f"{LENGTHS[-1]}+"]
    told = {name: int(n) for name, n in zip(names, bins, strict=True)}
    return {**told, "longest": int(values.max())} if len(values) else {}
