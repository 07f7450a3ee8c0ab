"""How crops are split into batches, and shared among threads."""

from __future__ import annotations

from collections.abc import Sequence


def split(count: int, sizes: Sequence[int], workers: int = 1) -> list[slice]:
    """Slices that cover ``count`` crops in order, all of a length in ``sizes`` or of 1, so that none
    has to be padded.

    One worker gets the largest batches that fit. For several the batches shrink towards the end
    (guided self-scheduling: Polychronopoulos and Kuck, 1987), so that no worker waits long for the
    last one of another.
    """
    largest_first = sorted({*sizes, 1}, reverse=True)
    parts = []
    start = 0
    while start < count:
        left = count - start
        fair = left if workers == 1 else max(1, left // (2 * workers))
        size = next(s for s in largest_first if s <= fair)
        parts.append(slice(start, start + size))
        start += size
    return parts
