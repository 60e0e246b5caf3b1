"""The split: by content, the same for a stream as for a list, and nothing that validates is given away in training."""

import random

import numpy as np
import pytest

from lora_scripts.data.clean import normal
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.records import Message, Record
from lora_scripts.data.split import LEFT_OUT, TRAINING, VALIDATION, Split


def split_records(
    rows: list[Record], ratio: float, seed: int = 0, ledger: Ledger | None = None
) -> tuple[list[Record], list[Record]]:
    """(training, validation) of a list."""
    split = Split(ratio, seed)
    for row in rows:
        split.add(row)
    sides = split.decide(ledger)
    return tuple([r for r, its in zip(rows, sides, strict=True) if its == wanted] for wanted in (TRAINING, VALIDATION))


def pair(question: str, answer: str = "a", source: str = "f:1", synthetic: bool = False) -> Record:
    return Record((Message("user", question), Message("assistant", answer)), source, synthetic)


def records(count: int) -> list[Record]:
    return [pair(f"第{i}个问题怎么办？", f"答{i}", f"f:{i}") for i in range(count)]


def test_the_split_follows_content_and_seed_and_not_order() -> None:
    rows = records(300)
    training, validation = split_records(rows, 0.1, 7)
    assert len(training) + len(validation) == 300
    assert 15 <= len(validation) <= 45
    shuffled = random.Random(1).sample(rows, 300)
    assert set(split_records(shuffled, 0.1, 7)[1]) == set(validation)
    assert set(split_records(rows, 0.1, 8)[1]) != set(validation)


def test_new_records_move_no_old_one() -> None:
    old, new = records(100), records(400)
    held = set(split_records(old, 0.1, 3)[1])
    assert held == set(split_records(new, 0.1, 3)[1]) & set(old)


def test_no_question_stands_on_both_sides() -> None:
    rows = [pair(f"问题{i % 40}{'？' * (i % 3)} {'怎么办' if i % 2 else '怎么办 '}", f"答{i}") for i in range(400)]
    training, validation = split_records(rows, 0.2, 1)
    assert validation
    assert not {normal(r.question) for r in training} & {normal(r.question) for r in validation}


def test_a_later_question_that_is_trained_pulls_its_conversation_over() -> None:
    rows = records(200)
    later = [
        Record((*pair(f"开头{i}").messages, Message("user", rows[i].question), Message("assistant", "b")), f"g:{i}")
        for i in range(200)
    ]
    training, validation = split_records(rows + later, 0.3, 1)
    trained = {m.content for r in training for m in r.messages if m.role == "user"}
    assert validation
    assert not trained & {m.content for r in validation for m in r.messages if m.role == "user"}


@pytest.mark.parametrize("count", [8, 9, 12])
def test_small_sets_have_one_on_each_side(count: int) -> None:
    for seed in range(20):
        training, validation = split_records(records(count), 0.05, seed)
        assert training
        assert validation


def test_nothing_to_set_aside_is_said() -> None:
    ledger = Ledger(kept=5)
    assert split_records(records(5), 0.1, 0, ledger)[1] == []
    assert [f.kind for f in ledger.findings] == ["no_validation"]
    ledger = Ledger(kept=9)
    same = [pair("问题？", f"{i}") for i in range(9)]
    assert split_records(same, 0.1, 0, ledger)[1] == []
    assert [f.kind for f in ledger.findings] == ["no_validation"]
    assert split_records(records(9), 0.0, 0)[1] == []


def letters(rng: random.Random, count: int) -> str:
    return "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(count))


def unlike(count: int, seed: int = 1) -> list[Record]:
    rng = random.Random(seed)
    return [pair(letters(rng, 30), letters(rng, 60), f"f:{i}") for i in range(count)]


def reworded(record: Record, prefix: str = "请问一下，") -> Record:
    return pair(prefix + record.question, record.answer, record.source.replace("f:", "s:"), synthetic=True)


def told(ledger: Ledger) -> dict[str, str]:
    return {f.kind: f.text for f in ledger.findings}


def test_a_stream_is_split_as_the_list_is() -> None:
    rows = [*records(200), *unlike(100)]
    rows += [reworded(r) for r in rows[::5]]
    split = Split(0.2, 5)
    for record in rows:
        split.add(record)
    streamed, listed = Ledger(kept=len(rows), read=len(rows)), Ledger(kept=len(rows), read=len(rows))
    sides = split.decide(streamed)
    training, validation = split_records(rows, 0.2, 5, listed)
    assert [r for r, s in zip(rows, sides, strict=True) if s == TRAINING] == training
    assert [r for r, s in zip(rows, sides, strict=True) if s == VALIDATION] == validation
    assert streamed == listed
    streamed.check_sum()
    assert streamed.validation == len(validation)
    assert streamed.trained == len(training)
    assert np.count_nonzero(sides == LEFT_OUT) == streamed.reasons()["seed_in_validation"]


