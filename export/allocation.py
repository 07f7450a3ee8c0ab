"""Keep memory that training frees at every step, instead of having it cleared anew by the kernel."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SET_BY_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to give nothing back to the system; whether it agreed.

    A step on the CPU allocates and frees gigabytes of activations. As they come, each is mapped,
    filled with zeros by the kernel and unmapped again: a third of the time of a step of
    EfficientNet-lite0 at 160 px (`tests/benchmarks/cpu_training.py`). Costs what the heap is
    fragmented by, a fifth there. Not for loops that keep many large arrays of other threads for
    long: the detector's training grew to 20 GB by it. Other C libraries, and processes whose user
    chose an allocator or its thresholds, stay as they are. See mallopt(3).
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _SET_BY_USER):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    most = 2**31 - 1
    return bool(mallopt(_MMAP_THRESHOLD, most) and mallopt(_TRIM_THRESHOLD, most))
