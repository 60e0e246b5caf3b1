"""Memory that a step frees is kept for the next one.

Torch's part of it, large blocks on page borders, is a variable that it reads once: ``cli.main`` sets it.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST = 1 << 30


def keep_freed_memory() -> bool:
    """Tell glibc not to give large blocks back to the system; False where there is no glibc.

    Otherwise each activation is mapped, zeroed by the kernel and unmapped again in every step.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST - 1))


def give_back_freed_memory() -> None:
    """Let glibc hand what is free to the system: before a second model is loaded, what the first one took."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
