"""Steps and micro-batches over any number of records."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.data.layout import micro_batches, step_records, steps_for

COUNTS = st.integers(1, 40)


@given(COUNTS, st.integers(1, 9), st.integers(0, 5), st.integers(1, 4))
def test_every_record_is_taken_once_an_epoch(count: int, per_step: int, seed: int, epochs: int) -> None:
    steps = steps_for(count, per_step, epochs)
    taken = [i for step in range(steps) for i in step_records(count, per_step, seed, step)]
    assert len(taken) == steps * per_step
    for epoch in range(epochs):
        assert sorted(taken[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert 0 <= len(taken) - epochs * count < per_step


@given(COUNTS, st.integers(1, 9), st.integers(0, 5))
def test_a_step_needs_no_memory_of_the_steps_before_it(count: int, per_step: int, seed: int) -> None:
    forward = [step_records(count, per_step, seed, step) for step in range(6)]
    backward = [step_records(count, per_step, seed, step) for step in reversed(range(6))][::-1]
    assert forward == backward


def test_another_seed_and_another_epoch_are_another_order() -> None:
    assert step_records(20, 20, 1, 0) != step_records(20, 20, 2, 0)
    assert step_records(20, 20, 1, 0) != step_records(20, 20, 1, 1)


@given(st.lists(st.integers(1, 99), min_size=1, max_size=20), st.integers(1, 7))
def test_micro_batches_hold_each_record_of_the_step_once(lengths: list[int], size: int) -> None:
    indices = [i % len(lengths) for i in range(len(lengths) + 3)]
    cut = micro_batches(indices, lengths, size)
    assert Counter(i for batch in cut for i in batch) == Counter(indices)
    assert all(len(batch) <= size for batch in cut)
    flat = [lengths[i] for batch in cut for i in batch]
    assert flat == sorted(flat)
