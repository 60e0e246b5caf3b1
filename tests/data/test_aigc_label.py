"""The label of generated pictures, against the files' own bytes: chunks are walked here, XML by the library."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lora_scripts.data.pictures.aigc_label import MARK, AigcLabel, read_label, save_labelled, with_mark
from lora_scripts.errors import DataError, LoraScriptsError, UsageError

KINDS = (".png", ".jpg", ".webp")
TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
PROMPT = "a <b> & \"c\", 水墨山水 'd' ]]>\nNegative prompt: 模糊\nSteps: 20, Seed: 1"
LABEL = AigcLabel(producer='某某<科技> & "Co" ]]>', produce_id="画-0001", reserved_1="c2ln", propagator="平台's")
AS_THE_STANDARD_SAYS = {
    "Label": "1",
    "ContentProducer": '某某<科技> & "Co" ]]>',
    "ProduceID": "画-0001",
    "ReservedCode1": "c2ln",
    "ContentPropagator": "平台's",
    "PropagateID": "",
    "ReservedCode2": "",
}


@pytest.fixture
def picture() -> Image.Image:
    return Image.effect_noise((96, 64), 60).convert("RGB")


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


def xmp_in(path: Path) -> bytes:
    """The packet, found where XMP's part 3 says: an iTXt chunk, an APP1 segment, a RIFF chunk."""
    data = path.read_bytes()
    if path.suffix == ".png":
        head = b"XML:com.adobe.xmp\0\0\0\0\0"
        return next(body for kind, body in png_chunks(data) if kind == b"iTXt" and body.startswith(head))[len(head) :]
    if path.suffix == ".jpg":
        at, head = 2, b"http://ns.adobe.com/xap/1.0/\0"
        while data[at + 1] != 0xDA:
            length = struct.unpack(">H", data[at + 2 : at + 4])[0]
            body = data[at + 4 : at + 2 + length]
            if data[at + 1] == 0xE1 and body.startswith(head):
                return body[len(head) :]
            at += 2 + length
        raise AssertionError("no APP1 of XMP")
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    at = 12
    while at < len(data):
        kind, length = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        if kind == b"XMP ":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise AssertionError("no XMP chunk")


