"""The ledger adds up, or says so; it stays small however much is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.data import ledger as ledger_module
from lora_scripts.data.ledger import Ledger, Sources
from lora_scripts.data.report_page import reason_words
from lora_scripts.errors import LoraScriptsError


@given(st.lists(st.text("ab:/0123 .行", max_size=12)))
def test_places_come_back_as_they_were(names: list[str]) -> None:
    sources = Sources()
    for name in names:
        sources.add(name)
    assert len(sources) == len(names)
    assert [sources[i] for i in range(len(names))] == names


@pytest.mark.parametrize("name", ["f:007", "f:٣", "f:9" + "9" * 30, "a:b:12", "无冒号", ":5", "f:", "f:0", "f:-1"])
def test_odd_places_come_back_as_they_were(name: str) -> None:
    sources = Sources()
    sources.add(name)
    assert sources[0] == name


def filled(left_out: int) -> Ledger:
    ledger = Ledger(read=left_out + 10, kept=10, validation=3)
    for i in range(left_out):
        ledger.leave_out(f"f:{i}", "unreadable")
    return ledger


def test_a_ledger_that_adds_up_passes() -> None:
    filled(5).check_sum()
    Ledger().check_sum()


@pytest.mark.parametrize("change", [{"read": 14}, {"read": 16}, {"kept": 9}, {"kept": 11}, {"validation": 11}])
def test_a_ledger_that_does_not_add_up_stops_the_run(change: dict[str, int]) -> None:
    ledger = filled(5)
    for name, value in change.items():
        setattr(ledger, name, value)
    with pytest.raises(LoraScriptsError, match="bug of lora-scripts"):
        ledger.check_sum()


def test_a_record_taken_back_keeps_the_sum() -> None:
    ledger = filled(5)
    ledger.take_back("f:100", "too_long", validation=True)
    ledger.take_back("f:101", "too_long")
    ledger.check_sum()
    assert (ledger.trained, ledger.validation, ledger.reasons()) == (6, 2, {"unreadable": 5, "too_long": 2})


def test_places_are_bounded_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_LISTED", 100)
    ledger = filled(250)
    ledger.leave_out("g:1", "refused")
    ledger.read += 1
    ledger.check_sum()
    assert ledger.reasons() == {"unreadable": 250, "refused": 1}
    assert len(ledger.left_out) == 101
    assert ledger.unlisted == 150


def test_two_ledgers_become_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_LISTED", 8)
    whole, more = filled(5), filled(6)
    whole.distributions = {"answer_length": {"0-9": 2, "longest": 9}}
    more.distributions = {"answer_length": {"0-9": 1, "10-19": 4, "longest": 12}, "openings": {"依据": 3}}
    whole.absorb(more)
    whole.check_sum()
    assert (whole.read, whole.trained, whole.validation) == (31, 14, 6)
    assert whole.reasons() == {"unreadable": 11}
    assert (len(whole.left_out), whole.unlisted) == (8, 3)
    assert whole.distributions == {
        "answer_length": {"0-9": 3, "10-19": 4, "longest": 12},
        "openings": {"依据": 3},
    }


def test_a_bin_without_words_is_named_as_it_is() -> None:
    assert reason_words("someone_elses") == "someone_elses"
