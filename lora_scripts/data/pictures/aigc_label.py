"""The label of generated pictures in China: GB 45438-2025, in force since 2025-09-01.

The implicit label is the JSON of the standard's appendix E under ``AIGC`` in the XMP namespace of TC260, as its guide
for picture files (TC260-PG-20258A) puts it. The visible mark, letters of 5 % of the shorter side at least, is drawn on
wish. Pillow and others drop XMP when they save a picture again, so the label is written last, and read back from the
disk.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from PIL.PngImagePlugin import PngInfo

from lora_scripts.errors import DataError, LoraScriptsError, UsageError

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
FIELDS = {
    "label": "Label",
    "producer": "ContentProducer",
    "produce_id": "ProduceID",
    "reserved_1": "ReservedCode1",
    "propagator": "ContentPropagator",
    "propagate_id": "PropagateID",
    "reserved_2": "ReservedCode2",
}
"""Ours → the standard's, in its order; all seven are written, empty where there is nothing to say."""
CERTAINTIES = ("1", "2", "3")  # the content is, may be, is suspected to be generated
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
LOSSY_QUALITY = 95
MARK = "AI生成"
"""A visible mark that says what the standard wants said: by AI (or 人工智能), and generated (生成 or 合成)."""

UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description rdf:about="" xmlns:TC260="{NAMESPACE}"><TC260:AIGC>%s</TC260:AIGC></rdf:Description>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
IN_XML = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
)  # in JSON's way: no XML escapes, so plain searches find it
PNG_XMP = "XML:com.adobe.xmp"
PNG_PARAMETERS = "parameters"  # where the Stable Diffusion web UI puts the prompt; elsewhere the EXIF user comment
EXIF_IFD, USER_COMMENT, IN_UTF16 = 0x8769, 0x9286, b"UNICODE\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class AigcLabel:
    """Who made a picture, and under which number; ``label`` 1 says that it is generated for sure.

    ``producer`` and ``propagator`` are a name or a code, ``reserved_1`` and ``reserved_2`` their signatures or hashes.
    """

    label: str = "1"
    producer: str
    produce_id: str
    reserved_1: str = ""
    propagator: str = ""
    propagate_id: str = ""
    reserved_2: str = ""


def save_labelled(
    image: Image.Image,
    path: Path,
    label: AigcLabel,
    *,
    parameters: str = "",
    visible: str = "",
    font: Path | None = None,
) -> None:
    """Write a PNG, JPEG or WEBP file with its label, whole or not at all; ``image`` stays as it is.

    Args:
        parameters: The prompt and settings: the PNG text ``parameters``, in JPEG and WEBP the EXIF user comment.
        visible: Words for the lower right corner, such as ``MARK``.
        font: Draws ``visible``. Without it: Latin letters and the characters of ``MARK``.

    Raises:
        UsageError: Another format, a label that the standard does not know, or a mark that cannot be drawn.
        LoraScriptsError: It cannot be written, or does not read back from the disk as it was.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError("pictures.label_format", where=path, kinds=" ".join(FORMATS))
    _check(label)
    drawn = with_mark(image, visible, font) if visible.strip() else image
    half = path.with_name(f".{path.name}.half")
    try:
        try:
            drawn.save(half, kind, **_options(kind, label, parameters))
            with half.open("rb") as file:
                os.fsync(file.fileno())
        except (OSError, ValueError, KeyError) as error:
            raise LoraScriptsError("pictures.not_written", where=path, reason=_line(error)) from error
        _compare(half, path, drawn, kind, label, parameters)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def read_label(path: Path) -> AigcLabel | None:
    """The label in the XMP of a picture file, None where there is none.

    Raises:
        DataError: The file is no picture that can be read, or its label is none.
    """
    xmp, _ = _read(path)
    if not xmp:
        return None
    try:
        told = _payload(xmp)
        if told is None:
            return None
        found = json.loads(told)
        if not isinstance(found, dict):
            raise ValueError(type(found).__name__)
        return AigcLabel(**{ours: str(found.get(theirs, "")) for ours, theirs in FIELDS.items()})
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise DataError("pictures.label_broken", where=path, reason=_line(error)) from error


def _check(label: AigcLabel) -> None:
    values = asdict(label)
    if label.label not in CERTAINTIES:
        raise UsageError("pictures.label_certainty", where="Label", value=label.label)
    if empty := [FIELDS[name] for name in ("producer", "produce_id") if not values[name].strip()]:
        raise UsageError("pictures.label_empty", where=", ".join(empty))
    if odd := [FIELDS[name] for name, value in values.items() if UNWRITABLE.search(value)]:
        raise UsageError("pictures.label_characters", where=", ".join(odd))


def _packet(label: AigcLabel) -> str:
    told = {FIELDS[name]: value for name, value in asdict(label).items()}
    words = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return PACKET % words.translate(IN_XML)


def _options(kind: str, label: AigcLabel, parameters: str) -> dict[str, Any]:
    packet = _packet(label)
    if kind == "PNG":
        texts = PngInfo()
        texts.add_itxt(PNG_XMP, packet)
        if parameters:
            texts.add_text(PNG_PARAMETERS, parameters)
        return {"pnginfo": texts}
    exif = Image.Exif()
    if parameters:
        exif[EXIF_IFD] = {USER_COMMENT: IN_UTF16 + parameters.encode("utf-16-be")}
    written = exif.tobytes() if parameters else b""  # empty, or Pillow takes over what the image came with
    return {"xmp": packet.encode(), "exif": written, "quality": LOSSY_QUALITY}


def _read(path: Path) -> tuple[bytes, str]:
    """The XMP packet and the parameters of a picture file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
            image.load()  # texts may stand behind the pixels
            info: Mapping[Any, Any] = image.info
            comment = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT, b"")
            xmp = info.get("xmp") or info.get(PNG_XMP) or b""
            words = info.get(PNG_PARAMETERS, "")
    except Exception as error:  # decoders raise whatever they come upon
        raise DataError("pictures.label_unreadable", where=path, reason=_line(error)) from error
    if isinstance(comment, bytes) and comment.startswith(IN_UTF16):
        words = words or comment[len(IN_UTF16) :].decode("utf-16-be", "replace")
    return xmp.encode() if isinstance(xmp, str) else bytes(xmp), str(words)


