"""Stage timings of one frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Sums wall time per named stage, in milliseconds."""

    def __init__(self) -> None:
        self._spent_ms: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to ``name``."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begun)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere to ``name``."""
        self._spent_ms[name] = self._spent_ms.get(name, 0.0) + seconds * 1000.0

    def timings_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in the order in which the stages first ran."""
        return dict(self._spent_ms)
