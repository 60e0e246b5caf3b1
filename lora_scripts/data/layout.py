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
def _epoch_order(count: int, seed: int, epoch: int, groups: tuple[int, ...], together: int) -> tuple[int, ...]:
    order = list(range(count))
    chance = random.Random(f"{seed}/{epoch}")
    chance.shuffle(order)
    if not groups:
        return tuple(order)
    of_group: dict[int, list[int]] = {}
    for i in order:
        of_group.setdefault(groups[i], []).append(i)
    runs = [ids[i : i + together] for ids in of_group.values() for i in range(0, len(ids), together)]
    whole = [run for run in runs if len(run) == together]
    rest = [i for run in runs if len(run) < together for i in run]
    chance.shuffle(whole)
    first = -epoch * count % together  # what the last batch of the epoch before still wants
    return (*rest[:first], *(i for run in whole for i in run), *rest[first:])


def step_records(
    count: int, records_per_step: int, seed: int, step: int, groups: tuple[int, ...] = (), together: int = 1
) -> list[int]:
    """Indices of the records of step ``step`` (from 0), ``records_per_step`` of them.

    With ``groups``, the group of each record, ``together`` records of one group follow each other as far as they go.
    """
    first = step * records_per_step
    places = range(first, first + records_per_step)
    return [_epoch_order(count, seed, i // count, groups, together)[i % count] for i in places]


def steps_for(count: int, records_per_step: int, epochs: float) -> int:
    """Steps until every record was taken ``epochs`` times, at least one."""
    return max(1, -int(-count * epochs // records_per_step))


def micro_batches(indices: Sequence[int], lengths: Sequence[int], size: int) -> list[list[int]]:
    """One step's records cut into micro-batches of ``size``, documents of like length together.

    ``lengths`` holds the tokens of every document. How a step is cut does not change its loss.
    """
    by_length = sorted(indices, key=lambda i: lengths[i])
    return [by_length[i : i + size] for i in range(0, len(by_length), size)]
