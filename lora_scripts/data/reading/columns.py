"""Which column or key holds the question and which the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lora_scripts.data.reading.names import ASSISTANT_NAMES, SYSTEM_NAMES, USER_NAMES, simple
from lora_scripts.errors import DataError

# Best first; a name of a speaker ("客户", "bot") ranks behind these, a name that only contains a word last.
_QUESTIONS_WORDS = """
instruction question query prompt ask 问题 提问 问 咨询内容 问题内容 问题描述 提问内容 咨询问题 用户问题
用户提问 客户问题 客户提问 咨询 题目 question_text question_content question_body user_query user_question
user_input user_message problem q 指令 input 输入 标准问题 标准问 病情描述 描述 诉求 诉求内容 留言内容 来信内容
message request description
"""
QUESTIONS = _QUESTIONS_WORDS.split()
# Taken where nothing better is there.
_TITLES_WORDS = """
title 标题 问题标题 咨询标题 主题 subject
"""
TITLES = _TITLES_WORDS.split()
_ANSWERS_WORDS = """
output response answer completion reply 答案 回答 答复 回复 答 律师答复 律师回复 律师回答 回答内容 答复内容
回复内容 解答 专家解答 专家回复 医生回答 医生回复 医生建议 官方回复 客服回复 标准答案 参考答案 最佳答案 最佳回答
采纳答案 answer_text answer_content answer_body best_answer bot_response assistant_response model_output target
solution a label_text 输出 回应 处理结果 解决方案 意见
"""
ANSWERS = _ANSWERS_WORDS.split()
# The better answer and the worse one, one pair a line; all but the first only where no other answer is there.
_PAIRS_WORDS = """
chosen rejected
chosen_response rejected_response
chosen_answer rejected_answer
response_chosen response_rejected
answer_chosen answer_rejected
preferred rejected
preferred dispreferred
better worse
better_answer worse_answer
better_response worse_response
good bad
good_answer bad_answer
good_response bad_response
winner loser
较好回答 较差回答
较好的回答 较差的回答
较好答案 较差答案
更好的回答 更差的回答
优选 劣选
优选回答 劣选回答
优选答案 劣选答案
优质回答 劣质回答
优 劣
好 差
好回答 差回答
好的回答 差的回答
好答案 差答案
采纳 拒绝
采纳回答 拒绝回答
采纳的回答 拒绝的回答
接受 拒绝
接受的回答 拒绝的回答
偏好回答 非偏好回答
"""
PAIRS = [tuple(line.split()) for line in _PAIRS_WORDS.strip().split("\n")]
SYSTEMS = ["system", "system_prompt", "系统", "系统提示", "系统提示词"]
_ASKING = re.compile(r"问|咨询|诉求|ask|question|query|prompt|inquiry|enquiry|instruct")
_ASKING_TOO = re.compile(r"留言|来信|来电|反映|描述|症状|topic|user|client|customer")
_ANSWERING = re.compile(r"答|复|回应|解析|answer|reply|response|respond|output|completion|solution")
_ANSWERING_TOO = re.compile(r"意见|建议|结果|处理|办理|方案|advice|assistant|agent|bot")
# Columns about a question or an answer: when, who, how many.
_ABOUT = re.compile(
    r"时间|日期|编号|序号|人$|者$|人员|姓名|类型|类别|分类|标签|状态|评分|数$|数量|次数|来源|链接|地区|部门|科室|是否|长度|标题|题目|主题|单位|电话|方式|渠道"
    r"|(?:^|[_\s])(?:id|ids|no|time|date|type|category|tag|tags|status|score|count|source|url|by|name|length|len|title|lang)$"
    r"|^(?:id|num|n)_|time$|date$"
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The column names taken: ``more`` is joined behind the question (alpaca's input), ``history`` goes before.

    With ``rejected``, the worse of two answers, ``answer`` is the chosen one.
    """

    question: str
    answer: str
    more: str | None = None
    system: str | None = None
    history: str | None = None
    rejected: str | None = None

    def __str__(self) -> str:
        """For the line that says what was decided."""
        question = f"{self.question} + {self.more}" if self.more else self.question
        rest = "".join(f", {k}: {v}" for k, v in (("system", self.system), ("history", self.history)) if v)
        answers = f"chosen: {self.answer}, rejected: {self.rejected}" if self.rejected else f"answer: {self.answer}"
        return f"question: {question}, {answers}{rest}"


def find_pair(headers: Iterable[str]) -> tuple[str, str] | None:
    """The columns of the chosen and of the rejected answer, by their names; None where there are no such two."""
    plain = {plain_header(h): h for h in headers}
    for number, (better, worse) in enumerate(PAIRS):
        if better in plain and worse in plain and (not number or not any(name in plain for name in ANSWERS)):
            return plain[better], plain[worse]
    return None