def _payload(xmp: bytes) -> str | None:
    """The JSON of the label: the text of an element, or an attribute as the short form of RDF has it.

    Raises:
        ValueError: The packet declares a document type, and may so declare entities, which XMP has no use for.
        ElementTree.ParseError: It is no XML.
    """
    if b"<!DOCTYPE" in xmp:
        raise ValueError("DOCTYPE")
    for element in ElementTree.fromstring(xmp.strip(b"\0 \r\n\t")).iter():
        if element.tag == f"{{{NAMESPACE}}}AIGC":
            return "".join(element.itertext())
        if f"{{{NAMESPACE}}}AIGC" in element.attrib:
            return element.attrib[f"{{{NAMESPACE}}}AIGC"]
    return None


def _compare(half: Path, path: Path, drawn: Image.Image, kind: str, label: AigcLabel, parameters: str) -> None:
    """Hold the file on the disk against what was to be written.

    Raises:
        LoraScriptsError: They are not the same.
    """
    try:
        lost = [] if read_label(half) == label else ["AIGC"]
        lost += [] if _read(half)[1] == parameters else [PNG_PARAMETERS]
        with Image.open(half) as again:
            same = again.size == drawn.size and (kind != "PNG" or not _differ(again, drawn))
        lost += [] if same else ["pixels"]
    except DataError as error:
        raise LoraScriptsError("pictures.label_lost", where=path, names=_line(error)) from error
    if lost:
        raise LoraScriptsError("pictures.label_lost", where=path, names=", ".join(lost))


def _differ(one: Image.Image, other: Image.Image) -> bool:
    first, second = one.convert("RGBA"), other.convert("RGBA")
    return any(high for _, high in ImageChops.difference(first, second).getextrema())  # type: ignore[misc]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


