"""What people call the two speakers: names in front of turns, columns of tables, keys of objects."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from lora_scripts.errors import DataError

_USER_NAMES_WORDS = """
用户 客户 顾客 问 提问 问题 咨询 咨询者 咨询人 咨询内容 当事人 提问者 提问人 问者 问话人 求助 求助者 求助人 患者
病人 学生 学员 员工 职工 劳动者 买家 消费者 网友 网民 来访者 来电者 来电人 来信 来信人 市民 群众 居民 家长 家属
记者 业主 住户 访客 观众 游客 来宾 粉丝 玩家 车主 租客 请教 题目 问题描述 人类 投诉人 申请人 读者 听众 乘客 旅客 会员
租户 委托人 咨询问题 用户提问 用户问题 客户提问 客户问题 我 user human client customer question q query prompt
questioner asker ask patient student visitor guest caller buyer member instruction inquiry enquiry me you
employee input prompter citizen reader tenant traveller traveler passenger customer_question client_question
viewer player parent resident applicant
"""
USER_NAMES = frozenset(_USER_NAMES_WORDS.split())
_ASSISTANT_NAMES_WORDS = """
律师 答 回答 答复 回复 解答 答案 专家 助手 客服 医生 大夫 老师 顾问 法律顾问 助理 小助手 智能助手 ai助手 机器人
模型 ai 人工智能 法官 工作人员 hr 人事 导师 教师 教练 管理员 坐席 座席 话务员 店家 卖家 商家 律师答复 律师回复
律师回答 专家解答 专家回复 专家回答 医生回复 医生回答 官方回复 官方答复 回应 法务 医师 药师 护士 营养师 咨询师
心理咨询师 店员 讲解员 馆员 图书管理员 前台 值班员 志愿者 社工 班主任 辅导员 教员 教务 客户经理 经理 技师 师傅
工程师 技术支持 管家 民警 警官 检察官 公证员 仲裁员 调解员 会计 会计师 税务师 理财师 理财顾问 分析师 药剂师 售后
智能客服 人工客服 主任 发言人 话术 参考答案 标准答案 解析 assistant answer a reply response bot agent helper gpt chatgpt
model lawyer attorney doctor expert teacher support advisor adviser counsel counselor counsellor consultant
staff operator output ans tutor representative rep service completion system_reply nurse seller clerk chatbot
specialist librarian guide landlord concierge coach engineer manager officer
"""
ASSISTANT_NAMES = frozenset(_ASSISTANT_NAMES_WORDS.split())
_SYSTEM_NAMES_WORDS = """
系统 系统提示 系统提示词 系统指令 system developer
"""
SYSTEM_NAMES = frozenset(_SYSTEM_NAMES_WORDS.split())
_TOOL_NAMES_WORDS = """
tool function observation function_call function_response tool_call tool_calls tool_response ipython 工具
"""
TOOL_NAMES = frozenset(_TOOL_NAMES_WORDS.split())
_THIRD_WORDS = """
主管 质检 质检员 审核 审核员 审核人 复核 复核员 复核人 督导 组长 班长 队长 店长 领导 上级 总监 校对 编辑
记录员 书记员 旁白 主持人 点评 点评人 批注 评审 评审员 评审人 观察员 第三方 培训师 值班长
审核意见 质检意见 复核意见 主管意见 领导意见 领导批示 批示 内部备注 内部说明 质检备注 审核备注
supervisor reviewer auditor moderator narrator editor host observer qa qc leader approver
"""
# People beside the two speakers who comment on what was said.
THIRD_NAMES = frozenset(_THIRD_WORDS.split())
_FIELDS_WORDS = """
时间 日期 注意 注 结论 依据 来源 出处 法条原文 原文 标题 题名 主题 地址 电话 备注 另 此外 其他 其它 补充 地点
费用 价格 流程 材料 条件 范围 期限 步骤 要求 规定 结语 联系方式 联系电话 开放时间 营业时间 办公时间 附 附件 附注
提示 说明 例 例如 比如 如下 原因 分析 建议 总结 摘要 关键词 标签 分类 类别 编号 序号 状态 作者 姓名 性别 年龄
科室 部门 地区 法律依据 参考 参考资料 链接 网址 邮箱 温馨提示 答复如下 http https ftp note notes ps date time
url subject title source category tag tags id summary conclusion example repository commit license licence file
files author version name from to cc re warning tip reason step result email phone address keywords reference
references status type 图片 语音 视频 文件 表情 链接 照片 details summary div span br li ul ol
发件人 收件人 发送时间 发送日期 抄送 密送 寄件人 寄件者 收件者 sender recipient bcc sent
"""
# Lines of a text that begin like "name:" and are no speakers.
FIELDS = frozenset(_FIELDS_WORDS.split())
_MAIL_WORDS = """
发件人 收件人 发送时间 发送日期 抄送 密送 主题 寄件人 寄件者 收件者 sender recipient from to cc bcc sent subject
"""
# Headers of mails; none of them is a speaker.
MAIL_HEADERS = frozenset(_MAIL_WORDS.split())
# Words that greet, in front of a colon; rarely they are how one of two speakers is called.
SALUTATIONS = frozenset({"您好", "你好", "hello", "hi", "dear", "亲", "亲爱的"})
FIELDS |= SALUTATIONS
_FIELD_NAME = re.compile(
    r"问(?!者|话人)|答(?!者)|话术|要点|复|题|内容|描述|解析|解释|诉求|意见|方案|question|answer|reply|response|query|prompt|output"
    r"|instruction|input|completion|^[qa]$"
)
_STATUS_WORDS = """
备注 满意度 评分 评价 打分 星级 处理结果 办理结果 处理状态 办理状态 工单状态 状态 是否解决 解决状态 经办人
处理人 受理人 坐席 工号 评分标准 评分要点 扣分标准 得分点 给分标准 回访 回访结果 办结时间 处理时长 通话时长
satisfaction rating score status resolved handled_by agent_id ticket_status
"""
# Labels of what became of a record.
STATUS_FIELDS = frozenset(_STATUS_WORDS.split())
# Traditional characters in the words of this file and of columns.py.
_SIMPLE = str.maketrans(
    "戶師問題諮詢覆專醫顧學機統員護藥營養當業長親買賣眾訪網見導練級內標準參釋處議時間類別編號來",
    "户师问题咨询复专医顾学机统员护药营养当业长亲买卖众访网见导练级内标准参释处议时间类别编号来",
)
# What says which question or answer a field holds.
_WHICH = re.compile(
    r"(?:补充|追加|标准|参考|推荐|正确)((?:提问|问题|回答|解答|答复|回复|话术))|((?:答案|回答|答复|回复|解答))(?:要点|内容|示例)"
)
_ROLES = ("user", "assistant", "system")
# 第3题, 第三问: an ordinal and what is counted; 第3条 is none.
_ORDINAL = re.compile(r"第\s*(?:\d+|[一二三四五六七八九十百]+)\s*(题|问|答)")
_PRIVATE = re.compile(r"[(（][^()（）]*\d{4,}[^()（）]*[)）]|\+?\d[\d \-]{5,}\d|\d{4,}|[\w.+\-]+@[\w\-]+\.\S+")
_BETWEEN_NAMES = re.compile(r"[，、,]")
_SUFFIX = re.compile(r"(?:[\s#._\-]*(?:\d+|[一二三四五六七八九十]+|[甲乙丙丁])|(?:\s+|(?<=[\u4e00-\u9fff]))[a-z])$")


def simple(raw: str) -> str:
    """NFKC, lower case, and simplified characters where our word lists need them."""
    return unicodedata.normalize("NFKC", raw).casefold().translate(_SIMPLE)


# How programs that write down speech call those who speak; only the number tells them apart.
_NUMBERED_SPEAKER = re.compile(r"(说话人|发言人|讲话人|speaker|spk|participant)[\s_#]*(\d{1,3}|[a-z])")


@lru_cache(maxsize=4096)
def plain_name(raw: str) -> str:
    """A speaker's name as it is compared: NFKC, lower case, without a number or a remark in brackets behind it."""
    name = simple(raw).strip(" \t*_#")
    name = re.sub(r"\s*\([^()]*\)$", "", name)
    if name in USER_NAMES or name in ASSISTANT_NAMES:
        return name
    if numbered := _NUMBERED_SPEAKER.fullmatch(name):
        return numbered[1] + numbered[2]
    if counted := _ORDINAL.fullmatch(name):
        return "题目" if counted[1] == "题" else counted[1]
    short = _SUFFIX.sub("", name)
    return short if short in USER_NAMES or short in ASSISTANT_NAMES else re.sub(r"\s*\d+$", "", name) or name


