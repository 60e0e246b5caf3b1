"""Work in a thread that has ended when its result is there."""

from __future__ import annotations

import threading

import pytest

from lora_scripts.errors import UsageError
from lora_scripts.models.passing_thread import in_passing_thread


def test_the_thread_has_ended_when_its_result_is_there() -> None:
    worker = in_passing_thread(threading.current_thread)
    assert worker is not threading.current_thread() and not worker.is_alive()


def test_what_it_raises_is_raised_to_the_caller() -> None:
    def fail() -> None:
        raise UsageError("cli.bad_adapter", where="x")

    with pytest.raises(UsageError):
        in_passing_thread(fail)
