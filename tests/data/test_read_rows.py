"""Rows of tables and objects: which column is what, what is asked, and what becomes of every cell."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.records import UNIT_ROLES, Message
from lora_scripts.errors import AmbiguousDataError, DataError

ASKED = [
    "水表走得特别快是怎么回事？", "车位到期了还能续租吗？", "装修押金什么时候退？", "电梯总是停在三楼怎么办？",
    "快递柜超时要收费吗？", "楼上漏水找谁修？", "宠物狗可以坐电梯吗？", "地下室能堆放杂物吗？",
    "门禁卡丢了怎么补？", "物业费可以按季度交吗？",
]  # fmt: skip
ANSWERS = [
    "先关总阀看表针，还走就是入户管漏水，请联系我们上门。", "可以，到期前十五天到服务台签续租单即可。",
    "验收合格满三个月，凭收据原路退回。", "已请维保单位更换门机感应器，当天恢复。", "超过二十四小时每天收一元。",
    "先由楼上业主查防水，我们协助关阀和取证。", "可以，请抱起或牵短绳，避开高峰。", "不可以，地下室都不能堆物。",
    "带身份证到服务台补办，工本费二十元。", "可以，每季度第一个月的十号前交清。",
]  # fmt: skip
QA = list(zip(ASKED, ANSWERS, strict=True))


def read(tmp_path: Path, name: str, content: str, **options: Any) -> Reading:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_records(path, **options)


def as_csv(header: list[str], rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def as_jsonl(values: list[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    return [(r.question, r.answer) for r in reading.records]


def kinds(reading: Reading) -> set[str]:
    return {f.kind for f in reading.ledger.findings}


def test_a_status_or_a_name_is_not_the_answer_whatever_its_header_says(tmp_path: Path) -> None:
    rows = [[i, f"业主{i}", q, ["已办结", "处理中"][i % 2], a] for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "a.csv", as_csv(["工单号", "客户", "问题", "回复结果", "处理意见"], rows))
    assert pairs(reading) == QA
    assert all(name in reading.ledger.decisions[0].detail for name in ("工单号", "客户", "回复结果"))


def test_a_status_that_is_the_only_answer_is_asked_about_and_a_label_is_named(tmp_path: Path) -> None:
    rows = [[q, ["已办结", "已回访"][i % 2]] for i, q in enumerate(ASKED)]
    text = as_csv(["问题", "处理结果"], rows)
    with pytest.raises(AmbiguousDataError, match="next to nothing to learn") as caught:
        read(tmp_path, "a.csv", text)
    assert pairs(read(tmp_path, "a.csv", text, **caught.value.alternatives[0].settings)) == [(q, a) for q, a in rows]
    labels = [{"instruction": q, "output": ["报修", "缴费"][i % 2]} for i, q in enumerate(ASKED)]
    assert "few_different_answers" in kinds(read(tmp_path, "b.jsonl", as_jsonl(labels)))


def test_two_equally_good_answer_columns_are_asked_with_records_of_each(tmp_path: Path) -> None:
    rows = [[q, a, f"{a}（客服部）"] for q, a in QA]
    text = as_csv(["问题", "物业答复", "客服答复"], rows)
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "a.csv", text)
    for alternative in caught.value.alternatives:
        name = alternative.settings["columns"]["answer"]
        reading = read(tmp_path, "a.csv", text, **alternative.settings)
        assert [r.answer for r in reading.records[:3]] == [r.answer for r in alternative.records]
        assert f"answer: {name}" in str(caught.value)
    assert "columns: {question: 问题, answer: 物业答复}" in str(caught.value)


def test_samples_of_a_question_hold_no_personal_data(tmp_path: Path) -> None:
    rows = [[q, f"{a}电话13800138{i:03d}", f"{a}致电13900139{i:03d}"] for i, (q, a) in enumerate(QA)]
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "a.csv", as_csv(["问题", "甲组回复", "乙组回复"], rows))
    assert "13800138" not in str(caught.value) and "13900139" not in str(caught.value)


def test_much_text_under_a_name_that_says_nothing_is_asked_and_little_is_named(tmp_path: Path) -> None:
    rows = [[q, a, f"{q}{a}" * 2] for q, a in QA]
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "a.csv", as_csv(["问题", "答案", "扩展"], rows))
    assert {"question": "问题", "answer": "答案", "input": "扩展"} in [
        a.settings["columns"] for a in caught.value.alternatives
    ]
    few = [[q, a, "请按楼栋查询" if i % 3 else ""] for i, (q, a) in enumerate(QA)]
    few[1][2] = "以上内容供参考"
    few[2][2] = "另见第二部分"
    reading = read(tmp_path, "a.csv", as_csv(["问题", "答案", "扩展"], few))
    assert pairs(reading) == QA and "扩展" in reading.ledger.decisions[0].detail


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_one_message_a_row_is_joined_by_its_id_in_any_order(tmp_path: Path, suffix: str) -> None:
    rows = []
    for i, (q, a) in enumerate(QA):
        rows += [[f"S{i}", f"2024-05-01 09:{i:02d}", "业主", q], [f"S{i}", f"2024-05-01 10:{i:02d}", "客服", a]]
    rows.sort(key=lambda row: row[1])  # all questions first, then all answers
    rows.append(["S0", "2024-05-01 11:00", "系统", "会话已结束"])
    header = ["会话编号", "时间", "发送方", "内容"]
    text = as_csv(header, rows) if suffix == "csv" else as_jsonl([dict(zip(header, row, strict=True)) for row in rows])
    reading = read(tmp_path, f"a.{suffix}", text)
    assert pairs(reading) == QA
    assert "系统 (1)" in next(f.text for f in reading.ledger.findings if f.kind == "speakers_left_out")


def test_a_list_of_messages_of_several_conversations_is_not_one(tmp_path: Path) -> None:
    messages = [
        {"session_id": i, "role": role, "content": content}
        for i, pair in enumerate(QA)
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
    assert pairs(read(tmp_path, "a.json", json.dumps(messages, ensure_ascii=False))) == QA


def test_a_history_in_the_keys_of_the_row_does_not_replace_the_row(tmp_path: Path) -> None:
    rows = [{"user": q, "bot": a, "history": [{"user": "在吗", "bot": "在的"}]} for q, a in QA]
    reading = read(tmp_path, "a.jsonl", as_jsonl(rows))
    assert [[m.content for m in r.messages] for r in reading.records] == [["在吗", "在的", q, a] for q, a in QA]


def test_speakers_are_known_by_how_often_they_speak_or_are_asked(tmp_path: Path) -> None:
    rows = [row for i, (q, a) in enumerate(QA) for row in ([i, f"住户{i}x", q], [i, "小唐", a])]
    assert pairs(read(tmp_path, "a.csv", as_csv(["会话id", "昵称", "内容"], rows))) == QA
    rows = [row for i, (q, a) in enumerate(QA) for row in ([i, "阿布", q], [i, "小唐", a])]
    text = as_csv(["会话id", "发言人", "内容"], rows)
    with pytest.raises(AmbiguousDataError) as caught:
        read(tmp_path, "a.csv", text)
    assert caught.value.alternatives[0].settings == {"roles": {"user": ["阿布"], "assistant": ["小唐"]}}
    assert pairs(read(tmp_path, "a.csv", text, **caught.value.alternatives[0].settings)) == QA


def test_turns_of_weight_0_are_context_and_chains_of_thought_are_kept_apart(tmp_path: Path) -> None:
    q, a = QA[0]
    messages = [
        {"role": "user", "content": "在吗"},
        {"role": "assistant", "content": "稍等。", "weight": 0},
        {"role": "user", "content": q},
        {"role": "assistant", "content": a, "reasoning_content": "先看表针。", "id": 7},
    ]
    reading = read(tmp_path, "a.jsonl", as_jsonl([{"messages": messages}]))
    assert reading.records[0].messages == (
        Message("user", "在吗"),
        Message("assistant", "稍等。", trained=False),
        Message("user", q),
        Message("assistant", a, reasoning="先看表针。"),
    )
    assert {"context_turns", "reasoning_kept", "message_keys_not_used"} <= kinds(reading)
    only_context = [{"messages": [messages[0], messages[1]]}, {"messages": messages[2:]}]
    reading = read(tmp_path, "a.jsonl", as_jsonl(only_context))
    assert (len(reading.records), reading.ledger.reasons()) == (1, {"context_only": 1})


@pytest.mark.parametrize("mark", [{"weight": "0"}, {"masked": True}, {"train": False}, {"loss": 0.0}])
def test_a_weight_may_be_written_in_several_ways(tmp_path: Path, mark: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "在吗"}, {"role": "assistant", "content": "不归我管。", **mark}]
    messages += [{"role": "user", "content": QA[0][0]}, {"role": "assistant", "content": QA[0][1]}]
    reading = read(tmp_path, "a.jsonl", as_jsonl([{"messages": messages}]))
    assert [m.trained for m in reading.records[0].messages] == [True, False, True, True]
    rows = [{"question": q, "answer": a, **(mark if i == 3 else {})} for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "b.jsonl", as_jsonl(rows))
    assert reading.ledger.reasons() == {"context_only": 1} and len(reading.records) == len(QA) - 1


def test_context_options_and_history_are_in_the_question(tmp_path: Path) -> None:
    rows = [{"question": q, "context": f"材料{i}", "answer": a} for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "a.jsonl", as_jsonl(rows))
    assert pairs(reading) == [(f"{q}\n材料{i}", a) for i, (q, a) in enumerate(QA)]
    rows = [{"题目": q, "A": "是", "B": "否", "正确答案": "AB"[i % 2]} for i, (q, _) in enumerate(QA)]
    reading = read(tmp_path, "b.jsonl", as_jsonl(rows))
    assert pairs(reading) == [(f"{q}\nA. 是\nB. 否", "AB"[i % 2]) for i, (q, _) in enumerate(QA)]
    rows = [{"query": q, "response": a, "chat_history": [["您好", "您好，请讲"]]} for q, a in QA]
    reading = read(tmp_path, "c.jsonl", as_jsonl(rows))
    assert [m.content for m in reading.records[0].messages] == ["您好", "您好，请讲", *QA[0]]


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ({"answers": ["可以。", "不可以。"]}, ["可以。", "不可以。"]),
        ({"answer": ["先登记", "再领取"]}, ["先登记\n再领取"]),
        ({"answer": {"text": ["可以。"], "answer_start": [3]}}, ["可以。"]),
        ({"answer": "{'text': ['可以。']}"}, ["可以。"]),
    ],
)
def test_lists_of_answers_are_records_and_lists_of_lines_are_lines(
    tmp_path: Path, value: dict[str, Any], answers: list[str]
) -> None:
    reading = read(tmp_path, "a.jsonl", as_jsonl([{"question": q, **value} for q in ASKED]))
    assert pairs(reading) == [(q, answer) for q in ASKED for answer in answers]
    sources = [r.source for r in reading.records]
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("gemini", {"contents": [{"role": "user", "parts": [{"text": "在吗"}]},
            {"role": "model", "parts": [{"text": "在。"}]}]}),
        ("langsmith", {"inputs": {"input": "在吗"}, "outputs": {"output": "在。"}}),
        ("marks", {"plain_text": "[Human]: 在吗<eoh> [Bot]: 在。<eoa>"}),
        ("lines", {"dialog": ["患者：在吗", "医生：在。"]}),
        ("label studio", {"data": {"question": "在吗"}, "annotations": [
            {"was_cancelled": False, "result": [{"from_name": "answer", "value": {"text": ["在。"]}}]}]}),
        ("argilla", {"fields": {"question": "在吗"}, "responses": [
            {"status": "discarded", "values": {"answer": {"value": "乱写"}}},
            {"status": "submitted", "values": {"answer": {"value": "在。"}}}]}),
        ("chatgpt", {"title": "t", "current_node": "b", "mapping": {
            "a": {"message": {"author": {"role": "user"}, "content": {"parts": ["在吗"]}}, "parent": None},
            "b": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["在。"]}}, "parent": "a"}}}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_layouts_of_other_programs_are_read(tmp_path: Path, kind: str, value: dict[str, Any]) -> None:
    assert pairs(read(tmp_path, "a.json", json.dumps([value], ensure_ascii=False))) == [("在吗", "在。")]


def test_records_that_annotators_discarded_are_left_out(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": a, "status": "discarded" if i % 5 == 0 else "ok"} for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "a.jsonl", as_jsonl(rows))
    assert pairs(reading) == [pair for i, pair in enumerate(QA) if i % 5]
    assert reading.ledger.reasons() == {"discarded": 2}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("#REF!", "error_value"), ("1.10101E+17", "number_only"), ("见附件", "attachment_only"),
        ("电话已答复", "answered_elsewhere"), ("https://example.com/a", "link_only"),
        ("好的。", "acknowledgement_only"), ("已转投诉专员", "answered_elsewhere"), ("略", "placeholder_answer"),
    ],
)  # fmt: skip
def test_answers_that_teach_nothing_are_left_out_by_kind(tmp_path: Path, answer: str, reason: str) -> None:
    reading = read(tmp_path, "a.csv", as_csv(["问题", "答案"], [["还有吗？", answer], *map(list, QA)]))
    assert pairs(reading) == QA
    assert reading.ledger.reasons() == {reason: 1}


def test_markup_that_most_texts_hold_is_taken_out_and_a_single_one_is_named(tmp_path: Path) -> None:
    rows = [[q, a.replace("，", "，<br>").replace("。", "&nbsp;。")] for q, a in QA]
    reading = read(tmp_path, "a.csv", as_csv(["问题", "答案"], rows))
    assert "<br>" not in reading.records[0].answer and "html_read" in kinds(reading)
    rows = [[q, a + ("用<br>换行" if i == 3 else "")] for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "a.csv", as_csv(["问题", "答案"], rows))
    assert "<br>" in reading.records[3].answer and "html_kept" in kinds(reading)
    reading = read(tmp_path, "b.jsonl", as_jsonl([{"question": q, "answer": a.replace("，", "\\n")} for q, a in QA]))
    assert "\n" in reading.records[0].answer and "literal_breaks_read" in kinds(reading)
    rows = [{"instruction": f"Human: 您好\nAssistant: 请讲\nHuman: {q}", "output": a} for q, a in QA]
    reading = read(tmp_path, "c.jsonl", as_jsonl(rows))
    assert "Human" in next(f.text for f in reading.ledger.findings if f.kind == "role_marks_in_text")


def test_two_pairs_of_columns_and_follow_ups_are_all_read(tmp_path: Path) -> None:
    left, right = QA[:5], QA[5:]
    rows = [[*one, *two] for one, two in zip(left, right, strict=True)]
    reading = read(tmp_path, "a.csv", as_csv(["问题", "答案", "问题", "答案"], rows))
    assert sorted(pairs(reading)) == sorted(QA)
    rows = [[q, a, "那费用呢？" if i == 2 else "", "免费。" if i == 2 else ""] for i, (q, a) in enumerate(QA)]
    reading = read(tmp_path, "b.csv", as_csv(["提问", "回答", "追问", "追答"], rows))
    assert [m.content for m in reading.records[2].messages] == [*QA[2], "那费用呢？", "免费。"]


def test_rows_about_columns_and_rows_of_totals_are_no_records(tmp_path: Path) -> None:
    rows = [
        ["编号", "必填，不超过100字", "文本"],
        *([i, q, a] for i, (q, a) in enumerate(QA)),
        ["合计", "十条", "见上表"],
    ]
    rows[0][0] = "数字"
    reading = read(tmp_path, "a.csv", as_csv(["编号", "问题", "答案"], rows))
    assert pairs(reading) == QA
    assert [e.source.rpartition(":")[2] for e in reading.ledger.left_out] == ["2", "13"]


def test_lists_of_questions_and_orders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(tmp_path, "a.json", json.dumps({"questions": [["吃了吗", "吃的什么"], ["干嘛呢", "去哪里"]]}))
    rows = [[f"D{i}", f"2024-01-{i + 1:02d}", i * 3, "已发货"] for i in range(10)]
    with pytest.raises(DataError) as caught:
        read(tmp_path, "b.csv", as_csv(["订单号", "日期", "数量", "状态"], rows))
    assert not isinstance(caught.value, AmbiguousDataError)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.text("水电车位门禁表管修费？。，", min_size=2, max_size=12)] * 3), min_size=1, max_size=12),
    st.booleans(),
)
def test_every_cell_of_a_table_ends_in_one_unit(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, ...]], one_line: bool
) -> None:
    folder = tmp_path_factory.mktemp("units")
    header = ["问题", "答案", "备注"]
    rows = [[f"{i}{a}", f"{i}{b}", c] for i, (a, b, c) in enumerate(cells)]
    reading = read(folder, "a.csv", as_csv(header, rows))
    filled = sum(bool(str(cell).strip()) for row in rows for cell in row)
    assert reading.ledger.units.total() == filled + len(header)
    assert set(reading.ledger.units) <= set(UNIT_ROLES)
    objects = [dict(zip(header, row, strict=True)) for row in rows]
    text = json.dumps(objects, ensure_ascii=False, indent=None if one_line else 1)
    reading = read(folder, "a.json", text)
    assert reading.ledger.units.total() == filled
    sources = [r.source for r in reading.records]
    assert len(set(sources)) == len(sources)
