"""Which encoding a file is in is decided from its bytes; a wrong guess is never silent."""

import pytest

from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError

TEXT = "用户：公司没有签订劳动合同，怎么办？\r\n律师：依据《劳动合同法》第八十二条，应当支付二倍工资。\r\n"
RARE = "用户：员工㐂𠮷姓名怎么写？\n律师：写作㐂𠮷。\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", [TEXT, RARE, "Q: hi there\nA: hello, you\n", "问：好吗\n答：好\n"])
def test_text_comes_back_from_each_encoding(encoding: str, text: str) -> None:
    found = decode(text.encode(encoding), "t.txt")
    assert found.text == text.replace("\r\n", "\n")
    assert not found.guessed


def test_big5_is_a_guess_that_is_said() -> None:
    text = "用戶：公司沒有簽訂勞動合同怎麼辦？\n律師：依據勞動基準法，應當支付工資。\n" * 3
    found = decode(text.encode("big5"), "t.txt")
    assert (found.text, found.encoding, found.guessed) == (text, "big5", True)


def test_western_accents_are_a_guess_that_is_said() -> None:
    text = "Q: Où est la clé n°7 ? Ça a été très cher\nA: Là-bas à côté de la fenêtre\n"
    found = decode(text.encode("cp1252"), "t.txt")
    assert (found.text, found.guessed) == (text, True)


@pytest.mark.parametrize("order", [("utf-8", "gb18030"), ("gb18030", "utf-8")])
def test_two_encodings_in_one_file_are_refused_where_the_second_begins(order: tuple[str, str]) -> None:
    first, second = (TEXT.encode(e) * 3 for e in order)
    with pytest.raises(DataError) as caught:
        decode(first + second, "t.txt")
    assert caught.value.problems[0].where == "t.txt:7"
    assert f"byte {len(first)}" in str(caught.value) or f"byte {len(first) + 2}" in str(caught.value)


def test_one_damaged_byte_in_utf8_is_refused_by_line_and_offset() -> None:
    data = TEXT.encode() * 3 + b"\xff" + TEXT.encode()
    with pytest.raises(DataError, match=rf"t\.txt:7: byte {len(TEXT.encode()) * 3} is not valid utf-8"):
        decode(data, "t.txt")


def test_a_mark_that_lies_is_refused() -> None:
    with pytest.raises(DataError, match=r"t\.txt:1: byte 3 is not valid utf-8-sig"):
        decode(b"\xef\xbb\xbf\xff\xfe", "t.txt")


def test_no_replacement_character_is_ever_made() -> None:
    for encoding in ("utf-8", "gb18030", "utf-16", "big5"):
        data = "答：一二三。\n問：四五六？\n".encode(encoding)
        for cut in range(1, len(data)):
            try:
                assert "\ufffd" not in decode(data[:cut], "t").text
            except DataError:
                continue
