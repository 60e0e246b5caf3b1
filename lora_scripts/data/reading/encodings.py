"""Bytes to text: which encoding a file is in, decided strictly; nothing is ever replaced by U+FFFD.

Order: byte order mark, strict UTF-8, UTF-16 without a mark (its zero bytes or its ranges give it away), strict
GB18030 where the result looks like Chinese, Big5, then a guess by charset-normalizer, said so. A few lines in a
second encoding are decoded by themselves where they leave no doubt; a file in two parts is refused with the place
where the second one begins.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8-sig"),
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
    (b"ARROW1", "arrow"),
    (b"GGUF", "gguf"),
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_SAMPLE = 40_000
_HEAD = 1 << 18
_CHUNK = 1 << 20
_MOST_STRAYS = 0.1  # share of lines in a second encoding up to which they are single lines, not a second part
_WESTERN = re.compile("[\t\n\r\f -~¡£§«°·»¿À-ÖØ-öø-ÿŒœŠšŽžŸ‘’“”–—…€\u00a0]+")
_MULTIBYTE_UTF8 = re.compile(rb"[\xe2-\xef][\x80-\xbf]{2}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a file, with line ends as ``\\n``; ``guessed`` where the bytes do not prove the encoding.

    ``strays`` are the lines (1-based) that were in the other encoding of ``other``.
    """

    text: str
    encoding: str
    guessed: bool = False
    strays: tuple[int, ...] = ()
    other: str = ""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """How to decode a file that is too large to hold: Python's codec, the encoding's name for people.

    ``replaced`` counts the U+FFFD that it holds already, the first one on ``line``.
    """

    codec: str
    encoding: str
    guessed: bool
    replaced: int
    line: int


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
    return Decoded(text, found.encoding, found.guessed, found.strays, found.other)


def survey(path: Path, where: str) -> Surveyed:
    """The encoding of a file of any size, proven on all its bytes, in constant memory.

    Raises:
        DataError: As ``decode``; here also where single lines are in a second encoding.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    codec, encoding, guessed = _codec_of(path, head, where)
    failed, replaced, line = _scan(path, codec)
    if failed >= 0:
        raise DataError("data.bad_bytes", where=f"{where}:{_line_at(path, failed)}", encoding=encoding, offset=failed)
    return Surveyed(codec, encoding, guessed, replaced, line)


def _codec_of(path: Path, head: bytes, where: str) -> tuple[str, str, bool]:
    _refuse_binary(head, where)
    for mark, codec, name in _MARKS:
        if head.startswith(mark):
            return codec, name, False
    failed, _, _ = _scan(path, "utf-8")
    if failed >= 0 or head.count(0) > len(head) // 5:
        even = head[: len(head) // 2 * 2]
        if wide := _utf16(even) or _utf16(even[:-2]):  # the end may cut a pair of surrogates
            return wide.encoding, wide.encoding, False
    if failed < 0:
        return "utf-8", "utf-8", False
    if any(len(_MULTIBYTE_UTF8.findall(line)) >= 4 and _is_utf8(line) for line in head.split(b"\n")[:-1]):
        raise DataError("data.bad_bytes", where=f"{where}:{_line_at(path, failed)}", encoding="utf-8", offset=failed)
    with path.open("rb") as file:
        file.seek(failed)
        there = file.read(_HEAD)
    whole_lines = there[there.find(b"\n") + 1 : there.rfind(b"\n")]
    found = _legacy(head[: head.rfind(b"\n") + 1] + whole_lines, where)
    return found.encoding, found.encoding, found.guessed


def _scan(path: Path, codec: str) -> tuple[int, int, int]:
    """Offset of the first byte that ``codec`` refuses (-1: none), number of U+FFFD, line of the first of them."""
    decoder = codecs.getincrementaldecoder(codec)()
    at, replaced, line, lines = 0, 0, 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            at += len(chunk)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return at - (len(error.object) - error.start), replaced, line
            if here := text.count("\ufffd"):
                line = line or lines + text.count("\n", 0, text.index("\ufffd"))
                replaced += here
            lines += text.count("\n")
            if not chunk:
                return -1, replaced, line


def _line_at(path: Path, offset: int) -> int:
    line = 1
    with path.open("rb") as file:
        while offset > 0 and (chunk := file.read(min(_CHUNK, offset))):
            line += chunk.count(b"\n")
            offset -= len(chunk)
    return line


def _refuse_binary(data: bytes, where: str) -> None:
    for magic, kind in _BINARY:
        if data.startswith(magic):
            raise DataError("data.binary_kind", where=where, kind=kind)


def _by_mark(data: bytes, where: str) -> Decoded | None:
    _refuse_binary(data, where)
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(data.decode(codec), name)
            except UnicodeDecodeError as error:
                offset = error.start + (len(mark) if codec == "utf-8-sig" else 0)
                raise _broken(data, where, name, offset) from None
    return None


def _broken(data: bytes, where: str, encoding: str, offset: int) -> DataError:
    line = data.count(b"\n", 0, offset) + 1
    return DataError("data.bad_bytes", where=f"{where}:{line}", encoding=encoding, offset=offset)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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
    if parts := _two_encodings(data, where):
        return parts
    for codec, plain in (("gb18030", "gb2312"), ("big5", "big5")):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if _common_share(text, plain) > 0.75:
            return Decoded(text, codec, guessed=codec == "big5")
    return _guess(data, where)


def _two_encodings(data: bytes, where: str) -> Decoded | None:
    """A file of which some lines are UTF-8 beyond doubt and others are not; None where there are no such lines.

    Raises:
        DataError: More than single lines, or lines that are in doubt.
    """
    lines = data.split(b"\n")
    offset = 0
    good: dict[int, int] = {}
    bad: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.isascii():
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                bad[number] = offset + error.start
            else:
                if len(_MULTIBYTE_UTF8.findall(line)) >= 4:
                    good[number] = offset
        offset += len(line) + 1
    if not good:
        return None
    few, main, other = (bad, "utf-8", "gb18030") if len(bad) <= len(good) else (good, "gb18030", "utf-8")
    if len(few) <= _MOST_STRAYS * (len(good) + len(bad)):
        try:
            texts = [line.decode(other if number in few else main) for number, line in enumerate(lines, 1)]
        except UnicodeDecodeError:
            texts = []
        chinese = [texts[number - 1] for number in bad] if texts else []
        if chinese and _certain(chinese, each=few is bad):
            return Decoded("\n".join(texts), main, strays=tuple(few), other=other)
    second = next(iter(bad)) if next(iter(good)) < next(iter(bad)) else next(iter(good))
    at = bad.get(second, good.get(second, 0))
    key = "data.mixed_encodings" if len(bad) > 1 else "data.bad_bytes"
    place = f"{where}:{second}"
    raise DataError(key, where=place, encoding="utf-8", offset=at, good=len(good), bad=len(bad), line=second)


def _certain(lines: list[str], each: bool) -> bool:
    """Whether lines decoded as GB18030 can be nothing else: enough characters, nearly all of them everyday ones."""
    parts = lines if each else ["".join(lines)]
    return all(sum(c > "\u3400" for c in part) >= 4 and _common_share(part, "gb2312") > 0.9 for part in parts)


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
