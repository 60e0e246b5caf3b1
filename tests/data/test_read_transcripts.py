"""Role-prefixed text in the ways in which people write it."""

from pathlib import Path

import pytest

from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Record
from lora_scripts.errors import DataError

QA = [(f"第{i}个问题：公司不签合同怎么办？", f"依据《规则》第{i}条，应当支付{i}倍工资。") for i in range(1, 25)]


def read(tmp_path: Path, text: str, **options: object) -> list[Record]:
    path = tmp_path / "train.txt"
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options).records  # type: ignore[arg-type]


def pairs(records: list[Record]) -> list[tuple[str, str]]:
    assert all([m.role for m in r.messages] == ["user", "assistant"] for r in records)
    return [(r.messages[0].content, r.messages[1].content) for r in records]


@pytest.mark.parametrize(
    "shape",
    [
        "用户：{q}\n律师：{a}\n\n",
        "User：{q}\nHelper：{a}\n\n",
        "Customer: {q}\nAgent: {a}\n\n",
        "用户:{q}\n律师﹕{a}\n",
        "Q{i}: {q}\nA{i}: {a}\n\n",
        "{i}、问：{q}\n答：{a}\n",
        "【客户】{q}\n【律师】{a}\n\n",
        "[客户] {q}\nAnswer: {a}\n",
        "**用户：** {q}\n\n**律师：** {a}\n\n",
        "### Instruction:\n{q}\n\n### Response:\n{a}\n\n",
        "2024-01-02 10:30:00 客户：{q}\n2024-01-02 10:31:05 客服：{a}\n\n",
        "用户：\n{q}\n律师：\n{a}\n\n",
        "用戶：{q}\n律師：{a}\n\n",
        "用户：{q} 律师：{a}\n",
        "Q: {q}\tA: {a}\n",
        "{i}. 用户：{q} | 律师：{a}\n\n",
        "甲方：{q}\n乙方：{a}\n\n",
        "甲方：{q} 乙方：{a}\n",
        "Traveller: {q}\nDesk: {a}\n\n",
        "小明：{q}\n律师：{a}\n\n",
        "用户：{q}\n王律师：{a}\n\n",
        "A：{q}\nB：{a}\n\n",
    ],
)
def test_pairs_are_read_whatever_the_speakers_are_called(tmp_path: Path, shape: str) -> None:
    text = "".join(shape.format(q=q, a=a, i=i) for i, (q, a) in enumerate(QA, 1))
    assert pairs(read(tmp_path, text)) == QA


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(
    "trap",
    [
        "\n用户须知：请保管。\n律师费：500元",
        "\n用户手册第3条：略。",
        "\n时间：10:30\nhttp://a.example:80/c",
        "\nA：是\nB：否",
        "\n1. 合同：书面\n2. 工资：足额",
        "\n【原告诉请】支付\n【裁判结果】支持",
        "\n客户：可以是个人。",
        "\n律师 应当尽责。\n用户 可以申诉。",
        "\n当事人：张三\n被告：李四",
        "\n\n第二段：仍是回答。\n\n结论：可以。",
    ],
)
def test_colons_and_role_like_words_inside_a_text_stay_text(tmp_path: Path, trap: str, every: int) -> None:
    longer = [(q, a + trap * (i % every == 0)) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in longer))) == longer
    longer = [(q + trap * (i % every == 0), a) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in longer))) == longer


def test_a_quoted_exchange_inside_an_answer_stays_text(tmp_path: Path) -> None:
    longer = [(q, a + "\n问：他怎么说的？\n答：他说不行。" * (i % 3 == 0)) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in longer))) == longer


