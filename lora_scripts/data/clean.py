"""Cleaning: invisible characters, empty and placeholder turns, orphans, duplicates. Each has its bin or finding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b

from lora_scripts.data.ledger import Finding, Ledger, Sources
from lora_scripts.data.records import Draft, Message, Record
from lora_scripts.messages import fix_for, is_filed, text

# Removed wherever they stand: controls, zero-width, soft hyphen, direction marks, inner BOM, halves
# of surrogate pairs (JSON can hold them, no encoding can). A zero-width (non-)joiner
# stays where it shapes an emoji or an Indic or Arabic letter.
_GONE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
    "|(?<![\u0600-\u0dff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_LINE = re.compile("\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_UNUSUAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x85\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)
_NOT_WORD = re.compile(r"[\W_]+")
_POINTS = re.compile(r"\d+(?:[.:/．：]\d+)+")
_PAIR = re.compile("( [≈↔] )")
_LONGEST_UNUSABLE = 200
_SHOWN = 8  # places that a finding names

_PLACEHOLDERS_WORDS = """
略 从略 略过 此处略 答案略 省略 见上 同上 同前 如上 同上一条 无 暂无 没有 空 待补充 待填 待填写 待定 待回复
待答复 待处理 待完善 待更新 未填写 未回复 未答复 暂无回复 暂无答案 暂无回答 暂未回复 无答案 无回答 无回复 无内容 请填写
请补充 此处填写答案 占位 占位符 测试 n/a n.a na none null nil nan tbd tba tbc todo fixme #n/a undefined empty
placeholder pending
"""
PLACEHOLDERS = frozenset(_PLACEHOLDERS_WORDS.split()) | {
    "no answer",
    "not answered",
    "to be added",
    "to be done",
    "to be completed",
    "lorem ipsum",
}
_FILLER = re.compile(
    r"x{2,}|×{2,}|\.{2,}|。{2,}|-+|—+|_{2,}|\*{2,}|~{2,}|#{2,}|/+|[\[【](?:图片|语音|视频|文件|表情)[\]】]"
)
_WRAPPED = re.compile(r"[（(\[【<《「{]+(.*?)[）)\]】>》」}]+")
_TAIL = " 。.!！；;，,~"


def scrub(raw: str) -> tuple[str, int]:
    """``raw`` without characters that nobody sees, odd spaces as plain ones, and how many were touched.

    Lines stay as they are, and so do ideographic spaces, which indent paragraphs.
    """
    if not _UNUSUAL.search(raw):
        return raw, 0
    out, spaces = _SPACE.subn(" ", raw)
    out, gone = _GONE.subn("", out)
    return out, gone + spaces


def visible(raw: str) -> tuple[str, int]:
    """``scrub`` for the words of one turn: line ends as ``\\n`` and nothing blank around them."""
    out, touched = scrub(raw)
    return (_LINE.sub("\n", out) if _UNUSUAL.search(out) else out).strip(), touched


def normal(raw: str) -> str:
    """``raw`` without spaces, punctuation and case: what two near duplicates share."""
    return _NOT_WORD.sub("", raw).casefold() or raw


def is_placeholder(answer: str) -> bool:
    """True for an answer that only holds the place of one: 略, 待补充, N/A, （无）, 同上, xxx, ……

    A real answer may be one character long ("是", "?"), so only listed words and rows of one filler count.
    """
    if len(answer) > 24:
        return False
    bare = answer.casefold().replace("…", "...").strip()
    if _FILLER.fullmatch(bare):
        return True
    bare = bare.rstrip(_TAIL)
    wrapped = _WRAPPED.fullmatch(bare)
    return (wrapped[1].strip() if wrapped else bare) in PLACEHOLDERS


_UNUSABLE = (
    ("error_value", re.compile(r"#(?:REF|VALUE|NAME|DIV/0|N/A|NULL|NUM|SPILL)[!?]?")),
    ("number_only", re.compile(r"\d(?:\.\d+)?[eE]\+\d{1,3}")),
    ("link_only", re.compile(r"(?:https?://|www\.)\S+")),
    (
        "attachment_only",
        re.compile(
            r"(?:请|详|具体|内容|答复)*(?:见|参见|查看|看)(?:附件|附图|附表|截图|图片|图|邮件|链接)\d*(?:[（(].{0,20}[)）])?"
        ),
    ),
    (
        "answered_elsewhere",
        re.compile(
            r"(?:已|暂)?(?:转|转交|转给|转至|移交|上报|反馈|登记|记录|派单|受理|知悉|回电|跟进|不回复|不处理|不予回复)"
            r"(?:给|至|到)?[\u4e00-\u9fff]{0,6}"
        ),
    ),
    (
        "attachment_only",
        re.compile(
            r"(?:请|详)?(?:见|参见|参照|参考|按)[^，。,.]{0,8}(?:标准|文件|规定|制度|手册|公告|通知|官网|公众号|网站|附页)"
        ),
    ),
    (
        "attachment_only",
        re.compile(r"(?:please )?see (?:the )?(?:attachments?|attached(?: file)?|screenshot|picture|link)", re.I),
    ),
    (
        "answered_elsewhere",
        re.compile(
            r"(?:answered|replied|resolved|handled|called back) (?:by|over|via|on) (?:the )?(?:phone|e-?mail|chat)",
            re.I,
        ),
    ),
    (
        "answered_elsewhere",
        re.compile(
            r"(?:已|于)?(?:经)?(?:电话|致电|来电|微信|私信|短信|邮件|线下|当面|现场|口头)(?:里|中|上)?(?:已|已经)?(?:进行)?"
            r"(?:回复|答复|回访|解答|告知|沟通|联系|处理|解决)(?:过|了|完毕|客户|用户|当事人)*"
        ),
    ),
)


_ACKNOWLEDGES = re.compile(r"好的|收到|嗯+|知道了|明白了|谢谢|got it|thanks", re.IGNORECASE)


def unusable_kind(answer: str) -> str:
    """The bin for an answer that teaches nothing: an error of Excel, a number that it broke, a bare link, a reference
    to something that is not there; or nothing."""
    if len(answer) > _LONGEST_UNUSABLE:
        return ""
    bare = answer.strip().rstrip(_TAIL)
    return next((kind for kind, pattern in _UNUSABLE if pattern.fullmatch(bare)), "")


class Places:
    """The first few of many places, and how many there are: ``str`` is what a finding says."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, place: str) -> None:
        """One more place."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(place)

    def __str__(self) -> str:
        return _listed(self.first) + (f", … ({self.count})" if self.count > len(self.first) else "")


class _Seen:
    """The conversations so far, as hashes: memory grows by some 200 bytes a record, however long its texts are."""

    __slots__ = ("_exact", "_first", "_sources")

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._exact: list[bytes] = []
        self._sources = Sources()

    def twin(self, messages: Sequence[Message], source: str) -> tuple[str, str]:
        """The bin for ``messages`` that an earlier record holds already, and that record's place; or ``("", "")``."""
        exact, loose = _hashes(messages)
        at = self._first.setdefault(loose, len(self._exact))
        if at == len(self._exact):
            self._exact.append(exact)
            self._sources.add(source)
            return "", ""
        return "exact_duplicate" if self._exact[at] == exact else "near_duplicate", self._sources[at]


