"""Pictures opened, tags read, the table and its page written: broken and odd files of every kind."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import shutil
import struct
import subprocess
import zlib
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_scripts.data.pictures.contact_sheet import contact_sheet
from lora_scripts.data.pictures.metadata import read_table, write_table
from lora_scripts.data.pictures.opening import Unreadable, find_pictures, open_picture
from lora_scripts.data.pictures.tags import read_tags, vocabulary
from lora_scripts.errors import DataError
from lora_scripts.messages import text


def saved(path: Path, mode: str = "RGB", size: tuple[int, int] = (40, 24), **options: Any) -> Path:
    Image.effect_noise(size, 60).convert("L").convert(mode if mode != "I;16" else "L").save(path, **options)
    return path


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(out, "PNG")
    return out.getvalue()


BROKEN = {
    "empty.png": b"",
    "text.png": b"hello",
    "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pickle.png": b"\x80\x04\x95",
    "zip.jpg": b"PK\x03\x04" + b"\0" * 60,
    "html.webp": b"<!doctype html><p>404",
    "signature.png": b"\x89PNG\r\n\x1a\n",
    "riff.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "head.bmp": b"BM" + b"\0" * 10,
    "pdf.jpg": b"%PDF-1.4\n%%EOF",
    "gif.png": b"GIF89a\x01\0\x01\0\0\0\0;",
    **{f"cut{share}.jpg": jpeg()[: len(jpeg()) * share // 100] for share in (1, 5, 20, 50, 80)},
    **{f"cut{share}.png": png()[: len(png()) * share // 100] for share in (1, 5, 20, 50, 80)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_refused_in_words(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(Unreadable) as refused:
        open_picture(tmp_path / name)
    cut = name.startswith(("cut", "signature", "riff", "head"))
    assert str(refused.value) and refused.value.bin in (
        ("picture_broken", "no_picture") if cut else ("picture_empty", "no_picture")
    )


def test_flipped_bytes_give_a_picture_or_words_and_never_another_error(tmp_path: Path) -> None:
    rng = random.Random(0)
    for i in range(200):
        data = bytearray(rng.choice((jpeg, png))())
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / f"{i}.png"
        path.write_bytes(data)
        with contextlib.suppress(Unreadable):
            assert open_picture(path).image.mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.new("I;16", (32, 32), 65535 // 2).save(path)
    else:
        saved(path, mode)
    picture = open_picture(path)
    assert picture.image.mode == "RGB"
    assert bool(picture.notes) == (mode in ("CMYK", "I;16"))
    if mode == "I;16":
        assert picture.image.getpixel((5, 5)) == (127, 127, 127)


def test_a_transparent_ground_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (32, 32), (10, 20, 30, 0)).save(tmp_path / "a.png")
    picture = open_picture(tmp_path / "a.png")
    assert picture.image.getpixel((3, 3)) == (255, 255, 255) and picture.notes


def test_a_turned_camera_is_turned_back(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 30), "red")
    image.paste((0, 0, 255), (0, 0, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's right is up
    image.save(tmp_path / "a.png", exif=exif)
    picture = open_picture(tmp_path / "a.png")
    assert picture.image.size == (30, 60) and picture.notes
    assert picture.image.getpixel((15, 5)) == (0, 0, 255)


def test_a_direction_that_cameras_do_not_have_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    Image.new("RGB", (60, 30), "red").save(tmp_path / "a.png", exif=exif)
    assert not open_picture(tmp_path / "a.png").notes


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_of_16_bits_8_are_left_and_that_is_said(colour: int, channels: int, tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\xff" * 32 * channels) * 32
    head = struct.pack(">IIBBBBB", 32, 32, 16, colour, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    picture = open_picture(tmp_path / "a.png")
    assert picture.notes == (text("pictures.deep"),) and picture.image.getpixel((3, 3)) == (255, 255, 255)


def test_of_an_animation_the_first_frame_is_taken_and_that_is_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    picture = open_picture(tmp_path / "a.webp")
    assert picture.image.getpixel((4, 4)) == (255, 0, 0)
    assert "3" in picture.notes[0]


@pytest.mark.parametrize(("size", "why"), [((8, 300), "picture_too_small"), ((12_000, 12_000), "picture_too_large")])
def test_what_is_too_small_or_huge_is_refused_before_it_is_decoded(
    size: tuple[int, int], why: str, tmp_path: Path
) -> None:
    Image.new("1", size).save(tmp_path / "a.png")
    with pytest.raises(Unreadable) as refused:
        open_picture(tmp_path / "a.png")
    assert refused.value.bin == why


def test_pictures_are_found_below_and_what_is_not_read_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("z.PNG", "b/c/y.jpeg", "b/x.webp", "a.bmp", ".hidden/w.png", "b/.v.png", "notes.txt", "d.gif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    found = find_pictures(tmp_path)
    assert list(found) == ["a.bmp", "d.gif", "link.png", "z.PNG", "b/x.webp", "b/c/y.jpeg"]
    for name, bin in (("link.png", "picture_link"), ("d.gif", "picture_other_kind")):
        with pytest.raises(Unreadable) as refused:
            open_picture(found[name])
        assert refused.value.bin == bin


def test_the_vocabulary_is_bilingual_and_asks_by_kind() -> None:
    tags = vocabulary()
    assert {tag.kind for tag in tags} == {"subject", "medium", "style", "lighting", "composition", "colour"}
    assert len({tag.english for tag in tags}) == len(tags) > 150
    assert all(any("\u4e00" <= c <= "\u9fff" for c in tag.chinese) for tag in tags)
    dog = next(tag for tag in tags if tag.english == "a dog")
    assert (dog.question, dog.word("zh"), dog.word("en")) == ("a photo of a dog", "狗", "a dog")


def test_a_file_of_tags_extends_the_vocabulary_or_stands_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "tags.txt"
    path.write_bytes("[茶具] a photo of {} on a table\na teapot = 茶壶\na dog = 小狗\ncha hai\n".encode("gb18030"))
    more = vocabulary([path])
    assert [(t.kind, t.english, t.chinese) for t in more[-2:]] == [
        ("茶具", "a teapot", "茶壶"),
        ("茶具", "cha hai", "cha hai"),
    ]
    assert [t.english for t in vocabulary(instead=path)] == ["a teapot", "a dog", "cha hai"]


def test_every_wrong_line_of_a_tags_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_tags("[style] a picture\n= 狗\n[x] {} and {}\na dog\n", "my.txt")
    assert [p.where for p in refused.value.problems] == ["my.txt:1", "my.txt:2", "my.txt:3"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DataError):
        vocabulary([tmp_path / "empty.txt"])
    with pytest.raises(DataError):
        vocabulary([tmp_path / "missing.txt"])


def test_the_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    captions = {"a.png": "一只狗, 照片", 'b "c".png': 'say "hi"\nnext', "d/e.jpg": ""}
    write_table(tmp_path / "m.csv", captions.items())
    assert {line.name: line.caption for line in read_table(tmp_path / "m.csv").lines} == captions
    rows = list(csv.DictReader(io.StringIO((tmp_path / "m.csv").read_text(encoding="utf-8-sig"))))
    assert [row["filename"] for row in rows] == list(captions)


def test_nothing_of_a_name_or_prompt_is_read_as_html(tmp_path: Path) -> None:
    name, prompt = '"><script>alert(1)</script>.png', "</textarea><script>alert(2)</script>"
    page = contact_sheet(tmp_path / "pics", {name: prompt}, tmp_path / "<script>.csv")
    assert page.count("<script>") == 1 and "alert(1)</script>.png" not in page
    assert 'src="pics/%22%3E%3Cscript%3E' in page


EDITS = """<script>
const make = URL.createObjectURL, field = document.querySelector("textarea");
URL.createObjectURL = blob => {
  blob.text().then(words => {
    const told = document.createElement("pre"); told.id = "told"; told.textContent = words; document.body.append(told);
  });
  return make(blob);
};
HTMLAnchorElement.prototype.click = () => {};
field.value = '红色书包, "户外"'; field.dispatchEvent(new Event("input"));
document.querySelector("button").click();
</script></html>"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_in_a_browser_a_caption_is_edited_and_the_saved_table_is_read(tmp_path: Path) -> None:
    captions = {"甲/一 #1.png": "a red circle", 'b, "c".png': "</pre><b>flat</b> &amp; =1+1", "d.png": ""}
    page = tmp_path / "page.html"
    made = contact_sheet(tmp_path, captions, tmp_path / "metadata.csv")
    page.write_text(made.replace("</html>", EDITS), encoding="utf-8")
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--virtual-time-budget=4000", "--dump-dom", page.as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert dom.count('class="changed"') == 1
    words = unescape(dom.split('<pre id="told">')[1].split("</pre>")[0])
    (tmp_path / "metadata.csv").write_text(words, encoding="utf-8")
    first, *_ = captions
    wanted = {**captions, first: '红色书包, "户外"'}
    assert {line.name: line.caption for line in read_table(tmp_path / "metadata.csv").lines} == wanted
