"""What a user reads of a verification: a failed check with its own remedy, a check left out with its reason."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_scripts.assemble.outcome import proven_line
from lora_scripts.errors import Problem
from lora_scripts.evaluate.prove import Check, Proof, failed_checks, proof_of
from lora_scripts.messages import language, text

SOURCES = [Path(failed_checks.__code__.co_filename).with_name(name) for name in ("prove.py", "prove_pictures.py")]
NAMES = {name for path in SOURCES for name in re.findall(r'Check\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
NAMES |= {"no_tensor_is_all_zero", "no_factors_are_all_one"}


def failed(name: str) -> Problem:
    (problem,) = failed_checks(Proof([Check("every_value_is_finite", True, 0, 0), Check(name, False, 0.5, 0.1)], {}))
    return problem


@pytest.mark.parametrize("language_", ["en", "zh"])
def test_every_check_says_what_to_do_when_it_fails(language_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", language_)
    assert language() == language_ and len(NAMES) > 9
    problems = [failed(name) for name in sorted(NAMES)]
    assert all(problem.fix and problem.text for problem in problems)
    assert [problem.where for problem in problems] == sorted(NAMES)


def test_advice_is_for_the_check_that_failed_only() -> None:
    assert "learning_rate" not in failed("chat_sends_the_prompt_of_training").fix
    assert "epochs" in failed("adapter_on_differs_from_off_by_at_least").fix
    assert "do not merge" in failed("merged_equals_adapter").fix


def test_a_check_left_out_is_told_as_left_out_and_not_as_not_proven() -> None:
    proof = Proof(
        [Check("every_value_is_finite", True, 0, 0)], {"merged_equals_adapter": text("adapters.merge_left_out")}
    )
    assert proof_of(proof)["ok"] and failed_checks(proof) == []
    line = text("run.proof_left_out", name="merged_equals_adapter", reason=text("adapters.merge_left_out"))
    assert "is left out, because the base is quantised" in line and "not proven" not in line
    assert proven_line(proof_of(proof)) == "proven: 1 checks passed, 1 left out (proof.json)"
    assert proven_line({"checks": [SimpleNamespace()], "left_out": {}}) == "proven: 1 checks passed (proof.json)"
