"""Guardrails: leaks in streams, recall by disguise, false hits, speed, and what holding text back costs.

    python bench/guardrails.py [--words 10000] [--seed 1] [--text FILE_OR_FOLDER …] [--tokens-per-second 20]

The word list: words of two to four characters of jieba's dictionary that the text does not hold, and made-up Latin
ones; so every hit in the text is a false one. The text is the law examples of this checkout, or `--text`, such as
statutes. Streams are cut as the tokenizer of models/tiny-zh cuts them. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

import jieba
from opencc import OpenCC
from tokenizers import Tokenizer

from lora_scripts.serve.guardrails import Guardrails, Rule, RuleSet
from lora_scripts.serve.guardrails.disguise import MARK
from lora_scripts.serve.guardrails.personal import types_of

ROOT = Path(__file__).resolve().parents[1]
LAW = ("data/law_train/train.txt", "data/law_more/more.txt", "data/law_eval/eval.txt")
LATIN = ["sellweapons", "freedrugs", "cardcloning", "fakepassport", "hotcasino", "Blackmail Kit", "zero-day shop"]
LOOK_ALIKES = str.maketrans("aceopxyijsABCEHKMOPTX", "асеорхуіјѕАВСЕНКМОРТХ")  # Cyrillic
TRADITIONAL = OpenCC("s2t")
LEET = str.maketrans("oieas", "01345")

Disguise = Callable[[str, random.Random], str]


def between(*signs: str) -> Disguise:
    """Put one of ``signs`` into every gap of a word."""
    return lambda word, chance: word[0] + "".join(chance.choice(signs) + char for char in word[1:])


def once(*signs: str) -> Disguise:
    """Put one of ``signs`` into one gap of a word."""

    def put(word: str, chance: random.Random) -> str:
        at = chance.randrange(1, len(word))
        return word[:at] + chance.choice(signs) + word[at:]

    return put


def mapped(change: Callable[[str], str]) -> Disguise:
    """Change every character."""
    return lambda word, chance: "".join(map(change, word))


def wide(char: str) -> str:
    """The full-width form."""
    return chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char


def script(char: str) -> str:
    """A mathematical letter."""
    low = char.lower()
    return chr(0x1D5EE + ord(low) - ord("a")) if "a" <= low <= "z" else char


def circled(char: str) -> str:
    """A letter in a circle."""
    low = char.lower()
    return chr(0x24D0 + ord(low) - ord("a")) if "a" <= low <= "z" else char


# name → the disguise, and whether it is one for Latin words only
DISGUISES: dict[str, tuple[Disguise, bool]] = {
    "plain": (lambda word, chance: word, False),
    "spaces": (between(" ", "\u3000", "\u00a0"), False),
    "one space": (once(" ", "  "), False),
    "zero-width": (between("\u200b", "\u200d", "\ufeff", "\u2060"), False),
    "direction marks, soft hyphen": (between("\u202e", "\u200f", "\u00ad"), False),
    "combining marks": (mapped(lambda char: char + "\u0336"), False),
    "punctuation": (between(*"*-_.·~|/+#"), False),
    "sentence marks": (once(*"，。、！；"), False),
    "brackets": (lambda word, chance: "".join(f"【{char}】" for char in word), False),
    "strokes": (between("丶", "丨"), False),
    "emoji": (between("😀", "👨‍👩‍👧", "❤️", "🔥"), False),
    "line breaks": (between("\n", "\r\n"), False),
    "traditional": (lambda word, chance: TRADITIONAL.convert(word), False),
    "mixed": (lambda word, chance: between("*", " ", "\u200b")(TRADITIONAL.convert(word), chance), False),
    "full-width": (mapped(wide), True),
    "case": (lambda word, chance: "".join(chance.choice((c.upper(), c.lower())) for c in word), True),
    "homoglyphs": (lambda word, chance: word.translate(LOOK_ALIKES), True),
    "accents": (mapped(lambda char: unicodedata.normalize("NFC", char + "\u0301")), True),
    "mathematical letters": (mapped(script), True),
    "circled letters": (mapped(circled), True),
    "figures for letters": (lambda word, chance: word.translate(LEET), True),
}


def texts(places: list[str]) -> list[str]:
    """Pieces of the text: paragraphs, questions, answers of 20 characters and more."""
    files = [
        p for place in places for p in (sorted(Path(place).glob("*.*")) if Path(place).is_dir() else [Path(place)])
    ]
    whole = "\n\n".join(file.read_text(encoding="utf-8") for file in files)
    return [piece for piece in re.split(r"\n\s*\n|(?:^|\n)(?:用户|律师)：", whole) if len(piece) >= 20]


def word_list(count: int, absent_from: str, chance: random.Random) -> list[str]:
    """Words that ``absent_from`` does not hold."""
    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    known = (word for word, times in jieba.dt.FREQ.items() if times > 3 and re.fullmatch("[一-鿿]{2,4}", word))
    words = [word for word in known if word not in absent_from]
    chance.shuffle(words)
    return [*LATIN, *words[: count - len(LATIN)]]


def guard(*rules: Rule) -> Guardrails:
    """Guardrails with these rules."""
    return Guardrails(RuleSet(rules, refusal="—"))


def recall(words: list[str], guards: Guardrails, chance: random.Random, each: int = 500) -> dict[str, float]:
    """Share of disguised words that are masked to the last character, by disguise."""
    found = {}
    for name, (disguise, latin) in DISGUISES.items():
        hits = 0
        for _ in range(each):
            word = chance.choice(LATIN if latin else words[len(LATIN) :])
            disguised = disguise(word, chance)
            guarded = guards.open_output()
            left = guarded.feed(f"他说 {disguised} 了。") + guarded.end()
            visible = [char for char in left[3:-2] if unicodedata.category(char)[0] in "LN"]
            hits += not visible and MARK in left
        found[name] = hits / each
    return found


def tokens_of(tokenizer: Tokenizer, text: str) -> Iterator[str]:
    """The pieces that a server streams: what each token adds to the decoded text."""
    ids, before = tokenizer.encode(text, add_special_tokens=False).ids, ""
    for end in range(1, len(ids) + 1):
        now = tokenizer.decode(ids[:end], skip_special_tokens=False)
        if not now.endswith("\ufffd"):
            yield now[len(before) :]
            before = now


def leaks(words: list[str], pieces: list[str], tokenizer: Tokenizer, chance: random.Random) -> tuple[int, int]:
    """Characters of forbidden words that left in 1,000 streams, and how many streams cut their word in two."""
    masking, refusing = (guard(Rule("words", "words", action, words=tuple(words))) for action in ("mask", "refuse"))
    leaked = cut = 0
    for number in range(1000):
        word = chance.choice(words)
        disguise, latin = chance.choice(list(DISGUISES.values()))
        hidden = disguise(word, chance) if not latin or word in LATIN else word
        front, back = chance.choice(pieces)[: chance.randrange(60)], chance.choice(pieces)[:20]
        text = f"{front} {hidden} {back}"
        stream = list(tokens_of(tokenizer, text))
        text, first = "".join(stream), len(front) + 1
        at = text.find(hidden)
        if at < 0:  # the tokenizer does not give these characters back; cut the text itself
            text, at = f"{front} {hidden} {back}", first
            stream = [text[i : i + 1] for i in range(len(text))]
        cut += not any(hidden in piece for piece in stream)
        guarded = (masking if number % 2 else refusing).open_output()
        left = "".join([guarded.feed(piece) for piece in stream]) + guarded.end()
        seen = left.removesuffix("—") if guarded.refused else left[: at + len(hidden)]
        leaked += sum(unicodedata.category(char)[0] in "LN" for char in seen[at:])
    return leaked, cut


def false_hits(pieces: list[str], guards: Guardrails) -> float:
    """Share of pieces of text with a hit."""
    hit = 0
    for piece in pieces:
        guarded = guards.open_output()
        guarded.feed(piece)
        guarded.end()
        hit += bool(guarded.hits)
    return hit / len(pieces)


def speed(text: str, guards: Guardrails) -> float:
    """Million characters a second of whole texts of 2,000 characters: the best of three."""
    parts = [text[i : i + 2000] for i in range(0, len(text), 2000)]
    best = 0.0
    for _ in range(3):
        begin = time.perf_counter()
        for part in parts:
            guards.check_input([("user", part)])
        best = max(best, len(text) / 1e6 / (time.perf_counter() - begin))
    return best


def delay(pieces: list[str], guards: Guardrails, tokenizer: Tokenizer) -> dict[str, float]:
    """What a stream waits for: tokens until the first text leaves and on the mean, and the guard's own time."""
    first: list[int] = []
    behind: list[int] = []
    seconds, count = 0.0, 0
    for piece in pieces[:300]:
        stream = list(tokens_of(tokenizer, piece))
        guarded, came, left, begun = guards.open_output(), 0, 0, False
        for number, token in enumerate(stream):
            begin = time.perf_counter()
            out = guarded.feed(token)
            seconds += time.perf_counter() - begin
            came, left, count = came + len(token), left + len(out), count + 1
            behind.append(came - left)
            if out and not begun:
                begun = True
                first.append(number)
        if not begun:
            first.append(len(stream))
    per_token = sum(map(len, pieces[:300])) / count
    return {
        "first text, tokens later": mean(first),
        "worst": max(first),
        "held back, tokens": mean(behind) / per_token,
        "µs a token": seconds / count * 1e6,
    }


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text", nargs="+", default=[str(ROOT / file) for file in LAW])
    parser.add_argument("--tokens-per-second", type=float, default=20)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    pieces = texts(args.text)
    whole = "\n".join(pieces)
    words = word_list(args.words, whole, chance)
    tokenizer = Tokenizer.from_file(str(ROOT / "models/tiny-zh/tokenizer.json"))
    begin = time.perf_counter()
    only_words = guard(Rule("words", "words", "mask", words=tuple(words)))
    ready = time.perf_counter() - begin
    types, keys = types_of("default") or frozenset(), (r"\bsk-[A-Za-z0-9]{20,}",)
    every = guard(
        Rule("words", "words", "mask", words=tuple(words)),
        Rule("personal", "pii", "mask", types=types),
        Rule("keys", "pattern", "mask", patterns=keys),
    )
    shares = recall(words, only_words, chance)
    print(f"{len(words)} words, made ready in {ready:.2f} s; {len(pieces)} pieces of text, {len(whole)} characters\n")
    print(f"{'disguise':<30} found")
    for name, share in shares.items():
        print(f"{name:<30} {share:.3f}")
    leaked, cut = leaks(words, pieces, tokenizer, chance)
    print(f"\nleaked characters in 1,000 streams: {leaked} ({cut} streams cut the word)")
    false = false_hits(pieces, only_words)
    print(f"pieces of text with a false hit: {false:.4f}")
    rates = {"words": speed(whole, only_words), "words, personal data, a pattern": speed(whole, every)}
    for name, rate in rates.items():
        print(f"million characters a second, {name}: {rate:.2f}")
    delays = {
        "words": delay(pieces, only_words, tokenizer),
        "words, personal data, a pattern": delay(pieces, every, tokenizer),
    }
    for name, found in delays.items():
        print(f"\n{name}")
        for what, value in found.items():
            ms = f" = {value * 1000 / args.tokens_per_second:.1f} ms" if "token" in what and "µs" not in what else ""
            print(f"  {what:<28} {value:.2f}{ms}")
    print(json.dumps({
        "recall": shares, "leaked": leaked, "cut": cut, "false": false, "million_characters_a_second": rates,
        "delay": delays, "words": len(words), "ready_s": round(ready, 3),
    }, ensure_ascii=False))  # fmt: skip


if __name__ == "__main__":
    main()
