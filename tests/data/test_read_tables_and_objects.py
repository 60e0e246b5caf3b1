"""Tables and JSON in the shapes that people export."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Record
from lora_scripts.errors import AmbiguousDataError, DataError

QA = [(f"第{i}个问题：怎么办？", f"依据第{i}条，“应当”,支付。\n第二段;{i}") for i in range(1, 13)]


def read(path: Path, data: str | bytes, **options: Any) -> list[Record]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_records(path, **options).records


def pairs(records: list[Record]) -> list[tuple[str, str]]:
    return [(r.question, r.answer) for r in records]


def table(header: list[str], rows: list[list[str]], delimiter: str = ",", line: str = "\r\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line).writerows([header, *rows])
    return out.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        ["问题", "答案"],
        [" Question ", "ANSWER"],
        ["咨询内容", "律师答复"],
        ["用户问题描述", "专家解答内容"],
        ["客户", "客服"],
        ["ask", "reply"],
        ["標題", "回覆內容"],
        ["诉求内容", "办理结果"],
        ["prompt", "completion"],
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_read_by_its_header(tmp_path: Path, header: list[str], delimiter: str) -> None:
    text = table(header, [[q, a] for q, a in QA], delimiter)
    assert pairs(read(tmp_path / "t.csv", text)) == QA


def test_columns_about_the_pair_are_not_taken_for_it(tmp_path: Path) -> None:
    header = ["id", "标题", "提问时间", "科室", "问题内容", "回复人", "回复内容", "回复时间", "是否采纳", "点赞数"]
    rows = [["1", "t", "10:30", "内科", q, "王医生", a, "2020", "是", "3"] for q, a in QA]
    assert pairs(read(tmp_path / "t.csv", table(header, rows, ";").encode("gb18030"))) == QA


def test_a_title_row_above_the_header_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("2024年导出,,\n" + table(["编号", "问题", "答案"], [["1", "问", "答"]]), encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == [("问", "答")]
    assert [f.kind for f in reading.ledger.findings] == ["rows_above_header"]


def test_rows_that_cannot_be_read_are_left_out_by_line(tmp_path: Path) -> None:
    plain = [(f"问题{i}？", f"答案{i}。") for i in range(1, 12)]
    lines = ["问题,答案,来源", *(f"{q},{a},x" for q, a in plain)]
    lines[3] = '坏行,"没有结束,x'
    lines[5] = '"他说"好"了",嗯,x'
    lines[7] = "少,列"
    lines[8] = "多,列,了,吧"
    lines[10] = ""
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == [p for i, p in enumerate(plain, 1) if i not in (3, 5, 7, 8, 10)]
    left = {(e.source.rsplit(":", 1)[1], e.reason) for e in reading.ledger.left_out}
    assert left == {(str(n), "unreadable") for n in (4, 6, 8, 9, 11)}


def test_two_possible_columns_stop_with_the_key_that_decides(tmp_path: Path) -> None:
    text = table(["问题", "医生A回答", "医生B回答"], [[q, a, f"{a}（另一种）"] for q, a in QA])
    with pytest.raises(DataError, match="several columns could be the answer") as caught:
        read(tmp_path / "t.csv", text)
    assert isinstance(caught.value, AmbiguousDataError)
    assert [a.settings["columns"]["answer"] for a in caught.value.alternatives] == ["医生A回答", "医生B回答"]
    assert [a.records[0].answer for a in caught.value.alternatives] == [QA[0][1], f"{QA[0][1]}（另一种）"]
    assert pairs(read(tmp_path / "t.csv", text, columns={"answer": "医生A回答"})) == QA


def test_unknown_headers_are_shown_and_columns_names_them(tmp_path: Path) -> None:
    text = table(["foo", "bar"], [[q, a] for q, a in QA])
    with pytest.raises(DataError, match=r"t\.csv:1: which columns.*foo, bar"):
        read(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match="no column fooo; there are: foo, bar"):
        read(tmp_path / "t.csv", text, columns={"question": "fooo", "answer": "bar"})
    assert pairs(read(tmp_path / "t.csv", text, columns={"question": "foo", "answer": "bar"})) == QA


def test_a_table_in_a_text_file_is_read(tmp_path: Path) -> None:
    assert pairs(read(tmp_path / "t.txt", table(["问题", "答案"], [[q, a] for q, a in QA], "\t"))) == QA


def talk(q: str, a: str, who: str = "role", what: str = "content", u: str = "user", b: str = "assistant") -> list[Any]:
    return [{who: u, what: q}, {who: b, what: a}]


SHAPES: dict[str, Any] = {
    "alpaca": [{"instruction": q, "input": "", "output": a} for q, a in QA],
    "sharegpt": [{"id": 1, "conversations": talk(q, a, "from", "value", "human", "gpt")} for q, a in QA],
    "messages": [{"messages": talk(q, a)} for q, a in QA],
    "bare messages": [talk(q, a) for q, a in QA],
    "text parts": [{"messages": talk([{"type": "text", "text": q}], a)} for q, a in QA],  # type: ignore[arg-type]
    "query": [{"query": q, "response": a} for q, a in QA],
    "completion": [{"prompt": q, "completion": a} for q, a in QA],
    "messages in both": [{"prompt": talk(q, a)[:1], "completion": talk(q, a)[1:]} for q, a in QA],
    "chinese": [{"问题": q, "答案": a, "编号": 7} for q, a in QA],
    "chinese talk": [{"对话": talk(q, a, "角色", "内容", "客户", "客服")} for q, a in QA],
    "more keys": [{"id": 1, "category": "x", "question": q, "answer": a, "tags": ["b"]} for q, a in QA],
    "pairs": [[q, a] for q, a in QA],
    "nested": [[{"instruction": q, "output": a}] for q, a in QA],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt"])
def test_objects_are_read_in_every_layout(tmp_path: Path, shape: str, suffix: str) -> None:
    rows = SHAPES[shape]
    layouts = {
        "pretty": json.dumps(rows, ensure_ascii=False, indent=2),
        "one line": json.dumps(rows),
        "wrapped": json.dumps({"version": 1, "meta": {"n": [1]}, "data": rows}, ensure_ascii=False, indent=1),
        "lines": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows),
        "one after the other": "\n".join(json.dumps(r, indent=1) for r in rows),
    }
    for layout, text in layouts.items():
        assert pairs(read(tmp_path / f"t{suffix}", text)) == QA, layout


def test_system_and_history_are_kept_in_order(tmp_path: Path) -> None:
    row = {
        "instruction": "那呢？",
        "input": "材料",
        "output": "可以。",
        "system": "你是律师",
        "history": [["你好", "您好"]],
    }
    record = read(tmp_path / "t.json", json.dumps([row]))[0]
    said = [(m.role, m.content) for m in record.messages]
    assert said == [
        ("system", "你是律师"),
        ("user", "你好"),
        ("assistant", "您好"),
        ("user", "那呢？\n材料"),
        ("assistant", "可以。"),
    ]


def test_a_broken_or_blank_line_is_left_out_by_line(tmp_path: Path) -> None:
    good = [json.dumps({"question": q, "answer": a}) for q, a in QA[:4]]
    path = tmp_path / "t.jsonl"
    path.write_text(
        "\n".join([good[0], "  ", good[1], '{"question": "断', good[2], "7", good[3], ""]), encoding="utf-8"
    )
    reading = read_records(path)
    assert pairs(reading.records) == QA[:4]
    assert [(e.source.rsplit(":", 1)[1], e.reason) for e in reading.ledger.left_out] == [
        ("2", "unreadable"),
        ("4", "unreadable"),
        ("6", "unreadable"),
    ]


def test_values_that_are_not_text_never_become_an_answer(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": a} for i, a in enumerate(["ok", 2, None, True, {"a": 1}, ["x", "y"], [1]])]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == [("q0", "ok"), ("q1", "2"), ("q5", "x\ny")]
    assert reading.ledger.reasons() == {"empty_answer": 1, "unreadable": 3}


def test_tool_calls_and_pictures_are_left_out_with_their_reason(tmp_path: Path) -> None:
    rows = [
        {"messages": talk("q", "a")},
        {"messages": [*talk("q2", "a2"), {"role": "tool", "content": "{}"}]},
        {"messages": [{"role": "user", "content": "q3"}, {"role": "assistant", "tool_calls": [{}]}]},
        {"messages": talk("<image>q4", "a4"), "images": ["x.jpg"]},
        {"messages": talk("q5", "a5", u="narrator")},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    reading = read_records(path)
    assert pairs(reading.records) == [("q", "a")]
    assert reading.ledger.reasons() == {"tool_calls": 2, "not_text": 1, "unknown_role": 1}


def test_unknown_keys_are_shown_and_columns_names_them(tmp_path: Path) -> None:
    text = json.dumps([{"foo": q, "bar": a} for q, a in QA])
    with pytest.raises(DataError, match=r"hold question and answer\? There are: foo, bar"):
        read(tmp_path / "t.json", text)
    assert pairs(read(tmp_path / "t.json", text, columns={"question": "foo", "answer": "bar"})) == QA


@pytest.mark.parametrize(
    ("text", "said"), [('[{"question": "a", "ans', "broken JSON"), ("[" * 20000, "JSON"), ("hello", "not JSON")]
)
def test_broken_json_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"t\.json:1: .*{said}"):
        read(tmp_path / "t.json", text)


def test_columns_may_name_several_headers_for_a_mixed_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(["foo", "bar"], [["q1", "a1"]]), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"baz": "q2", "bar": "a2"}), encoding="utf-8")
    records = read_records(tmp_path, columns={"question": ["foo", "baz"], "answer": "bar"}).records
    assert pairs(records) == [("q1", "a1"), ("q2", "a2")]


def test_half_a_surrogate_pair_is_removed(tmp_path: Path) -> None:
    record = read(tmp_path / "t.jsonl", '{"question": "a\\ud83d", "answer": "\\ud83d\\ude00"}')[0]
    assert (record.question, record.answer) == ("a", "😀")
