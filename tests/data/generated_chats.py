"""Chats as text: WeChat in its usual layouts, QQ, DingTalk, WhatsApp; messages in a row, pictures, recalls."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.data.generated_content import domains_for, draw
from tests.data.generated_exports import exchanges_of
from tests.data.generated_transcripts import Texts
from tests.data.generated_truth import GeneratedFile, Truth, session_truths

Files = Iterator[GeneratedFile]
MEDIA = "[图片]|图片|[语音]|picture|image|media|notice|placeholder"
# client, agent, whether only a person can tell who is who
PEOPLE = (
    ("张总", "李律师", False),
    ("小雨妈妈", "客服小美", False),
    ("晴天", "物业王管家", False),
    ("阿杰", "老周", True),
)


class Sent(NamedTuple):
    """One message of a chat; ``who`` is empty for a notice of the program."""

    at: datetime
    who: str
    text: str


Sessions = list[list[tuple[str, str]]]


def chat(
    count: int, seed: int, client: str, agent: str, *, language: str = "zh", extras: Sequence[str] = ()
) -> tuple[list[Sent], Sessions]:
    """A chat over several days: its messages, and its exchanges by day with messages of one speaker joined.

    ``extras`` are media and notices, which end a day, from the client; one with the name ``{client}`` is a notice.
    """
    rng = random.Random(seed)
    sent: list[Sent] = []
    sessions: Sessions = []
    domains = domains_for(agent, count) if language == "zh" else ()
    for k, p in enumerate(draw(count, seed, *domains, language=language)):
        at = datetime(2024, 3, 18, 9, 12, 5) + timedelta(days=k, minutes=rng.randrange(300))
        sessions.append([])
        for m, (question, answer) in enumerate(exchanges_of(p)):
            hello = (
                ("Hello, a question please.", "Hi there!")
                if language == "en"
                else (f"{agent[-2:]}您好，想请教一下", "在吗？")
            )
            asked = [hello[k % 2], question] if m == 0 and k % 3 == 1 else [question]
            told = [answer]
            if k % 4 == 2 and m == 0:
                told = ["One moment please.", answer] if language == "en" else ["稍等，我看一下。", answer]
            for who, texts in ((client, asked), (agent, told)):
                for text in texts:
                    at += timedelta(seconds=rng.randrange(20, 140))
                    sent.append(Sent(at, who, text))
            sessions[-1].append(("\n".join(asked), "\n".join(told)))
        if extras:
            extra = extras[k % len(extras)]
            at += timedelta(seconds=30)
            sent.append(Sent(at, "" if "{client}" in extra else client, extra.format(client=client)))
    return sent, sessions


def chat_truths(sessions: Sessions) -> tuple[Truth, ...]:
    """One record for all, one a day, or one an exchange."""
    return session_truths(sessions)


EXTRAS = ("[图片]", "[语音]", "“{client}”撤回了一条消息", "[文件]")


def wechat_name_above() -> Files:
    """``name time`` on a line, the text below it."""
    t = Texts("wechat_name_above")
    for i, (client, agent, may_ask) in enumerate(PEOPLE):
        sent, sessions = chat(6 + 2 * i, 1000 + i, client, agent, extras=EXTRAS if i % 2 == 0 else ())
        gap = "\n" if i in (1, 2) else ""
        text = "".join(
            f"{m.who} {m.at:%Y-%m-%d %H:%M:%S}\n{m.text}\n{gap}" if m.who else f"{m.text}\n{gap}" for m in sent
        )
        yield t.file(
            f"{client}/{agent}",
            text,
            chat_truths(sessions),
            *([MEDIA] if i % 2 == 0 else []),
            never=("[图片]", "2024-03", "撤回"),
            may_ask=may_ask,
        )


def wechat_time_above() -> Files:
    """``time name`` on a line, the text below it."""
    t = Texts("wechat_time_above", 1)
    for i, (client, agent, may_ask) in enumerate(PEOPLE):
        sent, sessions = chat(7 + 2 * i, 1010 + i, client, agent, extras=EXTRAS[:2] if i < 2 else ())
        form = "%Y/%m/%d %H:%M" if i == 1 else "%Y-%m-%d %H:%M:%S"
        gap = "\n" if i == 0 else ""
        text = "".join(f"{m.at.strftime(form)} {m.who}\n{m.text}\n{gap}" for m in sent)
        yield t.file(
            f"{client}/{agent}",
            text,
            chat_truths(sessions),
            *([MEDIA] if i < 2 else []),
            never=("[图片]", "2024-03", "2024/03"),
            may_ask=may_ask,
        )


def wechat_name_and_colon() -> Files:
    """``name: text`` without times, or with a line for each day."""
    t = Texts("wechat_name_and_colon", 2)
    for i, (client, agent, may_ask) in enumerate(PEOPLE):
        sent, sessions = chat(8 + i, 1020 + i, client, agent, extras=EXTRAS[:2] if i == 1 else ())
        lines = []
        for k, m in enumerate(sent):
            if i >= 2 and (k == 0 or m.at.date() != sent[k - 1].at.date()):
                lines.append(f"—————  {m.at:%Y-%m-%d}  —————")
            lines.append(f"{m.who}{': ' if i != 2 else '：'}{m.text}")
        text = "\n".join(lines) + "\n"
        yield t.file(
            f"{client}/{agent}",
            text,
            chat_truths(sessions),
            *([MEDIA] if i == 1 else []),
            never=("[图片]", "—————"),
            may_ask=may_ask,
        )


def time_name_and_colon() -> Files:
    """``time name: text`` or ``[time] name: text`` on one line."""
    t = Texts("time_name_and_colon", 3)
    for i, (client, agent, may_ask) in enumerate(PEOPLE):
        sent, sessions = chat(6 + i, 1030 + i, client, agent)
        shape = (
            "{at:%Y-%m-%d %H:%M:%S} {who}：{text}\n",
            "[{at:%H:%M}] {who}: {text}\n",
            "{who}({at:%Y-%m-%d %H:%M:%S}): {text}\n",
            "{at:%m-%d %H:%M} {who}: {text}\n",
        )[i]
        text = "".join(shape.format(**m._asdict()) for m in sent)
        yield t.file(shape.strip(), text, chat_truths(sessions), never=("2024-03", "03-1"), may_ask=may_ask)


def qq_export() -> Files:
    t = Texts("qq_export")
    bar = "=" * 64
    for i, (client, agent, may_ask) in enumerate(PEOPLE[:3]):
        sent, sessions = chat(7 + i, 1040 + i, client, agent, extras=("[图片]", "[表情]") if i else ())
        top = f"消息记录（此消息记录为文本格式，不支持重新导入）\n\n{bar}\n消息分组:我的客户\n{bar}\n"
        top += f"消息对象:{client}\n{bar}\n\n"
        lines = []
        for k, m in enumerate(sent):
            if i == 2 and (k == 0 or m.at.date() != sent[k - 1].at.date()):
                lines.append(f"日期: {m.at:%Y-%m-%d}\n")
            lines.append(f"{m.at:%Y-%m-%d} {m.at.hour}:{m.at:%M:%S} {m.who}\n{m.text}\n")
        yield t.file(
            f"{client}/{agent}",
            top + "\n".join(lines),
            chat_truths(sessions),
            *(["[图片]|[表情]|图片|picture|image|media"] if i else []),
            "消息分组|:1|lines 1",
            never=("[图片]", "[表情]", "消息分组", "日期:"),
            may_ask=may_ask,
        )


def whatsapp_export() -> Files:
    t = Texts("whatsapp_export", 4)
    notice = "Messages and calls are end-to-end encrypted. No one outside of this chat can read or listen to them."
    for i, (client, agent, form, media) in enumerate(
        (
            ("Ann Lee", "Support Desk", "[{at:%d/%m/%Y, %H:%M:%S}] {who}: {text}\n", "\u200eimage omitted"),
            ("+44 20 7946 0018", "Harbour Rentals", "{at:%d/%m/%Y, %H:%M} - {who}: {text}\n", "<Media omitted>"),
            ("陈小姐", "保险顾问Kelly", "[{at:%Y/%m/%d %H:%M:%S}] {who}: {text}\n", "<附加媒体已略去>"),
            ("Bob", "Mia", "{at:%m/%d/%y, %H:%M} - {who}: {text}\n", "This message was deleted"),
        )
    ):
        language = "zh" if i == 2 else "en"
        sent, sessions = chat(6 + i, 1050 + i, client, agent, language=language, extras=(media,))
        first = (
            form.format(at=sent[0].at, who=client, text=f"\u200e{notice}")
            if i % 2 == 0
            else form.format(at=sent[0].at, who="", text=notice).replace(" : ", " ")
        )
        text = first + "".join(form.format(**m._asdict()) for m in sent)
        unread = f"{media.strip(chr(0x200E))}|omitted|media|image|picture|notice"
        yield t.file(
            f"{client}/{agent}",
            text,
            chat_truths(sessions),
            unread,
            never=("omitted", "end-to-end", "略去", "was deleted"),
            may_ask=i in (1, 3),
        )


def greeting_by_name() -> Files:
    """A message that begins with the other one's name is still from its sender."""
    t = Texts("greeting_by_name", 1)
    for i, (client, agent) in enumerate((("张总", "李律师"), ("王姐", "客服小美"), ("业主刘先生", "王管家"))):
        pairs = draw(9 + 2 * i, 1060 + i, *domains_for(agent, 13))
        lines, sessions = [], []
        for k, p in enumerate(pairs):
            question = (
                f"{agent}：您好！{p.question}" if k % 3 == 0 else f"{agent}，{p.question}" if k % 3 == 1 else p.question
            )
            answer = f"{client}：您好。{p.answer}" if k % 4 == 2 else p.answer
            at = datetime(2024, 4, 1 + k, 10, 5)
            head = ("{who} {at:%Y-%m-%d %H:%M:%S}\n", "{who}：", "{at:%Y-%m-%d %H:%M:%S} {who}\n")[i]
            if i == 1:  # a colon behind a name opens a turn here, so that only commas follow greetings
                question, answer = (
                    question.replace(f"{agent}：", f"{agent}，"),
                    answer.replace(f"{client}：", f"{client}，"),
                )
            for who, text in ((client, question), (agent, answer)):
                lines.append(head.format(who=who, at=at) + text)
                at += timedelta(minutes=2)
            sessions.append([(question, answer)])
        yield t.file(f"{client}/{agent}", "\n".join(lines) + "\n", chat_truths(sessions))


def group_chat() -> Files:
    """Three and more people: asking who answers is right, and so is telling who was left out."""
    t = Texts("group_chat", 2)
    for i in range(3):
        agent = ("物业小陈", "IT值班", "客服小林")[i]
        pairs = draw(8 if i == 1 else 9 + i, 1070 + i, *domains_for(agent, 8))
        others = ("1栋刘姐", "3栋老赵", "5栋小何")
        lines = []
        for k, p in enumerate(pairs):
            at = datetime(2024, 5, 6, 8, 0) + timedelta(hours=k)
            lines.append(f"{at:%Y-%m-%d %H:%M:%S} {others[k % 3]}\n{p.question}\n")
            lines.append(f"{at + timedelta(minutes=3):%Y-%m-%d %H:%M:%S} {agent}\n{p.answer}\n")
        yield t.file(agent, "\n".join(lines), session_truths([[(p.question, p.answer)] for p in pairs]), may_ask=True)


KINDS = (
    wechat_name_above, wechat_time_above, wechat_name_and_colon, time_name_and_colon, qq_export, whatsapp_export,
    greeting_by_name, group_chat,
)  # fmt: skip
