"""What is said about a camera: its state, why, and its counters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class CameraState(StrEnum):
    """``live`` is the only state in which new frames arrive."""

    STARTING = "starting"
    """The capture process starts or opens the stream."""
    LIVE = "live"
    STALLED = "stalled"
    """Open, but no picture for half the read deadline."""
    FROZEN = "frozen"
    """Pictures arrive and are exactly equal for too long."""
    BLACK = "black"
    """Pictures arrive and are dark."""
    GREY = "grey"
    """Pictures arrive with the flat grey areas of a decoder that lost its references."""
    DOWN = "down"
    """No stream; the next attempt comes after a pause."""
    CLOSED = "closed"
    """Outside the opening hours, or stopped."""


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """One look at a camera.

    ``reason`` is one line without credentials, empty while live. ``since_s`` is how long the state
    has held, ``age_s`` how old the latest frame is (None before the first), ``next_attempt_s`` the
    pause that remains while down. ``fps`` is what the camera sent on average since the stream was
    opened, ``cpu_share`` the processor time of the capture process over elapsed time (1.0 is one
    core). The counters run since this camera was set up, over all its capture processes: frames
    received, handed on, and withheld (black, grey, frozen); processes that failed.
    """

    camera_id: str
    state: CameraState
    reason: str
    since_s: float
    age_s: float | None
    next_attempt_s: float | None
    fps: float
    cpu_share: float
    width: int
    height: int
    received: int
    handed_on: int
    withheld: int
    failures: int
    pid: int | None

    def to_json(self) -> dict[str, object]:
        """A JSON object with the fields as they are named here."""
        return asdict(self)
