"""Who asks, who answers, and what stands beside them: decided by evidence over the whole file, told, or asked."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading import blocks, sources
from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.reading.running_text import read_running_text
from lora_scripts.data.reading.sources import Source, open_source
from lora_scripts.errors import AmbiguousDataError, DataError

ASKED = [
    "借书证丢了怎么补办",
    "自习室几点关门",
    "过期的杂志能外借吗",
    "逾期一天罚多少钱",
    "可以预约座位吗",
    "外文库在哪",
    "能带零食吗",
    "支持彩印吗",
]
TOLD = [
    "带身份证当场补办。",
    "工作日晚上九点半。",
    "过刊只能馆内阅览。",
    "每册每天一角。",
    "可以，提前三天预约。",
    "四层东侧。",
    "不可以。",
    "支持，每页一元。",
]
QA = [(f"{q}？", a) for q, a in zip(ASKED, TOLD, strict=True)]


def read(tmp_path: Path, text: str, **options: Any) -> Reading:
    path = tmp_path / "t.txt"
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    assert all([m.role for m in r.messages] == ["user", "assistant"] for r in reading.records)
    return [(r.question, r.answer) for r in reading.records]


def told(reading: Reading) -> dict[str, str]:
    return {f.kind: f.text for f in reading.ledger.findings}


def filled(shape: str, rows: list[tuple[str, str]] = QA) -> str:
    return "".join(shape.format(q=q, a=a, i=i) for i, (q, a) in enumerate(rows, 1))


@pytest.mark.parametrize("names", [("老师", "学生"), ("经理", "员工"), ("Teacher", "Student")])
def test_roles_follow_who_asks_where_the_names_may_be_either_and_that_is_said(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    reading = read(tmp_path, filled(f"{names[0]}：{{q}}\n{names[1]}：{{a}}\n\n"))
    assert pairs(reading) == QA
    assert names[0] in told(reading)["roles_by_evidence"]


def test_a_lawyer_who_asks_is_asked_about(tmp_path: Path) -> None:
    text = filled("律师：{q}\n客户：{a}\n\n")
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, text)
    readings = [pairs(read(tmp_path, text, **one.settings)) for one in caught.value.alternatives if one.records]
    assert QA in readings


def test_a_greeting_that_opens_every_conversation_is_no_question(tmp_path: Path) -> None:
    text = filled("坐席：您好，请问有什么可以帮您？\n客户：{q}\n坐席：{a}\n\n")
    reading = read(tmp_path, text)
    assert [(r.question, r.answer) for r in reading.records] == QA


@pytest.mark.parametrize("answers", [["是", "否"], ["A", "B", "C", "D"], ["满意", "一般"]])
def test_answers_that_teach_next_to_nothing_are_asked_about_and_roles_decide(
    tmp_path: Path, answers: list[str]
) -> None:
    rows = [(q, answers[i % len(answers)]) for i, (q, _) in enumerate(QA)]
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, filled("用户：{q}\n律师：{a}\n\n", rows))
    (alternative,) = caught.value.alternatives
    assert pairs(read(tmp_path, filled("用户：{q}\n律师：{a}\n\n", rows), **alternative.settings)) == rows


@pytest.mark.parametrize("third", ["主管", "质检", "审核", "护士长", "Supervisor"])
@pytest.mark.parametrize("every", [1, 4])
def test_a_third_speaker_is_left_out_and_named_and_roles_take_him_in(tmp_path: Path, third: str, every: int) -> None:
    remark = [f"\n{third}：这条第{i}次了" if i % every == 0 else "" for i in range(len(QA))]
    text = "".join(f"客户：{q}\n客服：{a}{more}\n\n" for (q, a), more in zip(QA, remark, strict=True))
    reading = read(tmp_path, text)
    assert pairs(reading) == QA
    assert third in told(reading)["third_speakers"]
    both = read(tmp_path, text, roles={"user": "客户", "assistant": f"客服，{third}"})
    assert both.records[0].answer == f"{QA[0][1]}\n这条第0次了"


def test_a_word_of_a_list_is_no_third_speaker(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n申请：交表\n审核：三天\n发放：当场") for q, a in QA]
    assert pairs(read(tmp_path, filled("客户：{q}\n客服：{a}\n\n", longer))) == longer


def test_a_label_inside_an_answer_stays_and_is_told(tmp_path: Path) -> None:
    longer = [(q, a + "\n\n答案：以通知为准。" * (i == 5)) for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, filled("咨询人：{q}\n顾问：{a}\n\n", longer))
    assert pairs(reading) == longer
    assert "答案" in told(reading)["labels_in_text"]


def test_a_label_below_most_answers_is_asked_about(tmp_path: Path) -> None:
    text = filled("患者：{q}\n医生：{a}\n随访：第{i}周\n\n")
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, text)
    readings = [pairs(read(tmp_path, text, **one.settings)) for one in caught.value.alternatives]
    assert readings == [QA, [(q, f"{a}\n第{i}周") for i, (q, a) in enumerate(QA, 1)]]


@pytest.mark.parametrize("field", ["满意度：满意", "处理结果：已办结", "工号：{i}", "日期：2024-03-0{i}"])
def test_a_field_below_every_answer_is_no_part_of_it(tmp_path: Path, field: str) -> None:
    reading = read(tmp_path, filled("客户：{q}\n客服：{a}\n" + field + "\n\n"))
    assert pairs(reading) == QA
    assert field.split("：")[0] in told(reading)["record_fields"]


@pytest.mark.parametrize(
    "shape",
    [
        "{i}、{q}\n答：{a}\n\n",
        "{i}. {q}\n答：{a}\n",
        "（{i}）{q}\n【答】{a}\n\n",
        "{q}\n答：{a}\n\n",
        "{i}) {q}\nA: {a}\n\n",
        "问：{q}\n{a}\n\n",
    ],
)
def test_one_side_may_have_no_label_and_that_is_said(tmp_path: Path, shape: str) -> None:
    reading = read(tmp_path, filled(shape))
    assert pairs(reading) == QA
    assert {"unlabelled_questions", "unlabelled_answers"} & told(reading).keys()


@pytest.mark.parametrize(
    "shapes",
    [
        ("问：{q}\n答：{a}\n\n", "{i}、{q}\n答：{a}\n\n"),
        ("Q{i}：{q}\nA{i}：{a}\n", "Q{i}. {q}\nA{i}. {a}\n"),
        ("问：{q}\n答：{a}\n", "{i}. {q}\n解答：{a}\n"),
        ("问\t{q}\n答\t{a}\n", "问\t{q}\n答\t{a}\n\n"),
    ],
)
def test_labels_may_change_from_record_to_record(tmp_path: Path, shapes: tuple[str, str]) -> None:
    text = "".join(shapes[i % 2].format(q=q, a=a, i=i + 1) for i, (q, a) in enumerate(QA))
    assert [(q.content, a.content) for r in read(tmp_path, text).records for q, a in zip(r.messages[::2], r.messages[1::2], strict=True)] == QA  # noqa: E501 # fmt: skip


def test_a_list_in_an_answer_is_no_unlabelled_question(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n1. 先登记\n2. 再领取\n3. 够吗？可以再来") for q, a in QA]
    assert pairs(read(tmp_path, filled("{i}、{q}\n答：{a}\n\n", longer))) == longer


@pytest.mark.parametrize(
    "header",
    [
        "id={i}\nhttps://www.example.com/{i}.htm\n\nDescription\n第{i}个人的情况\n\nDialogue\n",
        "【热线记录 第{i}号】2024-03-18 10:2{i}\n",
        "=== Ticket #{i} | closed ===\n",
    ],
)
def test_a_header_of_every_record_is_no_tail_of_the_answer_before(tmp_path: Path, header: str) -> None:
    reading = read(tmp_path, filled(header + "病人：\n{q}\n医生：\n{a}\n\n"))
    assert pairs(reading) == QA
    assert "headings" in told(reading)


def test_titles_of_sections_and_heads_of_pages_are_no_text(tmp_path: Path) -> None:
    extra = {2: "二、借还\n\n", 5: "第三章 其他\n\n"}
    text = "一、办证\n\n" + "".join(
        extra.get(i, "") + f"问：{q}\n答：{a}\n" + f"\n第 {i} 页 共 8 页\n" * (i % 3 == 0) + "\n"
        for i, (q, a) in enumerate(QA)
    )
    reading = read(tmp_path, text + "—— 全文完 ——\n制表：客服部\n")
    got = [
        (q.content, a.content) for r in reading.records for q, a in zip(r.messages[::2], r.messages[1::2], strict=True)
    ]
    assert got == QA
    assert {"headings", "page_lines", "footer", "preamble"} <= told(reading).keys()


@pytest.mark.parametrize(
    "shape",
    [
        "问 {q}\n答 {a}\n\n",
        "Q={q}\nA={a}\n",
        "Q - {q}\nA - {a}\n\n",
        "<|user|>\n{q}\n<|assistant|>\n{a}\n",
        "客户\n{q}\n客服\n{a}\n\n",
    ],
)
def test_known_names_may_stand_without_a_colon(tmp_path: Path, shape: str) -> None:
    assert pairs(read(tmp_path, filled(shape))) == QA


def test_answers_in_front_of_their_questions_are_turned_round_and_that_is_said(tmp_path: Path) -> None:
    reading = read(tmp_path, filled("答：{a}\n问：{q}\n\n"))
    assert pairs(reading) == QA
    assert "answers_first" in told(reading)


@pytest.mark.parametrize("signature", ["——图书馆 2024年3月{i}日", "（第{i}条已修订）"])
def test_a_signature_below_every_answer_is_no_part_of_it(tmp_path: Path, signature: str) -> None:
    assert pairs(read(tmp_path, filled("问：{q}\n答：{a}\n\n" + signature + "\n\n"))) == QA


def test_a_phrase_of_the_house_below_every_answer_is_part_of_it(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n（以现场公告为准）") for q, a in QA]
    assert pairs(read(tmp_path, filled("问：{q}\n答：{a}\n\n", longer))) == longer


def test_counts_alone_part_records_without_labels(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, filled("{i}\n{q}\n{a}\n"))) == QA


def test_options_in_the_question_make_a_letter_an_answer(tmp_path: Path) -> None:
    rows = [(f"{q}\nA. 一楼{i}\nB. 二楼{i}", "AB"[i % 2]) for i, (q, _) in enumerate(QA)]
    assert pairs(read(tmp_path, filled("{i}. {q}\n答案：{a}\n\n", rows))) == rows


def test_a_sentence_with_a_page_is_no_head_of_a_page(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n依据：见手册第{i}页") for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, filled("问：{q}\n答：{a}\n\n", longer))) == longer


def test_phone_numbers_in_names_are_not_told(tmp_path: Path) -> None:
    reading = read(tmp_path, filled("用户(13800001111)：{q}\n客服：{a}\n\n"))
    assert pairs(reading) == QA
    ledger = reading.ledger
    assert "13800001111" not in repr([*ledger.decisions, *ledger.findings])


def test_follow_ups_that_repeat_words_go_on_with_the_conversation(tmp_path: Path) -> None:
    follow = [("补办要多久？", "当场。"), ("关门前多久清场？", "十分钟。"), ("杂志过期多久算过刊？", "三个月。")]
    blocks_of_turns = [[pair, follow[i]] if i < 3 else [pair] for i, pair in enumerate(QA)]
    text = "\n".join("".join(f"学生：{q}\n老师：{a}\n" for q, a in block) for block in blocks_of_turns)
    reading = read(tmp_path, text)
    assert [len(r.messages) for r in reading.records] == [4, 4, 4, 2, 2, 2, 2, 2]


def test_roles_name_several_in_one_string_and_who_is_not_there_is_told(tmp_path: Path) -> None:
    text = filled("小红、：{q}\n小明：{a}\n\n").replace("小红、", "小红")
    reading = read(tmp_path, text, roles={"user": "小红，小兰、小花", "assistant": ["小明"]})
    assert pairs(reading) == QA
    assert told(reading)["names_not_there"].count("小") == 2


def test_a_long_text_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lines are neither question nor answer"):
        read(tmp_path, "会议纪要的第一段。\n" * 40 + filled("用户：{q}\n律师：{a}\n\n"))


texts = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "用户：怎么办？",
                    "律师：可以。",
                    "主管：不对。",
                    "1、怎么办？",
                    "答：好",
                    "",
                    "---",
                    "第 1 页 共 2 页",
                    "## 题",
                    "满意度：高",
                ),
                *(
                    "（完）",
                    "2024-03-18",
                    "[图片]",
                    "系统：会话已结束",
                    "正文一段。",
                    "注意：带证件",
                    "A. 好",
                    "问\t吗？",
                    "编号：3",
                ),
            ]
        ),
        st.text("的一是不了人我在：。？\n", max_size=12),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_every_line_of_a_text_has_one_role(lines: list[str]) -> None:
    text = "\n".join(["用户：起诉吗？", "律师：起诉。", *lines])
    try:
        parsed = read_running_text(Source("t.txt", whole=text), None, None)
    except DataError:
        return
    if parsed and parsed.format in ("transcript", "blocks", "form", "chat_export"):
        list(parsed.drafts)
        assert parsed.units.total() == sum(bool(line.strip()) for line in text.split("\n"))
        assert parsed.units["question"] and parsed.units["answer"]


def test_the_account_of_a_streamed_file_is_that_of_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.txt"
    shape = "编号：{i}\n链接：https://x.example/{i}\n用户：{q}\n律师：{a}\n\n"
    path.write_text("问答\n\n" + filled(shape * 40), encoding="utf-8")
    whole = read_running_text(open_source(path, "t.txt"), None, None)
    assert whole is not None
    drafts = list(whole.drafts)
    monkeypatch.setattr(sources, "WHOLE", 1000)
    monkeypatch.setattr(blocks, "PART", 3000)
    streamed = read_running_text(open_source(path, "t.txt"), None, None)
    assert streamed is not None
    assert list(streamed.drafts) == drafts
    assert streamed.units == whole.units
    assert streamed.units["metadata"] == 2 * len(drafts)
