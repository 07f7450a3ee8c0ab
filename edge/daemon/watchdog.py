"""The watchdog: fed by the progress of inference, never by a timer."""

from __future__ import annotations

from collections.abc import Callable


class Watchdog:
    """Judges a counter of inferences.

    ``feed`` is called when the counter has moved on since the last time, at most every
    ``feed_every_s``; a counter that stands still feeds nothing, and after ``stuck_s`` the
    inference process counts as stuck.
    """

    def __init__(self, feed: Callable[[], None], feed_every_s: float, stuck_s: float) -> None:
        self._feed = feed
        self._feed_every_s = feed_every_s
        self.stuck_s = stuck_s
        self._seen: int | None = None
        self._moved_at: float | None = None
        self._fed_at = float("-inf")
        self._owed = False

    def restarted(self, now: float) -> None:
        """A new inference process begins to count; its time runs from ``now`` (monotonic)."""
        self._seen = None
        self._moved_at = now

    def progress(self, count: int, now: float) -> None:
        """The counter as last reported."""
        if count != self._seen:
            self._owed = self._owed or self._seen is not None or count > 0
            self._seen = count
            self._moved_at = now
        if self._owed and now - self._fed_at >= self._feed_every_s:
            self._feed()
            self._owed = False
            self._fed_at = now

    def is_stuck(self, now: float) -> bool:
        """Whether nothing was inferred for too long."""
        return self._moved_at is not None and now - self._moved_at > self.stuck_s
