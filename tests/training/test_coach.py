"""The coach speaks up on curves that turn, keeps quiet on noise, and proposes settings that the config accepts."""

import io
import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from lora_scripts.config import Config
from lora_scripts.training.coach import Figures, Settings, advise, closing, plain, usual_rates
from lora_scripts.training.log import RunLog
from lora_scripts.training.plan import Plan
from lora_scripts.training.state import RunState

RUN = {
    "steps": 600, "epochs": 15, "max_steps": None, "learning_rate": 1e-4, "lora_rank": 16, "lora_dropout": 0.05,
}  # fmt: skip
NOISE = st.sampled_from([0.0, 0.001, 0.003, 0.01])
SEEDS = st.integers(0, 2**32 - 1)


def series(losses, train=None, copies=None, forms=None, epochs=15.0):
    """Figures of a run with these losses, the base's first; training loss falls unless given."""
    count = len(losses) - 1
    train = train or [3.0 * 0.9**i for i in range(count)]
    return [
        Figures(
            step=i * 600 // count,
            epoch=i * epochs / count,
            train_loss=train[i - 1] if i else None,
            eval_loss=float(loss),
            copy_rate=copies[i] if copies else None,
            house_form=forms[i] if forms else None,
        )
        for i, loss in enumerate(losses)
    ]


def run(**changed) -> Settings:
    return Settings(**(RUN | changed))


def verdicts(losses, **more):
    """What is said after each evaluation."""
    figures = series(losses, **more)
    found = [advise(figures[:n], run()) for n in range(1, len(figures) + 1)]
    return [advice.verdict if advice else None for advice in found]


def noisy(curve, noise, seed):
    return curve * (1 + noise * np.random.default_rng(seed).standard_normal(len(curve)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SEEDS, NOISE, st.integers(2, 60), st.floats(0.3, 3), st.floats(0.3, 3), st.floats(0.5, 40))
def test_a_falling_curve_with_noise_is_never_called_over_fitting(seed, noise, count, floor, drop, pace):
    curve = floor + drop * np.exp(-np.arange(count) / pace)
    assert "over_fitting" not in verdicts(noisy(curve, noise, seed))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SEEDS, NOISE, st.integers(20, 60), st.floats(0.3, 3), st.floats(1.5, 6), st.floats(0.1, 0.4))
def test_a_curve_that_turns_is_called_over_fitting_and_its_best_is_kept(seed, noise, count, floor, pace, turn):
    at = np.arange(count)
    curve = floor * (1 + np.exp(-at / pace) + 0.9 * np.maximum(0, at / count - turn))
    losses = noisy(curve, noise, seed)
    said = verdicts(losses)
    assert "over_fitting" in said
    seen = losses[1 : said.index("over_fitting") + 1]
    assert seen.min() <= 1.02 * losses[1:].min()


def test_it_speaks_up_well_before_the_end():
    """The course of a real run: 200 rows on a small base, best at epoch 5 of 15."""
    losses = [3.870, 3.12, 2.87, 2.76, 2.71, 2.696, 2.70, 2.72, 2.75, 2.78, 2.82, 2.85, 2.88, 2.91, 2.93, 2.953]
    said = verdicts(losses)
    assert said.index("over_fitting") in (8, 9, 10)
    advice = advise(series(losses), run())
    assert advice.changes == {"epochs": 5, "lora_dropout": 0.1}
    assert advice.spoils
    assert "coach: stop is set" in advice.lines(stops=True)[1] and "the run goes on" in advice.lines(stops=False)[1]
    told = "\n".join(advice.lines())
    assert "2.696 (epoch 5.0)" in told and "2.953 (epoch 15.0)" in told
    assert told.endswith("    epochs: 5\n    lora_dropout: 0.1")


def test_a_rise_of_both_losses_is_diverging_not_over_fitting():
    losses = [4, 3, 2.8, 3.2, 3.6, 4.1, 4.6, 5.2]
    assert set(verdicts(losses, train=[3, 2.8, 3.3, 3.7, 4.2, 4.7, 5.1])) == {None, "diverging"}
    advice = closing(series(losses, train=[3, 2.8, 3.3, 3.7, 4.2, 4.7, 5.1]), run(max_grad_norm=0.0))
    assert advice.verdict == "diverging"
    assert advice.changes == {"learning_rate": pytest.approx(1e-4 / 3), "max_grad_norm": 1.0}


