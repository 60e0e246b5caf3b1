"""Each kind of file comes back the same but for personal data, and reads as its source does."""

import json
import zipfile
from pathlib import Path

import docx
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont

from lora_scripts import read_records
from lora_scripts.data.pii import copies as module
from lora_scripts.data.pii.copies import desensitize_files
from lora_scripts.data.pii.desensitize import Edit, apply_edits, edit_runs, find_edits
from lora_scripts.data.pii.find import DEFAULT_TYPES
from lora_scripts.errors import DataError

PHONE, MAIL = "13800138000", "li.lei@example.com"
DIRTY = [f"打{PHONE}没人接", f"邮箱{MAIL}", "我的身份证11010519491231002X"]
CLEAN = ["好", 'a"b\\c', "两\n行", "x,y；z", "", "\u00e9\u4e2d", "第四十四条", " 空 "]
MASKED = dict(zip(DIRTY, ["打[电话]没人接", "邮箱[邮箱]", "我的身份证[身份证]"], strict=True))
texts = st.sampled_from([*DIRTY, *CLEAN])
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def masked(value):
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return MASKED.get(value, value) if isinstance(value, str) else value


def folder(tmp_path: Path) -> Path:
    work = tmp_path / str(len(list(tmp_path.iterdir())))
    work.mkdir()
    return work


def copy(work, name, **more):
    target = work / f"copy_{name}"
    return target, desensitize_files(work / name, target, **more)


# JSON


def test_one_truncated_line_costs_its_neighbours_nothing(tmp_path):
    rows = [
        json.dumps({"question": f"问{i}？打 1380013800{i} 吗", "answer": f"答{i}。"}, ensure_ascii=False)
        for i in range(6)
    ]
    rows[2] = rows[2][: rows[2].index("答") - 5]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    target, counts = copy(tmp_path, "a.jsonl")
    assert len(read_records(target).records) == len(read_records(tmp_path / "a.jsonl").records) == 5
    assert counts.by_type == {"phone": 6}
    assert [line.replace("[电话]", "?") for line in target.read_text("utf-8").splitlines()] == [
        row.replace(f"1380013800{i}", "?") for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json"])
def test_half_surrogates_and_escapes_stay_as_they_are_written(tmp_path, name):
    raw = f'{{"q": "\\ud83d \\/ \\u00e9 打{PHONE}", "a": "\\udc00\\n"}}\n'
    (tmp_path / name).write_text(raw, encoding="utf-8")
    target, _ = copy(tmp_path, name)
    mark = "[\\u7535\\u8bdd]" if raw.isascii() else "[电话]"
    assert target.read_text("utf-8") == raw.replace(PHONE, mark)


def test_a_list_with_half_surrogates_loses_records_in_mode_drop_without_a_traceback(tmp_path):
    raw = f'[{{"q": "\\ud83d", "a": "好"}}, {{"q": "{PHONE}", "a": "好"}}]'
    (tmp_path / "a.json").write_text(raw, encoding="utf-8")
    target, _ = copy(tmp_path, "a.json", mode="drop")
    assert json.loads(target.read_text("utf-8")) == [{"q": "\ud83d", "a": "好"}]


objects = st.dictionaries(
    st.sampled_from(["question", "answer", "备注", "n"]),
    st.one_of(texts, st.integers(0, 9999), st.booleans(), st.none(), st.lists(texts, max_size=2)),
    min_size=1,
)


@quick
@given(st.lists(objects, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, 2]))
def test_json_keeps_every_value_and_its_layout(tmp_path, rows, escaped, indent):
    work = folder(tmp_path)
    raw = json.dumps(rows, ensure_ascii=escaped, indent=indent)
    (work / "a.json").write_text(raw, encoding="utf-8")
    (work / "b.jsonl").write_text("".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows), "utf-8")
    target, _ = copy(work, "a.json")
    assert json.loads(target.read_text("utf-8")) == masked(rows)
    assert target.read_text("utf-8") == json.dumps(masked(rows), ensure_ascii=escaped, indent=indent)
    target, _ = copy(work, "b.jsonl")
    assert [json.loads(line) for line in target.read_text("utf-8").split("\n")[:-1]] == masked(rows)


# Tables


