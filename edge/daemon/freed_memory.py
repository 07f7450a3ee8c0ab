"""Giving memory back that the C library keeps for later."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back() -> bool:
    """Return what was freed to the system; whether this C library can (glibc: malloc_trim(3)).

    Loading models takes and frees some hundred megabytes in pieces, which glibc keeps: without this a
    process that has swapped its models a few times holds twice as much as it needs. Takes
    milliseconds, in which other threads may have to wait for memory.
    """
    trim = _trim()
    if trim is None:
        return False
    trim(0)
    return True


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return found
