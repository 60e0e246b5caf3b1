"""A disk that refuses: counts what is asked of it below a folder, and fails or kills at any one of these moments."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


class Disk:
    """What is asked of the disk below ``folder``, in order, as ``(what, path)``.

    ``refuse_at`` is the number, from 0, of what is refused; with ``for_good`` all that comes later is refused too,
    but for removals, as on a full disk. A refused write leaves half of its bytes.
    """

    def __init__(
        self,
        folder: Path,
        refuse_at: int | None = None,
        *,
        for_good: bool = False,
        error: int | type[BaseException] = errno.ENOSPC,
        only: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self.folder, self.refuse_at, self.for_good, self.error, self.only = folder, refuse_at, for_good, error, only
        self.asked: list[tuple[str, str]] = []

    def refuses(self, what: str, path: object) -> bool:
        """Note a wish; whether it is refused."""
        if not isinstance(path, str | os.PathLike):
            return False
        place, top = Path.cwd() / path, Path.cwd() / self.folder
        if not place.is_relative_to(top) or not self.only(str(place)):
            return False
        number = len(self.asked)
        self.asked.append((what, str(place.relative_to(top))))
        if self.refuse_at is None:
            return False
        return number >= self.refuse_at if self.for_good else number == self.refuse_at

    def fail(self, path: object) -> None:
        """Do what a refused wish does."""
        if isinstance(self.error, int):
            raise OSError(self.error, os.strerror(self.error), str(path))
        raise self.error

    def attach(self, patch: pytest.MonkeyPatch) -> Disk:
        """Stand between Python and the disk as long as ``patch`` lasts."""
        for name, at in (("mkdir", 0), ("rename", 0), ("replace", 0), ("symlink", 1), ("link", 1)):
            patch.setattr(os, name, self._guard(getattr(os, name), name, lambda given, at=at: given[at]))
        patch.setattr(os, "fsync", self._guard(os.fsync, "flush", lambda given: _path_of(given[0])))
        opened = self._open(builtins.open)
        patch.setattr(builtins, "open", opened)
        patch.setattr(io, "open", opened)
        return self

    def _guard(self, real: Callable[..., Any], what: str, path_of: Callable[[Any], object]) -> Callable[..., Any]:
        def asking(*given: Any, **how: Any) -> Any:
            if self.refuses(what, path_of(given)):
                self.fail(path_of(given))
            return real(*given, **how)

        return asking

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", *given: Any, **how: Any) -> Any:
            writes = any(letter in mode for letter in "wax+")
            if writes and self.refuses("open", file):
                self.fail(file)
            opened = real(file, mode, *given, **how)
            return Written(opened, self, file) if writes and isinstance(file, str | os.PathLike) else opened

        return opening


class Written:
    """A file open for writing on such a disk."""

    def __init__(self, file: Any, disk: Disk, path: object) -> None:
        self._file, self._disk, self._path = file, disk, path

    def write(self, data: Any) -> int:
        """Write, or write half of it and fail."""
        if self._disk.refuses("write", self._path):
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            self._disk.fail(self._path)
        return int(self._file.write(data))

    def __enter__(self) -> Written:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _path_of(handle: int) -> str:
    return os.path.realpath(f"/proc/self/fd/{handle}")