def plain_header(raw: object) -> str:
    """A header as it is compared: NFKC, lower case, without blanks, quotes and brackets around it."""
    name = re.sub("[\u200b-\u200f\u2060\ufeff\x00]", "", simple(str(raw)))
    return re.sub(r"[\s\-]+", "_", name.strip(" \t\n'\"[]()【】*:"))


def find_columns(headers: Sequence[str], given: Mapping[str, str | Sequence[str]] | None, where: str) -> Columns | None:
    """The columns of a table or the keys of an object that hold question and answer; None where none are seen.

    Args:
        headers: As they stand in the file.
        given: The user's ``columns``: any of question, answer, rejected, system, input, history, with the header's
            name, or several of which a file has one.
        where: ``file:line`` for messages.

    Raises:
        DataError: A given column is not there, or two are equally good.
    """
    plain = {plain_header(h): h for h in reversed(headers)}
    chosen: dict[str, str] = {}
    for key, wanted in (given or {}).items():
        if key not in ("question", "answer", "rejected", "system", "input", "history"):
            raise DataError("data.bad_column_key", where="columns", name=key)
        likely = [wanted] if isinstance(wanted, str) else list(wanted)
        there = next((plain[p] for w in likely if (p := plain_header(w)) in plain), None)
        if there is None:
            raise DataError(
                "data.no_column", where=where, name=" / ".join(likely), there=", ".join(map(shown, headers[:20]))
            )
        chosen[key] = there
    if not chosen.keys() & {"answer", "rejected"} and (pair := find_pair(headers)):
        chosen["answer"], chosen["rejected"] = pair
    answer = chosen.get("answer") or _best(
        plain, ANSWERS, ASSISTANT_NAMES, (_ANSWERING, _ANSWERING_TOO), "answer", where, chosen
    )
    if answer is None:
        return None
    free = {p: h for p, h in plain.items() if h != answer}
    question = chosen.get("question") or _best(
        free, QUESTIONS, USER_NAMES, (_ASKING, _ASKING_TOO), "question", where, chosen
    )
    if question is None:
        return None
    more = chosen.get("input")
    if not given and (second := {"instruction": "input", "指令": "输入"}.get(plain_header(question))):
        more = plain.get(second)
    system = chosen.get("system") or next((plain[s] for s in (*SYSTEMS, *SYSTEM_NAMES) if s in plain), None)
    history = chosen.get("history") or plain.get("history")
    system = None if system in (question, answer) else system
    return Columns(question, answer, more, system, history, chosen.get("rejected"))


def shown(name: str) -> str:
    """A header for a message: what is taken for one may be a row of private data, so neither long nor with numbers."""
    short = re.sub(r"[\d*]{4,}|\S+@\S+", "…", name.strip())
    return short if len(short) <= 24 else short[:10] + "…"


def guesses(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Up to three likely values of ``columns`` where the names tell nothing: who asks, and whose words are longest.

    Args:
        names: Of the columns.
        rows: The first few, in the order of ``names``.
    """
    cells = {name: [str(row[i]) for row in rows if i < len(row)] for i, name in enumerate(names) if name}
    asking = sorted(cells, key=lambda n: -sum(c.rstrip().endswith(("?", "？")) for c in cells[n]))
    longest = sorted(cells, key=lambda n: -sum(map(len, cells[n])))
    pairs = [(q, a) for q in asking[:2] for a in longest[:3] if a != q][:3]
    return "; ".join(f"{{question: {shown(q)}, answer: {shown(a)}}}" for q, a in pairs) or "{question: …, answer: …}"


def _best(
    plain: Mapping[str, str],
    names: Sequence[str],
    speakers: frozenset[str],
    patterns: Sequence[re.Pattern[str]],
    side: str,
    where: str,
    chosen: Mapping[str, str],
) -> str | None:
    free = {p: h for p, h in plain.items() if h not in chosen.values()}
    for name in names:
        if name in free:
            return free[name]
    named = [h for p, h in free.items() if patterns[0].search(p) and not _ABOUT.search(p)]
    if len(named) == 1:  # "用户问题描述" beside "用户", which only tells who
        return named[0]
    spoken = [h for p, h in free.items() if p in speakers]
    if spoken:
        return spoken[0]
    for pattern in patterns:
        like = [h for p, h in free.items() if pattern.search(p) and not _ABOUT.search(p)]
        if len(like) > 1:
            guesses = "; ".join(f"{{{side}: {h}}}" for h in reversed(like[-3:]))
            raise DataError("data.ambiguous_columns", where=where, side=side, guesses=guesses)
        if like:
            return like[0]
    return next((free[t] for t in TITLES if t in free), None) if side == "question" else None