def role_of(name: str) -> str | None:
    """The role that a plain name is known for, also with a word that says which one of them (补充问题, 答案要点)."""
    if name not in USER_NAMES and (part := _WHICH.fullmatch(name)):
        name = part[1] or part[2]
    if name in USER_NAMES:
        return "user"
    if name in ASSISTANT_NAMES:
        return "assistant"
    return "system" if name in SYSTEM_NAMES else None


def is_field_name(name: str) -> bool:
    """Whether a known name is what is said (问题, 答复), not who says it (客户, 律师)."""
    return bool(_FIELD_NAME.search(name))


@lru_cache(maxsize=4096)
def person_role(name: str) -> str | None:
    """The role that a person's name tells, by its longest known word: 李律师, 客服小美, 患者王女士."""
    if _NUMBERED_SPEAKER.fullmatch(name):
        return None
    longest = next((word for word in name.split() if role_of(word)), "")
    for size in range(min(len(name) - 1, 6), 1, -1):
        longest = longest or next((part for part in (name[:size], name[-size:]) if role_of(part)), "")
    return role_of(longest)


def split_names(names: str | Sequence[str]) -> list[str]:
    """Names from a list, or from one string in which ``，`` ``、`` or ``,`` stands between them."""
    several = [names] if isinstance(names, str) else names
    return [one.strip() for name in several for one in _BETWEEN_NAMES.split(str(name)) if one.strip()]


def listed(names: Iterable[str], most: int = 6) -> str:
    """The first of ``names`` for a message, without the phone numbers and mails that nicknames hold."""
    return ", ".join(dict.fromkeys(_PRIVATE.sub("…", name)[:24] for name in islice(names, most)))


def given_roles(roles: Mapping[str, str | Sequence[str]] | None) -> dict[str, str]:
    """``{"user": ["用户"], …}`` as ``{plain name: role}``.

    Raises:
        DataError: A key that is no role, or a name under two roles.
    """
    out: dict[str, str] = {}
    for role, names in (roles or {}).items():
        if role not in _ROLES:
            raise DataError("data.bad_role", where="roles", name=role)
        for name in split_names(names):
            if out.setdefault(plain_name(name), role) != role:
                raise DataError("data.two_roles", where="roles", name=name)
    return out
