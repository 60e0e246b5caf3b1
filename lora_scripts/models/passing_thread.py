"""Products of tensors outside the thread that answers.

libgomp gives each thread that computes in parallel a team of its own, as large as the cores, and keeps it until that
thread ends. With two such teams there are more threads than cores, and all of them then sleep between products instead
of waiting awake (its ``gomp_throttled_spin_count_var``). On two cores a step of a 0.5B model took 119 ms so instead of
105, and 205 instead of 117 with four adapters. What loads a model or an adapter does it in a thread that ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
_NAME = "passing"


def in_passing_thread(call: Callable[[], T]) -> T:
    """What ``call`` returns or raises, computed in a thread of its own that has ended then."""
    done, thread = _begin(call)
    thread.join()
    return done.result()


def begun(call: Callable[[], T]) -> Future[T]:
    """``call``, begun in a thread of its own; what it raises is raised where the result is asked for."""
    return _begin(call)[0]


def is_passing() -> bool:
    """Whether such a thread still computes."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _begin(call: Callable[[], T]) -> tuple[Future[T], threading.Thread]:
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # the caller's thread raises it
            done.set_exception(error)

    thread = threading.Thread(target=run, name=_NAME, daemon=True)  # Ctrl-C does not wait for it
    thread.start()
    return done, thread
