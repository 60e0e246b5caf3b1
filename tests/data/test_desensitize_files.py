"""Copies of files: same format and encoding, nothing private in them, nothing half-done."""

import csv
import io
import json

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_scripts.data.pii import copies as module
from lora_scripts.data.pii.copies import desensitize_files
from lora_scripts.errors import ConfigError, DataError, LoraScriptsError, UsageError

SECRETS = ["11010519491231002X", "13800138000", "li.lei_secret@example.com", "6222021234567890128", "E12345678"]
BODY = f"问：身份证{SECRETS[0]}，电话{SECRETS[1]}？\n答：发到{SECRETS[2]}，卡{SECRETS[3]}，护照号码{SECRETS[4]}。\n"
MASKED = "问：身份证[身份证]，电话[电话]？\n答：发到[邮箱]，卡[银行卡]，护照号码[护照]。\n"


def copy(tmp_path, name, content, **more):
    source, target = tmp_path / name, tmp_path / ("out_" + name)
    source.write_bytes(content)
    counts = desensitize_files(source, target, **more)
    return target.read_bytes(), counts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encoding_mark_and_line_ends_stay(tmp_path, encoding, line_end):
    data, counts = copy(tmp_path, "a.txt", BODY.replace("\n", line_end).encode(encoding))
    assert data == MASKED.replace("\n", line_end).encode(encoding)
    assert counts.by_type == {"id_card": 1, "phone": 1, "email": 1, "bank_card": 1, "passport": 1}
    assert counts.places["email"] == ["a.txt:2"]


def test_an_encoding_without_chinese_gets_ascii_marks(tmp_path):
    data, _ = copy(
        tmp_path, "a.txt", "Où est André? Téléphone: café, call +86 13800138000 s'il vous plaît.".encode("cp1252")
    )
    assert data.decode("cp1252") == "Où est André? Téléphone: café, call [phone] s'il vous plaît."


def test_json_keeps_its_layout_and_escaped_strings_are_read(tmp_path):
    raw = '[\n    {"q" : "\\u6253\\u7535\\u8bdd13800138000", "手机": 13900139000,\n     "QQ":"123456789"}\n]\n'
    data, counts = copy(tmp_path, "a.json", raw.encode())
    assert data.decode() == (
        '[\n    {"q" : "\\u6253\\u7535\\u8bdd[\\u7535\\u8bdd]", "手机": "[电话]",\n     "QQ":"[QQ]"}\n]\n'
    )
    assert counts.places["qq"] == ["a.json:3"]
    json.loads(data)


def test_a_number_hidden_in_escapes_is_found(tmp_path):
    raw = '{"q": "\\u0031\\u0033\\u0038\\u0030\\u0030138000"}\n'
    data, counts = copy(tmp_path, "a.jsonl", raw.encode())
    assert json.loads(data)["q"] == "[\u7535\u8bdd]" and counts.by_type == {"phone": 1}


def test_json_lines_that_are_broken_are_masked_too(tmp_path):
    raw = '{"q": "打13800138000"}\n{"q": "打13900139000 没有结束\n{"q": "好"}\n'
    data, counts = copy(tmp_path, "a.jsonl", raw.encode())
    assert b"13800138000" not in data and b"13900139000" not in data
    assert counts.by_type == {"phone": 2}


