"""The two clocks of a camera: one for ages and deadlines, one for dates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from; tests put their own functions in.

    ``monotonic_ns`` is the same for all processes of the machine and never jumps: all ages,
    deadlines and pauses are measured with it. ``utc`` is the wall clock, which may jump by days when
    the network comes back: only opening hours and the dates of frames use it.
    """

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    utc: Callable[[], datetime] = _utc_now

    def seconds(self) -> float:
        """Monotonic seconds."""
        return self.monotonic_ns() / 1e9


SYSTEM_CLOCK = Clock()
