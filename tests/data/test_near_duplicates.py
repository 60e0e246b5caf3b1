"""Sketches against the true resemblance of texts, and the pairs that they find."""

import random

import numpy as np
import pytest

from lora_scripts.data.near_duplicates import SLOTS, Sketches, close_pairs, figures


def true_resemblance(one: str, other: str) -> float:
    left, right = ({t[i : i + 3] for i in range(len(t) - 2)} for t in (one, other))
    return len(left & right) / len(left | right)


def sketched(texts: list[str]) -> np.ndarray:
    sketches = Sketches()
    for text in texts:
        sketches.add(text)
    return sketches.rows()


def hashes(texts: list[str]) -> np.ndarray:
    return np.array([hash(t) & (2**64 - 1) for t in texts], np.uint64)


def varied(text: str, changes: int, rng: random.Random) -> str:
    letters = list(text)
    for at in rng.sample(range(len(letters)), changes):
        letters[at] = chr(0x4E00 + rng.randrange(5000))
    return "".join(letters)


def test_a_sketch_estimates_the_true_resemblance() -> None:
    rng = random.Random(3)
    errors = []
    for changes in (0, 1, 2, 5, 10, 20, 40) * 20:
        one = "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(120))
        other = varied(one, changes, rng)
        rows = sketched([one, other])
        errors.append((rows[0] == rows[1]).mean() - true_resemblance(one, other))
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 0.07  # 1 / sqrt(4 * 64) at most


def test_a_sketch_depends_on_its_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", "甲", "ab", "abc", "劳动合同法第十条", "𠮷野家在哪里", "x" * 500, "\ud800甲乙丙"]
    together = sketched(texts)
    assert together.shape == (len(texts), SLOTS)
    alone = np.concatenate([sketched([t]) for t in texts])
    assert np.array_equal(together, alone)
    monkeypatch.setattr("lora_scripts.data.near_duplicates._BATCH", 10)
    assert np.array_equal(sketched(texts), alone)
    assert sketched([]).shape == (0, SLOTS)


def test_near_texts_are_paired_and_others_are_not() -> None:
    rng = random.Random(5)
    texts = ["".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(150)) for _ in range(400)]
    near = [varied(t, 2, rng) for t in texts[:100]]  # resemblance about 0.92
    far = [varied(t, 40, rng) for t in texts[100:200]]  # about 0.35
    everything = texts + near + far
    pairs = close_pairs(sketched(everything), hashes(everything), 0.8)
    found = {(int(a), int(b)) for a, b in pairs}
    wanted = {(i, 400 + i) for i in range(100)}
    assert found <= wanted
    assert len(found) >= 97


def test_pairs_do_not_depend_on_the_order() -> None:
    rng = random.Random(7)
    base = "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(200))
    texts = [varied(base, 3, rng) for _ in range(60)]
    shuffled = rng.sample(texts, len(texts))

    def named(some: list[str]) -> set[frozenset[str]]:
        return {frozenset((some[a], some[b])) for a, b in close_pairs(sketched(some), hashes(some), 0.8)}

    assert named(texts) == named(shuffled)
    assert len(named(texts)) > 30


def test_many_equal_texts_cost_no_square() -> None:
    texts = [f"完全一样的开头和很长很长的同一段话再加上一个编号{i % 3}" for i in range(20_000)]
    pairs = close_pairs(sketched(texts), np.arange(20_000, dtype=np.uint64), 0.8)
    assert 19_000 < len(pairs) < 200_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("依据《劳动法》第四十四条，加班3.5小时", "《劳动法》|四十四|3.5"),
        ("三十日内，8:30到岗", "三十|8:30"),
        ("一般不需要", ""),
    ],
)
def test_figures_are_numbers_and_laws(text: str, wanted: str) -> None:
    assert figures(text) == wanted
