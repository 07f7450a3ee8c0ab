"""How long frames waited on their way, and how far apart key frames are."""

from __future__ import annotations

_LARGEST_LAG_S = 30.0


class StreamClock:
    """Compares the sender's time stamps with the times of arrival.

    The two clocks have different zeros, so the quickest frame of the last one to two windows counts
    as not delayed; others waited for as much longer as their stamps say. Where a network or a
    decoder falls behind, frames so show their true age although they have only just arrived.

    Args:
        window_s: seconds of arrival after which a minimum is forgotten; the clocks drift apart by
            some ten milliseconds a minute at most.
    """

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_s = window_s
        self._current = self._previous = float("inf")
        self._window_began_s = 0.0
        self._last_stamp_s = float("-inf")
        self._last_keyframe_s: float | None = None
        self._between = False
        self.keyframe_s = 0.0

    def lag_s(self, arrived_s: float, stamp_s: float | None) -> float:
        """Seconds that the frame waited beyond the quickest; 0 without a stamp.

        Args:
            arrived_s: monotonic.
            stamp_s: the sender's, from any zero.
        """
        if stamp_s is None:
            return 0.0
        offset = arrived_s - stamp_s
        jumped = offset - min(self._current, self._previous) > _LARGEST_LAG_S
        if stamp_s < self._last_stamp_s or jumped:
            # the sender began anew: nothing that was learnt holds
            self._current = self._previous = float("inf")
        self._last_stamp_s = stamp_s
        if arrived_s - self._window_began_s > self._window_s:
            self._previous, self._current = self._current, float("inf")
            self._window_began_s = arrived_s
        self._current = min(self._current, offset)
        return offset - min(self._current, self._previous)

    def saw(self, arrived_s: float, *, keyframe: bool) -> None:
        """A frame came; ``keyframe_s`` is then the time between the last two key frames.

        It stays 0 where all frames are key frames. Several in a row count as one: some decoders give
        one out for each of its slices.
        """
        if keyframe and self._between:
            if self._last_keyframe_s is not None:
                self.keyframe_s = arrived_s - self._last_keyframe_s
            self._last_keyframe_s = arrived_s
        self._between = not keyframe
