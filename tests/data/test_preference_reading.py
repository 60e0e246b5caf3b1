"""Two answers to one question, in the shapes that such files have; and what becomes of pairs that teach nothing."""

import csv
import json
from pathlib import Path

import pytest
from openpyxl import Workbook

from lora_scripts.data.clean import clean
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pii.desensitize import desensitize_records
from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.records import Draft, Message, Record
from lora_scripts.data.split import TRAINING, VALIDATION, Split
from lora_scripts.errors import DataError

Q, GOOD, BAD = "试用期最长多久？", "依据《劳动合同法》第十九条：不超过六个月。", "看公司规定。"
ASK, SAY, WORSE = ({"role": "user", "content": Q}, {"role": "assistant", "content": GOOD},
                   {"role": "assistant", "content": BAD})  # fmt: skip
HUMAN, GPT, GPT_WORSE = ({"from": "human", "value": Q}, {"from": "gpt", "value": GOOD}, {"from": "gpt", "value": BAD})
SYSTEM = {"role": "system", "content": "你是律师。"}

OBJECTS = {
    "TRL, strings": {"prompt": Q, "chosen": GOOD, "rejected": BAD},
    "TRL, messages": {"prompt": [ASK], "chosen": [SAY], "rejected": [WORSE]},
    "TRL, the prompt in both": {"chosen": [ASK, SAY], "rejected": [ASK, WORSE]},
    "ultrafeedback": {"prompt": Q, "chosen": [ASK, SAY], "rejected": [ASK, WORSE], "messages": [ASK, SAY],
                      "score_chosen": 8.0, "score_rejected": 3.5},
    "hh-rlhf": {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}"},
    "alpaca": {"instruction": Q, "input": "", "chosen": GOOD, "rejected": BAD},
    "alpaca, ranking": {"instruction": Q, "input": "", "output": [GOOD, BAD]},
    "sharegpt": {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT_WORSE},
    "messages and strings": {"messages": [ASK], "chosen": GOOD, "rejected": BAD},
    "the chosen answer in both places": {"messages": [ASK, SAY], "chosen": GOOD, "rejected": BAD},
    "other names": {"question": Q, "chosen_response": GOOD, "rejected_response": BAD},
}  # fmt: skip
HEADERS = [("question", "chosen", "rejected"), ("问题", "较好回答", "较差回答"), ("提问", "优选", "劣选"),
           ("问题", "好", "差"), ("咨询内容", "采纳回答", "拒绝回答")]  # fmt: skip


def read(path: Path, *values: object, **more: object) -> Reading:
    path.write_text("\n".join(json.dumps(v, ensure_ascii=False) for v in values), encoding="utf-8")
    return read_records(path, preference=True, **more)


def cleaned(*pairs: tuple[str, str, str | None]) -> tuple[list[Record], Ledger]:
    ledger = Ledger()
    drafts = [
        ("a.jsonl", Draft(n, (Message("user", q), Message("assistant", a)), rejected=r))
        for n, (q, a, r) in enumerate(pairs, 1)
    ]
    return list(clean(drafts, ledger)), ledger


@pytest.mark.parametrize("shape", OBJECTS)
@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_objects_give_question_chosen_and_rejected_answer(shape: str, suffix: str, tmp_path: Path) -> None:
    reading = read(tmp_path / f"pairs.{suffix}", OBJECTS[shape])
    assert reading.records == [
        Record((Message("user", Q), Message("assistant", GOOD)), f"{tmp_path}/pairs.{suffix}:1", False, BAD)
    ]


def test_what_two_conversations_share_is_the_question(tmp_path: Path) -> None:
    before = [SYSTEM, {"role": "user", "content": "您好"}, {"role": "assistant", "content": "请讲"}]
    (record,) = read(tmp_path / "a.jsonl", {"chosen": [*before, ASK, SAY], "rejected": [*before, ASK, WORSE]}).records
    assert [m.content for m in record.messages] == ["你是律师。", "您好", "请讲", Q, GOOD]
    assert record.rejected == BAD


