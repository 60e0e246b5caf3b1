"""Copies of training answers: against a slow search by substrings, and what must not count."""

import random
import re
import time

import numpy as np
import pytest

from lora_scripts.evaluate.copying import RUN, copied_shares, copy_rate, training_text

LETTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
WORDS = [f"word{n}" for n in range(3000)]


def text_of(chance: random.Random, length: int, letters=LETTERS, between: str = "") -> str:
    return between.join(chance.choice(letters) for _ in range(length))


def slow_share(answer: str, training: list[str], question: str) -> float:
    """Share of characters in runs of RUN that fewer than three training answers hold and the question does not."""
    answer, question, *training = (re.sub(r"[\W_]", "", text) for text in (answer, question, *training))
    covered = [False] * len(answer)
    for start in range(len(answer) - RUN + 1):
        run = answer[start : start + RUN]
        if 0 < sum(run in text for text in training) < 3 and run not in question:
            covered[start : start + RUN] = [True] * RUN
    return sum(covered) / len(answer) if answer else 0.0


def test_shares_equal_a_search_by_substrings() -> None:
    chance = random.Random(1)
    form = text_of(chance, 25)
    training = [text_of(chance, chance.randint(5, 90)) for _ in range(60)]
    training += [form + "，" + text_of(chance, 30) for _ in range(3)]
    answers, questions = [], []
    for _ in range(40):
        source = chance.choice(training)
        begin = chance.randrange(len(source))
        piece = source[begin : begin + chance.randint(10, 60)]
        answers.append(text_of(chance, 12) + "。" + piece + text_of(chance, chance.randint(0, 20)))
        questions.append(piece if chance.random() < 0.3 else text_of(chance, 20))
    found = copied_shares(answers, training_text(training), questions)
    wanted = [slow_share(a, training, q) for a, q in zip(answers, questions, strict=True)]
    assert found == pytest.approx(wanted)
    assert 5 < sum(share > 0 for share in wanted) < 35
    assert copy_rate(found) == sum(share > 0 for share in wanted) / 40


@pytest.mark.parametrize(("letters", "between", "most"), [(LETTERS, "", 20), (WORDS, " ", 10)])
def test_a_run_of_twenty_characters_or_ten_words_is_a_copy_and_a_shorter_one_is_not(letters, between, most) -> None:
    chance = random.Random(2)
    units = [chance.choice(letters) for _ in range(60)]
    index = training_text([between.join(units)])

    def share(count: int) -> float:
        return copied_shares([between.join([chance.choice(letters), *units[7 : 7 + count]])], index, [""])[0]

    assert share(most - 1) == 0
    assert share(most) == pytest.approx(most / (most + 1))


def test_spaces_punctuation_case_and_width_do_not_hide_a_copy() -> None:
    chinese = "用人单位自用工之日起超过一个月不满一年未订立劳动合同的"
    index = training_text([chinese, "The Quick brown fox jumps over the lazy dog and"])
    given = ["“用人单位  自用工之日起，\n超过一个月、不满一年未"]
    given.append("ｔｈｅ quick, brown fox jumps over the LAZY dog and")
    assert copied_shares(given, index, ["", ""]) == [1.0, 1.0]


def test_what_three_answers_share_is_form_and_what_two_share_is_not() -> None:
    chance = random.Random(3)
    shared = text_of(chance, 30)
    for count, copied in ((1, True), (2, True), (3, False)):
        index = training_text([shared + text_of(chance, 30) for _ in range(count)])
        assert (copied_shares([shared], index, [""])[0] > 0) == copied
    # one answer that says it three times is one answer
    assert copied_shares([shared], training_text([shared * 3]), [""])[0] == 1


def test_too_many_runs_are_sampled_and_it_is_said() -> None:
    chance = random.Random(4)
    training = [text_of(chance, 120) for _ in range(200)]
    whole, sampled = training_text(training), training_text(iter(training), most=3000)
    assert whole.share == 1
    assert len(whole.runs) == 200 * (120 - RUN + 1)
    assert sampled.share == 1 / 8
    assert len(sampled.runs) <= 3000
    # a whole answer has 101 runs: one of eight is there nearly always
    assert copy_rate(copied_shares(training, sampled, [""] * 200)) > 0.99
    assert copy_rate(copied_shares([text_of(chance, 120) for _ in range(50)], sampled, [""] * 50)) == 0


def test_nothing_is_copied_from_nothing() -> None:
    assert copied_shares(["", "答"], training_text([]), ["", ""]) == [0, 0]
    assert copied_shares([], training_text(["答" * 40]), []) == []
    assert copy_rate([]) is None


@pytest.mark.slow
def test_a_hundred_thousand_answers_take_seconds() -> None:
    letters = np.random.default_rng(5).integers(0x4E00, 0x4E00 + 3000, (100_000, 250), np.uint32)
    answers = [row.tobytes().decode("utf-32-le") for row in letters]
    begun = time.process_time()
    index = training_text(answers)
    assert time.process_time() - begun < 30
    begun = time.process_time()
    assert min(copied_shares(answers[:1000], index, [""] * 1000)) > 0.5
    assert time.process_time() - begun < 5