@pytest.mark.parametrize("kind", KINDS)
def test_the_seven_fields_stand_in_the_xmp_of_the_file_as_the_standard_names_them(
    kind: str, picture: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / f"a{kind}"
    save_labelled(picture, path, LABEL, parameters=PROMPT)
    packet = xmp_in(path)
    told = ElementTree.fromstring(packet).findtext(f".//{{{TC260}}}AIGC")
    assert told and json.loads(told) == AS_THE_STANDARD_SAYS and list(json.loads(told)) == list(AS_THE_STANDARD_SAYS)
    assert told in packet.decode() and b"<TC260:AIGC>{" in packet  # tools that do not read XML find it as well
    assert read_label(path) == LABEL and list(tmp_path.iterdir()) == [path]
    assert Image.open(path).info["xmp"] == packet


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompt_stands_where_the_web_ui_puts_it(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind}"
    save_labelled(picture, path, LABEL, parameters=PROMPT)
    with Image.open(path) as image:
        comment = image.getexif().get_ifd(0x8769).get(0x9286, b"")
        assert kind == ".png" or comment == b"UNICODE\0" + PROMPT.encode("utf-16-be")
    if kind == ".png":
        texts = dict(body.split(b"\0", 1) for k, body in png_chunks(path.read_bytes()) if k in (b"tEXt", b"iTXt"))
        assert texts[b"parameters"].rpartition(b"\0")[2].decode() == PROMPT
        assert Image.open(path).tobytes() == picture.tobytes()


def test_a_latin_prompt_is_a_plain_text_chunk(picture: Image.Image, tmp_path: Path) -> None:
    save_labelled(picture, tmp_path / "a.png", LABEL, parameters="a café\nSteps: 20")
    assert (b"tEXt", b"parameters\0" + "a café\nSteps: 20".encode("latin-1")) in png_chunks(
        (tmp_path / "a.png").read_bytes()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_save_loses_the_label_so_it_is_written_last(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    path, again = tmp_path / f"a{kind}", tmp_path / f"again{kind}"
    save_labelled(picture, path, LABEL)
    with Image.open(path) as image:
        image.save(again)
    assert read_label(again) is None
    with Image.open(path) as image:
        save_labelled(image, again, LABEL)
    assert read_label(again) == LABEL


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_picture_before_goes_into_the_file(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    picture.save(tmp_path / f"before{kind}", exif=exif)
    with Image.open(tmp_path / f"before{kind}") as image:
        save_labelled(image, tmp_path / f"a{kind}", LABEL)
    assert b"somebody" not in (tmp_path / f"a{kind}").read_bytes()


@pytest.mark.parametrize("name", ["a.bmp", "a.gif", "a.tiff", "a", "png"])
def test_another_format_is_refused_in_words(name: str, picture: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png \.jpg"):
        save_labelled(picture, tmp_path / name, LABEL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"label": "0"}, "no value of the standard"),
        ({"label": ""}, "no value of the standard"),
        ({"producer": " "}, "ContentProducer"),
        ({"produce_id": ""}, "ProduceID"),
        ({"propagator": "a\nb"}, "ContentPropagator"),
        ({"reserved_2": "\ud800"}, "ReservedCode2"),
        ({"reserved_1": "\ufffe"}, "ReservedCode1"),
    ],
)
def test_a_label_that_the_standard_does_not_know_is_refused(
    fields: dict[str, str], words: str, picture: Image.Image, tmp_path: Path
) -> None:
    wrong = {"producer": "某公司", "produce_id": "1", **fields}
    with pytest.raises(UsageError, match=words):
        save_labelled(picture, tmp_path / "a.png", AigcLabel(**wrong))
    assert not list(tmp_path.iterdir())


def test_what_does_not_read_back_is_an_error_and_the_file_before_stays(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "a.jpg", Image.Image.save
    path.write_bytes(b"before")

    def losing(self: Image.Image, to: Any, kind: str, **options: Any) -> None:
        real(self, to, kind, **{name: value for name, value in options.items() if name != "xmp"})

    def half(self: Image.Image, to: Any, kind: str, **options: Any) -> None:
        real(self, to, kind, **options)
        to.write_bytes(to.read_bytes()[:200])

    def full(self: Image.Image, to: Any, kind: str, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    for save, words in ((losing, "AIGC"), (half, "not what was to be written"), (full, "No space left")):
        monkeypatch.setattr(Image.Image, "save", save)
        with pytest.raises(LoraScriptsError, match=words) as refused:
            save_labelled(picture, path, LABEL)
        assert refused.value.exit_code == 1
        assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_what_a_format_cannot_hold_is_an_error_in_words(picture: Image.Image, tmp_path: Path) -> None:
    for image, options in (
        (picture.convert("RGBA"), {}),
        (picture, {"parameters": "很" * 40_000}),
        (picture, {"parameters": "\ud800"}),
    ):
        with pytest.raises(LoraScriptsError, match="cannot be written"):
            save_labelled(image, tmp_path / "a.jpg", LABEL, **options)
    save_labelled(picture.convert("RGBA"), tmp_path / "a.png", LABEL, parameters="很" * 40_000)
    assert read_label(tmp_path / "a.png") == LABEL
    with pytest.raises(LoraScriptsError, match="cannot be written"):
        save_labelled(picture, tmp_path / "gone" / "a.png", LABEL)


OURS = '{"Label":"1","ContentProducer":"doubao","ProduceID":"7"}'
DESCRIPTION = f'<rdf:Description rdf:about="" xmlns:TC260="{TC260}"'
FOREIGN = {
    "quoted": f"{DESCRIPTION}><TC260:AIGC>{OURS.replace(chr(34), '&quot;')}</TC260:AIGC></rdf:Description>",
    "attribute": f"{DESCRIPTION} TC260:AIGC='{OURS}'/>",
    "another prefix": f'<rdf:Description xmlns:q="{TC260}"><q:AIGC>{OURS}</q:AIGC></rdf:Description>',
    "none": '<rdf:Description rdf:about=""/>',
    "no JSON": f"{DESCRIPTION}><TC260:AIGC>generated</TC260:AIGC></rdf:Description>",
    "a list": f"{DESCRIPTION}><TC260:AIGC>[1]</TC260:AIGC></rdf:Description>",
    "no XML": f"{DESCRIPTION}><TC260:AIGC>",
}


@pytest.mark.parametrize("form", FOREIGN)
def test_labels_of_other_tools_are_read_or_told_to_be_none(form: str, picture: Image.Image, tmp_path: Path) -> None:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    texts = PngInfo()
    texts.add_itxt(
        "XML:com.adobe.xmp",
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">{FOREIGN[form]}</rdf:RDF></x:xmpmeta>',
    )
    picture.save(tmp_path / "a.png", pnginfo=texts)
    if form in ("no JSON", "a list", "no XML"):
        with pytest.raises(DataError, match="cannot be read"):
            read_label(tmp_path / "a.png")
    else:
        wanted = None if form == "none" else AigcLabel(producer="doubao", produce_id="7")
        assert read_label(tmp_path / "a.png") == wanted


def test_entities_and_a_file_that_is_no_picture_are_refused(picture: Image.Image, tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(12))
    for entities, used in ((bomb, "&a12;"), ("", "&a0;")):
        texts = PngInfo()
        packet = f"<!DOCTYPE x [<!ENTITY a0 '{OURS}'>{entities}]><x:AIGC xmlns:x='{TC260}'>{used}</x:AIGC>"
        texts.add_itxt("XML:com.adobe.xmp", packet)
        picture.save(tmp_path / "a.png", pnginfo=texts)
        with pytest.raises(DataError, match="DOCTYPE"):
            read_label(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"hello")
    for name in ("b.png", "gone.png"):
        with pytest.raises(DataError):
            read_label(tmp_path / name)


@pytest.mark.parametrize("size", [(512, 768), (1024, 1024), (90, 64), (3000, 400)])
def test_the_letters_of_the_mark_are_5_percent_of_the_shorter_side_and_in_the_corner(size: tuple[int, int]) -> None:
    """White on dark red: a row of the picture that holds a bright pixel holds a letter."""
    for words in ("AI", "生", "成", MARK):
        drawn = with_mark(Image.new("RGB", size, (60, 0, 0)), words)
        box = drawn.getchannel("G").point(lambda value: 255 * (value > 96)).getbbox()
        assert box is not None
        left, top, right, bottom = box
        assert 0.05 * min(size) <= bottom - top <= max(0.06 * min(size), 14)
        assert left > size[0] / 4 and right > size[0] * 0.85 and top > size[1] / 2 and bottom > size[1] * 0.85


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_a_picture_of_every_mode_gets_the_mark_and_stays_as_it_was(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (200, 120), "grey").convert(mode)
    before = image.tobytes()
    save_labelled(image, tmp_path / "a.png", LABEL, visible=MARK)
    assert image.tobytes() == before
    with Image.open(tmp_path / "a.png") as drawn:
        low, high = drawn.convert("L").crop((100, 60, 200, 120)).getextrema()
        assert (low, high) == (0, 255) or mode == "1"


def test_a_mark_that_cannot_be_drawn_is_refused_in_words(picture: Image.Image, tmp_path: Path) -> None:
    for visible, font, words in (
        ("人工智能合成", None, "人工智能合"),
        (MARK, tmp_path / "none.ttf", "font"),
        ("generated by an artificial intelligence", None, "wider"),
    ):
        with pytest.raises(UsageError, match=words):
            save_labelled(picture, tmp_path / "a.png", LABEL, visible=visible, font=font)
    assert not list(tmp_path.iterdir())
