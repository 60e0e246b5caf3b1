"""Cleaning, the split, and the report."""

import json
import random
from pathlib import Path

import pytest

from lora_scripts.data.clean import clean, is_placeholder, normal, visible
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.records import Draft, Message, Record
from lora_scripts.data.report import counts, summary, write_report
from lora_scripts.data.split import split_records


def draft(line: int, *turns: str) -> tuple[str, Draft]:
    roles = ("user", "assistant")
    return "f", Draft(line, tuple((roles[i % 2], t) for i, t in enumerate(turns)))


def pair(question: str, answer: str = "a", source: str = "f:1") -> Record:
    return Record((Message("user", question), Message("assistant", answer)), source)


def test_invisible_characters_go_and_visible_ones_stay() -> None:
    raw = "\ufeff\u200b　甲\u200b乙\x00\u00a0丙\u2028丁　　戊\t己\u00ad\u202e　\n"
    assert visible(raw) == ("甲乙 丙\n丁　　戊\t己", 7)
    assert visible("👨\u200d👩\u200d👧 ok")[0] == "👨\u200d👩\u200d👧 ok"
    assert visible("甲\u200d乙")[0] == "甲乙"


@pytest.mark.parametrize(
    "answer",
    [
        "略",
        "略。",
        "（略）",
        "待补充",
        "N/A",
        "n/a",
        "无",
        "暂无",
        "同上",
        "xxx",
        "XXXX",
        "……",
        "...",
        "null",
        "TBD",
        "-",
        "--",
        "【待补充】",
        "To be added.",
    ],
)
def test_placeholders_are_seen(answer: str) -> None:
    assert is_placeholder(answer)


@pytest.mark.parametrize(
    "answer", ["是", "否", "?", "。", "7", "不", "无需办理", "略低于标准", "没有规定", "No", "同上一年度相同", "x"]
)
def test_short_real_answers_stay(answer: str) -> None:
    assert not is_placeholder(answer)


def test_each_fault_has_its_bin_and_the_ledger_adds_up() -> None:
    ledger = Ledger()
    drafts = [
        draft(1, "q", "a"),
        draft(3, "q ", "\u200ba"),
        draft(5, "", "a"),
        draft(7, "q2", " "),
        draft(9, "q3", "略"),
        draft(11, "q4"),
        ("f", Draft(13, (("assistant", "a"),))),
        ("f", Draft(15, reason="unreadable", note="n")),
        ("f", Draft(17, (("user", "q5"), ("system", "s"), ("assistant", "a")))),
        draft(19, "Q！", "a"),
        draft(21, "q", "b"),
    ]
    records = clean(drafts, ledger)
    assert [r.source for r in records] == ["f:1", "f:19", "f:21"]
    assert ledger.reasons() == {
        "exact_duplicate": 1,
        "empty_question": 1,
        "empty_answer": 1,
        "placeholder_answer": 1,
        "orphan_question": 1,
        "orphan_answer": 1,
        "unreadable": 1,
        "misplaced_system": 1,
    }
    assert ledger.read == len(drafts)
    assert "f:1" in ledger.left_out[0].note
    found = {f.kind: f for f in ledger.findings}
    assert set(found) == {"invisible_characters", "near_duplicates", "different_answers"}
    assert "f:19 ≈ f:1" in found["near_duplicates"].text
    assert "f:21 ↔ f:1" in found["different_answers"].text


def test_a_conversation_is_made_to_alternate_and_that_is_said() -> None:
    ledger = Ledger()
    turns = (
        ("assistant", "hi"),
        ("user", "q"),
        ("user", "more"),
        ("assistant", "a"),
        ("user", "bye"),
    )
    (record,) = clean([("f", Draft(1, turns))], ledger)
    assert [m.content for m in record.messages] == ["q\nmore", "a"]
    assert {f.kind for f in ledger.findings} == {"greeting_dropped", "turns_joined", "last_question_dropped"}


def records(count: int) -> list[Record]:
    return [pair(f"第{i}个问题怎么办？", f"答{i}", f"f:{i}") for i in range(count)]