def test_a_choice_of_letters_in_a_question_is_no_answer(tmp_path: Path) -> None:
    asked = [(q + " A: 是 B: 否", a) for q, a in QA]
    assert pairs(read(tmp_path, "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in asked))) == asked


@pytest.mark.parametrize("divider", ["\n\n", "\n---\n", "\n\n=====\n\n", "\n\n对话 2\n", "\n\n# Conversation 7\n\n"])
@pytest.mark.parametrize("sizes", [[2, 3, 2, 4], [1, 2, 3, 2, 3, 1], [2] * 8])
def test_turns_between_dividers_are_one_conversation(tmp_path: Path, sizes: list[int], divider: str) -> None:
    left = iter(QA)
    talks = [[next(left) for _ in range(n)] for n in sizes]
    text = divider.join("\n".join(f"用户：{q}\n律师：{a}" for q, a in talk) for talk in talks)
    records = read(tmp_path, text)
    assert [[m.content for m in r.messages] for r in records] == [[t for pair in talk for t in pair] for talk in talks]


def test_a_question_that_leans_on_the_last_answer_continues_the_conversation(tmp_path: Path) -> None:
    text = "用户：公司不签合同怎么办？\n律师：双倍工资。\n用户：那要自己去申请吗？\n律师：要。\n"
    assert [len(r.messages) for r in read(tmp_path, text)] == [4]


def test_pairs_without_any_gap_stay_pairs_and_a_finding_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"用户：{q}\n律师：{a}\n" for q, a in QA), encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == QA
    assert [f.kind for f in reading.ledger.findings] == ["pairs_without_gap"]


def test_messages_of_one_speaker_in_a_row_are_joined_in_a_chat_log(tmp_path: Path) -> None:
    text = (
        "客户：你好\n客户：在吗\n客服：在的\n客服：请讲\n客户：那退货呢\n客服：好的\n\n"
        "客户：发票\n客服：单号？\n客户：那是123\n客服：已开\n"
    )
    first = read(tmp_path, text)[0]
    assert [m.content for m in first.messages] == ["你好\n在吗", "在的\n请讲", "那退货呢", "好的"]


def test_a_system_text_goes_before_its_question(tmp_path: Path) -> None:
    records = read(tmp_path, "".join(f"系统：你是律师\n用户：{q}\n律师：{a}\n\n" for q, a in QA))
    assert [[m.role for m in r.messages] for r in records] == [["system", "user", "assistant"]] * len(QA)


def test_a_source_is_the_line_of_its_question(tmp_path: Path) -> None:
    records = read(tmp_path, "问答集\n\n" + "".join(f"用户：{q}\n律师：{a}\n\n" for q, a in QA))
    assert [r.source.rsplit(":", 1)[1] for r in records] == [str(3 * i + 3) for i in range(len(QA))]


def test_text_before_the_first_speaker_is_named_in_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("劳动法问答集\n整理：某人\n\n用户：怎么办？\n律师：起诉。\n", encoding="utf-8")
    assert [(f.kind, f.where) for f in read_records(path).ledger.findings] == [("preamble", f"{path}:1")]


def test_given_roles_decide_who_speaks(tmp_path: Path) -> None:
    text = "".join(f"小红帽：{q}\n大灰狼：{a}\n旁白：好\n\n" for q, a in QA)
    with pytest.raises(DataError, match=r"several pairs of speakers") as caught:
        read(tmp_path, text)
    assert "roles" in caught.value.problems[0].fix
    assert pairs(read(tmp_path, text, roles={"user": "小红帽", "assistant": ["大灰狼"]})) == QA


@pytest.mark.parametrize(
    "text",
    [
        "劳动法是一部法律。\n\n第一条：适用。\n第二条：范围。\n\n第三条：内容。\n",
        "姓名：张三\n电话：1\n\n姓名：李四\n电话：2\n\n姓名：王五\n电话：3\n",
        "repository: x\ncommit: y\nlicense: z\n",
    ],
)
def test_text_without_speakers_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="no question with an answer"):
        read(tmp_path, text)


def test_what_was_learned_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"甲方：{q}\n乙方：{a}\n\n" for q, a in QA), encoding="utf-8")
    ledger = read_records(path).ledger
    assert "甲方 → user; 乙方 → assistant" in ledger.decisions[0].detail
    assert [f.kind for f in ledger.findings] == ["learned_roles"]


@pytest.mark.parametrize("gap", ["", "\n"])
def test_headings_above_each_question_do_not_enter_the_answer_before(tmp_path: Path, gap: str) -> None:
    text = "".join(f"编号：{i}\n标题：合同\n问题：{q}\n答案：{a}\n{gap}" for i, (q, a) in enumerate(QA))
    path = tmp_path / "t.txt"
    path.write_text(text, encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == QA
    assert "headings" in {f.kind for f in reading.ledger.findings}


def test_given_roles_that_nobody_has_leave_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no question with an answer"):
        read(tmp_path, "用户：怎么办？\n律师：起诉。\n", roles={"user": ["甲"], "assistant": ["乙"]})


def test_two_kinds_of_gaps_are_said_because_they_may_mean_conversations(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"用户：{q}\n律师：{a}\n\n" + "\n" * (i % 3 == 0) for i, (q, a) in enumerate(QA)), "utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == QA
    assert [f.kind for f in reading.ledger.findings] == ["uneven_gaps"]


def test_a_sign_that_ends_a_question_is_no_separator(tmp_path: Path) -> None:
    ended = [(q + "；" * (i == 3), a) for i, (q, a) in enumerate(QA)]
    assert pairs(read(tmp_path, "".join(f"用户：{q} 律师：{a}\n" for q, a in ended))) == ended


def test_sentences_with_commas_are_no_table(tmp_path: Path) -> None:
    lines = ["患者咨询一下,大夫回复我", "我头疼,三天了,怎么办", "少喝酒,多休息"]
    with pytest.raises(DataError):
        read(tmp_path, "\n".join(lines * 8))
