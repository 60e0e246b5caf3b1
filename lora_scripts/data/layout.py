"""Which records make up a step, and how a step is cut into micro-batches.

The order is a function of seed and position alone, so a resumed run needs no saved iterator: records lie in an
endless row of shuffled epochs, and step ``s`` takes the next ``records_per_step`` of them, also across the
border of two epochs. No record is dropped, no step is short.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return tuple(order)


def step_records(count: int, records_per_step: int, seed: int, step: int) -> list[int]:
    """Indices of the records of step ``step`` (from 0), ``records_per_step`` of them."""
    first = step * records_per_step
    return [_epoch_order(count, seed, i // count)[i % count] for i in range(first, first + records_per_step)]


def steps_for(count: int, records_per_step: int, epochs: float) -> int:
    """Steps until every record was taken ``epochs`` times, at least one."""
    return max(1, -int(-count * epochs // records_per_step))


def micro_batches(indices: Sequence[int], lengths: Sequence[int], size: int) -> list[list[int]]:
    """One step's records cut into micro-batches of ``size``, documents of like length together.

    ``lengths`` holds the tokens of every document. How a step is cut does not change its loss.
    """
    by_length = sorted(indices, key=lambda i: lengths[i])
    return [by_length[i : i + size] for i in range(0, len(by_length), size)]
