"""The reader's acceptance set: messy files with their truth, and real sets of other projects."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from lora_scripts.data.reading.formats import read_records
from lora_scripts.errors import DataError

PLAIN = [
    "01_plain_utf8.txt",
    "02_gb18030.txt",
    "03_utf8_bom_crlf.txt",
    "04_utf16le_bom.txt",
    "05_mixed_roles_and_colons.txt",
    "06_multiline_answers.txt",
    "08_one_line_pairs.txt",
    "10_colon_traps.txt",
    "11_odd_columns_bom_crlf.csv",
    "12_gbk_semicolon.csv",
    "13_tabs.tsv",
    "14_ragged.csv",
    "15_alpaca.json",
    "16_alpaca_bom_blank_broken.jsonl",
    "17_nested_list.json",
    "18_messages_system.jsonl",
    "20_invisible_characters.txt",
    "21_special_token_injection.jsonl",
    "22_extreme_lengths.jsonl",
]
SHEETS = ["28_workbook.xlsx"]
REFUSED = {
    "09_no_colon.txt": r"roles: \{user: \[用户\], assistant: \[律师\]\}",
    "19_mixed_encoding.txt": r"19_mixed_encoding.txt:91: two encodings .* byte 13579",
    "23_empty.txt": "the file is empty",
    "24_no_pairs.txt": "no question with an answer",
    "25_binary_renamed.txt": "not text",
}


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def truth_of(path: Path) -> list[tuple[str, str]]:
    rows = map(json.loads, path.with_name(path.name + ".truth.jsonl").read_text("utf-8").splitlines())
    return [(one_line(r["instruction"]), one_line(r["output"])) for r in rows]


def pairs_of(path: Path) -> list[tuple[str, str]]:
    reading = read_records(path)
    ledger = reading.ledger
    assert ledger.read == len(reading.records) + sum(ledger.reasons().values())
    talks = [[one_line(m.content) for m in r.messages if m.role != "system"] for r in reading.records]
    assert all(len(t) == 2 for t in talks)
    return [(q, a) for q, a in talks]


@pytest.mark.parametrize("name", PLAIN + SHEETS)
def test_a_messy_file_reads_to_its_truth(shared_data: Path, name: str) -> None:
    path = shared_data / "messy_dev" / name
    assert set(pairs_of(path)) == set(truth_of(path))


def test_dirty_rows_end_in_the_bins_that_were_planted(shared_data: Path) -> None:
    path = shared_data / "messy_dev" / "07_dirty_rows.txt"
    planted = json.loads((path.parent / "MANIFEST.json").read_text("utf-8"))[path.name]["categories"]
    reading = read_records(path)
    assert set(truth_of(path)) <= set(pairs_of(path))
    assert reading.ledger.reasons() == {
        "exact_duplicate": planted["exact_duplicates"],
        "empty_answer": planted["empty_answers"],
        "placeholder_answer": planted["placeholder_answers"],
        "orphan_question": planted["orphan_questions"],
        "orphan_answer": planted["orphan_answers"],
        "empty_question": planted["blank_questions"],
        "near_duplicate": planted["near_duplicates"],
    }


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_or_unreadable_file_stops_with_a_clear_error(shared_data: Path, name: str) -> None:
    with pytest.raises(DataError, match=REFUSED[name]):
        read_records(shared_data / "messy_dev" / name)


def test_roles_decide_the_file_without_colons(shared_data: Path) -> None:
    path = shared_data / "messy_dev" / "09_no_colon.txt"
    reading = read_records(path, roles={"user": ["用户"], "assistant": ["律师"]})
    got = {(one_line(r.question), one_line(r.answer)) for r in reading.records}
    assert got == set(truth_of(path))


def test_all_bad_files_of_a_folder_are_named_at_once(shared_data: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_records(shared_data / "messy_dev")
    named = {Path(p.where.split(":")[0]).name for p in caught.value.problems}
    assert named == set(REFUSED) - {"23_empty.txt"}


@pytest.mark.parametrize(
    ("name", "read", "left_out"),
    [
        ("zh_medical", 5048, {"exact_duplicate": 243}),
        ("zh_finance", 400, {}),
        ("qa_statutes", 1532, {}),
        ("llamafactory_demo/alpaca_zh_demo.json", 1000, {"exact_duplicate": 8}),
        ("llamafactory_demo/alpaca_en_demo.json", 999, {"exact_duplicate": 14}),
        ("llamafactory_demo/identity.json", 91, {}),
        ("llamafactory_demo/v1_sft_demo.jsonl", 500, {"exact_duplicate": 1}),
        ("llamafactory_demo/glaive_toolcall_zh_demo.json", 300, {"tool_calls": 159, "exact_duplicate": 21}),
    ],
)
def test_a_real_set_is_read_whole(shared_data: Path, name: str, read: int, left_out: dict[str, int]) -> None:
    reading = read_records(shared_data / name)
    assert (reading.ledger.read, reading.ledger.reasons()) == (read, left_out)
    assert all(r.messages[-1].role == "assistant" and r.question and r.answer for r in reading.records)


def test_a_real_alpaca_file_keeps_text_history_and_lines(shared_data: Path) -> None:
    path = shared_data / "zh_finance" / "consulting_part.json"
    rows = json.loads(path.read_text("utf-8"))
    records = read_records(path).records
    lines = path.read_text("utf-8").split("\n")
    for row, record in zip(rows, records, strict=True):
        said = [t.strip() for pair in row["history"] for t in pair]
        asked = "\n".join(t for t in (row["instruction"], row["input"]) if t).strip()
        assert [m.content for m in record.messages] == [*said, asked, row["output"].strip()]
        assert lines[int(record.source.rsplit(":", 1)[1]) - 1].strip() == "{"
    assert Counter(len(r.messages) for r in records).keys() > {2}


def test_medical_questions_come_from_ask_and_not_from_title(shared_data: Path) -> None:
    records = read_records(shared_data / "zh_medical" / "medical_first_1000_gb18030.csv").records
    assert records[0].question.startswith("我有高血压这两天女婿来的时候")


@pytest.mark.parametrize("name", ["dpo_zh_demo.json", "kto_en_demo.json"])
def test_preference_data_are_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(DataError, match="preference data"):
        read_records(shared_data / "llamafactory_demo" / name)
