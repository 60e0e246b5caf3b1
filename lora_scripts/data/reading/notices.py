"""What stands in conversations and says nothing: pictures, voice messages, recalled messages, notices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from lora_scripts.data.reading.dialogues import Turn
from lora_scripts.data.reading.timestamps import STAMP

_MEDIA_WORDS = (
    "图片|照片|语音|表情|动画表情|表情包|文件|视频|短视频|视频通话|语音通话|链接|位置|地理位置|名片|个人名片|红包|微信红包|转账|小程序|聊天记录|"
    "合并转发|音乐|卡片|闪照|动态表情|拍一拍|未知消息|image|photo|picture|voice|audio|sticker|file|video|gif|link|location|contact"
    "|document"
)
_MEDIA = re.compile(
    rf"[\[［【<](?:{_MEDIA_WORDS})(?:消息|message)?(?:\s*[:：][^\]］】>]*|\s*\d+[\"″秒s]?)?[\]］】>]"
    r"(?:\s*\d+[\"″'秒s]{1,2}(?=\s|$)|\s*[^\s\[\]]{1,80}\.[A-Za-z0-9]{2,5}(?=\s|$))?",
    re.IGNORECASE,
)
_OMITTED = re.compile(
    r"\u200e?<?(?:media|image|video|audio|sticker|document|gif|contact card) omitted>?|<attached: [^>]*>"
    r"|(?:this message was|you) deleted(?: this message)?\.?|missed (?:voice|video) call.*",
    re.IGNORECASE,
)
_NOTICE = re.compile(
    r".{0,30}(?:撤回了(?:一条|一則|1条)?消息|加入了?(?:本)?(?:群聊|群)|(?:邀请|移出|退出)了?.{0,24}群聊|拍了拍.{1,24}|修改群名为.{1,24}|领取了.{0,20}红包)[。.]?"
    r"|(?:你|您)已添加了?.{1,24}[,，]?.{0,4}现在可以开始聊天了?[。.]?|以上是打招呼的内容[。.]?|(?:本次|当前)?会话已?(?:结束|超时|转接|接入).{0,8}"
    r"|消息已发出，但被对方拒收了[。.]?|.{0,30}recalled a message|\u200e?messages and calls are end-to-end encrypted.*",
    re.IGNORECASE,
)
# Beside the time alone, where a message has a name and a colon.
_GROUP_NOTICE = re.compile(
    r".{0,40}(?:已(?:经)?添加.{0,40}|joined (?:the group|using).*|left(?: the group)?|added .{1,40}|removed .{1,40}"
    r"|created (?:this )?group.*|changed (?:the|this|their) .*)",
    re.IGNORECASE,
)


# A line of a chat's program between messages: “系统：…”, “—— 以下为新消息 ——”.
_LINE_OF_PROGRAM = re.compile(
    rf"[\s\[【(（]*(?:{STAMP}\s*)?[\]】)）]?\s*[\[【]?(?:系统(?:消息|通知|提示)?|system)\s*[\]】]?\s*[:：].{{0,80}}"
    r"|\s*[—–\-=*]{2,}[^—–\-=*]{1,30}[—–\-=*]{2,}\s*",
    re.IGNORECASE,
)
_STATE_OF_SESSION = re.compile(r"接入|接通|离线|上线|离开|正在输入|为您服务|转接|排队|超时|结束|会话")
_TELLS_WHAT_TO_BE = re.compile(r"你是|扮演|作为|请|不要|必须|you are|act as|please|answer", re.IGNORECASE)
_LONGEST_STATE = 24  # characters


# How WeChat writes an answer to a message: the message, a line of dashes, the answer.
_QUOTED = re.compile(r"「[^「」]{1,2000}」\s*\n\s*(?:[-—]\s?){5,}\s*\n")


def without_media(text: str) -> tuple[str, int]:
    """``text`` without the places of pictures, voice messages and the like, and how many these were."""
    if "「" in text and (quoted := _QUOTED.match(text)):
        rest, more = without_media(text[quoted.end() :])
        return rest, more + 1
    if not ("[" in text or "【" in text or "［" in text or "<" in text or "\u200e" in text or "delete" in text.lower()):
        return text, 0
    out, count = _MEDIA.subn("", text)
    lines = out.split("\n")
    kept = [line for line in lines if not _OMITTED.fullmatch(line.strip())]
    count += len(lines) - len(kept)
    return ("\n".join(kept), count) if count else (text, 0)


def is_notice(text: str, nameless: bool = False) -> bool:
    """Whether a line is the program's, not a person's; ``nameless`` where no speaker stands in front of it."""
    line = text.strip()
    return bool(_NOTICE.fullmatch(line) or (nameless and _GROUP_NOTICE.fullmatch(line)))


def is_line_of_program(text: str) -> bool:
    """Whether a line between the messages of a chat is the program's."""
    return len(text) < 120 and (is_notice(text) or bool(_LINE_OF_PROGRAM.fullmatch(text)))


def is_state_of_session(text: str) -> bool:
    """Whether what a system says is what happens to the session (客服已接入), not what the model is to be."""
    short = len(text.strip()) <= _LONGEST_STATE
    return short and bool(_STATE_OF_SESSION.search(text)) and not _TELLS_WHAT_TO_BE.search(text)


def without_notices(turns: Sequence[Turn]) -> tuple[list[Turn], list[int]]:
    """``turns`` without media, those left out that hold nothing else, and the lines of what was left out."""
    out: list[Turn] = []
    lines: list[int] = []
    blank = 0  # in front of what was left out
    for turn in turns:
        words, count = without_media(turn.words)
        if blank and turn.role == "user":
            turn = replace(turn, blank=max(turn.blank, blank))
        blank = max(blank, turn.blank)
        lines += [turn.line] * count
        if count and not words.strip():
            continue
        if len(words) < 80 and is_notice(words):
            lines.append(turn.line)
            continue
        blank = 0
        out.append(replace(turn, words=words) if count else turn)
    return out, lines