def test_the_header_below_a_title_names_the_columns(tmp_path):
    rows = ["某某医院,2024年导出,", "问题,答案,病历号", '"怎么挂号, 请问","来""前台""",0012345678']
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    target, counts = copy(tmp_path, "a.csv")
    assert target.read_text("utf-8") == "\n".join(rows).replace("0012345678", "[病历号]") + "\n"
    assert counts.by_type == {"medical_no": 1}


def test_a_header_with_personal_data_is_masked_and_not_dropped(tmp_path):
    (tmp_path / "a.csv").write_text(f"客服{PHONE},\n问题,答案\n一？,好\n打{PHONE}？,行\n", encoding="utf-8")
    target, _ = copy(tmp_path, "a.csv", mode="drop")
    assert target.read_text("utf-8") == "客服[电话],\n问题,答案\n一？,好\n"


def test_lines_in_a_second_encoding_are_masked_and_told(tmp_path):
    lines = [
        f"用户：第{i}个问题怎么办才好呢？打{PHONE}\n律师：依据法律规定应当这样处理。\n".encode() for i in range(20)
    ]
    lines[7] = lines[7].decode().encode("gb18030")
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    target, counts = copy(tmp_path, "a.txt")
    assert counts.by_type == {"phone": 20} and [f.kind for f in counts.findings] == ["one_encoding"]
    assert PHONE not in target.read_text("utf-8")


