"""Picture records: captions from tables, from files beside the pictures, from names; every line and picture counted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from lora_scripts.assemble.pictures.records import held_out, picture_rows
from lora_scripts.assemble.text.survey import check_paths
from lora_scripts.config import Config
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pictures.looks import findings_of, look_at
from lora_scripts.data.pictures.reading import PictureRecord, is_picture_folder, read_pictures
from lora_scripts.errors import DataError
from lora_scripts.messages import text

TINY_SD = Path(__file__).parents[2] / "models" / "tiny-sd"


def noise(path: Path, seed: int = 0, size: tuple[int, int] = (320, 280)) -> Path:
    """A sharp picture that resembles no other one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.effect_noise((16, 14), 90).resize(size, Image.Resampling.NEAREST).convert("RGB")
    image.putpixel((0, 0), (seed % 256, 1, 2))
    image.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(("a.png", "b.jpg", "sub/c.webp")):
        noise(tmp_path / "pics" / name, i)
    return tmp_path / "pics"


def captions(folder: Path, table: Path | None = None) -> tuple[dict[str, str], Ledger]:
    ledger = Ledger()
    records = read_pictures(folder, ledger, table)
    ledger.check_sum()
    return {r.path.relative_to(folder).as_posix(): r.caption for r in records}, ledger


WHOLE = {"a.png": "a red dog", "b.jpg": "one, two", "sub/c.webp": "三"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "filename,prompt\na.png,a red dog\nb.jpg,\"one, two\"\nsub/c.webp,三\n"),
        ("metadata.csv", "a.png,a red dog\nb.jpg,one, two\nsub/c.webp,三\n"),
        ("metadata.csv", "\ufefffile_name;text\r\na.png;a red dog\r\nb.jpg;one, two\r\nsub\\c.webp;三\r\n"),
        ("metadata.csv", "描述,文件名\na red dog,a.png\n\"one, two\",./b.jpg\n三,sub/c.webp\n"),
        ("metadata.csv", "id,Image,Caption\n1,a,a red dog\n2,b,\"one,  two\"\n3,sub/c,三\n"),
        ("metadata.tsv", "a.png\ta red dog\nb.jpg\tone, two\n\nsub/c.webp\t三\n"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "a red dog"}\n{"file_name": "b.jpg", "text": "one, two"}\n'
                           '{"text": "三", "file_name": "sub/c.webp"}\n'),
    ],
)  # fmt: skip
def test_a_table_says_what_each_picture_shows(name: str, content: str, folder: Path) -> None:
    (folder / name).write_text(content, encoding="utf-8")
    found, ledger = captions(folder)
    assert found == WHOLE and ledger.read == 3 and not ledger.bins


def test_a_column_beside_the_two_is_no_part_of_the_caption(folder: Path) -> None:
    (folder / "metadata.csv").write_text("filename,prompt,note\na.png,a red dog,mine\nb.jpg\n", encoding="utf-8")
    found, _ = captions(folder)
    assert found["a.png"] == "a red dog" and found["b.jpg"] == "b"


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        ("filename;prompt\na.png;a cat; on a mat\n", "a cat; on a mat"),
        ("id\tfilename\tprompt\n1\ta.png\ta cat\ton a mat\n", "a cat on a mat"),
        ("filename,prompt,rating\na.png,a cat,5,,\n", "a cat"),
        ('filename,prompt\na.png,"a cat\non a mat"\n', "a cat on a mat"),
        ("filename,prompt\nsub/../a.png,a cat\n", "a cat"),
        ('a.png,"compare:\nb.png, which is red"\n', "compare: b.png, which is red"),
        ('a.png,"Hello" on a sign, red\n', '"Hello" on a sign, red'),
        ('a.png,a 5" nail\n', 'a 5" nail'),
        ('a.png,"a ""cat"" here"\n', 'a "cat" here'),
        ("\na.png;x, y, z\n", "x, y, z"),
        ("a.png\tx, y, z\n", "x, y, z"),
        ("filename,prompt\n\0end,gone\na.png,a cat\n", "a cat"),
        ('"a.png","x; y; z"\n', "x; y; z"),
        ("filename,prompt,,\na.png,a cat\n", "a cat"),
    ],
)
def test_no_word_of_a_caption_is_cut(content: str, caption: str, folder: Path) -> None:
    (folder / "metadata.csv").write_text(content, encoding="utf-8")
    assert captions(folder)[0]["a.png"] == caption


