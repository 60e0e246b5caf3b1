"""What the name of a column or key says about its content, and the layout of a row: which column holds what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lora_scripts.data.reading.names import ASSISTANT_NAMES, SYSTEM_NAMES, USER_NAMES, simple
from lora_scripts.errors import DataError

_QUESTIONS_WORDS = """
instruction question query prompt ask 问题 提问 问 咨询内容 问题内容 问题描述 提问内容 咨询问题 用户问题 用户提问
客户问题 客户提问 咨询 题目 题干 试题 考题 question_text question_content question_body user_query user_question
user_input user_message problem q patterns questions 指令
标准问题 标准问 病情描述 诉求内容 留言内容 来信内容 来电内容 投诉内容
"""
QUESTIONS = frozenset(_QUESTIONS_WORDS.split())
_LESSER_QUESTIONS_WORDS = """
input 输入 描述 诉求 message request description 留言 来信 反映内容
"""
_LESSER_QUESTIONS = frozenset(_LESSER_QUESTIONS_WORDS.split())
_BODIES = frozenset(["content", "body", "text", "内容", "正文", "详情", "主要内容"])
_TITLES_WORDS = """
title 标题 问题标题 咨询标题 主题 subject topic 问题概述 概述 摘要 概要 summary
"""
_TITLES = frozenset(_TITLES_WORDS.split())
_ANSWERS_WORDS = """
output response answer answers responses completion reply 答案 回答 答复 回复 答 律师答复 律师回复 律师回答 回答内容
答复内容 回复内容 解答 专家解答 专家回复 医生回答 医生回复 医生建议 官方回复 客服回复 标准答案 参考答案 正确答案
最佳答案 最佳回答 采纳答案 我方回复 answer_text answer_content answer_body best_answer bot_response assistant_response
model_output solution correct_answer
"""
ANSWERS = frozenset(_ANSWERS_WORDS.split())
_LESSER_ANSWERS = frozenset(["a", "target", "label_text", "输出", "回应", "解决方案", "解析", "explanation"])
_SYSTEMS_WORDS = """
system system_prompt system_message sys_prompt 系统 系统提示 系统提示词 系统消息
"""
_SYSTEMS = frozenset(_SYSTEMS_WORDS.split())
_INPUTS_WORDS = """
input inputs 输入 context contexts background passage passages paragraph document reference_text article_text
material evidence knowledge 背景 背景资料 背景材料 材料 案情 案情简介 上下文 参考材料 资料 文段 原文 知识
补充信息 补充说明 补充问题 问题补充 补充提问 补充描述
"""
_INPUTS = frozenset(_INPUTS_WORDS.split())
_HISTORY_WORDS = """
history chat_history dialog_history dialogue_history conversation_history previous_turns past_messages histories
历史 历史对话 对话历史 历史记录 聊天历史 上文
"""
_HISTORIES = frozenset(_HISTORY_WORDS.split())
_REASONING_WORDS = """
reasoning_content reasoning thinking think thought thoughts cot chain_of_thought rationale reasoning_steps complex_cot
思考 思考过程 推理 推理过程 思维链
"""
REASONING = frozenset(_REASONING_WORDS.split())
_FOLLOWUPS = ("追问", "用户追问", "follow_up", "followup", "follow_up_question")
_FOLLOWUP_ANSWERS_WORDS = "追答 追问回答 追问答复 追问回复 追加回答 follow_up_answer followup_answer"
_FOLLOWUP_ANSWERS = _FOLLOWUP_ANSWERS_WORDS.split()
_SPEAKERS_WORDS = """
role from speaker sender author 角色 发送方 发送者 发送人 发言人 发言者 说话人 说话者 身份
"""
_SPEAKERS = frozenset(_SPEAKERS_WORDS.split())
_REVISED = re.compile(
    r"修订|修改后|改后|终稿|定稿|最终|审定|人工|修正|校正|改写|润色|(?:^|_)(?:final|revised|corrected|edited)(?:_|$)"
)
_DRAFT = re.compile(r"原|初稿|草稿|修改前|机器|模型|^ai|(?:^|_)(?:draft|original|raw|model|initial)(?:_|$)")
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
_ASKING = re.compile(r"问|咨询|诉求|ask|question|query|prompt|inquiry|enquiry|instruct")
_ASKING_TOO = re.compile(
    r"留言|来信|来电|反映|描述|症状|情况|详情|事项|"
    r"主诉|事由|反馈内容|用户反馈|客户反馈|issue|topic|user|client|customer"
)
_ANSWERING = re.compile(r"答|复|回应|回信|回帖|解析|answer|reply|response|respond|output|completion|solution")
_ANSWERING_TOO = re.compile(
    r"意见|建议|结果|处理|办理|方案|办法|措施|释疑|话术|医嘱|口径|处置|"
    r"advice|remedy|resolution|^fix|assistant|agent|bot"
)
# Columns about a question or an answer: when, who, how many.
_ABOUT = re.compile(
    r"时间|日期|编号|序号|单号|人$|者$|人员$|姓名|类型|类别|分类|标签|状态|评分|得分|满意度|数$|数量|次数|来源|链接|地区|部门|科室|是否"
    r"|长度|标题|题目|主题|概述|摘要|概要|单位|电话|方式|渠道|章节|难度|知识点|题型|优先级|进度|版本"
    r"|(?:^|[_\s])(?:id|ids|no|time|date|type|category|tag|tags|status|score|rating|count|source|url|by|name|length|len"
    r"|title|lang|language|level|difficulty|version|model|index|idx|split|topic|metadata|meta|domain)$"
    r"|^(?:id|num|n)_|time$|date$"
)
_REMARKS_WORDS = """
备注 说明 附注 注释 批注 note notes remark remarks comment comments memo feedback 反馈 评价 审核意见 质检意见
"""
_REMARKS = frozenset(_REMARKS_WORDS.split())
_OPTION = re.compile(r"(?:选项|option|choice)?_?\(?([a-h])\)?(?:选?项)?")
_OPTION_LISTS = frozenset({"options", "choices", "candidates", "选项", "选择项", "备选项"})
_ANSWER_KEYS = frozenset({"答案", "正确答案", "标准答案", "参考答案", "answer", "correct_answer", "label", "output"})
_PRIVATE = re.compile(r"[\d*]{4,}|\S+@\S+")
COLUMN_KEYS = ("question", "answer", "rejected", "system", "input", "history", "speaker", "content", "conversation")


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Which column or key of a row holds what; names as they stand in the file, empty where there is none.

    Attributes:
        question: The user's text; also a list of messages.
        answer: The assistant's text; with ``rejected``, the chosen one of two.
        inputs: Further text of the user's, joined behind the question (alpaca's ``input``, a passage).
        options: Choices of a multiple-choice question, in order, or one column with all of them; written behind it as
            ``A. …``.
        system: System text.
        history: Earlier turns.
        reasoning: Chain of thought beside the answer.
        messages: A list of messages; question and answer are then empty (or the answers of a preference record).
        rejected: The worse of two answers.
        repeats: Further (question, answer) columns of the same row, each a record of its own.
        followups: Columns of a further question and its answer in the same conversation.
    """

    question: str = ""
    answer: str = ""
    inputs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    system: str = ""
    history: str = ""
    reasoning: str = ""
    messages: str = ""
    rejected: str = ""
    repeats: tuple[tuple[str, str], ...] = ()
    followups: tuple[tuple[str, str], ...] = ()

    def columns(self) -> dict[str, str]:
        """Column name → unit role, see ``records.UNIT_ROLES``."""
        named = {self.question: "question", self.answer: "answer", self.messages: "question", self.rejected: "answer"}
        named |= {self.system: "system", self.history: "context", self.reasoning: "reasoning"}
        named |= dict.fromkeys((*self.inputs, *self.options), "context")
        for question, answer in (*self.repeats, *self.followups):
            named |= {question: "question", answer: "answer"}
        named.pop("", None)
        return named

    def __str__(self) -> str:
        """For the line that says what was decided."""
        if self.rejected:
            parts = [self.messages or (f"question: {self._asked()}" if self.question else "…")]
            parts.append(f"chosen: {self.answer}, rejected: {self.rejected}")
        elif self.messages:
            parts = [self.messages]
        else:
            parts = [f"question: {self._asked()}, answer: {self.answer}"]
        parts += [f"question: {q}, answer: {a}" for q, a in (*self.repeats, *self.followups)]
        parts += [f"{key}: {name}" for key in ("system", "history", "reasoning") if (name := getattr(self, key))]
        return ", ".join(parts)

    def _asked(self) -> str:
        return " + ".join((self.question, *self.options, *self.inputs))


