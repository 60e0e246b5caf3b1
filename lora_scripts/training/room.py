"""The memory that is there: how much of it is free, what fits into it, and what a run took of it."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from lora_scripts.messages import text

MARGIN = 0.1
"""How far a prediction may be wrong before something is decided by it (bench/memory.py)."""
CGROUPS = Path("/sys/fs/cgroup")


def available_bytes(device: str) -> int:
    """What a run may still take: free memory of the card, or of the machine as far as its control group allows."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [int(psutil.virtual_memory().available)]
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        limits += [room for line in lines for room in _group_room(CGROUPS, line)]
    return max(0, min(limits))


def _group_room(root: Path, line: str) -> list[int]:
    """What the control groups of one line of /proc/self/cgroup leave: its own and all above it, version 1 or 2.

    Pages of files count as used there but are given back when memory is short.
    """
    _, controllers, path = line.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
        return []
    top = root / "memory" if controllers else root
    most, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
    folder = top / path.lstrip("/")
    found = []
    for group in [folder, *folder.parents]:
        if not group.is_relative_to(top):
            break
        with suppress(OSError, ValueError):  # "max" is no limit; inside a container the path may not exist
            room = int((group / most).read_text()) - int((group / used).read_text())
            found.append(room + _file_pages(group / "memory.stat"))
    return found


def _file_pages(stat: Path) -> int:
    lines = stat.read_text().splitlines()
    values = {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}
    return values.get("total_inactive_file", values.get("inactive_file", 0))


def wants_checkpointing(predicted_without: int, available: int) -> bool:
    """Whether a run that is to take so many bytes more should compute its activations twice; not where it fits."""
    return predicted_without > available * (1 - MARGIN)


def checkpointing_line(need: int, available: int) -> str:
    """Why ``gradient_checkpointing: auto`` is on, in words; both in bytes."""
    return text("memory.checkpointing_on", need=need / 2**30, free=available / 2**30)


def begin_peak(device: str) -> int:
    """What is held now, in bytes; the peak is counted from here on. To be given to ``peak_above``."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with suppress(OSError):  # https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
        Path("/proc/self/clear_refs").write_text("5")
    return int(psutil.Process().memory_info().rss)


def peak_above(start: int, device: str) -> int:
    """The most that was held since ``begin_peak`` returned ``start``, in bytes above it."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) - start
    return max(0, _resident_peak() - start)


def _resident_peak() -> int:
    with suppress(OSError, StopIteration):  # getrusage would tell of a larger parent too
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