@pytest.mark.parametrize(("name", "by"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_table_keeps_quoting_and_its_columns_tell_what_a_number_is(tmp_path, name, by):
    rows = [
        '病历号,"问, 题",微信号',
        '0012345678,"打13800138000, 说""急""\r\n第二行",lilei_88',
        ' 7 ,好,"x, y"',
    ]
    raw = (
        "\r\n".join(rows).replace(", ", ";;").replace(",", by).replace(";;", ", ") if by == "\t" else "\r\n".join(rows)
    )
    if by == ";":
        raw = (
            "\r\n".join(rows).replace('"问, 题"', "\0").replace(", 说", "\1").replace('"x, y"', "\2").replace(",", ";")
        )
        raw = raw.replace("\0", '"问, 题"').replace("\1", ", 说").replace("\2", '"x, y"')
    data, counts = copy(tmp_path, name, raw.encode("utf-8-sig"))
    wanted = raw.replace("0012345678", "[病历号]").replace("13800138000", "[电话]").replace("lilei_88", "[微信]")
    assert data.decode("utf-8-sig") == wanted
    assert counts.by_type == {"medical_no": 1, "phone": 1, "wechat": 1}
    assert next(csv.reader(wanted.splitlines(keepends=True), delimiter=by))[0] == "病历号"


def test_mode_drop_leaves_out_rows_lines_objects_and_paragraphs(tmp_path):
    assert copy(tmp_path, "a.csv", b"q,a\n1,13800138000\n2,ok\n", mode="drop")[0] == b"q,a\n2,ok\n"
    assert copy(tmp_path, "a.jsonl", b'{"q":"13800138000"}\n{"q":"ok"}\n', mode="drop")[0] == b'{"q":"ok"}\n'
    text = "问：打13800138000\n答：好\n\n问：好\n答：好\n".encode()
    assert copy(tmp_path, "a.txt", text, mode="drop")[0].decode() == "问：好\n答：好\n"
    assert json.loads(copy(tmp_path, "a.json", b'[{"q":"13800138000"},{"q":"ok"}]', mode="drop")[0]) == [{"q": "ok"}]
    with pytest.raises(DataError):
        copy(tmp_path, "b.json", b'{"q":"13800138000"}', mode="drop")


def test_a_workbook_keeps_sheets_and_formulas(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "问答"
    sheet.append(["问题", "手机号", "数"])
    sheet.append([f"我的邮箱{SECRETS[2]}", 13800138000, "=1+1"])
    book.create_sheet("二").append([f"身份证{SECRETS[0]}"])
    book.save(tmp_path / "a.xlsx")
    counts = desensitize_files(tmp_path / "a.xlsx", tmp_path / "b.xlsx")
    again = openpyxl.load_workbook(tmp_path / "b.xlsx")
    assert again.sheetnames == ["问答", "二"]
    assert [c.value for c in again["问答"][2]] == ["我的邮箱[邮箱]", "[电话]", "=1+1"]
    assert again["二"]["A1"].value == "身份证[身份证]"
    assert counts.places["phone"] == ["a.xlsx:问答!B2"]


def test_a_folder_is_copied_whole_with_pseudonyms_that_agree(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a.txt").write_text("打13800138000", encoding="utf-8")
    (tmp_path / "in/sub/b.csv").write_text("q,a\n一,138 0013 8000\n", encoding="gb18030")
    desensitize_files(tmp_path / "in", tmp_path / "out", mode="pseudonym", key="k")
    first = (tmp_path / "out/a.txt").read_text(encoding="utf-8").removeprefix("打")
    assert (tmp_path / "out/sub/b.csv").read_text(encoding="gb18030") == f"q,a\n一,{first}\n"
    assert first != "13800138000"


def test_kinds_that_cannot_be_done_are_all_named_and_nothing_is_written(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.doc", "13800138000.pdf"):
        (tmp_path / "in" / name).write_text("x")
    with pytest.raises(DataError) as error:
        desensitize_files(tmp_path / "in", tmp_path / "out")
    assert len(error.value.problems) == 2 and "b.doc" in str(error.value)
    assert "13800138000" not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_target_that_exists_or_lies_inside_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("x")
    with pytest.raises(UsageError):
        desensitize_files(tmp_path / "in", tmp_path)
    with pytest.raises(UsageError):
        desensitize_files(tmp_path / "in", tmp_path / "in/out")
    with pytest.raises(UsageError):
        desensitize_files(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ConfigError):
        desensitize_files(tmp_path / "in", tmp_path / "out", types=["phon"])


def test_a_crash_on_the_way_leaves_no_folder_that_looks_done(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("打13800138000", encoding="utf-8")
    (tmp_path / "in/b.md").write_text("x")

    def crash(path, job):
        raise RuntimeError("power cut")

    monkeypatch.setitem(module.WRITERS, ".md", crash)
    with pytest.raises(RuntimeError):
        desensitize_files(tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_file_name_with_personal_data_is_warned_of_without_the_value(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/记录_13800138000.txt").write_text("打13900139000", encoding="utf-8")
    (tmp_path / "in/.hidden").write_text("x")
    counts = desensitize_files(tmp_path / "in", tmp_path / "out")
    assert [f.kind for f in counts.findings] == ["hidden_files", "file_name"]
    assert "13800138000" not in repr(counts) and "13900139000" not in repr(counts)
    assert (tmp_path / "out/记录_13800138000.txt").exists()


def test_no_secret_is_left_in_any_kind_of_file_or_in_the_counts(tmp_path):
    (tmp_path / "in").mkdir()
    line = BODY.replace("\n", " ")
    for name in ("a.txt", "b.md", "c.log"):
        (tmp_path / "in" / name).write_text(BODY, encoding="utf-8")
    (tmp_path / "in/d.csv").write_text(f'q,a\n"{line}",{SECRETS[1]}\n', encoding="gb18030")
    (tmp_path / "in/e.tsv").write_text(f"q\ta\n{line}\t{SECRETS[1]}\n", encoding="utf-8")
    (tmp_path / "in/f.json").write_text(json.dumps([{"q": line}]), encoding="utf-8")
    (tmp_path / "in/g.jsonl").write_text(json.dumps({"q": line}, ensure_ascii=False) + "\n", encoding="utf-8")
    for mode in ("mask", "pseudonym", "drop"):
        counts = desensitize_files(tmp_path / "in", tmp_path / mode, mode=mode, key="k")
        files = [p.read_bytes() for p in (tmp_path / mode).iterdir()]
        assert len(files) == 7
        seen = [s for s in SECRETS if any(s.encode() in raw for raw in files) or s in repr(counts)]
        assert seen == []
        assert counts.by_type["phone"] == 9


PIECES = st.lists(
    st.sampled_from(
        [
            *SECRETS,
            '"',
            '""',
            ",",
            ";",
            "\t",
            "\n",
            "\r\n",
            "{",
            "}",
            "[",
            "]",
            ":",
            "\\",
            "\\u6253",
            "号码",
            "问：",
            " ",
            "QQ",
            "1",
            "微信号",
        ]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(PIECES.map(str.encode), st.binary(max_size=80)),
    st.sampled_from(list(module.WRITERS)),
    st.sampled_from(["mask", "pseudonym", "drop"]),
)
def test_any_file_is_cleaned_for_good_or_refused_in_words(tmp_path, content, kind, mode):
    work = tmp_path / str(len(list(tmp_path.iterdir())))
    work.mkdir()
    (work / f"a{kind}").write_bytes(content)
    try:
        desensitize_files(work / f"a{kind}", work / f"b{kind}", mode=mode, key="k")
    except LoraScriptsError:
        assert not (work / f"b{kind}").exists()
        return
    again = desensitize_files(work / f"b{kind}", work / f"c{kind}", mode=mode, key="k")
    assert again.by_type == {}
    if kind != ".xlsx":
        assert (work / f"c{kind}").read_bytes() == (work / f"b{kind}").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.sampled_from(["好", 'a"b', "x,y", "两\n行", "打13800138000", "a@b.cn", ""]), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_a_table_keeps_its_cells(tmp_path, rows, quoting):
    out = io.StringIO()
    csv.writer(out, quoting=quoting).writerows([["问", "答", "注"], *rows])
    work = tmp_path / str(len(list(tmp_path.iterdir())))
    work.mkdir()
    (work / "a.csv").write_bytes(out.getvalue().encode())
    desensitize_files(work / "a.csv", work / "b.csv")
    got = list(csv.reader(io.StringIO((work / "b.csv").read_bytes().decode(), newline="")))
    marked = {"打13800138000": "打[电话]", "a@b.cn": "[邮箱]"}
    assert got[1:] == [[marked.get(cell, cell) for cell in row] for row in rows]
