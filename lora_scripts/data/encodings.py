"""Bytes to text: which encoding a file is in, decided strictly; nothing is ever replaced by U+FFFD.

Order: byte order mark, strict UTF-8, UTF-16 without a mark (its zero bytes or its ranges give it away), strict
GB18030 where the result looks like Chinese, Big5, then a guess by charset-normalizer, said so. A file in two
encodings is refused with the place where the second one begins.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from lora_scripts.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)
# First bytes of files that people rename to .txt or .csv.
_BINARY = (
    (b"PK\x03\x04", "zip/xlsx/docx"),
    (b"\xd0\xcf\x11\xe0", "xls/doc"),
    (b"%PDF", "pdf"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"SQLite format 3", "sqlite"),
    (b"PAR1", "parquet"),
    (b"GGUF", "gguf"),
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_SAMPLE = 40_000
_WESTERN = re.compile("[\t\n\r\f -~¡£§«°·»¿À-ÖØ-öø-ÿŒœŠšŽžŸ‘’“”–—…€\u00a0]+")
_MULTIBYTE_UTF8 = re.compile(rb"[\xe2-\xef][\x80-\xbf]{2}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a file, with line ends as ``\\n``; ``guessed`` where the bytes do not prove the encoding."""

    text: str
    encoding: str
    guessed: bool = False


def decode(data: bytes, where: str) -> Decoded:
    """The text of ``data``.

    Args:
        data: A whole file.
        where: Its name, for messages.

    Raises:
        DataError: Not text, or in two encodings, or in none that we know.
    """
    found = _by_mark(data, where) or _plain(data) or _legacy(data, where)
    text = found.text.replace("\r\n", "\n").replace("\r", "\n")
    return Decoded(text, found.encoding, found.guessed)


def _by_mark(data: bytes, where: str) -> Decoded | None:
    for magic, kind in _BINARY:
        if data.startswith(magic):
            raise DataError("data.binary_kind", where=where, kind=kind)
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(data.decode("utf-8-sig" if codec == "utf-8" else codec), name)
            except UnicodeDecodeError as error:
                offset = error.start + (len(mark) if codec == "utf-8" else 0)
                raise _broken(data, where, name, offset) from None
    return None


def _broken(data: bytes, where: str, encoding: str, offset: int) -> DataError:
    line = data.count(b"\n", 0, offset) + 1
    return DataError("data.bad_bytes", where=f"{where}:{line}", encoding=encoding, offset=offset)


def _plain(data: bytes) -> Decoded | None:
    """UTF-8, or UTF-16 without a mark."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _utf16(data)
    if data.count(0) > len(data) // 5:  # "a\0b\0" is valid UTF-8 too
        return _utf16(data)
    return Decoded(text, "utf-8")


def _utf16(data: bytes) -> Decoded | None:
    if len(data) % 2 or not data.count(0):
        return None
    best: tuple[float, Decoded] | None = None
    for codec in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        share = _usual_share(text)
        if share > 0.9 and (best is None or share > best[0]):
            best = share, Decoded(text, codec)
    return best[1] if best else None


def _usual_share(text: str) -> float:
    """Share of characters in the ranges that Chinese and Western text is made of."""
    sample = text[:_SAMPLE]
    usual = re.findall(
        "[\t\n\r -~\u00a0-\u024f\u2010-\u2044\u3000-\u303f\u3400-\u9fff\uff00-\uffef\U00020000-\U0003ffff]", sample
    )
    return len(usual) / max(1, len(sample))


def _legacy(data: bytes, where: str) -> Decoded:
    if len(data.translate(None, _CONTROL)) < len(data) * 0.995:
        raise DataError("data.binary", where=where)
    _refuse_two_encodings(data, where)
    for codec, plain in (("gb18030", "gb2312"), ("big5", "big5")):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if _common_share(text, plain) > 0.75:
            return Decoded(text, codec, guessed=codec == "big5")
    return _guess(data, where)


def _refuse_two_encodings(data: bytes, where: str) -> None:
    """Refuse a file of which some lines are UTF-8 beyond doubt and others are not."""
    lines = data.split(b"\n")
    offset = 0
    good: list[tuple[int, int]] = []
    bad: list[tuple[int, int]] = []
    for number, line in enumerate(lines, 1):
        if not line.isascii():
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                bad.append((number, offset + error.start))
            else:
                if len(_MULTIBYTE_UTF8.findall(line)) >= 4:
                    good.append((number, offset))
        offset += len(line) + 1
    if not good:
        return
    first_bad, first_good = bad[0], good[0]
    number, at = first_bad if first_good[0] < first_bad[0] else first_good
    key = "data.mixed_encodings" if len(bad) > 1 else "data.bad_bytes"
    raise DataError(key, where=f"{where}:{number}", encoding="utf-8", offset=at, good=len(good), bad=len(bad))


def _common_share(text: str, plain: str) -> float:
    """Share of the non-ASCII characters that belong to the everyday part of a Chinese charset.

    A wrong guess among double-byte encodings decodes without an error, into rare characters: level 1 of
    GB 2312 (lead bytes B0-D7) and of Big5 (A4-C6) holds nearly all characters of real text.
    """
    low, high = (0xB0, 0xD7) if plain == "gb2312" else (0xA4, 0xC6)
    common = seen = 0
    for char in (c for c in text[: _SAMPLE * 4] if c > "\x7f"):
        if "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uffef" or "\u2010" <= char <= "\u2044":
            continue
        seen += 1
        try:
            common += low <= char.encode(plain)[0] <= high
        except UnicodeEncodeError:
            continue
        if seen == _SAMPLE // 4:
            break
    return common / seen if seen else 1.0


def _guess(data: bytes, where: str) -> Decoded:
    # Western text is the usual rest; on a few accents charset-normalizer prefers rare code pages.
    western = data.decode("cp1252", "ignore")
    accents = sum(byte > 127 for byte in data[:_SAMPLE])
    if len(western) == len(data) and accents < 0.3 * min(len(data), _SAMPLE) and not _WESTERN.sub("", western):
        return Decoded(western, "cp1252", guessed=True)
    from charset_normalizer import from_bytes  # slow to import, seldom needed

    best = from_bytes(data[:_SAMPLE]).best()
    if best is not None and best.encoding not in ("ascii", "utf_8"):
        try:
            return Decoded(data.decode(best.encoding), best.encoding.replace("_", "-"), guessed=True)
        except UnicodeDecodeError as error:
            raise _broken(data, where, best.encoding, error.start) from None
    raise DataError("data.unknown_encoding", where=where)
