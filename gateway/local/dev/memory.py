"""What a device has, and what is taken of it."""

import gc
import resource
from pathlib import Path
from typing import Any

from gateway.local.dev.messages import Memory

KIB = 1024
Torch = Any
"""The module, or a part of it, which has no types here."""


def measured(device: str, torch: Torch) -> Memory:
    """Of a card: what torch holds. Without one: the process's own resident memory."""
    if device == "cuda":
        total = torch.cuda.mem_get_info()[1]
        return Memory(
            str(torch.cuda.get_device_name()), torch.cuda.memory_reserved(), torch.cuda.max_memory_reserved(), total
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    return Memory(device, _resident() or peak, peak, _proc_bytes(Path("/proc/meminfo"), "MemTotal:"))


def free(device: str, torch: Torch) -> int:
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return _proc_bytes(Path("/proc/meminfo"), "MemAvailable:")


def empty(device: str, torch: Torch) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def is_lack(error: BaseException) -> bool:
    """Torch says it in a class of its own for cards, and in a RuntimeError's words for the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in words for sign in ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc")
    )


def _resident() -> int:
    return _proc_bytes(Path("/proc/self/status"), "VmRSS:")


def _proc_bytes(file: Path, name: str) -> int:
    """0 where the system has no such file."""
    if not file.exists():
        return 0
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * KIB
    return 0
