"""A generated file and what it teaches: the readings of it that are right, and what they must report."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tests.data.generated_content import Pair

# names that a reader may write in front of a part that it joins to a question or an answer
LABEL_TEXT = """
标题 主题 分类 类别 科室 章节 背景 背景资料 背景信息 上下文 材料 资料 参考资料 参考 段落 原文 文档 内容
问题 提问 题目 题干 选项 答案 正确答案 解析 解答 过程 结论 思考 推理 指令 输入 系统
title subject topic category context background passage document reference question options option choices
answer explanation solution instruction input output think thinking reasoning final final_answer
"""
LABELS = tuple(LABEL_TEXT.split())


@dataclass(frozen=True, slots=True)
class Joined:
    """A turn made of all ``parts`` in any order, with nothing between but labels, option letters and punctuation."""

    parts: tuple[str, ...]
    labels: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        """Whether ``text`` (normalised) is such a turn."""
        rest = text
        for part in sorted((normalised(p) for p in self.parts), key=len, reverse=True):
            if part not in rest:
                return False
            rest = rest.replace(part, "\n", 1)
        for label in sorted((*LABELS, *self.labels), key=len, reverse=True):
            rest = re.sub(re.escape(label), "", rest, flags=re.IGNORECASE)
        return re.sub(r"[\W_]|\b[A-Ha-h]\b", "", rest) == ""


Text = str | Joined
Turn = tuple[str, Text]  # role: system, user, assistant, context (assistant, not trained on), either (of the two)
Conversation = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """One right reading: its records in any order; text that it does not use and must report, by name."""

    records: tuple[Conversation, ...]
    must_report: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A file as people bring it.

    Attributes:
        kind: What is peculiar about it; files of one kind differ in ``variation``.
        name: File name; its suffix is part of the format.
        truths: Right readings. None: nothing can be learned from it, and refusing is right.
        must_report: Names of what is not learned under any reading (header, key, speaker, heading, line): the repr of
            the decisions, findings and left-out entries contains each. Alternatives are parted by ``|``.
        never_learned: Text that may not be in an assistant turn that is trained on.
        may_ask: Whether a sensible reader may ask here.
        own_places: Whether each record has a line or index of its own, so that no two sources may be equal.
    """

    kind: str
    variation: str
    name: str
    content: bytes
    truths: tuple[Truth, ...]
    must_report: tuple[str, ...] = ()
    never_learned: tuple[str, ...] = ()
    may_ask: bool = False
    own_places: bool = True


Kind = Callable[[], Iterator[GeneratedFile]]


def normalised(text: str) -> str:
    """``text`` without spaces at line ends, without blank lines, and with plain line breaks."""
    return "\n".join(stripped for line in text.splitlines() if (stripped := line.strip()))


def exchange(question: Text, answer: Text, system: Text | None = None) -> Conversation:
    """A record of one question and one answer."""
    turns: Conversation = (("user", question), ("assistant", answer))
    return turns if system is None else (("system", system), *turns)


def pairs_truth(pairs: Iterable[Pair | tuple[Text, Text]], *must_report: str) -> Truth:
    """Each pair a record of its own."""
    records = (exchange(p.question, p.answer) if isinstance(p, Pair) else exchange(*p) for p in pairs)
    return Truth(tuple(records), must_report)


def conversation(exchanges: Iterable[tuple[Text, Text]]) -> Conversation:
    """A record of several exchanges."""
    return tuple(turn for q, a in exchanges for turn in (("user", q), ("assistant", a)))


def session_truths(sessions: Sequence[Sequence[tuple[Text, Text]]], *must_report: str) -> tuple[Truth, ...]:
    """Right readings of a running dialogue without clear borders: one record, one a session, one an exchange."""
    every = [e for s in sessions for e in s]
    shapes = ((conversation(every),), tuple(map(conversation, sessions)), tuple(exchange(*e) for e in every))
    return tuple(Truth(records, must_report) for records in dict.fromkeys(shapes))


def with_report(truth: Truth, *must_report: str) -> Truth:
    """The same records with more that must be reported."""
    return replace(truth, must_report=(*truth.must_report, *must_report))


def encoded(text: str, encoding: str = "utf-8", newline: str = "\n") -> bytes:
    """The bytes of a text file."""
    return text.replace("\n", newline).encode(encoding)


def fixed_zip(data: bytes) -> bytes:
    """The same XLSX or DOCX with a fixed date on every part, so that files are the same on every run."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            part = source.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2024-03-18T10:20:00Z", part)
            target.writestr(zipfile.ZipInfo(name, (2024, 3, 18, 10, 20, 0)), part)
    return out.getvalue()