@lru_cache(maxsize=4096)
def plain_header(raw: object) -> str:
    """A header as it is compared: NFKC, lower case, without blanks, quotes and brackets around it."""
    name = re.sub("[\u200b-\u200f\u2060\ufeff\x00]", "", simple(str(raw)))
    return re.sub(r"[\s\-]+", "_", name.strip(" \t\n'\"[]()【】*:"))


def question_score(name: str) -> float:
    """How much a plain header says that its column holds questions: 0 (nothing) to 3."""
    if name in QUESTIONS:
        return 3.0
    if name in _LESSER_QUESTIONS:
        return 2.0
    about = bool(_ABOUT.search(name))
    if _ASKING.search(name) and not about:
        return 2.2
    if name in USER_NAMES:
        return 1.5
    if _ASKING_TOO.search(name) and not about:
        return 1.0
    if name in _BODIES:
        return 0.9
    return 0.5 if name in _TITLES else 0.0


def answer_score(name: str) -> float:
    """How much a plain header says that its column holds answers: 0 (nothing) to 3.5."""
    score = 0.0
    about = bool(_ABOUT.search(name))
    if name in ANSWERS:
        score = 3.0
    elif _ANSWERING.search(name) and not about:
        score = 2.2
    elif name in _LESSER_ANSWERS:
        score = 2.0
    elif name in ASSISTANT_NAMES:
        score = 1.5
    elif _ANSWERING_TOO.search(name) and not about:
        score = 1.0
    if _REVISED.search(name):
        return max(score, 2.0) + 0.5
    return score - 1.0 if score and _DRAFT.search(name) else score


