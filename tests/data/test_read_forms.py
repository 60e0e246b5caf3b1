"""Forms as text: several labelled fields a record, of which two are question and answer."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.reading.forms import read_form

QA = [(f"第{i}本书丢了怎么赔，要{i}倍的钱吗？", f"按第{i}条照价赔偿，办理{i}号手续。") for i in range(1, 10)]


def read(tmp_path: Path, text: str, **options: Any) -> Reading:
    path = tmp_path / "forms.txt"
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options)


def pairs(reading: Reading) -> list[tuple[str, str]]:
    return [(record.question, record.answer) for record in reading.records]


@pytest.mark.parametrize(
    ("form", "unused"),
    [
        ("咨询人：张三{i}\n联系电话：1391234560{i}\n咨询内容：{q}\n律师解答：{a}\n处理结果：已办结\n\n", "处理结果"),
        ("编号：{i}\n来电时间：2024-03-0{i} 10:00\n诉求：{q}\n答复：{a}\n满意度：满意\n\n", "满意度"),
        ("【工单】{i}\n【问题描述】{q}\n【处理意见】{a}\n【经办人】王芳\n\n", "经办人"),
        ("咨询人：\n张{i}\n咨询问题：\n{q}\n回复内容：\n{a}\n回复时间：\n2024-03-0{i}\n====\n", "回复时间"),
        ("Name: Ann Lee\nQuestion: {q}\nAnswer: {a}\nStatus: closed\n--------\n", "Status"),
    ],
)
def test_question_and_answer_are_chosen_and_other_fields_are_named(tmp_path: Path, form: str, unused: str) -> None:
    reading = read(tmp_path, "".join(form.format(i=i, q=q, a=a) for i, (q, a) in enumerate(QA, 1)))
    assert pairs(reading) == QA
    decision = reading.ledger.decisions[0]
    assert decision.format == "form" and unused in decision.detail


def test_a_field_may_have_several_lines(tmp_path: Path) -> None:
    longer = [(q, f"{a}\n\n注意：带证件。" + "\n地址：一楼" * (i % 2)) for i, (q, a) in enumerate(QA)]
    text = "".join(f"姓名：王{i}\n咨询内容：{q}\n答复：{a}\n状态：已结\n\n" for i, (q, a) in enumerate(longer))
    assert pairs(read(tmp_path, text)) == longer


def test_columns_choose_other_fields(tmp_path: Path) -> None:
    text = "".join(f"主题：{q}\n经过：打过电话{i}次\n初步意见：{a}\n状态：已结\n\n" for i, (q, a) in enumerate(QA))
    reading = read(tmp_path, text, columns={"question": "主题", "answer": "初步意见"})
    assert pairs(reading) == QA


@pytest.mark.parametrize("trap", ["结论：可以。", "时间：10:30\n地点：一楼", "满意请按一"])
def test_two_speakers_with_labels_in_their_answers_are_no_form(tmp_path: Path, trap: str) -> None:
    longer = [(q, f"{a}\n{trap}") for q, a in QA]
    reading = read(tmp_path, "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in longer))
    assert pairs(reading) == longer
    assert reading.ledger.decisions[0].format == "transcript"


names = st.text("甲乙丙丁戊己庚辛壬癸", min_size=2, max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(names, st.integers(0, 9), st.booleans()), min_size=4, max_size=12, unique_by=lambda r: r[:2]))
def test_every_line_of_a_form_has_one_role(rows: list[tuple[str, int, bool]]) -> None:
    text = "内部资料\n\n" + "".join(
        f"姓名：{name}\n咨询内容：{n}号{name}的事怎么办？\n"
        f"答复：请按{n}条{name}办理。\n{'第二行。' if more else ''}\n状态：已结\n----\n"
        for name, n, more in rows
    )
    parsed = read_form(text, "forms.txt")
    assert parsed is not None
    assert parsed.units.total() == sum(bool(line.strip()) for line in text.split("\n"))
    assert parsed.units["question"] == len(rows) and parsed.units["left_out"] == 1