def test_a_synthetic_record_never_validates_and_never_gives_an_answer_away() -> None:
    rows = unlike(200)
    plain = split_records(rows, 0.2, 3)[1]
    made = [reworded(r) for r in rows]
    ledger = Ledger(read=400, kept=400)
    training, validation = split_records([*made, *rows], 0.2, 3, ledger)
    assert validation == plain  # they move nothing
    assert not any(r.synthetic for r in validation)
    assert not {r.answer for r in validation} & {r.answer for r in training}
    assert ledger.reasons() == {"seed_in_validation": len(validation)}
    assert told(ledger)["seed_in_validation"].startswith(f"{len(validation)} synthetic records")
    assert "near_duplicates" not in told(ledger)
    ledger.check_sum()


def test_a_reworded_answer_gives_the_question_away_no_less() -> None:
    rows = unlike(200)
    made = [pair("请问" + r.question, "换了说法的回答" + str(i), f"s:{i}", True) for i, r in enumerate(rows)]
    training, validation = split_records([*rows, *made], 0.2, 3)
    held = {r.question for r in validation}
    assert len(held) > 20
    leaked = [r for r in training if r.synthetic and r.question.removeprefix("请问") in held]
    assert leaked == []
    assert sum(r.synthetic for r in training) == 200 - len(held)


def test_statute_questions_that_differ_in_the_article_are_not_seeds_of_each_other() -> None:
    rows = [pair(f"《劳动合同法》第{i}条是怎么规定的？", letters(random.Random(i), 50), f"f:{i}") for i in range(1, 90)]
    made = [pair(f"请问《劳动合同法》第{i}条是怎么规定的？", f"另答{i}", f"s:{i}", True) for i in range(1, 90)]
    training, validation = split_records([*rows, *made], 0.2, 3)
    assert validation
    assert sum(r.synthetic for r in training) == 89 - len(validation)


def test_an_almost_equal_record_does_not_validate_beside_its_twin() -> None:
    rows = unlike(300)
    twins = [pair(r.question + "吗", r.answer[:-1] + "了", r.source.replace("f:", "g:")) for r in rows[:100]]
    ledger = Ledger(read=400, kept=400)
    training, validation = split_records([*rows, *twins], 0.3, 2, ledger)
    trained = {r.source[2:] for r in training}
    assert validation
    # their true resemblance is 0.92, which an estimate puts below 0.85 once in a hundred times
    assert sum(r.source[2:] in trained for r in validation) <= 2
    findings = told(ledger)
    assert "are trained on instead" in findings["leakage"]
    assert "≈" in findings["near_duplicates"]
    assert "other_figures" not in findings


def test_likeness_but_for_a_figure_moves_nothing_and_is_said() -> None:
    body = letters(random.Random(1), 120)
    rows = [pair(f"住满{i}天的补贴是多少？", f"{body}共计{i * 7}元。", f"f:{i}") for i in range(10, 60)]
    ledger = Ledger(read=50, kept=50)
    _, validation = split_records(rows, 0.2, 1, ledger)
    assert validation
    assert set(told(ledger)) == {"other_figures"}
    assert next(f for f in ledger.findings).severity == "info"


def test_records_of_a_validation_file_leave_where_they_are_trained() -> None:
    rows = unlike(40)
    split = Split(0.0)
    for record in rows:
        split.add(record, held_out=False)
    own = unlike(20, seed=9)
    same = pair(rows[0].question + "？", "另一个答案", "e:1")
    like = pair(rows[1].question + "呢", rows[1].answer, "e:2")
    for record in (*own, same, like):
        split.add(record, held_out=True)
    ledger = Ledger(read=62, kept=62)
    sides = split.decide(ledger)
    assert list(sides) == [TRAINING] * 40 + [VALIDATION] * 20 + [LEFT_OUT] * 2
    assert ledger.reasons() == {"asked_in_training": 2}
    assert (ledger.trained, ledger.validation) == (40, 20)
    ledger.check_sum()


def test_nothing_to_split_is_no_error() -> None:
    assert split_records([], 0.1) == ([], [])
    assert list(Split(0.1).decide(Ledger())) == []
    one = pair("q", "a", "f:1", synthetic=True)
    assert split_records([one], 0.5) == ([one], [])