@pytest.mark.parametrize("headers", HEADERS, ids=lambda h: "/".join(h))
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_tables_give_question_chosen_and_rejected_answer(headers, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pairs.{suffix}"
    rows = [("编号", *headers), ("1", Q, GOOD, BAD), ("2", "年假几天？", "五天。", "十天。")]
    if suffix == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    else:
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    reading = read_records(path, preference=True)
    assert [(r.question, r.answer, r.rejected) for r in reading.records] == [(Q, GOOD, BAD), rows[2][1:]]
    assert f"chosen: {headers[1]}, rejected: {headers[2]}" in reading.ledger.decisions[0].detail
    with pytest.raises(DataError, match="task_type: preference"):
        read_records(path)


def test_columns_can_be_named(tmp_path: Path) -> None:
    named = {"question": "q", "answer": "human_edit", "rejected": "draft"}
    (record,) = read(tmp_path / "a.jsonl", {"q": Q, "draft": BAD, "human_edit": GOOD}, columns=named).records
    assert (record.question, record.answer, record.rejected) == (Q, GOOD, BAD)


def test_an_ordinary_table_with_marks_beside_the_answer_stays_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"问题,答案,好,差\n{Q},{GOOD},3,1\n", encoding="utf-8")
    assert [(r.answer, r.rejected) for r in read_records(path).records] == [(GOOD, None)]


def test_a_file_of_pairs_is_read_as_it_stands(tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": f"{word}怎么办理？"}],
         "chosen": {"from": "gpt", "value": f" {word}：请带上证件，当天可取。\n\n1. 先取号。"},
         "rejected": {"from": "gpt", "value": f"{word}我不清楚。"}}
        for word in ("居住证", "护照", "驾照", "健康证", "图书证", "停车证")
    ]  # fmt: skip
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([*rows, rows[2]], ensure_ascii=False, indent=2), encoding="utf-8")
    pairs_are_read_as_they_stand(path, read=7, twice=1, changed=0)


def test_real_pairs_are_read_as_they_stand(shared_data: Path) -> None:
    path = shared_data / "llamafactory_demo" / "dpo_zh_demo.json"
    pairs_are_read_as_they_stand(path, read=300, twice=11, changed=2)  # two hold invisible characters


def pairs_are_read_as_they_stand(path: Path, *, read: int, twice: int, changed: int) -> None:
    raw = {
        (row["chosen"]["value"].strip(), row["rejected"]["value"].strip())
        for row in json.loads(path.read_text(encoding="utf-8"))
    }
    reading = read_records(path, preference=True)
    assert (reading.ledger.read, reading.ledger.bins) == (read, {"exact_duplicate": twice})
    assert len(reading.records) == read - twice
    assert sum((r.answer, r.rejected) in raw for r in reading.records) >= read - twice - changed


@pytest.mark.parametrize("shape", OBJECTS)
def test_pairs_are_refused_where_questions_with_answers_are_wanted(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(OBJECTS[shape]), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:1: this is preference data") as refusal:
        read_records(path)
    assert "task_type: preference" in refusal.value.problems[0].fix


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", f"用户：{Q}\n律师：{GOOD}\n"), ("a.csv", f"question,answer\n{Q},{GOOD}\n"),
     ("a.jsonl", json.dumps({"instruction": Q, "output": GOOD}))],
)  # fmt: skip
def test_questions_with_one_answer_are_refused_where_pairs_are_wanted(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="none of 1 records has a chosen and a rejected answer"):
        read_records(tmp_path / name, preference=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"messages": [ASK], "chosen": GOOD, "rejected": ""}, "empty_rejected"),
        ({"messages": [ASK], "chosen": GOOD, "rejected": None}, "empty_rejected"),
        ({"messages": [ASK], "chosen": "\u200b ", "rejected": BAD}, "empty_answer"),
        ({"messages": [ASK], "chosen": GOOD, "rejected": "（略）"}, "placeholder_rejected"),
        ({"messages": [ASK], "chosen": GOOD, "rejected": f" {GOOD}\u200b"}, "same_answers"),
        ({"messages": [ASK], "output": GOOD}, "not_a_preference"),
        ({"chosen": [ASK, SAY], "rejected": [{"role": "user", "content": "别的？"}, WORSE]}, "no_common_question"),
        ({"chosen": [ASK, SAY], "rejected": [ASK, WORSE, ASK, WORSE]}, "no_common_question"),
        ({"prompt": "别的？", "chosen": [ASK, SAY], "rejected": [ASK, WORSE]}, "no_common_question"),
        ({"messages": [ASK, WORSE], "chosen": GOOD, "rejected": "不知道。"}, "no_common_question"),
        ({"messages": [ASK], "chosen": 1.5, "rejected": True}, "unreadable"),
    ],
)
def test_a_pair_that_teaches_nothing_is_left_out_with_its_reason(value, reason: str, tmp_path: Path) -> None:
    reading = read(tmp_path / "a.jsonl", {"messages": [ASK], "chosen": "是。", "rejected": "否。"}, value)
    assert [(r.answer, r.rejected) for r in reading.records] == [("是。", "否。")]
    assert [(e.source.rpartition(":")[2], e.reason) for e in reading.ledger.left_out] == [("2", reason)]
    reading.ledger.check_sum()