def test_what_a_table_was_taken_for_is_said(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes("id,文件名,描述,prompt\r\n1,a.png,,一只狗\r\n".encode("gb18030"))
    found, ledger = captions(folder)
    (told,) = ledger.decisions
    assert found["a.png"] == "一只狗" and told.encoding == "gb18030"
    assert "prompt" in told.detail and "id, 描述" in told.detail


def test_words_that_are_not_read_beside_a_table_are_told(folder: Path) -> None:
    (folder / "metadata.csv").write_text("a.png,from the table\n", encoding="utf-8")
    (folder / "metadata.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "a.txt").write_text("from beside\n", encoding="utf-8")
    found, ledger = captions(folder)
    assert found["a.png"] == "from the table"
    assert {"second_table", "beside_unused"} <= {f.kind for f in ledger.findings}


def test_a_table_of_excel_in_gb18030_is_read(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes("文件名,描述\r\na.png,一只红色的狗\r\n".encode("gb18030"))
    assert captions(folder)[0]["a.png"] == "一只红色的狗"


def test_a_text_file_beside_a_picture_says_it(folder: Path) -> None:
    (folder / "a.txt").write_text("a red\n dog \n", encoding="utf-8")
    (folder / "b.caption").write_bytes("一只狗".encode("gb18030"))
    (folder / "sub" / "c.txt").write_text("  \n")
    found, ledger = captions(folder)
    assert found == {"a.png": "a red dog", "b.jpg": "一只狗", "sub/c.webp": "c"}
    assert [f.kind for f in ledger.findings if f.severity == "warning"] == ["caption_from_name"]


def test_without_words_the_name_is_the_caption_and_that_is_said(folder: Path) -> None:
    noise(folder / "red_dog-01.png", 9)
    found, ledger = captions(folder)
    assert found["red_dog-01.png"] == "red dog 01"
    (told,) = [f for f in ledger.findings if f.kind == "caption_from_name"]
    assert "4" in told.text and "label" in told.fix


BAD_LINES = {
    "../out.png": "line_outside", "/etc/passwd": "line_outside", "C:\\x.png": "line_outside",
    "c:/x.png": "line_outside",
    "sub/../../x.png": "line_outside", "..\\x.png": "line_outside", "": "line_unnamed", "  ": "line_unnamed",
    "missing.png": "line_without_picture", "sub": "line_without_picture", "c.webp": "line_without_picture",
    "A.PNG": "line_without_picture", "a.png/": "line_without_picture", "a.png\0": "line_without_picture",
    "http://x/a.png": "line_without_picture", "a.jpg": "line_without_picture", "*.png": "line_without_picture",
    "~/a.png": "line_without_picture", "$HOME/a.png": "line_without_picture", "a.png": "line_again",
    "./a.png": "line_again",
    "a": "line_again", "x" * 5000: "line_without_picture", "\u202ea.png": "line_without_picture",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_names_no_picture_of_the_folder_is_counted_with_the_reason(name: str, folder: Path) -> None:
    (folder / "metadata.csv").write_text(f'filename,prompt\na.png,first\n"{name}",second\n', encoding="utf-8")
    found, ledger = captions(folder)
    assert found["a.png"] == "first" and "second" not in found.values()
    assert ledger.reasons() == {BAD_LINES[name]: 1} and ledger.read == 4
    assert ledger.left_out[0].source == "metadata.csv:3"


BAD_TABLES = {
    "no heads": ("metadata.csv", b"x,y\n1,2\n"),
    "one column": ("metadata.csv", b"a.png\nb.jpg\n"),
    "heads without a file": ("metadata.csv", b"prompt,note\nx,y\n"),
    "heads without a caption": ("metadata.csv", b"filename,class\na.png,dog\n"),
    "binary": ("metadata.csv", b"\x89PNG\r\n\x1a\n\0\0"),
    "zip": ("metadata.csv", b"PK\x03\x04" + b"\0" * 40),
    "no json": ("metadata.jsonl", b"a.png, dog\n"),
    "a list": ("metadata.jsonl", b'["a.png", "dog"]\n'),
    "a number": ("metadata.jsonl", b"3\n"),
    "cut": ("metadata.jsonl", b'{"file_name": "a.png", "te'),
    "no caption": ("metadata.jsonl", b'{"file_name": "a.png", "class": "dog"}\n'),
    "caption no text": ("metadata.jsonl", b'{"file_name": "a.png", "text": ["dog"]}\n'),
    "deep": ("metadata.jsonl", b"[" * 100_000),
    "null": ("metadata.jsonl", b'{"file_name": "a.png", "text": null}\n'),
    "open quote": ("metadata.csv", b'a.png,"a cat\nb.jpg,a dog\nsub/c.webp,x\n'),
    "open quote, closed by a later one": ("metadata.csv", b'a.png,"a cat\nb.jpg,"a dog"\n'),
    "open quote, names without suffix": ("metadata.csv", b'filename,prompt\na,"red\nb,blue\nsub/c,"green"\n'),
    "open quote, name in the second place": ("metadata.csv", b'id,filename,prompt\n0,a,"red\n1,b,"x"\n'),
    "open quote, name at the end": ("metadata.csv", b'prompt,filename\n"red,a.png\n"green",b.jpg\n'),
    "open quote at the end": ("metadata.tsv", b'a.png\ta cat\nb.jpg\t"a dog\n'),
    "more cells": ("metadata.csv", b"filename,prompt,rating\na.png,a cat, on a mat,5\n"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_understood_stops_with_its_place(case: str, folder: Path) -> None:
    name, content = BAD_TABLES[case]
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        captions(folder)
    assert name in refused.value.problems[0].where and refused.value.problems[0].fix


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=120), st.text(max_size=120).map(str.encode)))
def test_whatever_a_table_holds_the_account_adds_up_or_words_say_why(folder: Path, content: bytes) -> None:
    (folder / "metadata.csv").write_bytes(content)
    try:
        found, _ = captions(folder)
    except DataError as refused:
        assert str(refused)  # noqa: PT017
    else:
        assert set(found) == set(WHOLE)


def test_files_that_nobody_reads_are_told(folder: Path) -> None:
    unread = ("a.png.txt", "Notes.pdf", "sub/metadata.csv", "lonely.txt", "captions.csv", "sub/c.mp4")
    for name in (*unread, ".hidden.png", "metadata.html"):
        (folder / name).write_bytes(b"x")
    (folder / ".thumbs").mkdir()
    (folder / "linked").symlink_to(folder / "sub", target_is_directory=True)
    _, ledger = captions(folder)
    told = {f.kind: f for f in ledger.findings}
    assert told["unread"].text.startswith(f"{len(unread)} ") and told["unread"].where == "Notes.pdf"
    for name in (".hidden.png", ".thumbs", "linked"):
        assert name in told["passed_over"].text
    elsewhere = folder.parent / "other.csv"
    elsewhere.write_text("a.png,x\n")
    (folder / "Metadata.CSV").write_text("a.png,y\n")
    found, ledger = captions(folder, elsewhere)
    assert found["a.png"] == "x" and "second_table" in {f.kind for f in ledger.findings}
    assert captions(folder)[0]["a.png"] == "y"


def test_the_table_in_use_and_the_words_beside_a_picture_are_no_unread_files(folder: Path) -> None:
    (folder / "caps.csv").write_text("a.png,x\n")
    (folder / "a.caption").write_text("words")
    _, ledger = captions(folder, folder / "sub" / ".." / "caps.csv")
    assert "unread" not in {f.kind for f in ledger.findings}


def test_of_two_files_beside_a_picture_the_one_with_words_is_read_and_the_other_told(folder: Path) -> None:
    (folder / "a.txt").write_text(" \n")
    (folder / "a.caption").write_text("a red dog")
    (folder / "b.txt").write_text("one")
    (folder / "b.caption").write_text("two")
    found, ledger = captions(folder)
    assert (found["a.png"], found["b.jpg"]) == ("a red dog", "one")
    (told,) = [f for f in ledger.findings if f.kind == "unread"]
    assert "b.caption" in told.text


def test_pictures_that_share_a_file_of_words_are_both_there(folder: Path) -> None:
    noise(folder / "a.jpg", 77)
    (folder / "a.txt").write_text("a red dog")
    keys = {
        "task_type": "image-generation",
        "base_model": str(TINY_SD),
        "train_data_dir": str(folder),
        "output_dir": "x",
    }
    rows = picture_rows(Config(**keys), 64, 8)
    assert {d.path.name for d in rows.training} == {"a.png", "a.jpg", "b.jpg", "c.webp"}


def test_a_folder_that_may_not_be_entered_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def closed(root: Path, onerror: Any = None, **more: Any) -> Any:
        onerror(PermissionError(13, "Permission denied", str(root / "sub")))
        return walk(root, **more)

    monkeypatch.setattr(os, "walk", closed)
    with pytest.raises(PermissionError):
        captions(folder)


def test_a_file_of_words_may_end_in_capitals(folder: Path) -> None:
    (folder / "a.TXT").write_text("a red dog")
    assert captions(folder)[0]["a.png"] == "a red dog"


def test_a_jpeg_as_windows_names_it_is_read(folder: Path) -> None:
    (folder / "b.jpg").rename(folder / "b.jfif")
    assert set(captions(folder)[0]) == {"a.png", "b.jfif", "sub/c.webp"}


def test_a_folder_that_is_not_there_is_not_called_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        captions(tmp_path / "nope")
    assert refused.value.problems[0].text == text("pictures.no_folder")


def test_broken_pictures_and_other_kinds_are_counted_by_reason(folder: Path) -> None:
    whole = (folder / "b.jpg").read_bytes()
    for name, data in {
        "cut.jpg": whole[:-4000],
        "e.png": b"",
        "t.png": b"x",
        "v.svg": b"<svg/>",
        "g.gif": b"GIF89a",
    }.items():
        (folder / name).write_bytes(data)
    found, ledger = captions(folder)
    assert set(found) == set(WHOLE)
    reasons = {"picture_broken": 1, "picture_empty": 1, "no_picture": 1, "picture_other_kind": 2}
    assert ledger.reasons() == reasons and ledger.read == 8


def test_a_folder_of_broken_pictures_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(DataError) as refused:
        captions(tmp_path)
    assert refused.value.problems[0].where == "x.png"


def test_blurred_tiny_and_like_pictures_are_told(tmp_path: Path) -> None:
    noise(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.filter(ImageFilter.GaussianBlur(12)).save(tmp_path / "blurred.png")
    image.resize((300, 262)).save(tmp_path / "again.jpg", quality=70)
    noise(tmp_path / "tiny.png", 5, (64, 56))
    names = ("a.png", "blurred.png", "again.jpg", "tiny.png")
    found = findings_of([(n, look_at(Image.open(tmp_path / n).convert("RGB"))) for n in names])
    told = {(f.kind, f.where) for f in found}
    assert {("picture_blurred", "blurred.png"), ("picture_tiny", "tiny.png"), ("picture_alike", "again.jpg")} <= told
    assert ("picture_alike", "tiny.png") not in told and not any(f.where == "a.png" for f in found)


def test_pictures_with_their_words_are_a_picture_folder_and_text_with_pictures_is_not(folder: Path) -> None:
    assert is_picture_folder(folder)
    (folder / "metadata.csv").write_text("a.png,x\n")
    (folder / "a.txt").write_text("x")
    assert is_picture_folder(folder)
    for name in ("Thumbs.db", "desktop.ini", "README.txt", "LICENSE", "x.zip", "x.mp4"):
        (folder / name).write_bytes(b"x")
    assert is_picture_folder(folder)
    (folder / "data.xls").write_bytes(b"x")
    assert not is_picture_folder(folder)
    (folder / "data.xls").unlink()
    (folder / "train.txt").write_text("用户：x\n律师：y\n")
    assert not is_picture_folder(folder)
    assert not is_picture_folder(folder / "a.png") and not is_picture_folder(folder / "missing")


def test_check_accounts_for_a_folder_of_pictures(folder: Path) -> None:
    for i in range(7):
        noise(folder / f"more{i}.png", 20 + i)
    (folder / "x.png").write_bytes(b"x")
    ledger = check_paths([folder])
    assert (ledger.read, ledger.trained, ledger.validation, ledger.reasons()) == (11, 9, 1, {"no_picture": 1})


def test_which_pictures_validate_depends_on_seed_and_content_not_on_order_or_names(folder: Path) -> None:
    for i in range(30):
        noise(folder / f"more{i:02}.png", 20 + i)
    records = read_pictures(folder, Ledger())

    def chosen(some: list[PictureRecord], seed: int) -> set[str]:
        return {some[i].digest for i in held_out(some, 0.3, seed)}

    assert len(chosen(records, 1)) == 10
    assert chosen(records, 1) == chosen(records[::-1], 1) != chosen(records, 2)
    assert not held_out(records[:1], 0.9, 0)


def test_copies_of_a_picture_never_stand_on_both_sides(folder: Path) -> None:
    for i in range(9):
        noise(folder / f"more{i}.png", 20 + i)
        (folder / f"copy{i}.png").write_bytes((folder / f"more{i}.png").read_bytes())
    records = read_pictures(folder, Ledger())
    for seed in range(20):
        aside = held_out(records, 0.3, seed)
        trained = {r.digest for i, r in enumerate(records) if i not in aside}
        assert aside and trained
        assert not trained & {records[i].digest for i in aside}
