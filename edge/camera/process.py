"""One capture process a camera, seen from the daemon; loads no OpenCV and never blocks."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from edge.camera.backoff import Backoff, full_jitter
from edge.camera.clock import SYSTEM_CLOCK, Clock
from edge.camera.health import CameraHealth, CameraState
from edge.camera.hours import is_open, parse_zone
from edge.camera.mapping import MAX_PIXELS
from edge.camera.segment import SHARED_DIRECTORY, Segment
from edge.camera.settings import CameraSettings
from edge.camera.shared_frame import FrameReader, SharedFrame
from edge.camera.spawn import start_capture
from edge.camera.status import Report, Status, StatusWriter, StreamInfo, read_status

LOAD_DEADLINE_S = 60.0
"""For a new process until it begins to open the stream: Python and OpenCV load slowly on a card."""
GRACE_S = 1.0
"""A process that missed its deadline is killed after so long; it then had time to say why."""
STABLE_S = 10.0
"""Pictures for so long, and the pauses begin again with the shortest."""
_STOP_S = 0.7


class CaptureProcess:
    """Keeps the capture process of one camera running, and reads its frames and its health.

    Call :meth:`poll` often (ten times a second is plenty): it starts, watches, kills and restarts
    the process and returns at once. The thread that polls must live as long as the daemon, since
    Linux kills the child when the thread that started it ends.

    Other processes read the frames with ``FrameReader(capture.segment)``; the segment stays the same
    over restarts.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        directory: Path = SHARED_DIRECTORY,
        capacity_pixels: int = MAX_PIXELS,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[float], float] = full_jitter,
    ) -> None:
        """Make the segment; no process is started before the first :meth:`poll`.

        Raises:
            CameraError: shared memory cannot be had.
        """
        self.settings = settings
        self._clock = clock
        self._openings = settings.openings
        self._zone = parse_zone(settings.time_zone)
        self._segment = Segment(settings.id, directory=directory, capacity_pixels=capacity_pixels)
        self._reader = FrameReader(self._segment.path)
        self._status = StatusWriter(self._reader.mapping)
        self._backoff = Backoff(settings.backoff_min_s, settings.backoff_max_s, jitter)
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._past = (0, 0, 0)
        self._why_killed = ""
        self._stopping = self._stopped = False
        self._asked_s = 0.0
        self._not_before_s = clock.seconds()
        self._reason = self._broken = ""
        self._broken_state = CameraState.DOWN
        self._state = CameraState.STARTING
        self._state_since_s = clock.seconds()

    @property
    def segment(self) -> Path:
        """Path for a ``FrameReader`` in another process."""
        return self._segment.path

    @property
    def info(self) -> StreamInfo | None:
        """What is known of the stream that is open now."""
        status = None if self._stopped else read_status(self._reader.mapping)
        return status.report.info if status is not None else None

    def latest(self, newer_than: int = 0) -> SharedFrame | None:
        """The latest whole frame with an index above ``newer_than``, or None."""
        return None if self._stopped else self._reader.latest(newer_than)

    def poll(self) -> CameraHealth:
        """Do what is due, and say how the camera is."""
        now_s = self._clock.seconds()
        closed = self._stopping or not is_open(self._openings, self._clock.utc(), self._zone)
        self._reap(now_s, closed)
        if closed:
            self._ask_to_stop()
        elif self._process is None and now_s >= self._not_before_s:
            self._spawn(now_s)
        status = None if self._stopped else read_status(self._reader.mapping)
        state, reason = self._judge(status, now_s, closed)
        if state != self._state:
            self._state, self._state_since_s = state, now_s
        self._reason = reason
        return self._health(status, now_s)

    def ask_to_stop(self) -> None:
        """Begin to stop and return at once, so that many cameras stop together."""
        self._stopping = True
        self._ask_to_stop()

    def stop(self) -> None:
        """Stop for good: the process has ended and its memory is gone when this returns (< 2 s)."""
        self.ask_to_stop()
        if self._process is not None:
            # from when it was asked, so that many that hang take no longer than one
            left_s = min(_STOP_S, self._asked_s + _STOP_S - self._clock.seconds())
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, left_s))
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self._process = None
        if not self._stopped:
            self._stopped = True
            self._reader.close()
            self._segment.close()

    def _spawn(self, now_s: float) -> None:
        self._status.clear(self._clock.monotonic_ns())
        self._why_killed = ""
        try:
            self._process = start_capture(self.settings, self._segment.path)
        except OSError as error:
            self._failed(f"no process can be started: {error.strerror}", now_s)

    def _reap(self, now_s: float, closed: bool) -> None:
        """Notice a process that ended, and plan the next one."""
        if self._process is None or self._process.poll() is None:
            return
        code = self._process.returncode
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process = None
        status = read_status(self._reader.mapping)
        if status is not None:
            before = self._past
            counted = (status.received, status.handed_on, status.withheld)
            self._past = (before[0] + counted[0], before[1] + counted[1], before[2] + counted[2])
        said, state = "", CameraState.DOWN
        if status is not None and status.report.phase == "failed":
            said = status.report.reason
            if status.report.picture != "ok":  # it is opened again because of its pictures
                state = CameraState(status.report.picture)
        self._status.clear(self._clock.monotonic_ns())
        if closed:
            self._not_before_s, self._broken = now_s, ""
        else:
            ended = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
            why = self._why_killed or said or f"the capture process ended ({ended})"
            self._failed(why, now_s, state)

    def _failed(self, why: str, now_s: float, state: CameraState = CameraState.DOWN) -> None:
        self._broken, self._broken_state = why, state
        self._failures += 1
        self._not_before_s = now_s + self._backoff.next_pause()

    def _judge(self, status: Status | None, now_s: float, closed: bool) -> tuple[CameraState, str]:
        if closed:
            why = "stopped" if self._stopping else "outside the opening hours"
            return CameraState.CLOSED, why
        if self._process is None or self._why_killed:
            return self._broken_state, self._why_killed or self._broken
        if status is None:
            return self._state, self._reason  # it is just being written: nothing new
        report = status.report
        in_phase_s = now_s - report.phase_ns / 1e9
        waiting_s = now_s - status.progress_ns / 1e9
        if report.phase == "loading":
            limit_s, what = LOAD_DEADLINE_S, "the capture process does not start"
            return self._starting(in_phase_s, limit_s, what)
        if report.phase == "opening":
            limit_s = self.settings.open_deadline_s
            return self._starting(in_phase_s, limit_s, "the stream cannot be opened")
        if waiting_s > self.settings.read_deadline_s + GRACE_S:
            return self._kill(f"no picture for {self.settings.read_deadline_s:g} s")
        if report.phase == "failed":
            return self._state, self._reason  # it ends, and will be noticed
        if waiting_s > self.settings.read_deadline_s / 2:
            return CameraState.STALLED, f"no picture for {waiting_s:.1f} s"
        if status.handed_on + status.withheld == 0:
            return self._starting(waiting_s, self.settings.read_deadline_s, "no picture comes")
        self._broken = ""
        if report.picture != "ok":
            return CameraState(report.picture), report.reason
        if in_phase_s >= STABLE_S:
            self._backoff.reset()
        return CameraState.LIVE, ""

    def _starting(self, spent_s: float, limit_s: float, what: str) -> tuple[CameraState, str]:
        if spent_s > limit_s + GRACE_S:
            return self._kill(f"{what} within {limit_s:g} s")
        if self._broken:  # a further attempt is not news
            return self._broken_state, self._broken
        return CameraState.STARTING, "opening the stream"

    def _kill(self, why: str) -> tuple[CameraState, str]:
        self._why_killed, self._broken_state = why, CameraState.DOWN
        if self._process is not None:
            self._process.kill()
        return CameraState.DOWN, why

    def _ask_to_stop(self) -> None:
        """Close the child's pipe, and kill it where it is stuck and does not heed that."""
        if self._process is None or self._process.stdin is None:
            return
        if not self._process.stdin.closed:
            self._asked_s = self._clock.seconds()
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        elif self._clock.seconds() - self._asked_s > _STOP_S:
            self._process.kill()

    def _health(self, status: Status | None, now_s: float) -> CameraHealth:
        frame_ns = 0 if self._stopped else self._reader.latest_ns()
        report = status.report if status is not None else Report()
        counts = (status.received, status.handed_on, status.withheld) if status else (0, 0, 0)
        total = [past + now for past, now in zip(self._past, counts, strict=True)]
        reading = report.phase == "reading" and self._process is not None
        reading_s = max(1e-9, now_s - report.phase_ns / 1e9) if reading else float("inf")
        waiting = self._state is CameraState.DOWN and self._process is None
        return CameraHealth(
            camera_id=self.settings.id,
            state=self._state,
            reason=self._reason,
            since_s=max(0.0, now_s - self._state_since_s),
            age_s=max(0.0, now_s - frame_ns / 1e9) if frame_ns else None,
            next_attempt_s=max(0.0, self._not_before_s - now_s) if waiting else None,
            fps=counts[0] / reading_s,
            cpu_share=status.cpu_ns / 1e9 / reading_s if status else 0.0,
            width=report.info.width,
            height=report.info.height,
            received=total[0],
            handed_on=total[1],
            withheld=total[2],
            failures=self._failures,
            pid=self._process.pid if self._process is not None else None,
        )
