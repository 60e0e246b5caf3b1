"""Text of an answer, a token at a time: whatever the cut, together it is what the whole answer says up to its stop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lora_scripts.models.text import load_tokenizer
from lora_scripts.serve.text_stream import TextStream
from tests.serve.conftest import BASE

TOKENIZER = load_tokenizer(BASE)
VOCABULARY = TOKENIZER.get_vocab()
SPECIAL = set(TOKENIZER.all_special_ids)


def byte_ids() -> dict[int, int]:
    """The token of each byte: byte-level vocabularies spell a byte as a printable character."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    signs = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    return {b: VOCABULARY[sign] for b, sign in signs.items() if sign in VOCABULARY}


BYTES = byte_ids()
# few signs, so that stop strings are met, and of one to four bytes
TEXTS = st.text(st.sampled_from("ab \n法律。é😀"), max_size=24) | st.text(max_size=12)
STOPS = st.lists(st.text(st.sampled_from("ab \n法律。😀"), min_size=1, max_size=4), max_size=3)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A text, and ids that spell it: some parts as the tokenizer would, some byte by byte, cut inside characters."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    ids: list[int] = []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        part = text[begin:end]
        if draw(st.booleans()) and not any(sign in part for sign in TOKENIZER.all_special_tokens):
            ids += TOKENIZER(part, add_special_tokens=False)["input_ids"]
        else:
            ids += [BYTES[b] for b in part.encode()]
    return text, ids


def cut_at_stop(text: str, stops: list[str]) -> str:
    """The text before the stop string that is whole first; of two that end together, before the longer one."""
    found = [(i + len(s), i) for s in stops if (i := text.find(s)) >= 0]
    return text[: min(found)[1]] if found else text


def streamed(ids: list[int], stops: list[str], strip: bool = False) -> tuple[list[str], bool]:
    """Pieces by token, the last one at the end; whether a stop string was reached."""
    stream = TextStream(TOKENIZER, stops, strip=strip)
    pieces = [stream.feed(i) for i in ids]
    return [*pieces, stream.end()], stream.stopped


@settings(max_examples=300, deadline=None)
@given(spelled(), STOPS, st.booleans())
@example(("法律", [BYTES[b] for b in "法律".encode()]), [], False)
@example(("abab法", [BYTES[b] for b in "abab法".encode()]), ["bab", "ab"], False)
@example(("ab法律", [BYTES[b] for b in "ab法律".encode()]), ["法律", "b法"], True)
def test_any_split_of_any_text_gives_the_text_up_to_its_first_stop(
    made: tuple[str, list[int]], stops: list[str], strip: bool
) -> None:
    text, ids = made
    expected = cut_at_stop(text.lstrip() if strip else text, stops)
    pieces, stopped = streamed(ids, stops, strip)
    assert "".join(pieces) == expected
    assert stopped == any(stop in (text.lstrip() if strip else text) for stop in stops)


@settings(max_examples=200, deadline=None)
@given(spelled())
def test_a_character_in_several_tokens_is_given_whole_and_at_once(made: tuple[str, list[int]]) -> None:
    text, ids = made
    if "\ufffd" in text:
        return
    stream, given_text, fed = TextStream(TOKENIZER), "", b""
    for token in ids:
        piece = stream.feed(token)
        assert "\ufffd" not in piece
        given_text += piece
        fed += bytes(raw_bytes(token))
        assert given_text == fed.decode("utf-8", "ignore")
    assert stream.end() == ""


def raw_bytes(token: int) -> list[int]:
    """The bytes of a token."""
    of_sign = {TOKENIZER.convert_ids_to_tokens(i): b for b, i in BYTES.items()}
    return [of_sign[sign] for sign in TOKENIZER.convert_ids_to_tokens(token)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, len(VOCABULARY) - 1) | st.sampled_from(sorted(BYTES.values())), max_size=24), STOPS)
def test_ids_that_are_no_text_at_all_give_what_they_decode_to(ids: list[int], stops: list[str]) -> None:
    pieces, _ = streamed(ids, stops)
    assert "".join(pieces) == cut_at_stop(TOKENIZER.decode(ids, skip_special_tokens=True), stops)


def test_of_two_stop_strings_in_one_token_the_one_that_ends_first_counts() -> None:
    (token,) = TOKENIZER("人民法院")["input_ids"]
    assert streamed([token], ["人民法院", "民"]) == (["人", ""], True)
    assert streamed([BYTES[b] for b in "人民法院".encode()], ["人民法院", "民"])[0][-1] == ""
    assert "".join(streamed([BYTES[b] for b in "人民法院".encode()], ["人民法院", "民"])[0]) == "人"


def test_special_tokens_are_not_shown() -> None:
    ids = [*BYTES.values()][40:44]
    pieces, _ = streamed([ids[0], *SPECIAL, *ids[1:]], [])
    assert "".join(pieces) == TOKENIZER.decode(ids)


def test_a_beginning_of_a_stop_string_is_held_and_then_given() -> None:
    stream = TextStream(TOKENIZER, ["。。。"])
    dot = TOKENIZER("。")["input_ids"]
    assert [stream.feed(i) for i in dot * 2] == [""] * 2 * len(dot)
    assert stream.feed(BYTES[ord("a")]) == "。。a"
    assert not stream.stopped


def test_after_a_stop_nothing_more_is_said() -> None:
    stream = TextStream(TOKENIZER, ["b"])
    assert stream.feed(BYTES[ord("a")]) == "a"
    assert stream.feed(BYTES[ord("b")]) == ""
    assert stream.stopped
    assert (stream.feed(BYTES[ord("a")]), stream.end()) == ("", "")


def test_a_character_that_the_end_cuts_comes_as_it_decodes() -> None:
    first = BYTES["法".encode()[0]]
    assert streamed([BYTES[ord("a")], first], [])[0] == ["a", "", "\ufffd"]


@pytest.mark.parametrize("stops", [[], ["。"]])
def test_a_tokenizer_without_a_fast_part_says_the_same(stops: list[str]) -> None:
    class Slow:
        """Decodes as one that is written in Python."""

        def decode(self, ids: list[int], **more: Any) -> str:
            return str(TOKENIZER.decode(ids, **more))

    ids = [BYTES[b] for b in "试用期 最长6个月。超过的".encode()]
    slow, fast = TextStream(Slow(), stops), TextStream(TOKENIZER, stops)
    assert [slow.feed(i) for i in ids] + [slow.end()] == [fast.feed(i) for i in ids] + [fast.end()]