def test_a_number_that_became_a_fraction_is_still_a_number(tmp_path):
    (tmp_path / "a.csv").write_text(f"问题,手机号\n一,{PHONE}.0\n二,12.0\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(f'[{{"手机": {PHONE}.0, "n": 12.5}}]', encoding="utf-8")
    assert copy(tmp_path, "a.csv")[0].read_text("utf-8") == "问题,手机号\n一,[电话]\n二,12.0\n"
    assert copy(tmp_path, "a.json")[0].read_text("utf-8") == '[{"手机": "[电话]", "n": 12.5}]'
    pq.write_table(pa.table({"手机": [float(PHONE), None, 12.5]}), tmp_path / "a.parquet")
    assert pq.read_table(copy(tmp_path, "a.parquet")[0])["手机"].to_pylist() == [None, None, 12.5]


# Workbooks


def test_rich_text_keeps_its_runs_and_fonts(tmp_path):
    book = openpyxl.Workbook()
    bold = TextBlock(InlineFont(b=True, color="FFFF0000"), f"电话{PHONE[:3]}")
    book.active.append(["客服记录"])
    book.active.append(["问题", "答案", "病历号"])
    book.active.append([CellRichText("我是甲，", bold, PHONE[3:7], f"{PHONE[7:]} 行吗 "), "好", 12345678])
    book.save(tmp_path / "a.xlsx")
    target, counts = copy(tmp_path, "a.xlsx")
    question, answer, number = openpyxl.load_workbook(target, rich_text=True).active[3]
    assert str(question.value) == "我是甲，电话[电话] 行吗 " and (answer.value, number.value) == ("好", "[病历号]")
    run = next(part for part in question.value if isinstance(part, TextBlock))
    assert (run.text, run.font.b) == ("电话[电话]", True)
    assert counts.by_type == {"phone": 1, "medical_no": 1}


def test_a_formula_becomes_its_stored_result_so_that_the_copy_reads_as_the_source(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["问题", "答案"])
    book.active.append([f"打{PHONE}？", '="x"&1'])
    book.save(tmp_path / "raw.xlsx")
    # A spreadsheet program stores the result beside the formula.
    with zipfile.ZipFile(tmp_path / "raw.xlsx") as old, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new:
        for part in old.namelist():
            data = old.read(part)
            if part == "xl/worksheets/sheet1.xml":
                data = data.replace(b'<c r="B2">', b'<c r="B2" t="str">').replace(b"<v />", b"<v>x1</v>")
                data = data.replace(b"<v></v>", b"<v>x1</v>").replace(b"<v/>", b"<v>x1</v>")
            new.writestr(part, data)
    assert openpyxl.load_workbook(tmp_path / "a.xlsx", data_only=True).active["B2"].value == "x1"
    target, counts = copy(tmp_path, "a.xlsx")
    assert [r.answer for r in read_records(target).records] == ["x1"]
    assert "formula_results" in [f.kind for f in counts.findings]


@quick
@given(st.lists(st.lists(st.one_of(texts, st.integers(0, 9999), st.none()), min_size=2, max_size=3), min_size=1))
def test_a_workbook_keeps_its_cells(tmp_path, rows):
    work = folder(tmp_path)
    book = openpyxl.Workbook()
    for row in [["问题", "答案", "备注"], *rows]:
        book.active.append(row)
    book.active["A1"].font = openpyxl.styles.Font(bold=True)
    book.save(work / "a.xlsx")
    target, _ = copy(work, "a.xlsx")

    def cells(path):
        sheet = openpyxl.load_workbook(path).active
        held = [list(row) for row in sheet.iter_rows(values_only=True)]
        while set(held[-1]) == {None}:  # blank rows at the end are not written
            held.pop()
        return held, sheet["A1"].font.b

    before, bold = cells(work / "a.xlsx")
    assert cells(target) == (masked(before), bold) and bold


# Documents


def test_a_document_keeps_its_runs_headers_and_tables(tmp_path):
    document = docx.Document()
    paragraph = document.add_paragraph(f"问：我的电话是{PHONE[:3]}")
    paragraph.add_run(PHONE[3:7]).bold = True
    paragraph.add_run(f"{PHONE[7:]}，怎么办？")
    document.add_paragraph("答：不用管。").runs[0].italic = True
    table = document.add_table(2, 3)
    for row, cells in zip(
        table.rows, [("问题", "答案", "微信号"), ("怎么请假？", "写假条。", "abc_lilei")], strict=True
    ):
        for cell, words in zip(row.cells, cells, strict=True):
            cell.text = words
    document.sections[0].header.paragraphs[0].text = f"联系{MAIL}"
    document.core_properties.author = "李雷"
    document.add_comment(document.paragraphs[1].runs, f"打{PHONE}", author="韩梅梅", initials="韩")
    document.save(tmp_path / "a.docx")
    target, counts = copy(tmp_path, "a.docx", types=(*DEFAULT_TYPES, "name"))
    again = docx.Document(str(target))
    assert [[run.text for run in p.runs] for p in again.paragraphs] == [
        ["问：我的电话是[电话]", "", "，怎么办？"],
        ["答：不用管。", ""],  # the run that refers to the comment
    ]
    assert again.paragraphs[0].runs[1].bold and again.paragraphs[1].runs[0].italic
    assert [[c.text for c in row.cells] for row in again.tables[0].rows][1] == ["怎么请假？", "写假条。", "[微信]"]
    assert again.sections[0].header.paragraphs[0].text == "联系[邮箱]"
    assert again.core_properties.author == "[姓名]"
    assert [(c.text, c.author) for c in again.comments] == [("打[电话]", "[姓名]")]
    assert counts.places["wechat"] == ["a.docx:[1]:2"]
    assert [r.answer for r in read_records(target).records] == ["不用管。", "写假条。"]


def test_mode_drop_leaves_out_rows_of_a_document_and_refuses_its_running_text(tmp_path):
    document = docx.Document()
    table = document.add_table(3, 2)
    for row, cells in zip(table.rows, [("问题", "答案"), (f"打{PHONE}？", "好"), ("一？", "二")], strict=True):
        for cell, words in zip(row.cells, cells, strict=True):
            cell.text = words
    document.save(tmp_path / "a.docx")
    target, _ = copy(tmp_path, "a.docx", mode="drop")
    assert [[c.text for c in row.cells] for row in docx.Document(str(target)).tables[0].rows][1:] == [["一？", "二"]]
    document.add_paragraph(f"打{PHONE}")
    document.save(tmp_path / "b.docx")
    with pytest.raises(DataError):
        copy(tmp_path, "b.docx", mode="drop")
    assert not (tmp_path / "copy_b.docx").exists()


@quick
@given(st.lists(st.lists(texts.map(lambda t: t.replace("\n", " ")), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_document_keeps_the_text_of_clean_paragraphs_and_the_number_of_all_runs(tmp_path, paragraphs):
    work = folder(tmp_path)
    document = docx.Document()
    for runs in paragraphs:
        added = document.add_paragraph()
        for run in runs:
            added.add_run(run)
    document.save(work / "a.docx")
    target, _ = copy(work, "a.docx")
    for before, after in zip(document.paragraphs, docx.Document(str(target)).paragraphs, strict=True):
        assert len(before.runs) == len(after.runs)
        if not find_edits(before.text, mode="mask", types=frozenset(DEFAULT_TYPES))[0]:
            assert [r.text for r in before.runs] == [r.text for r in after.runs]
        assert PHONE not in after.text and MAIL not in after.text


# Parquet and Arrow

TABLE = pa.table(
    {
        "question": [f"打{PHONE}吗", "好？"],
        "answer": ["一", "二"],
        "手机": [13900139000, 7],
        "messages": [[{"role": "user", "content": MAIL}], None],
        "kind": pa.array(["x", PHONE]).dictionary_encode(),
        "when": pa.array([1, 2], pa.timestamp("us")),
        "raw": [b"\x00\xff", None],
    }
).replace_schema_metadata({"huggingface": '{"info": 1}'})


def written(path):
    if path.suffix == ".parquet":
        pq.write_table(TABLE, path, compression="zstd", row_group_size=1)
    elif path.suffix == ".feather":
        with pa.ipc.new_stream(str(path), TABLE.schema) as out:
            out.write_table(TABLE)
    else:
        with pa.ipc.new_file(str(path), TABLE.schema) as out:
            out.write_table(TABLE)


def table_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    data = path.read_bytes()
    return (pa.ipc.open_stream if path.suffix == ".feather" else pa.ipc.open_file)(data).read_all()


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_columns_keep_their_schema_metadata_and_other_values(tmp_path, name):
    written(tmp_path / name)
    target, counts = copy(tmp_path, name)
    got = table_of(target)
    assert got.schema.equals(table_of(tmp_path / name).schema, check_metadata=True)
    assert got.to_pylist() == [
        {
            **TABLE.to_pylist()[0],
            "question": "打[电话]吗",
            "手机": None,
            "messages": [{"role": "user", "content": "[邮箱]"}],
        },
        {**TABLE.to_pylist()[1], "kind": "[电话]"},
    ]
    assert counts.by_type == {"phone": 3, "email": 1} and counts.places["phone"] == [f"{name}:1", f"{name}:2"]
    assert [f.kind for f in counts.findings] == ["numbers_emptied"]
    desensitize_files(tmp_path / name, tmp_path / f"d{name[1:]}", mode="drop")
    assert table_of(tmp_path / f"d{name[1:]}").num_rows == 0


def test_a_parquet_file_keeps_its_compression_and_row_groups(tmp_path):
    written(tmp_path / "a.parquet")
    target, _ = copy(tmp_path, "a.parquet")
    meta = pq.ParquetFile(target).metadata
    assert meta.num_row_groups == 2 and meta.row_group(0).column(0).compression == "ZSTD"


def test_pseudonyms_of_numbers_are_numbers(tmp_path):
    written(tmp_path / "a.parquet")
    target, _ = copy(tmp_path, "a.parquet", mode="pseudonym", key="k")
    assert str(table_of(target)["手机"][0].as_py()).startswith("100")


# A copy that reads worse


def test_a_copy_that_reads_worse_is_refused_and_not_left_behind(tmp_path, monkeypatch):
    rows = [{"question": f"问{i}？打{PHONE}", "answer": f"答{i}"} for i in range(3)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    write = module.WRITERS[".jsonl"]
    monkeypatch.setitem(module.WRITERS, ".jsonl", lambda path, job: write(path, job)[:-20])
    with pytest.raises(DataError) as error:
        copy(tmp_path, "a.jsonl")
    assert "3" in str(error.value) and PHONE not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl"]


def test_dropping_a_question_from_its_answer_is_refused(tmp_path):
    blocks = [f"问：第{i}个？\n\n答：这样{i}。\n" for i in range(4)] + [f"问：打{PHONE}？\n\n答：好的。\n"]
    (tmp_path / "a.txt").write_text("\n".join(blocks), encoding="utf-8")
    with pytest.raises(DataError):
        copy(tmp_path, "a.txt", mode="drop")
    assert copy(tmp_path, "a.txt")[0].exists()


def test_records_that_become_equal_are_no_worse_reading(tmp_path):
    rows = [{"question": f"打1380013800{i}行吗？", "answer": "行"} for i in range(4)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    target, _ = copy(tmp_path, "a.jsonl")
    assert len(read_records(target).records) == 1


# Edits


@given(st.text("ab1380@.", max_size=40), st.data())
def test_edits_of_runs_are_those_of_their_text(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    runs = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True)))
    edits = [Edit(a, b, "X") for a, b in zip(places[::2], places[1::2], strict=False)]
    assert "".join(edit_runs(runs, edits)) == apply_edits(text, edits)
    assert len(edit_runs(runs, edits)) == len(runs)