LEAST_SHARE = 0.05  # of the shorter side, for the height of a letter
LEAST_PIXELS = 12
FINE = 4  # drawn so many times as large
LETTER = 0.88  # of its square, as the strokes below fill it
Strokes = list[list[tuple[float, float]]]
DRAWN: dict[str, Strokes] = {
    "生": [
        [(0.30, 0.06), (0.12, 0.44)], [(0.26, 0.27), (0.88, 0.27)], [(0.20, 0.58), (0.84, 0.58)],
        [(0.53, 0.04), (0.53, 0.94)], [(0.05, 0.94), (0.96, 0.94)],
    ],
    "成": [
        [(0.20, 0.26), (0.92, 0.26)], [(0.20, 0.26), (0.19, 0.62), (0.05, 0.95)],
        [(0.20, 0.50), (0.45, 0.50), (0.43, 0.82), (0.31, 0.77)],
        [(0.53, 0.04), (0.57, 0.42), (0.69, 0.76), (0.88, 0.95), (0.94, 0.72)],
        [(0.87, 0.40), (0.72, 0.70), (0.48, 0.92)], [(0.69, 0.05), (0.82, 0.16)],
    ],
}  # fmt: skip
"""Strokes in the unit square: these two have to be drawn where no Chinese font is installed, too."""


def with_mark(image: Image.Image, words: str, font: Path | None = None) -> Image.Image:
    """A copy with ``words`` in the lower right corner, white with a dark rim.

    Raises:
        UsageError: The font cannot be read or lacks a character, or the words are wider than the picture.
    """
    words = " ".join(words.split())
    height = max(LEAST_PIXELS, math.ceil(LEAST_SHARE * min(image.size)))
    mask = _mask(words, height * FINE, font)
    mask = mask.resize((math.ceil(mask.width / FINE), math.ceil(mask.height / FINE)), Image.Resampling.BOX)
    rim, margin = 2 * max(1, height // 16) + 1, height // 2
    mask = _padded(mask, rim)
    at = (image.width - mask.width - margin, image.height - mask.height - margin)
    if min(at) < 0:
        raise UsageError("pictures.mark_no_room", where=words, width=image.width, height=image.height)
    if image.mode in ("L", "RGB", "RGBA"):
        drawn = image.copy()
    else:
        drawn = image.convert("RGBA" if "transparency" in image.info else "RGB")
    drawn.paste("black", at, mask.filter(ImageFilter.MaxFilter(rim)))
    drawn.paste("white", at, mask)
    return drawn


def _padded(mask: Image.Image, by: int) -> Image.Image:
    wide = Image.new("L", (mask.width + 2 * by, mask.height + 2 * by))
    wide.paste(mask, (by, by))
    return wide


def _mask(words: str, height: int, font: Path | None) -> Image.Image:
    """The words in white on black, the letters ``height`` pixels high.

    Raises:
        UsageError: As above.
    """
    letters = _font(font, height)
    by_hand = {} if font else DRAWN
    if lacking := [c for c in dict.fromkeys(words) if c not in by_hand and _lacks(letters, c)]:
        raise UsageError("pictures.mark_letters", where=words, letters="".join(lacking))
    square, base = math.ceil(height / LETTER), -letters.getbbox("A", anchor="ls")[1]
    mask = Image.new("L", (math.ceil(sum(2 * square + letters.getlength(c) for c in words)), 3 * square))
    pen, x = ImageDraw.Draw(mask), float(square)
    for c in words:
        if c in by_hand:
            for stroke in by_hand[c]:
                points = [(x + a * square, square + b * square) for a, b in stroke]
                pen.line(points, fill=255, width=round(square / 10), joint="curve")
            x += 1.08 * square
        else:
            pen.text((x, square + (square - height) / 2 + base), c, fill=255, font=letters, anchor="ls")
            x += letters.getlength(c)
    return mask.crop(mask.getbbox())


@cache
def _font(path: Path | None, height: int) -> ImageFont.FreeTypeFont:
    """The font in the size at which a capital is ``height`` pixels high.

    Raises:
        UsageError: It cannot be read.
    """

    def sized(size: float) -> ImageFont.FreeTypeFont:
        found = ImageFont.truetype(str(path), size) if path else ImageFont.load_default(size)
        if not isinstance(found, ImageFont.FreeTypeFont):
            raise OSError("FreeType")
        return found

    try:
        large = sized(1000)
        top = -large.getbbox("A", anchor="ls")[1] or 700
        return sized(math.ceil(1000 * height / top))
    except OSError as error:
        raise UsageError("pictures.mark_font", where=path or "", reason=_line(error)) from error


def _lacks(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Whether a font draws what it draws for letters that it does not have."""
    none = font.getmask("\U0010fffe")
    return not letter.isspace() and (font.getmask(letter).size, bytes(font.getmask(letter))) == (none.size, bytes(none))