def test_a_run_that_moves_nothing_is_told_to_take_a_higher_rate():
    losses, train = [4.0] + [3.999] * 18, [4.02, 4.01, 4.0, 4.01, 4.0, 4.0, 4.01, 4.0, 4.0] * 2
    said = verdicts(losses, train=train)
    assert said[:6] == [None] * 6, "a warm-up is not judged"
    assert said[-1] == "not_learning"
    assert closing(series(losses, train=train), run()).changes == {"learning_rate": pytest.approx(3e-4)}
    steep = closing(series(losses, train=train), run(learning_rate=5e-3))
    assert steep.changes == {"lora_rank": 32}


def test_a_run_that_was_still_falling_is_told_to_go_on():
    losses = [4.0, 3.5, 3.1, 2.8, 2.6, 2.45]
    advice = closing(series(losses, epochs=5.0), run(epochs=5))
    assert (advice.verdict, advice.changes) == ("still_learning", {"epochs": 8})
    assert closing(series(losses), run(max_steps=600)).changes == {"max_steps": 900}
    flat = [4.0, 3.0, 2.6, 2.5, 2.47, 2.46, 2.456, 2.455, 2.4545, 2.4544]
    assert closing(series(flat), run()).verdict == "done"


def test_closing_names_the_best_the_gap_and_the_copies():
    losses = [3.870, 3.12, 2.87, 2.76, 2.71, 2.696, 2.70, 2.72, 2.75, 2.78, 2.82, 2.85, 2.88]
    rates = [0.0] * 6 + [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.55]
    advice = closing(series(losses, copies=rates, forms=[0.0] + [1.0] * 12, epochs=12.0), run(max_steps=600))
    told = "\n".join(advice.lines())
    assert advice.verdict == "over_fitting"
    assert "best 2.696 at epoch 5.0 of 12.0, 2.880 at the end" in told
    assert f"(gap {2.696 - 3 * 0.9**4:.3f})" in told
    assert "0 % at first, 55 % now" in told and "0 % at first, 100 % at the end" in told
    assert advice.changes["max_steps"] == 250 and "epochs" not in advice.changes


def test_without_validation_it_says_that_nobody_can_tell():
    assert closing([], run()).verdict == "unwatched"
    assert "eval_ratio" in closing(series([3.0, 2.0])[1:], run()).lines()[0]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0.01, 20), min_size=2, max_size=40),
    st.integers(1, 100_000), st.integers(1, 512), st.floats(1e-7, 0.3), st.floats(0, 0.95),
)  # fmt: skip
def test_every_proposed_setting_is_one_that_the_config_takes(losses, epochs, rank, rate, dropout):
    given_ = run(epochs=epochs, lora_rank=rank, learning_rate=rate, lora_dropout=dropout)
    figures = series(losses, epochs=float(epochs))
    for advice in (advise(figures, given_), closing(figures, given_)):
        keys = {"train_data_dir": "d", "base_model": "m", "output_dir": "o"}
        read = Config.model_validate(keys | (advice.changes if advice else {}))
        assert all(getattr(read, key) == value for key, value in (advice.changes if advice else {}).items())


def test_numbers_are_written_as_people_write_them():
    assert [plain(v) for v in (5e-5, 0.1, 8, 16.0, 1e-4 / 3)] == ["5e-5", "0.1", "8", "16", "3.33e-5"]
    assert math.isclose(float(plain(0.00015)), 1.5e-4)


def test_it_speaks_chinese(monkeypatch):
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    losses = [4.0, 3.0, 2.5, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6]
    told = advise(series(losses), run()).lines()
    assert told[0].startswith("过拟合：验证损失已从 2.500") and "建议在配置中改为：" in told


