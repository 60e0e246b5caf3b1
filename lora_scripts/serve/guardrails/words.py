"""Word lists: found through disguises, wherever the text is cut.

Aho–Corasick over the folded view finds the candidates; what stands between and around the characters decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick, MatchKind

from lora_scripts.serve.guardrails.disguise import (
    APOSTROPHES,
    BARRIER,
    FOLDS,
    Sign,
    digit_of,
    is_latin,
    is_unseen,
    spelled,
    view,
)
from lora_scripts.serve.guardrails.spans import Scan, Span

LONGEST_NOISE = 64  # characters between two of a word that are seen through
_BLOCK = 2048  # characters looked at together
_LARGE = 256  # a piece from which a look at the folded text alone pays
_NUMERALS = "一二三四五六七八九十"
_ENDS = "。；：！？.;:!?"
_LEAST_LEET = 4  # letters of a word from which figures in it may stand for letters


@dataclass(frozen=True, slots=True)
class WordList:
    """Words of one direction, ready to search: ``words`` folded, ``rules`` the rules of each.

    ``beginnings`` are the proper beginnings of words that text is held back for; ``longest`` is in folded characters.
    """

    words: tuple[str, ...]
    written: tuple[tuple[str, ...], ...]
    rules: tuple[tuple[int, ...], ...]
    automaton: AhoCorasick
    beginnings: frozenset[str]
    longest: int


def word_list(words: Mapping[int, Iterable[str]], *, heard: frozenset[int] = frozenset()) -> WordList:
    """Words by the number of their rule, made ready; words that fold to nothing are left out (see ``fold_fault``).

    Args:
        words: Rule → its words as written.
        heard: Rules whose words are only listened for, so that no text is held back for them.
    """
    spellings: dict[str, dict[str, None]] = {}
    rules: dict[str, dict[int, None]] = {}
    for rule, listed in words.items():
        for word in listed:
            folded = view(word)
            if folded:
                spellings.setdefault(folded, {})[spelled(word)] = None
                rules.setdefault(folded, {})[rule] = None
    held = (word for word, of in rules.items() if not heard.issuperset(of))
    return WordList(
        tuple(rules),
        tuple(tuple(spellings[word]) for word in rules),
        tuple(tuple(of) for of in rules.values()),
        AhoCorasick(list(rules), matchkind=MatchKind.Standard),
        frozenset(word[:end] for word in held for end in range(1, len(word))),
        max(map(len, rules), default=0),
    )


class WordScanner:
    """Follows one text."""

    def __init__(self, words: WordList) -> None:
        self._words = words
        self._read = 0  # characters of the text that are in the view
        self._signs: list[Sign] = []
        self._gap, self._noise = "", 0  # since the last sign: what was to be seen, and how many characters there were
        self._judged = 0  # signs at the front that no undecided word ends with

    def scan(self, text: str, base: int, ended: bool) -> Scan:
        """See ``spans.Scanner``."""
        end = base + len(text)
        found: list[Span] = []
        while True:
            stop = min(end, self._read + _BLOCK)
            hold = self._look(text[self._read - base : stop - base], stop, ended and stop == end, found)
            if stop == end:
                return found, hold if ended else min(hold, self._begun(end))

    def _look(self, fresh: str, end: int, ended: bool, found: list[Span]) -> int:
        """Read on to ``end``, add what is certain, and tell where the first undecided word starts."""
        if len(fresh) > _LARGE and not self._hits(self._view() + view(fresh)):
            fresh = self._skip(fresh)
        self._take(fresh, end - len(fresh))
        self._read = end
        folded = self._view()
        judged, hold = len(folded), end
        hits = [hit for hit in self._hits(folded) if hit[2] > self._judged]
        if not (ended or self._gap) and any(hit[2] == judged for hit in hits) and is_latin(folded[-1]):
            judged -= 1  # whether a Latin word ends here, the next character tells
        for number, start, stop in hits:
            if stop > judged:
                hold = min(hold, self._signs[start].at)
            elif self._is_meant(number, start, stop):
                place = (self._signs[start].at, self._signs[stop - 1].at + 1)
                found += [Span(*place, rule) for rule in self._words.rules[number]]
        self._judged = judged
        self._forget()
        return hold

    def _view(self) -> str:
        return "".join([sign.folded for sign in self._signs])

    def _hits(self, folded: str) -> list[tuple[int, int, int]]:
        return self._words.automaton.find_matches_as_indexes(folded, overlapping=True) if self._words.words else []

    def _skip(self, fresh: str) -> str:
        """The part of a piece without hits that a word may have begun in; the view starts anew with it."""
        wanted = self._words.longest + 2
        size = 2 * wanted
        while size < len(fresh) and len(view(fresh[-size:])) < wanted:
            size *= 2
        if size >= len(fresh):
            return fresh
        self._signs, self._gap, self._noise, self._judged = [], "", 0, 0
        return fresh[-size:]

    def _take(self, fresh: str, at: int) -> None:
        for place, char in enumerate(fresh, at):
            folded = FOLDS[ord(char)]
            if not folded:
                self._gap += "" if is_unseen(char) else char
                self._noise += 1
                if self._noise == LONGEST_NOISE + 1:
                    self._signs.append(Sign(BARRIER, place, self._gap, ""))
                continue
            digit = digit_of(char) if len(folded) == 1 else ""
            for letter in folded:
                self._signs.append(Sign(letter, place, self._gap, digit))
                self._gap = ""
            self._noise = 0

    def _is_meant(self, number: int, start: int, stop: int) -> bool:
        """Whether signs that read like a word are one."""
        signs = self._signs[start:stop]
        if not self._starts_apart(start) or not self._ends_apart(stop):
            return False
        letters = "".join(sign.digit or sign.folded for sign in signs)
        if not any(self._is_spelled(letters, word) for word in self._words.written[number]):
            return False
        gaps = [sign.gap for sign in signs[1:]]
        if all(is_latin(sign.folded) for sign in signs):
            # we'll is not well, but w'e'l'l is
            return all(gaps) or not any(gap in APOSTROPHES for gap in gaps if gap)
        return len(signs) != 2 or not gaps[0] or not self._is_layout(signs[0].folded, gaps[0])

    @staticmethod
    def _is_layout(first: str, gap: str) -> bool:
        """Whether two Chinese characters stand apart as text does: （三）公…; …报酬。 and, on the next line, 劳动…."""
        return (first in _NUMERALS and gap[0] in "）)、") or ("\n" in gap and gap[0] in _ENDS)

    @staticmethod
    def _is_spelled(letters: str, word: str) -> bool:
        if letters == word:
            return True
        pairs = list(zip(letters, word, strict=True))
        if any(listed.isdigit() and listed != seen for seen, listed in pairs):
            return False
        odd = sum(seen.isdigit() and not listed.isdigit() for seen, listed in pairs)
        return not odd or (len(word) >= _LEAST_LEET and 3 * odd <= 2 * len(word))

    def _starts_apart(self, start: int) -> bool:
        """Whether no Latin letter touches the first sign, where it is Latin."""
        signs = self._signs
        return not (
            start and is_latin(signs[start].folded) and is_latin(signs[start - 1].folded) and not signs[start].gap
        )

    def _ends_apart(self, stop: int) -> bool:
        signs = self._signs
        if not is_latin(signs[stop - 1].folded) or stop == len(signs):
            return True
        return bool(signs[stop].gap) or not is_latin(signs[stop].folded)

    def _begun(self, end: int) -> int:
        """Where the longest beginning of a word starts that the text so far ends with; its end where there is none."""
        folded = self._view()
        for size in range(min(self._words.longest - 1, len(folded)), 0, -1):
            if folded[-size:] in self._words.beginnings and self._starts_apart(len(folded) - size):
                return self._signs[-size].at
        return end

    def _forget(self) -> None:
        surplus = len(self._signs) - self._words.longest - 2
        if surplus > 0:
            del self._signs[:surplus]
            self._judged -= surplus
