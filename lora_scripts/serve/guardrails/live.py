"""The rules that are in force: checked against, and read anew when their files change."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lora_scripts.errors import LoraScriptsError
from lora_scripts.messages import text
from lora_scripts.serve.guardrails.answer import OutputGuard
from lora_scripts.serve.guardrails.passage import Hit, Passage
from lora_scripts.serve.guardrails.rules import RuleSet

_UNCHECKED_ROLES = ("system", "developer")  # the operator's own words
_STAMP_S = 2.0  # a file changed this shortly before it was read may change again within one tick of its clock

_RETRY_S = 2.0  # between two tries to read wrong rules

log = logging.getLogger(__name__)


@dataclass(slots=True)
class InputVerdict:
    """``refused`` are the words to answer with instead; ``messages`` the conversation to answer, masked where due."""

    refused: str | None
    messages: list[tuple[str, str]]
    hits: list[Hit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was: time and size, and a hash of its bytes; all empty where it cannot be read."""

    stamp: tuple[int, int] | None
    read_at: float
    digest: str


class Guardrails:
    """Holds the current rules. Threads may share it: a check goes by the rules that it began with.

    Args:
        rules: What to begin with; without rules everything passes.
        read: Reads rule files anew and raises ``LoraScriptsError`` where they are wrong.
    """

    def __init__(self, rules: RuleSet | None = None, read: Callable[[], RuleSet] | None = None) -> None:
        self._rules, self._read = rules or RuleSet(), read
        self._rules.sides  # noqa: B018  # made ready now, not by the first request
        self._lock = threading.Lock()
        self._seen = {file: _Seen(None, 0.0, digest) for file, digest in self._rules.files}
        self._fault, self._retry_at = "", 0.0

    @property
    def version(self) -> str:
        """Short hash over rules and word lists."""
        return self._rules.version

    @property
    def label(self) -> str | None:
        """What marks generated content, or None."""
        return self._rules.label or None

    @property
    def guards_output(self) -> bool:
        """Whether there are rules on what comes out."""
        return not self._rules.sides["output"].empty

    def refresh(self) -> None:
        """Read files that changed. A file that is wrong now leaves the old rules in force, with a warning."""
        if self._read is None or not self._lock.acquire(blocking=False):
            return
        try:
            seen = {file: _look(file, before) for file, before in self._seen.items()}
            changed = any(seen[file].digest != before.digest for file, before in self._seen.items())
            self._seen = seen
            if changed or (self._fault and time.monotonic() > self._retry_at):
                self._reload(self._read)
        finally:
            self._lock.release()

    def _reload(self, read: Callable[[], RuleSet]) -> None:
        try:
            rules = read()
            rules.sides  # noqa: B018
        except (LoraScriptsError, OSError) as error:
            self._retry_at = time.monotonic() + _RETRY_S  # a file that it names may come without a change of ours
            if str(error) != self._fault:
                self._fault = str(error)
                log.warning(text("guardrails.kept_old", version=self.version, reason=error))
            return
        self._seen = {file: _Seen(None, 0.0, digest) for file, digest in rules.files}
        self._fault = ""
        if rules.version != self.version:
            log.warning(text("guardrails.reloaded", before=self.version, version=rules.version, count=len(rules.rules)))
        self._rules = rules

    def check_input(self, messages: Sequence[tuple[str, str]]) -> InputVerdict:
        """Check a conversation of (role, content); the words of the operator (system, developer) are left alone."""
        rules = self._rules
        ready = rules.sides["input"]
        if ready.empty:
            return InputVerdict(None, list(messages))
        verdict = InputVerdict(None, [])
        for role, content in messages:
            if role in _UNCHECKED_ROLES:
                verdict.messages.append((role, content))
                continue
            passage = Passage(ready, "input")
            verdict.messages.append((role, passage.whole(content)))
            verdict.hits += passage.hits
            if passage.refused_by is not None and verdict.refused is None:
                rule = passage.refused_by
                verdict.refused = rule.text if rule.action == "refuse" and rule.text else rules.refusal
        return verdict

    def open_output(self) -> OutputGuard:
        """A guard for one answer."""
        return OutputGuard(self._rules)


def _look(file: Path, before: _Seen | None) -> _Seen:
    """The file as it is; its bytes are read only where time or size changed, or may have."""
    try:
        stat = file.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if before and stamp == before.stamp and before.read_at - stat.st_mtime > _STAMP_S:
            return before
        return _Seen(stamp, time.time(), hashlib.sha256(file.read_bytes()).hexdigest())
    except OSError:
        return _Seen(None, 0.0, "")
