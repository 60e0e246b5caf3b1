"""Chats that programs exported as text: times and nicknames are not learned, pauses part conversations."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.chat_export import read_chat_export
from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.errors import AmbiguousDataError

ASKED = ["借书证丢了怎么补办？", "自习室几点关门？", "过期的杂志能外借吗？", "逾期一天罚多少钱？", "外文库在哪一层？"]
TOLD = ["带身份证到服务台补办。", "工作日晚上九点半。", "过刊只能馆内阅览。", "每册每天一角。", "四层东侧，右转就是。"]
QA = list(zip(ASKED, TOLD, strict=True))
START = datetime(2024, 3, 18, 10, 20)
Message = tuple[datetime, str, str]


def messages(client: str = "张总", agent: str = "李律师", apart: timedelta = timedelta(days=1)) -> list[Message]:
    out: list[Message] = []
    for i, (question, answer) in enumerate(QA):
        at = START + i * apart
        out += [(at, client, question), (at + timedelta(minutes=2), agent, answer)]
    return out


LAYOUTS: dict[str, Callable[[datetime, str, str], str]] = {
    "name, time": lambda at, who, text: f"{who} {at:%Y-%m-%d %H:%M:%S}\n{text}\n\n",
    "time, name": lambda at, who, text: f"{at:%Y-%m-%d %H:%M:%S} {who}\n{text}\n",
    "time name:": lambda at, who, text: f"{at:%Y/%m/%d %H:%M} {who}：{text}\n",
    "month and day": lambda at, who, text: f"{at:%m-%d %H:%M} {who}: {text}\n",
    "QQ": lambda at, who, text: f"{at:%Y-%m-%d} {at.hour}:{at:%M:%S} {who}(12345678)\n{text}\n\n",
    "WhatsApp iOS": lambda at, who, text: f"[{at:%d/%m/%Y, %H:%M:%S}] {who}: {text}\n",
    "WhatsApp Android": lambda at, who, text: f"{at:%d/%m/%Y, %H:%M} - {who}: {text}\n",
    "name (time):": lambda at, who, text: f"{who}({at:%Y-%m-%d %H:%M:%S}): {text}\n",
    "Telegram": lambda at, who, text: f"{who}, [{at:%d.%m.%Y %H:%M:%S}]\n{text}\n\n",
    "time below the name": lambda at, who, text: f"{who}\n{at.year}年{at.month}月{at.day}日 {at:%H:%M}\n{text}\n",
    "Discord": lambda at, who, text: f"[{at:%d-%b-%y %H:%M %p}] {who}\n{text}\n\n",
    "month as a word": lambda at, who, text: f"{who}, {at:%b %d, %Y}, {at:%H:%M}\n{text}\n\n",
    "name in a box": lambda at, who, text: f"【{who}】{at:%Y-%m-%d %H:%M:%S}\n{text}\n",
    "all on one line": lambda at, who, text: f"{who} {at:%Y-%m-%d %H:%M:%S} : {text}\n",
    "short messages": lambda at, who, text: f"{who} {at:%Y/%m/%d %H:%M} | 13900001111 | {text}\n",
    "shop": lambda at, who, text: f"某店:{who}({at:%Y-%m-%d %H:%M:%S}):\n{text}\n",
    "Chinese date": lambda at, who, text: f"{who} {at.year}年{at.month}月{at.day}日 上午{at:%H:%M}\n{text}\n",
}


def read(tmp_path: Path, text: str, **options: Any) -> Reading:
    path = tmp_path / "chat.txt"
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options)


def talks(reading: Reading) -> list[list[str]]:
    return [[m.content for m in record.messages] for record in reading.records]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_day_of_an_export_is_a_conversation_without_times_and_names(tmp_path: Path, layout: str) -> None:
    reading = read(tmp_path, "".join(LAYOUTS[layout](*message) for message in messages()))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert reading.ledger.decisions[0].format == "chat_export"


@pytest.mark.parametrize("minutes", [5 * 60, 7 * 60])
def test_a_pause_of_six_hours_parts_conversations(tmp_path: Path, minutes: int) -> None:
    chat = messages(apart=timedelta(minutes=minutes))[:4]
    conversations = len(talks(read(tmp_path, "".join(LAYOUTS["time, name"](*message) for message in chat))))
    assert conversations == (2 if minutes > 6 * 60 else 1)


def test_an_answer_that_comes_the_next_day_stays_with_its_question(tmp_path: Path) -> None:
    chat = [(START, "张总", ASKED[0]), (START + timedelta(hours=23), "李律师", TOLD[0])]
    chat += [(START + timedelta(days=3), "张总", ASKED[1]), (START + timedelta(days=4), "李律师", TOLD[1])]
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in chat))
    assert talks(reading) == [list(QA[0]), list(QA[1])]


def test_messages_of_one_speaker_in_a_row_are_one_turn(tmp_path: Path) -> None:
    chat = [(START, "张总", "在吗"), *messages()[:2], (START + timedelta(minutes=3), "李律师", "工本费十元。")]
    chat += messages()[2:]
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in chat))
    assert talks(reading)[0] == [f"在吗\n{ASKED[0]}", f"{TOLD[0]}\n工本费十元。"]


@pytest.mark.parametrize("media", ["[图片]", "[语音]", "[动画表情]", "[文件]", "<Media omitted>", "张总撤回了一条消息"])
def test_media_and_recalled_messages_are_left_out_and_counted(tmp_path: Path, media: str) -> None:
    chat = messages()
    chat[2:2] = [(START + timedelta(minutes=4), "张总", media)]
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in chat))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert "media_left_out" in {f.kind for f in reading.ledger.findings}


@pytest.mark.parametrize(
    "said", ["We have only two left.", "I have added a note to your account.", "好的，已添加到购物车。"]
)
def test_a_sentence_that_resembles_a_notice_is_learned(tmp_path: Path, said: str) -> None:
    chat = messages()
    chat[1] = (chat[1][0], "李律师", said)
    assert talks(read(tmp_path, "".join(LAYOUTS["name, time"](*m) for m in chat)))[0] == [ASKED[0], said]


def test_a_greeting_that_begins_with_the_others_name_is_no_new_speaker(tmp_path: Path) -> None:
    chat = [(at, who, f"张总：您好。\n{text}" if who == "李律师" else text) for at, who, text in messages()]
    reading = read(tmp_path, "".join(LAYOUTS["time, name"](*message) for message in chat))
    assert talks(reading) == [[question, f"张总：您好。\n{answer}"] for question, answer in QA]


def test_what_an_export_writes_above_and_between_is_told(tmp_path: Path) -> None:
    top = "消息记录（此消息记录为文本格式）\n\n====\n消息对象:张总\n====\n\n"
    body = "".join(
        f"日期: {at:%Y-%m-%d}\n\n" * (who == "张总") + LAYOUTS["QQ"](at, who, text) for at, who, text in messages()
    )
    reading = read(tmp_path, top + body)
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert "preamble" in {f.kind for f in reading.ledger.findings}


def test_the_programs_own_lines_of_whatsapp_are_no_messages(tmp_path: Path) -> None:
    notice = "18/03/2024, 10:19 - Messages and calls are end-to-end encrypted. No one can read them.\n"
    notice += "18/03/2024, 10:19 - Ann added Bob\n"
    chat = messages("Ann", "Support Desk")
    reading = read(tmp_path, notice + "".join(LAYOUTS["WhatsApp Android"](*message) for message in chat))
    assert talks(reading) == [[question, answer] for question, answer in QA]


def test_names_that_tell_nothing_are_decided_by_who_asks_and_that_is_said(tmp_path: Path) -> None:
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in messages("小雨", "阿杰")))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    told = next(f for f in reading.ledger.findings if f.kind == "roles_by_evidence")
    assert "小雨" in told.text and "阿杰" in told.text


def test_where_nothing_tells_who_asks_both_readings_are_shown(tmp_path: Path) -> None:
    said = (("小雨", "第"), ("阿杰", "是第"), ("小雨", "好第"))
    chat = [(START + timedelta(days=i), who, f"{text}{i}次") for i in range(6) for who, text in said]
    text = "".join(LAYOUTS["name, time"](*message) for message in chat)
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, text)
    roles = [alternative.settings["roles"] for alternative in caught.value.alternatives]
    assert {"user": ["小雨"], "assistant": ["阿杰"]} in roles and {"user": ["阿杰"], "assistant": ["小雨"]} in roles
    assert all(alternative.records for alternative in caught.value.alternatives)
    assert talks(read(tmp_path, text, roles=roles[0]))


def test_a_third_person_is_left_out_and_told(tmp_path: Path) -> None:
    chat = messages()
    chat[2:2] = [(START + timedelta(minutes=4), "质检小王", "这条答得不规范")]
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in chat))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert any(f.kind == "third_speakers" and "质检小王" in f.text for f in reading.ledger.findings)


def test_in_a_group_one_answers_all_others(tmp_path: Path) -> None:
    who = ["一栋刘姐", "三栋老赵", "五栋小何"]
    chat = [
        (at, who[n // 2 % 3] if name == "张总" else "物业小陈", text) for n, (at, name, text) in enumerate(messages())
    ]
    reading = read(tmp_path, "".join(LAYOUTS["time, name"](*message) for message in chat))
    assert talks(reading) == [[question, answer] for question, answer in QA]


def test_given_roles_decide_and_one_that_never_speaks_is_told(tmp_path: Path) -> None:
    text = "".join(LAYOUTS["name, time"](*message) for message in messages("小雨", "阿杰"))
    reading = read(tmp_path, text, roles={"user": "小雨、晴天", "assistant": ["阿杰"]})
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert any(f.kind == "names_not_there" and "晴天" in f.text for f in reading.ledger.findings)


contents = st.text(
    st.sampled_from("的一是不了人我在有他这为之大来以个中上们，。？！：:[]（）\n "), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.tuples(st.sampled_from(["客户小王", "客服小美"]), contents), min_size=4, max_size=30),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_every_line_of_an_export_has_one_role(chat: list[tuple[str, str]], layout: str) -> None:
    chat = [("客户小王", "请问？"), ("客服小美", "好的。"), *chat]
    text = "".join(LAYOUTS[layout](START + timedelta(minutes=i), who, said) for i, (who, said) in enumerate(chat))
    try:
        parsed = read_chat_export(text, "chat.txt")
    except AmbiguousDataError:
        return
    assert parsed is not None
    assert parsed.units.total() == sum(bool(line.strip()) for line in text.split("\n"))


@pytest.mark.parametrize("who", ["孙经理", "店铺助手", "系统消息", "客服主管"])
def test_who_says_one_thing_in_a_chat_of_two_others_is_left_out_and_named(tmp_path: Path, who: str) -> None:
    said = messages("阿杰", "小周")
    said.insert(6, (said[5][0] + timedelta(minutes=2), who, "这单我来跟"))
    reading = read(tmp_path, "".join(LAYOUTS["name, time"](*message) for message in said))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    finding = next(f for f in reading.ledger.findings if f.kind == "third_speakers")
    assert who in finding.text and "19-20" in finding.text


@pytest.mark.parametrize(
    "line", ["系统：客服已接入", "———— 以下为新消息 ————", "2024-03-19 10:30 系统消息：会话已转接"]
)
def test_a_line_of_the_program_between_messages_is_not_learned(tmp_path: Path, line: str) -> None:
    said = [LAYOUTS["name, time"](*message) for message in messages()]
    reading = read(tmp_path, "".join([*said[:5], f"{line}\n", *said[5:]]))
    assert talks(reading) == [[question, answer] for question, answer in QA]
    assert any(f.kind == "media_left_out" and "16" in f.text for f in reading.ledger.findings)


def test_times_of_a_recording_in_minutes_and_seconds_are_not_learned(tmp_path: Path) -> None:
    lines = [
        f"（{i:02}分{j * 30:02}秒）说话人 {j + 1}：{text}" for i, pair in enumerate(QA) for j, text in enumerate(pair)
    ]
    talk = talks(read(tmp_path, "\n".join(lines)))
    assert [text for record in talk for text in record] == [text for pair in QA for text in pair]
