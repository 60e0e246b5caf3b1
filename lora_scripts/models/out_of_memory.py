"""What to do when memory runs out: the same work again in smaller pieces."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from lora_scripts.errors import TrainError

Result = TypeVar("Result")
WORDS = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "bad allocation", "std::bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a card or of the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def halving(work: Callable[[int], Result], size: int, *, again: Callable[[int], None]) -> Result:
    """``work(size)``; each time memory runs out, ``again(half)`` and then ``work(half)``, down to 1.

    Raises:
        TrainError: One record alone does not fit.
    """
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        # not inside the except block: there the traceback still holds every activation of the failed pass
        if size == 1:
            raise TrainError("train.out_of_memory", reason=reason[:200])
        size //= 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        again(size)


def in_batches(
    count: int, size: int, work: Callable[[int, int], Result], halved: Callable[[int], None]
) -> list[Result]:
    """``work(begin, end)`` over ``count`` things, ``size`` at once; where memory runs out, half as many from there on.

    Raises:
        TrainError: One alone does not fit.
    """
    found: list[Result] = []
    done = 0

    def smaller(now: int) -> None:
        nonlocal size
        size = now
        halved(now)

    size = max(1, min(size, count))
    while done < count:

        def part(now: int, begin: int = done) -> Result:
            return work(begin, min(begin + now, count))

        found.append(halving(part, size, again=smaller))
        done += size
    return found