def _hashes(messages: Sequence[Message]) -> tuple[bytes, bytes]:
    """16 bytes of the conversation as it is, and of its letters and figures alone."""
    exact = blake2b(digest_size=16)
    loose = blake2b(digest_size=16)
    for message in messages:
        head = f"\0{message.role}\0"
        exact.update((head + message.content).encode("utf-8", "surrogatepass"))
        # 3.5 and 35 are not the same, though only a point tells them apart
        points = "\0".join(_POINTS.findall(message.content))
        loose.update((head + normal(message.content) + points).encode("utf-8", "surrogatepass"))
    return exact.digest(), loose.digest()


def clean(drafts: Iterable[tuple[str, Draft]], ledger: Ledger) -> Iterator[Record]:
    """The records that can be trained on, one by one; the rest goes into the bins of ``ledger``.

    The ledger is complete when the iterator is exhausted. Texts are not kept, only hashes of them.

    Args:
        drafts: ``(file, draft)`` in reading order, over all files, so that duplicates are seen across files.
        ledger: Is filled: ``read``, ``kept``, ``bins``, ``left_out``, ``findings``.
    """
    seen = _Seen()
    notes: dict[str, Places] = {}
    invisible = 0
    for file, draft in drafts:
        source = f"{file}:{draft.place}"
        ledger.read += 1
        if draft.reason:
            ledger.leave_out(source, draft.reason, draft.note)
            continue
        turns = []
        for message in draft.turns:
            content, touched = visible(message.content)
            invisible += touched
            turns.append(message if content == message.content else replace(message, content=content))
        messages, reason, done = _fold(turns)
        rejected = draft.rejected
        if rejected is not None:
            rejected, touched = visible(rejected)
            invisible += touched
            reason = reason or _unfit(messages[-1].content, rejected)
        if reason:
            ledger.leave_out(source, reason)
            continue
        said = messages if rejected is None else (*messages, Message("rejected", rejected))
        twin, place = seen.twin(said, source)
        if twin == "exact_duplicate":
            ledger.leave_out(source, "exact_duplicate", text("data.same_as", source=place))
            continue
        if twin:
            ledger.leave_out(source, twin, text("report.nearly_same_as", source=place))
            continue
        for kind in dict.fromkeys(done):
            notes.setdefault(kind, Places()).add(source)
        ledger.kept += 1
        yield Record(messages, source, draft.synthetic, rejected)
    if invisible:
        ledger.findings.append(finding("info", "invisible_characters", "", count=invisible))
    for kind, found in notes.items():
        severity = "info" if kind == "turns_joined" else "warning"
        ledger.findings.append(finding(severity, kind, found.first[0], count=found.count, places=found))


