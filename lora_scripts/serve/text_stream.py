"""Tokens of an answer as text, as far as it is certain: whole characters, and nothing that may be a stop string."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PRINTED = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_BYTES = {chr(b): b for b in _PRINTED} | {
    chr(0x100 + n): b for n, b in enumerate(b for b in range(0x100) if b not in _PRINTED)
}
"""Byte-level BPE writes each byte as a sign that can be printed (GPT-2, Radford et al. 2019)."""


def token_text(tokenizer: Any, token: int) -> tuple[str, bytes]:
    """A token as text and as bytes, which differ where it is part of a character only."""
    words: str = tokenizer.decode([token])
    if "\ufffd" not in words:
        return words, words.encode()
    spelled = str(tokenizer.convert_ids_to_tokens(token))
    if matched := _BYTE_TOKEN.fullmatch(spelled):
        return words, bytes([int(matched[1], 16)])
    if all(sign in _BYTES for sign in spelled):
        return words, bytes(_BYTES[sign] for sign in spelled)
    return words, words.encode()


class TextStream:
    """Text of one answer, a token at a time. ``stopped`` once a stop string was reached, of which nothing is given.

    ``strip`` leaves off white space before the first word, as everywhere where an answer of a chat is read.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = (), *, strip: bool = False) -> None:
        self._tokenizer = tokenizer
        self._fast = getattr(tokenizer, "_tokenizer", None)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = [s for s in stop if s]
        self._ids: list[int] = []
        self._seen = ""
        self._held = ""
        self._strip = strip
        self.stopped = False

    def feed(self, token: int) -> str:
        """The text that this token makes certain."""
        if self.stopped:
            return ""
        self._ids.append(token)
        piece = self._stream.step(self._fast, token) if self._fast is not None else self._slow_step()
        return self._give(piece or "")

    def _slow_step(self) -> str:
        whole = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        if whole.endswith("\ufffd") or not whole.startswith(self._seen):
            return ""
        return str(whole[len(self._seen) :])

    def _give(self, piece: str) -> str:
        self._seen += piece
        if self._strip:
            piece = piece.lstrip()
            if not piece:
                return ""
            self._strip = False
        self._held += piece
        ends = [(i + len(s), i) for s in self._stop if (i := self._held.find(s)) >= 0]
        if ends:  # the one that is whole first, so that it does not matter how the text is cut into tokens
            self.stopped = True
            given, self._held = self._held[: min(ends)[1]], ""
            return given
        kept = self._maybe_stop()
        given, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return given

    def _maybe_stop(self) -> int:
        """How many of the last characters may begin a stop string."""
        longest = 0
        for stop in self._stop:
            for n in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:n]):
                    longest = n
                    break
        return longest

    def end(self) -> str:
        """What was held back, when no more tokens come; bytes that make no character come as they are decoded."""
        if self.stopped:
            return ""
        whole = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        rest = self._give(whole[len(self._seen) :]) if whole.startswith(self._seen) else ""
        if self.stopped:
            return rest
        held, self._held = self._held, ""
        return rest + held
