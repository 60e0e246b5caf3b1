"""Small files of the kinds that teams bring are read right, or asked about with advice that is right."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_scripts.errors import DataError
from tests.data import generated_judge
from tests.data.generated_files import all_files, judge_all, table
from tests.data.generated_judge import ASKED, CRASHED, READ, REFUSED, UNADVISED, WRONG, judge, shortfall
from tests.data.generated_truth import Conversation, GeneratedFile, Joined, Truth, pairs_truth

LEAST_READ = 0.85  # share of the files that teach something which is read without a question


def test_generated_files_teach_what_they_say_or_are_asked_about(tmp_path: Path) -> None:
    files = list(all_files())
    assert len(files) >= 160 and len({f.kind for f in files}) >= 45
    judgements = judge_all(files, tmp_path)
    print(table(judgements))
    shortfalls = [
        f"{j.file.kind} ({j.file.variation}): {j.verdict}: {j.reason}"
        for j in judgements
        if j.verdict not in (READ, ASKED, REFUSED)
    ]
    assert shortfalls == []
    teaching = [j for j in judgements if j.file.truths]
    read = sum(j.verdict == READ for j in teaching)
    assert read >= LEAST_READ * len(teaching), f"only {read} of {len(teaching)} files are read without a question"


def test_generated_files_are_the_same_on_every_run() -> None:
    assert list(all_files()) == list(all_files())


def reading_of(records: tuple[Conversation, ...], *report: str) -> SimpleNamespace:
    """What ``read_records`` would return for these records."""
    made = []
    for k, record in enumerate(records):
        messages = [
            SimpleNamespace(
                role="assistant" if role in ("context", "either") else role,
                content="\n".join(text.parts) if isinstance(text, Joined) else text,
                trained=role != "context",
            )
            for role, text in record
        ]
        made.append(SimpleNamespace(messages=messages, source=f"f:{k}"))
    ledger = SimpleNamespace(decisions=report, left_out=(), findings=(), bins={})
    return SimpleNamespace(records=made, ledger=ledger)


def names_of(file: GeneratedFile, truth: Truth) -> tuple[str, ...]:
    return (*file.must_report, *truth.must_report)


def test_every_truth_of_a_generated_file_is_accepted_once_it_is_reported() -> None:
    for file in all_files():
        for truth in file.truths:
            assert shortfall(file, reading_of(truth.records, *names_of(file, truth))) == "", (file.kind, file.variation)


def test_a_reading_that_lacks_a_record_or_a_report_falls_short() -> None:
    for file in all_files():
        for truth in file.truths[:1]:
            names = names_of(file, truth)
            assert shortfall(file, reading_of(truth.records[1:], *names)), (file.kind, file.variation)
            if file.must_report:
                assert shortfall(file, reading_of(truth.records)), (file.kind, file.variation)


class Asking(DataError):
    def __init__(self, *settings: dict[str, object]) -> None:
        super().__init__("data.no_pairs", where="t.csv", count=0)
        self.alternatives = tuple(SimpleNamespace(settings=s) for s in settings)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({"": (("问", "答"),)}, READ),
        ({"": (("问", "状态"),)}, WRONG),
        ({"": Asking()}, UNADVISED),
        ({"": KeyError("x")}, CRASHED),
        ({"": Asking({"columns": "a"}, {"columns": "b"}), "a": (("问", "状态"),), "b": (("问", "答"),)}, ASKED),
        ({"": Asking({"columns": "a"}), "a": (("问", "状态"),)}, UNADVISED),
        ({"": Asking({"columns": "a"}, {"columns": "b"}), "a": Asking(), "b": (("问", "答"),)}, UNADVISED),
    ],
)
def test_a_question_is_right_where_each_advice_can_be_followed_and_one_gives_the_truth(
    answers: dict[str, object], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, columns: str = "") -> SimpleNamespace:
        answer = answers[columns]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, tuple)
        return reading_of(pairs_truth(answer).records)

    monkeypatch.setattr(generated_judge, "read_records", read)
    file = GeneratedFile("kind", "variation", "t.csv", b"", (pairs_truth([("问", "答")]),))
    assert judge(file, tmp_path).verdict == verdict
