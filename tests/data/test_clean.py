"""Cleaning: what is taken out of a text, which records fall into which bin, and that every one is accounted for."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.clean import Places, clean, is_placeholder, places, visible
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.records import Draft, Message, Record


def draft(line: int, *turns: str, synthetic: bool = False) -> tuple[str, Draft]:
    roles = ("user", "assistant")
    return "f", Draft(line, tuple(Message(roles[i % 2], t) for i, t in enumerate(turns)), synthetic=synthetic)


def cleaned(drafts: list[tuple[str, Draft]]) -> tuple[list[Record], Ledger]:
    ledger = Ledger()
    records = list(clean(drafts, ledger))
    ledger.check_sum()
    return records, ledger


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
    drafts = [
        draft(1, "q", "a"),
        draft(3, "q ", "\u200ba"),
        draft(5, "", "a"),
        draft(7, "q2", " "),
        draft(9, "q3", "略"),
        draft(11, "q4"),
        ("f", Draft(13, (Message("assistant", "a"),))),
        ("f", Draft(15, reason="unreadable", note="n")),
        ("f", Draft(17, (Message("user", "q5"), Message("system", "s"), Message("assistant", "a")))),
        draft(19, "Q！", "a"),
        draft(21, "q", "b"),
    ]
    records, ledger = cleaned(drafts)
    assert [r.source for r in records] == ["f:1", "f:21"]
    assert ledger.reasons() == {
        "exact_duplicate": 1,
        "near_duplicate": 1,
        "empty_question": 1,
        "empty_answer": 1,
        "placeholder_answer": 1,
        "orphan_question": 1,
        "orphan_answer": 1,
        "unreadable": 1,
        "misplaced_system": 1,
    }
    assert (ledger.read, ledger.kept) == (len(drafts), 2)
    notes = {entry.source: entry.note for entry in ledger.left_out}
    assert "f:1" in notes["f:3"]
    assert notes["f:19"] == "differs from f:1 in spaces, punctuation or case only"
    assert [f.kind for f in ledger.findings] == ["invisible_characters"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("罚款3.5万元", "罚款35万元"), ("8:30上班", "83:0上班"), ("是", "否"), ("第3条", "第4条"), ("1/2", "12")],
)
def test_what_differs_in_a_figure_is_no_near_duplicate(one: str, other: str) -> None:
    records, ledger = cleaned([draft(1, "多少？", one), draft(3, "多少？", other)])
    assert len(records) == 2
    assert ledger.reasons() == {}


@pytest.mark.parametrize(("one", "other"), [("1,000元。", "1000元"), ("Yes, it is.", "yes it is"), ("可以！", "可以")])
def test_what_differs_in_signs_alone_is_a_near_duplicate(one: str, other: str) -> None:
    assert cleaned([draft(1, "多少？", one), draft(3, "多少", other)])[1].reasons() == {"near_duplicate": 1}


def test_the_same_words_by_other_speakers_are_no_duplicate() -> None:
    first = ("f", Draft(1, (Message("user", "a"), Message("assistant", "b"))))
    other = ("f", Draft(2, (Message("system", "a"), Message("user", "b"), Message("assistant", "b"))))
    assert len(cleaned([first, other])[0]) == 2
    assert len(cleaned([draft(1, "ab", "c"), draft(2, "a", "bc")])[0]) == 2


def test_a_record_stays_synthetic() -> None:
    records, _ = cleaned([draft(1, "q", "a", synthetic=True), draft(2, "r", "b")])
    assert [r.synthetic for r in records] == [True, False]


def test_a_conversation_is_made_to_alternate_and_that_is_said() -> None:
    turns = (
        ("assistant", "hi"),
        ("user", "q"),
        ("user", "more"),
        ("assistant", "a"),
        ("user", "bye"),
    )
    (record,), ledger = cleaned([("f", Draft(1, tuple(Message(*t) for t in turns)))])
    assert [m.content for m in record.messages] == ["q\nmore", "a"]
    assert {f.kind for f in ledger.findings} == {"greeting_dropped", "turns_joined", "last_question_dropped"}


def test_records_come_out_before_the_last_draft_went_in() -> None:
    taken = []

    def drafts() -> Iterator[tuple[str, Draft]]:
        for line in range(5):
            taken.append(line)
            yield draft(line, f"q{line}", "a")

    stream = clean(drafts(), Ledger())
    next(stream)
    assert taken == [0]


def test_places_name_a_few_and_count_all() -> None:
    few, many = Places(), Places()
    for i in range(3):
        few.add(f"f:{i}")
    for i in range(30):
        many.add(f"f:{i}")
    assert str(few) == places(["f:0", "f:1", "f:2"]) == "f:0, :1, :2"
    assert str(many) == places([f"f:{i}" for i in range(30)])
    assert str(many).endswith(":7, … (30)")


def test_a_file_is_named_where_it_changes() -> None:
    assert places(["a b/c.txt:1", "a b/c.txt:2", "d.csv:2", "x.pdf", "y.pdf"]) == (
        "a b/c.txt:1, :2, d.csv:2, x.pdf, y.pdf"
    )
    assert places(["x/a.txt:1 ≈ y.csv:2", "x/a.txt:5 ≈ y.csv:9", "x/a.txt:6 ≈ x/a.txt:7"]) == (
        "x/a.txt:1 ≈ y.csv:2, :5 ≈ :9, x/a.txt:6 ≈ x/a.txt:7"
    )


turn = st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text("甲乙 略a，。.1\u200b", max_size=6))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(turn, max_size=5), max_size=12))
def test_the_ledger_adds_up_on_any_drafts(rows: list[list[tuple[str, str]]]) -> None:
    drafts = [("f", Draft(line, tuple(Message(*t) for t in turns))) for line, turns in enumerate(rows)]
    records, ledger = cleaned(drafts)
    assert ledger.read == len(drafts)
    assert ledger.kept == len(records)
    left = {entry.source for entry in ledger.left_out}
    assert left | {r.source for r in records} == {f"f:{line}" for line in range(len(drafts))}
    assert not left & {r.source for r in records}
    loose = [tuple((m.role, m.content) for m in r.messages) for r in records]
    assert len(set(loose)) == len(loose)


GROWTH = """
import resource, sys
from lora_scripts.data.clean import clean
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.records import Draft, Message
size = int(sys.argv[1])
ledger = Ledger()
turns = lambda i: (Message("user", f"问题{i}" + "甲" * size), Message("assistant", f"答案{i}" + "乙" * size))
rows = (("f.jsonl", Draft(i, turns(i))) for i in range(20000))
kept = sum(1 for _ in clean(rows, ledger))
assert kept == ledger.kept == 20000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_texts() -> None:
    def peak(size: int) -> int:
        done = subprocess.run([sys.executable, "-c", GROWTH, str(size)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    short, long = peak(10), peak(1500)  # 20,000 records of 6 kB are 120 MB
    assert long - short < 8_000  # kB
