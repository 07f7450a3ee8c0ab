"""Pauses between attempts: exponential, with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable


def full_jitter(ceiling: float) -> float:
    """A pause anywhere between none and the ceiling."""
    return random.uniform(0.0, ceiling)


class Backoff:
    """Full jitter (Brooker, "Exponential backoff and jitter", 2015): uniform below a doubling bound.

    Cameras that went down together, with their switch, so do not come back together.
    """

    def __init__(
        self, minimum_s: float, maximum_s: float, draw: Callable[[float], float] = full_jitter
    ) -> None:
        self._minimum_s = minimum_s
        self._maximum_s = maximum_s
        self._draw = draw
        self._failures = 0

    @property
    def ceiling_s(self) -> float:
        """The longest pause that :meth:`next_pause` can give now."""
        doubled = self._minimum_s * 2.0 ** min(self._failures, 60)
        return min(self._maximum_s, doubled)

    def next_pause(self) -> float:
        """Seconds to wait after one more failure."""
        pause = self._draw(self.ceiling_s)
        self._failures += 1
        return pause

    def reset(self) -> None:
        """Begin again with the shortest pauses, after a success that lasted."""
        self._failures = 0
