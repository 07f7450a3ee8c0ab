"""The capture processes as the supervisor keeps them, and what it tells about them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.camera.health import CameraHealth, CameraState
from edge.camera.process import CaptureProcess
from edge.camera.settings import CameraSettings
from edge.config import CameraConfig
from edge.daemon.events import Event, event_id
from edge.errors import CameraError

log = logging.getLogger("edge.cameras")

SERVING = frozenset({CameraState.LIVE, CameraState.CLOSED})
"""States in which a camera does what it is to do."""


_RETRY_S = 15.0
"""Between two attempts to get shared memory for a camera."""


@dataclass(slots=True)
class _Absent:
    """A camera for which there is no shared memory."""

    settings: CameraSettings
    problem: str
    since_s: float
    retry_s: float
    failures: int = 1


class Cameras:
    """One capture process a camera. ``poll`` from the main thread, ten times a second."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._captures: dict[str, CaptureProcess] = {}
        self._absent: dict[str, _Absent] = {}
        self._came_late = False
        self._told: dict[str, CameraState] = {}
        self._told_at: dict[str, float] = {}
        self.health: dict[str, CameraHealth] = {}

    @property
    def segments(self) -> dict[str, str]:
        """Where the frames of each camera are."""
        return {name: str(capture.segment) for name, capture in self._captures.items()}

    @property
    def serving(self) -> int:
        """How many are live, or closed as they should be."""
        return sum(h.state in SERVING for h in self.health.values())

    def set(self, cameras: Iterable[CameraConfig]) -> None:
        """Make the processes fit the configuration; unchanged cameras go on as they are."""
        wanted = {camera.id: _capture_part(camera) for camera in cameras}
        gone = [n for n, c in self._captures.items() if wanted.get(n) != c.settings]
        for name in gone:
            self._captures[name].ask_to_stop()
        for name in gone:
            self._captures.pop(name).stop()
            self._forget(name)
        for name, settings in wanted.items():
            if name not in self._captures:
                self._begin(name, settings)
        for name in [n for n in self._absent if n not in wanted]:
            self._forget(name)

    def poll(self, health_s: float) -> list[Event]:
        """Look after all of them; their health as events, at every change and every ``health_s``."""
        events = []
        now = time.monotonic()
        for name, absent in list(self._absent.items()):
            if now >= absent.retry_s:
                self._came_late |= self._begin(name, absent.settings)
        looked_after = {name: capture.poll() for name, capture in self._captures.items()}
        looked_after |= {name: _down(name, absent, now) for name, absent in self._absent.items()}
        for name, health in looked_after.items():
            self.health[name] = health
            changed = self._told.get(name) != health.state
            if changed or now - self._told_at[name] >= health_s:
                if changed:
                    level = logging.INFO if health.state in SERVING else logging.WARNING
                    extra = {"camera": name, "state": str(health.state), "reason": health.reason}
                    log.log(level, "camera", extra=extra)
                self._told[name], self._told_at[name] = health.state, now
                events.append(self._event(health))
        return events

    def some_came_late(self) -> bool:
        """Whether, since it was last asked, a camera got its memory after the others: then inference
        does not know where its frames are."""
        came, self._came_late = self._came_late, False
        return came

    def ask_to_stop(self) -> None:
        """Begin to stop all of them."""
        for capture in self._captures.values():
            capture.ask_to_stop()

    def stop(self) -> None:
        """Stop all of them; their memory is gone then."""
        self.ask_to_stop()
        for capture in self._captures.values():
            capture.stop()
        self._captures.clear()

    def _begin(self, name: str, settings: CameraSettings) -> bool:
        """Set a camera up; one without shared memory must not take the others down."""
        try:
            self._captures[name] = CaptureProcess(settings)
        except CameraError as error:
            now_s = time.monotonic()
            before = self._absent.get(name)
            self._absent[name] = absent = _Absent(settings, str(error), now_s, now_s + _RETRY_S)
            if before is not None:
                absent.since_s, absent.failures = before.since_s, before.failures + 1
            log.error("camera not started", extra={"camera": name, "problem": error})
            return False
        self._absent.pop(name, None)
        return True

    def _forget(self, name: str) -> None:
        self._absent.pop(name, None)
        self.health.pop(name, None)
        self._told.pop(name, None)

    def _event(self, health: CameraHealth) -> Event:
        at = datetime.now(UTC)
        data = {
            "state": str(health.state),
            "reason": health.reason,
            "since_s": round(health.since_s, 1),
            "frame_age_s": None if health.age_s is None else round(health.age_s, 2),
            "next_attempt_s": _rounded(health.next_attempt_s),
            "fps": round(health.fps, 2),
            "size_wh": [health.width, health.height],
            "received": health.received,
            "handed_on": health.handed_on,
            "withheld": health.withheld,
            "failures": health.failures,
        }
        key = event_id(self._device, health.camera_id, "camera_health", at, time.monotonic_ns())
        return Event(key, "camera_health", self._device, health.camera_id, at, data)


def _capture_part(camera: CameraConfig) -> CameraSettings:
    """What concerns the capture process; a change of the shelf memory does not restart it."""
    return CameraSettings.model_validate(camera.model_dump(exclude={"slots"}, exclude_unset=True))


def _down(name: str, absent: _Absent, now_s: float) -> CameraHealth:
    return CameraHealth(
        camera_id=name,
        state=CameraState.DOWN,
        reason=absent.problem,
        since_s=now_s - absent.since_s,
        age_s=None,
        next_attempt_s=max(0.0, absent.retry_s - now_s),
        fps=0.0,
        cpu_share=0.0,
        width=0,
        height=0,
        received=0,
        handed_on=0,
        withheld=0,
        failures=absent.failures,
        pid=None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
