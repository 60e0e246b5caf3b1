"""Work in a thread that has ended when its result is there."""

from __future__ import annotations

import threading

import pytest

from lora_scripts.errors import UsageError
from lora_scripts.models.passing_thread import begun, in_passing_thread


def test_the_thread_has_ended_when_its_result_is_there() -> None:
    worker = in_passing_thread(threading.current_thread)
    assert worker is not threading.current_thread() and not worker.is_alive()


def test_what_it_raises_is_raised_to_the_caller() -> None:
    def fail() -> None:
        raise UsageError("cli.bad_adapter", where="x")

    with pytest.raises(UsageError):
        in_passing_thread(fail)


def test_what_was_begun_goes_on_by_itself_and_gives_its_result_or_error_where_it_is_asked_for() -> None:
    go = threading.Event()
    waiting = begun(lambda: go.wait(10) and threading.current_thread())
    assert not waiting.done()
    go.set()
    assert waiting.result(10) is not threading.current_thread()
    broken = begun(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        broken.result(10)
