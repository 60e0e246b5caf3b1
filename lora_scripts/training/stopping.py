"""A run that is asked to stop: Ctrl-C and the signals by which systems end a process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from lora_scripts.messages import text
from lora_scripts.training.log import say
from lora_scripts.training.parallel import ALONE, LostRankError, Ranks


@contextmanager
def stop_requests(console: Console, ranks: Ranks = ALONE) -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C, SIGTERM or SIGHUP came; a second one ends the process at once.

    Not so among ranks: there Ctrl-C comes from the terminal and once more from the launcher, which ends by force what
    does not stop. It also asks the others to stop when one rank died, and the first has to tell about that.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked and ranks.size == 1:
            os._exit(1)
        if not asked:
            say(console, text("train.stopping"))
        asked.append(number)

    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    before = {getattr(signal, n): signal.signal(getattr(signal, n), note) for n in names}
    lost = False
    try:
        yield lambda: bool(asked)
    except LostRankError:
        lost = True
        raise
    finally:
        for number, handler in () if lost else before.items():
            signal.signal(number, handler)
