"""The reader's acceptance set: messy files with their truth, ours (``write_messy.py``) and, if there, real ones."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from lora_scripts.data.reading.formats import read_records
from lora_scripts.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "tests" / "data" / "messy"
SHARED = ROOT.parent / "shared" / "data"
REAL = SHARED / "messy_dev"
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
OF_REAL = [*PLAIN, *SHEETS] if REAL.is_dir() else []
OF_OURS = [path.name.removesuffix(".truth.jsonl") for path in sorted(OURS.glob("*.truth.jsonl"))]
TRUE = [OURS / name for name in OF_OURS if name not in ("dirty_rows.txt", "no_colon.txt")] + [
    REAL / name for name in OF_REAL
]
REFUSED_OURS = {
    "no_colon.txt": r"roles: \{user: \[用户\], assistant: \[客服\]\}",
    "two_encodings.txt": r"two_encodings.txt:37: two encodings .* byte 4808",
    "empty.txt": "the file is empty",
    "no_pairs.txt": "no question with an answer",
    "binary.txt": "not text",
}
REFUSED = {
    "09_no_colon.txt": r"roles: \{user: \[用户\], assistant: \[律师\]\}",
    "19_mixed_encoding.txt": r"19_mixed_encoding.txt:91: two encodings .* byte 13579",
    "23_empty.txt": "the file is empty",
    "24_no_pairs.txt": "no question with an answer",
    "25_binary_renamed.txt": "not text",
}
STOPS = {OURS: REFUSED_OURS} | ({REAL: REFUSED} if REAL.is_dir() else {})


def named(path: Path) -> str:
    """The name of a case: its folder and its file."""
    return f"{path.parent.name}/{path.name}"


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


@pytest.mark.parametrize("path", TRUE, ids=named)
def test_a_messy_file_reads_to_its_truth(path: Path) -> None:
    assert set(pairs_of(path)) == set(truth_of(path))


def dirty_rows_end_in_the_bins_that_were_planted(path: Path, planted: dict[str, int]) -> None:
    reading = read_records(path)
    assert set(truth_of(path)) <= set(pairs_of(path))
    assert reading.ledger.reasons() == planted


def test_dirty_rows_end_in_the_bins_that_were_planted() -> None:
    planted = json.loads((OURS / "MANIFEST.json").read_text("utf-8"))["dirty_rows.txt"]
    assert len(planted) == 7
    dirty_rows_end_in_the_bins_that_were_planted(OURS / "dirty_rows.txt", planted)


def test_dirty_rows_of_the_real_set_do_too(shared_data: Path) -> None:
    path = shared_data / "messy_dev" / "07_dirty_rows.txt"
    planted = json.loads((path.parent / "MANIFEST.json").read_text("utf-8"))[path.name]["categories"]
    singular = {
        "exact_duplicates": "exact_duplicate",
        "empty_answers": "empty_answer",
        "placeholder_answers": "placeholder_answer",
        "orphan_questions": "orphan_question",
        "orphan_answers": "orphan_answer",
        "blank_questions": "empty_question",
        "near_duplicates": "near_duplicate",
    }
    dirty_rows_end_in_the_bins_that_were_planted(path, {singular[kind]: count for kind, count in planted.items()})


@pytest.mark.parametrize("path", [folder / name for folder, names in STOPS.items() for name in names], ids=named)
def test_an_ambiguous_or_unreadable_file_stops_with_a_clear_error(path: Path) -> None:
    with pytest.raises(DataError, match=STOPS[path.parent][path.name]):
        read_records(path)


WITHOUT_COLONS = {OURS / "no_colon.txt": "客服", REAL / "09_no_colon.txt": "律师"}


@pytest.mark.parametrize("path", [path for path in WITHOUT_COLONS if path.is_file()], ids=named)
def test_roles_decide_the_file_without_colons(path: Path) -> None:
    reading = read_records(path, roles={"user": ["用户"], "assistant": [WITHOUT_COLONS[path]]})
    got = {(one_line(r.question), one_line(r.answer)) for r in reading.records}
    assert got == set(truth_of(path))


@pytest.mark.parametrize("folder", STOPS, ids=lambda folder: folder.name)
def test_all_bad_files_of_a_folder_are_named_at_once(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_records(folder)
    bad = {Path(p.where.split(":")[0]).name for p in caught.value.problems}
    assert bad == {name for name in STOPS[folder] if "empty" not in name}


OUR_SETS = [
    ("data/law_train", 200, {}),
    ("data/medical_train", 80, {}),
    ("data/finance_train", 80, {}),
    ("data/support_train", 60, {}),
    ("data/hr_style_train", 60, {}),
    ("tests/data/messy/departments_gb18030.csv", 27, {"exact_duplicate": 3}),
    ("tests/data/messy/unlabelled_gb18030.txt", 24, {}),
    ("tests/data/messy/tools.json", 24, {"tool_calls": 12}),
]


@pytest.mark.parametrize(("name", "read", "left_out"), OUR_SETS)
def test_a_set_is_read_whole(name: str, read: int, left_out: dict[str, int]) -> None:
    is_read_whole(ROOT / name, read, left_out)


def is_read_whole(path: Path, read: int, left_out: dict[str, int]) -> None:
    reading = read_records(path)
    assert (reading.ledger.read, reading.ledger.reasons()) == (read, left_out)
    assert all(r.messages[-1].role == "assistant" and r.question and r.answer for r in reading.records)


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
    is_read_whole(shared_data / name, read, left_out)


WITH_HISTORY = [OURS / "history.json", SHARED / "zh_finance" / "consulting_part.json"]


@pytest.mark.parametrize("path", [path for path in WITH_HISTORY if path.is_file()], ids=named)
def test_an_alpaca_file_keeps_text_history_and_lines(path: Path) -> None:
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


ASKED, CHOSEN, REJECTED = "年假几天？", "满一年的有五天。", "没有年假。"
PREFERENCES = {
    "chosen and rejected": {"conversations": [{"from": "human", "value": ASKED}],
                            "chosen": {"from": "gpt", "value": CHOSEN}, "rejected": {"from": "gpt", "value": REJECTED}},
    "label": {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": REJECTED}],
              "label": False},
}  # fmt: skip


@pytest.mark.parametrize("kind", PREFERENCES)
def test_preference_data_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([PREFERENCES[kind]] * 3, ensure_ascii=False, indent=1), encoding="utf-8")
    with pytest.raises(DataError, match="preference data"):
        read_records(path)


@pytest.mark.parametrize("name", ["dpo_zh_demo.json", "kto_en_demo.json"])
def test_real_preference_data_are_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(DataError, match="preference data"):
        read_records(shared_data / "llamafactory_demo" / name)