def is_metadata_name(name: str) -> bool:
    """A plain header of what is about the record: ids, times, people, remarks."""
    return bool(_ABOUT.search(name)) or name in _REMARKS or name in _TITLES


def header_role(name: str) -> str:
    """The part of a layout (not question or answer) that a plain header names, or nothing."""
    for role, known in (
        ("system", _SYSTEMS | SYSTEM_NAMES),
        ("history", _HISTORIES),
        ("reasoning", REASONING),
        ("inputs", _INPUTS),
        ("speaker", _SPEAKERS),
    ):
        if name in known:
            return role
    return ""


def is_body_name(name: str) -> bool:
    """A plain header that says no more than that there is text."""
    return name in _BODIES


def option_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Columns ``A``, ``B``, ``C`` … (also ``选项A``, ``option_b``), at least two; or one with all (``options``)."""
    plain = {plain_header(name): name for name in names}
    letters = {match[1]: name for header, name in plain.items() if (match := _OPTION.fullmatch(header))}
    in_order = [letters[letter] for letter in "abcdefgh" if letter in letters]
    if len(in_order) >= 2 and "a" in letters:
        return tuple(in_order)
    return tuple(name for header, name in plain.items() if header in _OPTION_LISTS)[:1]


def followup_columns(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Columns of a further question (``追问``) and the answer to it (``追答``)."""
    plain = {plain_header(name): name for name in names}
    asked = next((plain[name] for name in _FOLLOWUPS if name in plain), "")
    answered = next((plain[name] for name in _FOLLOWUP_ANSWERS if name in plain), "")
    return ((asked, answered),) if asked and answered else ()


def names_the_key(name: str) -> bool:
    """A plain header of an answer that may be no more than a letter, a word or a number."""
    return name in _ANSWER_KEYS


def find_pair(headers: Iterable[str]) -> tuple[str, str] | None:
    """The columns of the chosen and of the rejected answer, by their names; None where there are no such two."""
    plain = {plain_header(h): h for h in headers}
    for number, (better, worse) in enumerate(PAIRS):
        if better in plain and worse in plain and (not number or not any(name in plain for name in ANSWERS)):
            return plain[better], plain[worse]
    return None


def given_columns(
    names: Sequence[str], columns: Mapping[str, str | Sequence[str]] | None, where: str
) -> dict[str, str]:
    """The columns that the user names, by key of the layout.

    Args:
        names: As they stand in the file.
        columns: ``{"question": "咨询内容", …}``; a text with ``，`` or ``、`` or a list holds several names, of which a
            file has one.
        where: ``file:line`` for messages.

    Raises:
        DataError: A key that is none, or a column that is not there.
    """
    plain = {plain_header(name): name for name in reversed(names)}
    chosen: dict[str, str] = {}
    for key, wanted in (columns or {}).items():
        if key not in COLUMN_KEYS:
            raise DataError("data.bad_column_key", where="columns", name=key)
        likely = [wanted, *re.split("[，、,]", wanted)] if isinstance(wanted, str) else list(wanted)
        there = next((plain[p] for w in likely if (p := plain_header(w)) in plain), None)
        if there is None:
            listed = ", ".join(map(shown, names[:20]))
            asked = wanted if isinstance(wanted, str) else " / ".join(likely)
            raise DataError("data.no_column", where=where, name=asked, there=listed)
        chosen[key] = there
    return chosen


def shown(name: str) -> str:
    """A header for a message: what is taken for one may be a row of private data, so neither long nor with numbers."""
    short = _PRIVATE.sub("…", name.strip())
    return short if len(short) <= 24 else short[:10] + "…"


def may_be_private(name: str) -> bool:
    """A header that may be a value: a number or an address."""
    return bool(_PRIVATE.search(name))


def column_number(number: int) -> str:
    """The name of a column without one."""
    return f"({number})"