def _fold(turns: Sequence[Message]) -> tuple[tuple[Message, ...], str, list[str]]:
    """Turns as alternating messages, user first and assistant last, and what was done; or the reason why not."""
    roles = [turn.role for turn in turns]
    if "user" not in roles:
        return (), "orphan_answer", []
    if "assistant" not in roles:
        return (), "orphan_question" if any(t.content for t in turns if t.role == "user") else "empty_question", []
    out: list[Message] = []
    done: list[str] = []
    for turn in turns:
        role, content = turn.role, turn.content
        if not content:
            if role == "system":
                continue
            return (), "empty_question" if role == "user" else "empty_answer", []
        if role == "assistant" and turn.trained:
            if is_placeholder(content):
                return (), "placeholder_answer", []
            if kind := unusable_kind(content):
                return (), kind, []
            if roles.count("assistant") == 1 and _ACKNOWLEDGES.fullmatch(content.rstrip(_TAIL)):
                return (), "acknowledgement_only", []
        if role == "system" and out and out[-1].role != "system":
            return (), "misplaced_system", []
        if out and out[-1].role == role:
            out[-1] = _joined(out[-1], turn)
            done.append("turns_joined")
        elif role == "assistant" and (not out or out[-1].role == "system"):
            done.append("greeting_dropped")
        else:
            out.append(turn)
    if out[-1].role == "user":
        done.append("last_question_dropped")
        out.pop()
    if not out or out[-1].role != "assistant":
        return (), "orphan_answer", []
    if not any(turn.trained for turn in out if turn.role == "assistant"):
        return (), "context_only", []
    return tuple(out), "", done


def _joined(first: Message, second: Message) -> Message:
    reasoning = "\n".join(filter(None, (first.reasoning, second.reasoning)))
    return Message(first.role, f"{first.content}\n{second.content}", first.trained and second.trained, reasoning)


def _unfit(chosen: str, rejected: str) -> str:
    """The bin for two answers that cannot be compared, or nothing."""
    if not rejected:
        return "empty_rejected"
    if is_placeholder(rejected):
        return "placeholder_rejected"
    return "same_answers" if rejected == chosen else ""


def finding(severity: str, kind: str, where: str, **values: object) -> Finding:
    """The finding whose text is ``data.finding.<kind>`` or ``reading.finding.<kind>``."""
    key = f"reading.finding.{kind}"
    if not is_filed(key):
        key = f"data.finding.{kind}"
    return Finding(severity, kind, where, text(key, **values), fix_for(key, **values))


def places(sources: Sequence[str], most: int = _SHOWN) -> str:
    """The first few of ``sources`` in words."""
    return _listed(sources[:most]) + (f", … ({len(sources)})" if len(sources) > most else "")


def _listed(some: Sequence[str]) -> str:
    """``a/b.txt:3, :9, c.txt:1 ≈ a.txt:5, :2 ≈ :6``: a file is named where it changes."""
    before: list[str] = []
    shown = []
    for place in some:
        ends = _PAIR.split(place)
        files = [end.rpartition(":")[0] for end in ends]
        if files == before and any(files):
            ends = [end[len(file) :] for end, file in zip(ends, files, strict=True)]
        shown.append("".join(ends))
        before = files
    return ", ".join(shown)
