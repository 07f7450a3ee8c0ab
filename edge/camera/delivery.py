"""From a grabbed frame to the latest frame in shared memory, at the rate that was asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from edge.camera.clock import Clock
from edge.camera.region import Region
from edge.camera.settings import CameraSettings
from edge.camera.shared_frame import FrameWriter
from edge.camera.source import write_rgb
from edge.camera.status import Picture, StatusWriter
from edge.camera.stream import Description, Stream
from edge.camera.stream_clock import StreamClock
from edge.camera.watch import PictureWatch, Verdict, digest, look_of
from edge.errors import CameraError
from edge.types import U8

_UNDECODED_IN_A_ROW = 25
_TELL_NS = 1_000_000_000
_REASONS = {
    "black": "the picture is black",
    "grey": "the decoder lost its references, parts of the picture are grey",
    "frozen": "the pictures are exactly equal",
}


class Delivery:
    """Takes every grabbed frame, retrieves those that are due, judges them and hands them on."""

    def __init__(
        self,
        settings: CameraSettings,
        writer: FrameWriter,
        status: StatusWriter,
        begun_ns: int,
        clock: Clock,
    ) -> None:
        self.due_ns = 0
        self._settings = settings
        self._writer = writer
        self._status = status
        self._begun_ns = begun_ns
        self._clock = clock
        self._period_ns = int(1e9 / settings.fps)
        self._region = Region(settings.roi, settings.masks)
        still = settings.kind == "file"
        self._watch = PictureWatch(0.0 if still else settings.frozen_after_s, status.frozen)
        self._undecoded = 0
        self._cpu_before_ns = time.process_time_ns()
        self._stream_clock = StreamClock()
        self._told_ns = 0

    def take(self, stream: Stream) -> None:
        """Account for the frame that was just grabbed and hand it on where it is due.

        Raises:
            CameraError: the stream has been broken for so long that it must be opened again.
        """
        now_ns = self._clock.monotonic_ns()
        now_utc = self._clock.utc()
        status = self._status
        status.progress(now_ns)
        mark = stream.mark()
        self._stream_clock.saw(now_ns / 1e9, keyframe=mark.keyframe)
        lag_s = self._stream_clock.lag_s(now_ns / 1e9, mark.stamp_s)
        cpu_ns = time.process_time_ns() - self._cpu_before_ns
        if now_ns < self.due_ns:
            status.count(cpu_ns=cpu_ns)
            return
        # a late frame must not make the next ones come in a burst
        self.due_ns = max(self.due_ns + self._period_ns, now_ns - self._period_ns // 2)
        bgr = self._retrieved(stream)
        if bgr is None:
            status.count(cpu_ns=cpu_ns)
            return
        height, width = bgr.shape[:2]
        left, top, right, bottom = self._region.box(width, height)
        cut = bgr[top:bottom, left:right]
        verdict = self._judge(cut, now_ns)
        self._describe(stream.describe(), (width, height), now_ns, lag_s, verdict)
        if verdict.usable:
            write_rgb(cut, self._writer.begin(*cut.shape[:2]))
            self._writer.commit(
                captured_ns=now_ns - int(lag_s * 1e9),
                captured_at=now_utc - timedelta(seconds=lag_s),
                origin_xy=(left, top),
                full_wh=(width, height),
            )
        status.count(handed_on=verdict.usable, withheld=not verdict.usable, cpu_ns=cpu_ns)
        self._reopen_where_broken(cut, verdict, now_ns)

    def _retrieved(self, stream: Stream) -> U8 | None:
        """The picture, None where it cannot be decoded; CameraError after many such in a row."""
        try:
            picture = stream.retrieve()
        except CameraError:
            self._undecoded += 1
            if self._undecoded >= _UNDECODED_IN_A_ROW:
                raise
            return None
        self._undecoded = 0
        return picture

    def _judge(self, cut: U8, now_ns: int) -> Verdict:
        """Judge a picture, and blank it where it is masked."""
        settings = self._settings
        look = look_of(cut, black=settings.black_after_s > 0, grey=settings.grey_after_s > 0)
        self._region.blank(cut)
        return self._watch.judge(cut, look, now_ns)

    def _describe(
        self,
        known: Description,
        size_wh: tuple[int, int],
        now_ns: int,
        lag_s: float,
        verdict: Verdict,
    ) -> None:
        """Tell the parent of changes at once, and of figures that always change once a second."""
        report = self._status.report
        info = replace(
            report.info,
            codec=known.codec,
            transport=known.transport,
            decoder=known.decoder,
            width=size_wh[0],
            height=size_wh[1],
            first_frame_s=report.info.first_frame_s or (now_ns - self._begun_ns) / 1e9,
        )
        picture = self._lasting(verdict, now_ns)
        due = now_ns - self._told_ns >= _TELL_NS
        if due or info != report.info or picture != report.picture:
            self._told_ns = now_ns
            info = replace(
                info,
                keyframe_s=self._stream_clock.keyframe_s,
                lag_s=lag_s,
                errors=known.errors,
            )
            since_ns = report.picture_ns if picture == report.picture else now_ns
            reason = _REASONS.get(picture, "")
            self._status.tell(
                replace(report, info=info, picture=picture, picture_ns=since_ns, reason=reason)
            )

    def _lasting(self, verdict: Verdict, now_ns: int) -> Picture:
        """What the picture has been for long enough to be reported."""
        limit_s = {
            "black": self._settings.black_after_s,
            "grey": self._settings.grey_after_s,
        }.get(verdict.picture, 0.0)
        return verdict.picture if now_ns - verdict.since_ns >= limit_s * 1e9 else "ok"

    def _reopen_where_broken(self, cut: U8, verdict: Verdict, now_ns: int) -> None:
        held_s = (now_ns - verdict.since_ns) / 1e9
        if verdict.picture == "grey" and held_s >= 2 * self._settings.grey_after_s:
            raise CameraError(f"{_REASONS['grey']}, for {held_s:.0f} s")
        if self._status.frozen and verdict.usable:
            self._status.frozen = 0
        if verdict.picture == "frozen" and held_s >= self._settings.frozen_after_s:
            self._status.frozen = digest(cut)
            raise CameraError(_REASONS["frozen"])
