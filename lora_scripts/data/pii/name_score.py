"""How much a few characters look like a Chinese name and not like words, by the names in jieba's dictionary.

A naive Bayes of characters: each adds the logarithm of how much commoner it is as a surname, or inside of a given name,
among the 49,000 names of the dictionary than in its other words weighted by their frequency. Names of real people score
2 to 16, words that begin with a surname (公司, 仲裁委, 应当) mostly below 2.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from functools import cache

from lora_scripts.data.pii.name_words import COMPOUND, ORDINARY, SURNAMES

_COMPOUND_SCORE = 5.0  # two characters that are a surname together
_RARE = 0.3, 20.0  # added to counts of names and of words, so that nothing is impossible


@cache
def word_tags() -> dict[str, str]:
    """Words of jieba's dictionary with their parts of speech."""
    import jieba  # a second to load, only for names
    import jieba.posseg

    jieba.setLogLevel(logging.WARNING)
    jieba.posseg.dt.initialize()
    tags: dict[str, str] = jieba.posseg.dt.word_tag_tab
    return tags


@cache
def word_frequencies() -> dict[str, int]:
    """Words of jieba's dictionary with their frequencies."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    frequencies: dict[str, int] = jieba.dt.FREQ
    return frequencies


def is_word(chars: str, at_least: int = 5) -> bool:
    """Whether ``chars`` are an everyday word; rare ones and rare places (徐海) are rather somebody's name."""
    tag = word_tags().get(chars)
    if tag is None or chars in ORDINARY:
        return tag is not None
    if tag.startswith("nr"):
        return False
    return word_frequencies().get(chars, 0) >= (300 if tag in ("ns", "nt", "nz") else at_least)


def name_score(name: str) -> float:
    """The score of a surname and a given name; see above."""
    surnames, given = _log_odds()
    if name[:2] in COMPOUND:
        return _COMPOUND_SCORE + sum(given.get(char, 0.0) for char in name[2:])
    return surnames.get(name[:1], 0.0) + sum(given.get(char, 0.0) for char in name[1:])


@cache
def _log_odds() -> tuple[dict[str, float], dict[str, float]]:
    """Scores of characters as a surname and inside of a given name."""
    surnames, given, words = Counter[str](), Counter[str](), Counter[str]()
    frequencies = word_frequencies()
    for word, tag in word_tags().items():
        if tag.startswith("nr"):
            if len(word) in (2, 3) and word[0] in SURNAMES and word not in ORDINARY:
                surnames[word[0]] += 1
                given.update(word[1:])
        else:
            frequency = frequencies.get(word, 0)
            for char in word:
                words[char] += frequency
    total = words.total() + _RARE[1] * len(words)

    def odds(counts: Counter[str]) -> dict[str, float]:
        names = counts.total() + _RARE[0] * len(words)
        every = words.keys() | counts.keys()
        return {
            char: math.log((counts[char] + _RARE[0]) / names) - math.log((words[char] + _RARE[1]) / total)
            for char in every
        }

    return odds(surnames), odds(given)


def has_boundary(text: str, start: int, end: int) -> bool:
    """Whether no word of the dictionary reaches across the end of ``text[start:end]`` when its sentence is cut."""
    import jieba

    word_frequencies()
    stop = end
    while stop < min(len(text), end + 6) and "一" <= text[stop] <= "鿿":
        stop += 1
    position = start
    for word in jieba.cut(text[start:stop], HMM=False):
        if position < end < position + len(word):
            return False
        position += len(word)
    return True
