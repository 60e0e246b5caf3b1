"""The coach speaks up on curves that turn, keeps quiet on noise, and proposes settings that the config accepts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.config import Config
from lora_scripts.training.coach import Figures, Settings, advise, closing, plain

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
