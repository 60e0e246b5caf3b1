"""Questions to the user at a terminal, each with a default; where there is nobody to ask, the defaults are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lora_scripts.messages import text

_TRIES = 3


@dataclass(slots=True)
class Dialogue:
    """``say`` prints a line, ``ask`` shows a prompt and returns what was typed; None where there is nobody to ask."""

    say: Callable[[str], None]
    ask: Callable[[str], str] | None = None

    def choose(self, question: str, options: Sequence[str], *, default: int = 0, written: bool = False) -> int | str:
        """The index of the option that was chosen; with ``written`` also words that are none of the numbers.

        Enter, the end of input and a number that is none of them three times take the default.
        """
        self.say("")
        self.say(question)
        for number, option in enumerate(options, 1):
            self.say(f"  {number}. {option}")
        if self.ask is None:
            self.say(text("init.taken", answer=default + 1))
            return default
        for _ in range(_TRIES):
            typed = self._typed(str(default + 1))
            if not typed:
                return default
            if typed.isdecimal() and 1 <= int(typed) <= len(options):
                return int(typed) - 1
            if written and not typed.isdecimal():
                return typed
            self.say(text("init.not_an_option", most=len(options)))
        self.say(text("init.taken", answer=default + 1))
        return default

    def free_text(self, question: str, *, default: str = "") -> str:
        """What the user writes; Enter takes the default."""
        self.say("")
        self.say(question)
        if self.ask is None:
            self.say(text("init.taken", answer=default or "-"))
            return default
        return self._typed(default) or default

    def _typed(self, default: str) -> str:
        assert self.ask is not None
        try:
            return self.ask(f"[{default}]> ").encode("utf-8", "replace").decode().strip()
        except EOFError:
            return ""