def test_the_split_follows_content_and_seed_and_not_order() -> None:
    rows = records(300)
    training, validation = split_records(rows, 0.1, 7)
    assert len(training) + len(validation) == 300
    assert 15 <= len(validation) <= 45
    shuffled = random.Random(1).sample(rows, 300)
    assert set(split_records(shuffled, 0.1, 7)[1]) == set(validation)
    assert set(split_records(rows, 0.1, 8)[1]) != set(validation)


def test_new_records_move_no_old_one() -> None:
    old, new = records(100), records(400)
    held = set(split_records(old, 0.1, 3)[1])
    assert held == set(split_records(new, 0.1, 3)[1]) & set(old)


def test_no_question_stands_on_both_sides() -> None:
    rows = [pair(f"问题{i % 40}{'？' * (i % 3)} {'怎么办' if i % 2 else '怎么办 '}", f"答{i}") for i in range(400)]
    training, validation = split_records(rows, 0.2, 1)
    assert validation
    assert not {normal(r.question) for r in training} & {normal(r.question) for r in validation}


def test_a_later_question_that_is_trained_pulls_its_conversation_over() -> None:
    rows = records(200)
    later = [
        Record((*pair(f"开头{i}").messages, Message("user", rows[i].question), Message("assistant", "b")), f"g:{i}")
        for i in range(200)
    ]
    training, validation = split_records(rows + later, 0.3, 1)
    trained = {m.content for r in training for m in r.messages if m.role == "user"}
    assert validation
    assert not trained & {m.content for r in validation for m in r.messages if m.role == "user"}


@pytest.mark.parametrize("count", [8, 9, 12])
def test_small_sets_have_one_on_each_side(count: int) -> None:
    for seed in range(20):
        training, validation = split_records(records(count), 0.05, seed)
        assert training
        assert validation


def test_nothing_to_set_aside_is_said() -> None:
    ledger = Ledger(kept=5)
    assert split_records(records(5), 0.1, 0, ledger)[1] == []
    assert [f.kind for f in ledger.findings] == ["no_validation"]
    ledger = Ledger(kept=9)
    same = [pair("问题？", f"{i}") for i in range(9)]
    assert split_records(same, 0.1, 0, ledger)[1] == []
    assert [f.kind for f in ledger.findings] == ["no_validation"]
    assert split_records(records(9), 0.0, 0)[1] == []


@pytest.fixture
def ledger() -> Ledger:
    out = Ledger()
    clean(
        [draft(1, "q\u200b", "秘密的答案"), draft(3, "<b>x</b>", ""), draft(5, "q", "秘密的答案"), draft(7, "r", "s")],
        out,
    )
    out.validation = 1
    return out


def test_the_report_adds_up_and_holds_no_texts(ledger: Ledger, tmp_path: Path) -> None:
    write_report(ledger, tmp_path / "new", extra={"base_model": "<models>"})
    told = json.loads((tmp_path / "new" / "data_report.json").read_text("utf-8"))
    assert told["read"] == 4 == told["trained"] + told["validation"] + sum(told["left_out"].values())
    assert told["base_model"] == "<models>"
    assert [(e["source"], e["reason"]) for e in told["left_out_records"]] == [
        ("f:3", "empty_answer"),
        ("f:5", "exact_duplicate"),
    ]
    assert {k: told[k] for k in counts(ledger)} == counts(ledger)
    page = (tmp_path / "new" / "data_report.html").read_text("utf-8")
    assert "4 read = 1 trained + 1 validation + 2 left out" in page
    assert "&lt;models&gt;" in page
    assert "<models>" not in page
    assert "秘密" not in page + json.dumps(told, ensure_ascii=False)
    assert "http" not in page


def test_file_names_are_escaped_in_the_page(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.leave_out("<script>alert(1)</script>:3", "unreadable", "<img src=x>")
    write_report(ledger, tmp_path)
    page = (tmp_path / "data_report.html").read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page


def test_extra_may_not_shadow_the_account(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read"):
        write_report(ledger, tmp_path, extra={"read": 0})


def test_the_summary_names_sum_reasons_and_findings(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = summary(ledger)
    assert rows[0] == ("Data report", "4 read = 1 trained + 1 validation + 2 left out")
    assert ("  exact duplicate", "1") in rows
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert summary(ledger)[0] == ("数据报告", "读入 4 = 训练 1 + 验证 1 + 剔除 2")
