"""Records of one group go through the model together, and none is lost for it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.data.layout import step_records

GROUPS = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(tuple)


@given(GROUPS, st.integers(1, 5), st.integers(0, 3), st.integers(0, 5))
def test_an_epoch_takes_every_record_once(groups, together, seed, epoch):
    count = len(groups)
    taken = [
        step_records(count, 1, seed, step, groups, together)[0] for step in range(epoch * count, (epoch + 1) * count)
    ]
    assert sorted(taken) == list(range(count))


def test_most_batches_are_of_one_group():
    groups = tuple([0] * 37 + [1] * 18 + [2] * 9)
    batches = [step_records(64, 4, 1, step, groups, 4) for step in range(16 * 5)]
    pure = sum(len({groups[i] for i in batch}) == 1 for batch in batches)
    assert pure >= 14 * 5  # of 16 batches an epoch those of 1, 2 and 1 left over can be mixed
    assert Counter(i for batch in batches for i in batch) == Counter(dict.fromkeys(range(64), 5))


def test_without_groups_the_order_is_the_one_of_texts():
    assert step_records(10, 4, 3, 2) == step_records(10, 4, 3, 2, (), 4)
