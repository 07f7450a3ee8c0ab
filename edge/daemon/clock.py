"""Times of frames that never jump, and their translation to what the wall clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from edge.camera.clock import SYSTEM_CLOCK, Clock


class FrameClock:
    """The shelf memory measures with the times of frames; a wall clock that jumps by a day must not
    age the shelf by a day. So frames get the wall clock's time as it was when this object was made,
    moved on by the monotonic clock; what is told to the world is translated to the wall clock of now.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._start_ns = clock.monotonic_ns()
        self._start = clock.utc().astimezone(UTC)

    def steady(self, monotonic_ns: int) -> datetime:
        """The time that a frame gets which was taken at this monotonic nanosecond."""
        return self._start + timedelta(microseconds=(monotonic_ns - self._start_ns) / 1000)

    def wall(self, steady: datetime) -> datetime:
        """What a right-set clock would have said then, as far as the clock is right now."""
        return steady + (self._clock.utc() - self.steady(self._clock.monotonic_ns()))

    def now(self) -> datetime:
        """The wall clock (UTC)."""
        return self._clock.utc()

    def seconds(self) -> float:
        """Monotonic seconds."""
        return self._clock.seconds()

    def age_s(self, monotonic_ns: int) -> float:
        """Seconds since then."""
        return max(0.0, (self._clock.monotonic_ns() - monotonic_ns) / 1e9)
