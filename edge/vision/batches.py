"""How many crops run at once: a few fixed sizes, the fastest of them found while working."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

_LEAST_TRIES = 2
_TRIED_CROPS = 32
_MEMORY = 0.8


class BatchChoice:
    """Splits crops into batches whose sizes are all in a closed list, so that none is padded.

    Which size is fastest depends on caches and on where a session's memory lies, and changed by a
    third from one process to the next where it was measured. So each size is tried on a few dozen
    crops, largest first, and from then on the cheapest per crop that fits is taken. For one thread at
    a time.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sorted(set(sizes) | {1}, reverse=True)
        self._tries = dict.fromkeys(self._sizes, 0)
        self._cost = dict.fromkeys(self._sizes, float("inf"))

    def slices(self, count: int) -> Iterator[slice]:
        """Slices that cover ``count`` crops in order; the caller runs each before it asks for more."""
        start = 0
        while start < count:
            size = self._next(count - start)
            begun = time.perf_counter()
            yield slice(start, start + size)
            self._learn(size, (time.perf_counter() - begun) / size)
            start += size

    def _next(self, left: int) -> int:
        fitting = [s for s in self._sizes if s <= left]
        untried = [s for s in fitting if self._tries[s] < _tries(s)]
        return untried[0] if untried else min(fitting, key=lambda s: self._cost[s])

    def _learn(self, size: int, seconds: float) -> None:
        self._tries[size] += 1
        if self._tries[size] <= _tries(size):
            # the first run of a size also allocates its memory
            self._cost[size] = min(self._cost[size], seconds)
        else:
            self._cost[size] = _MEMORY * self._cost[size] + (1 - _MEMORY) * seconds


def _tries(size: int) -> int:
    return max(_LEAST_TRIES, _TRIED_CROPS // size)