CURVES = st.lists(st.floats(0.05, 12), min_size=3, max_size=30)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(CURVES, st.data())
def test_no_over_fitting_is_denied_only_where_validation_ended_at_its_lowest(losses, data):
    train = data.draw(st.lists(st.floats(0.05, 12), min_size=len(losses) - 1, max_size=len(losses) - 1))
    figures = series(losses, train=train)
    advice = closing(figures, run())
    told = "\n".join(advice.lines())
    best = min(figures, key=lambda f: f.eval_loss)
    if figures[-1].eval_loss > best.eval_loss:
        assert "no sign of over-fitting" not in told and "still falling" not in told
    if figures[-1].eval_loss > figures[0].eval_loss * 1.05 and train[-1] < 0.9 * train[0] and best is figures[0]:
        assert advice.verdict in ("harmful", "diverging") and advice.spoils
        assert advice.changes.get("learning_rate", 0) < run().learning_rate


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(2, 4), st.floats(1.06, 3), st.floats(0.5, 5))
def test_a_short_run_that_turned_is_called_over_fitting_too(count, factor, best):
    """Three or four evaluations, as small sets have them: too few to know the noise, enough to see 6 %."""
    losses = [2 * best, *([best] if count > 2 else []), best * 0.99, best * 0.99 * factor]
    train = [3.0 * 0.7**i for i in range(len(losses) - 1)]
    advice = closing(series(losses, train=train, epochs=4.0), run(epochs=4))
    assert advice.verdict == "over_fitting"
    assert advice.changes["lora_dropout"] == 0.1


def test_worse_than_the_base_from_the_start_is_not_told_to_take_a_higher_rate():
    losses = [3.0, 3.2, 3.5, 3.9, 4.4, 4.9, 5.3]
    advice = closing(series(losses, train=[2.5, 1.9, 1.2, 0.8, 0.5, 0.3], epochs=6.0), run(epochs=6))
    assert advice.verdict == "harmful" and advice.spoils
    assert advice.changes == {"learning_rate": pytest.approx(1e-4 / 3), "epochs": 1, "lora_dropout": 0.1}
    assert "base answers validation questions better" in advice.lines()[-5]
    mid = advise(series(losses, train=[2.5, 1.9, 1.2, 0.8, 0.5, 0.3]), run())
    assert mid is not None and "over-fitting from the start" in mid.lines()[0]
    both_rise = closing(series([3.0, 3.3, 3.8, 4.4], train=[3.0, 3.6, 4.5]), run())
    assert both_rise.verdict == "diverging" and both_rise.changes["learning_rate"] < run().learning_rate


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    CURVES, st.data(), st.floats(1e-6, 0.3),
    st.sampled_from([int(6.4e6), int(135e6), int(270e6), int(1.5e9), int(7e9), int(70e9)]),
)  # fmt: skip
def test_no_rate_is_advised_that_does_not_suit_the_size_of_the_base(losses, data, rate, parameters):
    train = data.draw(st.lists(st.floats(0.05, 12), min_size=len(losses) - 1, max_size=len(losses) - 1))
    given_ = run(learning_rate=rate, base_parameters=parameters)
    lowest, highest = usual_rates(parameters)
    figures = series(losses, train=train)
    for advice in (advise(figures, given_), closing(figures, given_)):
        advised = advice.changes.get("learning_rate") if advice else None
        if advised is not None and advised < rate:
            assert advised >= lowest * 0.999
        elif advised is not None:
            assert rate < advised <= highest


def test_the_rates_of_the_recipes_lie_within_those_that_are_advised():
    for parameters, rate in ((6.4e6, 5e-3), (6.4e6, 1.5e-3), (135e6, 1e-3), (270e6, 1e-3), (7e9, 1.5e-4)):
        lowest, highest = usual_rates(int(parameters))
        assert lowest <= rate <= highest
    assert usual_rates(int(6.4e6))[0] > 2e-4


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.05, 12), min_size=2, max_size=20))
def test_best_so_far_is_never_said_of_a_loss_above_the_start(losses):
    lines, state = io.StringIO(), RunState()
    log = RunLog.__new__(RunLog)
    log.console, log.ask, log.plan = Console(file=lines, width=200), list, cast(Plan, None)
    log.judge = lambda *_: ({}, [])
    log._write = lambda *_: None  # type: ignore[method-assign]
    for step, loss in enumerate(losses):
        state.step = step
        lines.seek(0)
        lines.truncate()
        log.evaluation(state, loss, best=state.see(loss))
        said: Any = lines.getvalue()
        lowest = step > 0 and loss < min(losses[:step])
        assert ("best so far" in said) == lowest
