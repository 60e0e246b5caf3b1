"""Small files of the kinds that teams bring are read right, or asked about with advice that is right."""

from pathlib import Path

from tests.data.generated_files import all_files, judge_all, table
from tests.data.generated_judge import ASKED, READ, REFUSED

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