def test_duplicates_are_those_of_all_three_texts() -> None:
    records, ledger = cleaned((Q, GOOD, BAD), (Q, GOOD, "不知道。"), (Q, GOOD, BAD), (Q, GOOD, "看公司 规定"))
    assert [r.rejected for r in records] == [BAD, "不知道。"]
    assert [(e.source, e.reason) for e in ledger.left_out] == [
        ("a.jsonl:3", "exact_duplicate"),
        ("a.jsonl:4", "near_duplicate"),
    ]


def test_a_preference_is_no_duplicate_of_the_same_words_without_one() -> None:
    records, _ = cleaned((Q, GOOD, None), (Q, GOOD, BAD))
    assert [r.rejected for r in records] == [None, BAD]


def test_personal_data_of_the_rejected_answer_get_the_same_stand_ins() -> None:
    phone = "13800138000"
    (record,), _ = cleaned((f"我的手机{phone}能查吗？", f"已查到{phone}。", f"查不到{phone}。"))
    for mode in ("mask", "pseudonym"):
        ledger = Ledger(read=1, kept=1)
        (new,) = desensitize_records([record], ledger, mode=mode, key="k")
        stand_in = new.answer[3:-1]
        assert phone not in f"{new.question}{new.answer}{new.rejected}"
        assert (new.question, new.rejected) == (f"我的手机{stand_in}能查吗？", f"查不到{stand_in}。")
        assert ledger.personal_counts == {"phone": 3}


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [("请打13800138000。", "请打13900139000。"), ("请打官方电话。", "13900139000")],
    ids=["the same but for a number", "nothing but a number"],
)
def test_pairs_of_which_masking_leaves_nothing_are_left_out(chosen: str, rejected: str) -> None:
    (record,), ledger = cleaned(("电话多少？", chosen, rejected))
    assert list(desensitize_records([record], ledger)) == []
    assert [(e.reason, "phone" in e.note) for e in ledger.left_out] == [("masked", True)]
    ledger.check_sum()


def test_records_that_differ_in_the_rejected_answer_only_are_not_called_alike() -> None:
    long = "公司没有依法提前三十日以书面形式通知，也没有额外支付一个月工资，所以可以要求支付赔偿金。"
    sides = {}
    for other in (long[:-1] + "！", "不清楚，建议您直接打电话问一问公司的人事部门，他们会告诉您应该怎么办，祝您顺利。"):
        split, ledger = Split(0.0), Ledger(read=2, kept=2)
        for n, rejected in enumerate((long, other)):
            split.add(Record((Message("user", Q), Message("assistant", GOOD)), f"a:{n}", rejected=rejected))
        split.decide(ledger)
        sides[other[:3]] = [f.kind for f in ledger.findings if f.kind == "near_duplicates"]
    assert sides == {"公司没": ["near_duplicates"], "不清楚": []}


def test_pairs_of_one_question_stand_on_one_side() -> None:
    split = Split(0.3)
    records = [
        Record((Message("user", f"第{n // 2}个问题？"), Message("assistant", "是。")), f"a:{n}", rejected=f"否{n}。")
        for n in range(40)
    ]
    for record in records:
        split.add(record)
    sides = split.decide()
    assert (sides[0::2] == sides[1::2]).all()
    assert {TRAINING, VALIDATION} == set(sides.tolist())
