"""The adapter store: the adapters that a server holds, by name.

A name stays known until it is removed; its tensors are in memory only while there is room. What has not been asked for
longest goes first: from the device to the host, from the host to its file, from where the next request fetches it. An
adapter in use or pinned never goes. Replacing one loads the new one first, then points the name at it; requests that
run keep the old one until they end.

Loading is slow and is called off the engine's thread and the event loop; everything else returns at once.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lora_scripts.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Loaded(Protocol):
    """Tensors of an adapter: ``serve/engine/weights.py`` makes them."""

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""

    @property
    def digest(self) -> str:
        """What identifies its content."""


Load = Callable[[str, Path], Loaded]
Move = Callable[[Any, str], Loaded]


class StoreFull(Exception):
    """Everything in memory is in use or pinned; there is room later."""


@dataclass(slots=True, eq=False)
class Entry:
    """One name. ``loaded`` is None while its tensors are not in memory; ``tier`` is device, host or disk."""

    name: str
    path: Path
    voice: Any = None
    pinned: bool = False
    loaded: Loaded | None = None
    tier: str = "disk"
    digest: str = ""
    nbytes: int = 0
    in_use: int = 0
    last_used: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)


class AdapterStore:
    """Adapters by name, within budgets of bytes.

    ``load`` reads an adapter onto the device, ``move`` takes one to ``host`` or back to ``device``; without it there is
    no host tier, as on a CPU, where both are one memory. ``describe`` reads what is kept as ``Entry.voice``.
    ``dropped`` is called once for each loaded adapter that goes out of memory; it must return at once.
    """

    def __init__(
        self,
        load: Load,
        *,
        device_bytes: int,
        host_bytes: int = 0,
        move: Move | None = None,
        describe: Callable[[Path], Any] = lambda _: None,
        dropped: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._load, self._move, self._describe, self._dropped = load, move, describe, dropped
        self._device_bytes, self._host_bytes = device_bytes, host_bytes
        self._entries: dict[str, Entry] = {}
        self._leaving: list[Entry] = []  # replaced or removed, still in use
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """The names, in order of arrival."""
        with self._lock:
            return list(self._entries)

    def entries(self) -> list[Entry]:
        """All entries, for showing."""
        with self._lock:
            return list(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def digest(self, name: str) -> str:
        """What identifies the adapter's content; empty for an unknown name."""
        entry = self._entries.get(name)
        return entry.digest if entry else ""

    def add(self, name: str, path: Path, *, pinned: bool = False) -> Entry:
        """Load the adapter in ``path`` under ``name``; an adapter of that name is replaced. Slow.

        Raises:
            UsageError: The name is none.
            ModelError: The adapter cannot be used.
            StoreFull: There is no room for it.
        """
        if not NAME.fullmatch(name) or name in (".", ".."):
            raise UsageError("serve.bad_name", name=name[:80])
        entry = Entry(name, path, self._describe(path), pinned=pinned)
        loaded = self._load(name, path)
        with self._lock:  # one step, or two that come at once would both find room
            self._place(entry, loaded)
            before = self._entries.get(name)
            self._entries[name] = entry
            self._leave(before)
        return entry

    def remove(self, name: str) -> bool:
        """Forget a name; whether it was known. Its memory is free when its last request ends."""
        with self._lock:
            entry = self._entries.pop(name, None)
            self._leave(entry)
        return entry is not None

    def pin(self, name: str, pinned: bool) -> None:
        """Keep an adapter in memory, or let it go again."""
        with self._lock:
            self._entries[name].pinned = pinned

    def hold(self, name: str) -> Entry | None:
        """An entry for a request, if its tensors are on the device; give it back with ``release``. Returns at once.

        Raises:
            KeyError: Unknown name.
        """
        with self._lock:
            entry = self._entries[name]
            if entry.loaded is None or entry.tier != "device":
                return None
            return self._held(entry)

    def fetch(self, name: str) -> Entry:
        """Like ``hold``, but brings the tensors to the device first. Slow.

        Raises:
            KeyError: Unknown name.
            ModelError: The file can no longer be used, or is another one than it was.
            StoreFull: No room now.
        """
        with self._lock:
            entry = self._held(self._entries[name])  # held from here on, so that nobody takes it away as it comes
        try:
            with entry.lock:
                if entry.loaded is None or entry.tier != "device":
                    self._fetch(entry)
        except BaseException:
            self.release(entry)
            raise
        return entry

    def release(self, entry: Entry) -> None:
        """A request that held the entry has ended."""
        with self._lock:
            entry.in_use -= 1
            if not entry.in_use and entry in self._leaving:
                self._leaving.remove(entry)
                self._drop(entry)

    def bytes_in(self, tier: str) -> int:
        """Bytes of tensors on ``device`` or ``host``."""
        with self._lock:
            return sum(e.nbytes for e in [*self._entries.values(), *self._leaving] if e.tier == tier)

    def _held(self, entry: Entry) -> Entry:
        entry.in_use += 1
        entry.last_used = time.monotonic()
        return entry

    def _fetch(self, entry: Entry) -> None:
        if entry.loaded is not None and self._move is not None:
            loaded = self._move(entry.loaded, "device")
        else:
            loaded = self._load(entry.name, entry.path)
        with self._lock:
            self._place(entry, loaded)

    def _place(self, entry: Entry, loaded: Loaded) -> None:
        try:
            if entry.digest and loaded.digest != entry.digest:
                raise UsageError("serve.file_changed", where=entry.path, name=entry.name)
            self._make_room(loaded.nbytes, entry)
        except BaseException:
            if entry.loaded is None:
                self._dropped(loaded)
            raise
        entry.loaded, entry.tier = loaded, "device"
        entry.digest, entry.nbytes = loaded.digest, loaded.nbytes

    def _make_room(self, wanted: int, for_entry: Entry) -> None:
        if wanted > self._device_bytes:
            raise UsageError("serve.too_large", name=for_entry.name, size=wanted / 1e6, limit=self._device_bytes / 1e6)
        own = for_entry.nbytes if for_entry.tier == "device" else 0
        while self.bytes_in("device") - own + wanted > self._device_bytes:
            victim = self._oldest("device", for_entry)
            if victim is None:
                raise StoreFull(for_entry.name)
            self._evict(victim)

    def _oldest(self, tier: str, but: Entry) -> Entry | None:
        free = [e for e in self._entries.values() if e.tier == tier and not e.in_use and not e.pinned and e is not but]
        return min(free, key=lambda e: e.last_used, default=None)

    def _evict(self, entry: Entry) -> None:
        """From the device to the host where there is one with room, else out of memory."""
        if self._move is None or entry.loaded is None or entry.nbytes > self._host_bytes:
            self._drop(entry)
            return
        while self.bytes_in("host") + entry.nbytes > self._host_bytes:
            older = self._oldest("host", entry)
            if older is None:
                self._drop(entry)
                return
            self._drop(older)
        entry.loaded, entry.tier = self._move(entry.loaded, "host"), "host"

    def _leave(self, entry: Entry | None) -> None:
        if entry is None:
            return
        if entry.in_use:
            self._leaving.append(entry)
        else:
            self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        loaded, entry.loaded, entry.tier = entry.loaded, None, "disk"
        if loaded is not None:
            self._dropped(loaded)


def below(root: Path, wanted: str) -> Path:
    """The folder that ``wanted`` names below ``root``, links followed.

    Raises:
        UsageError: It is absolute or leads outside.
    """
    if "\0" in wanted or Path(wanted).is_absolute():
        raise UsageError("serve.outside", path=wanted[:120])
    real_root = root.resolve()
    try:
        found = (real_root / wanted).resolve()
        exists = found.exists()
    except (OSError, RuntimeError, ValueError) as error:  # links in a ring, a name that is too long or no text
        raise UsageError("serve.outside", path=ascii(wanted[:120])) from error
    if found == real_root or not found.is_relative_to(real_root):
        raise UsageError("serve.outside", path=wanted[:120])
    if not exists:
        raise UsageError("serve.no_such_adapter_folder", path=wanted[:120])
    return found


def weights_below(root: Path, path: Path) -> None:
    """No file of an adapter may lie outside ``root`` by way of a link.

    Raises:
        UsageError: One does.
    """
    real_root = root.resolve()
    for file in (path if path.is_dir() else path.parent).iterdir():
        if file.is_symlink() and not file.resolve().is_relative_to(real_root):
            raise UsageError("serve.outside", path=file.name)
