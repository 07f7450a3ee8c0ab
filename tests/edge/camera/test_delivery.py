"""What a capture process does with each frame, on a stream and clocks made for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.clock import Clock
from edge.camera.delivery import Delivery
from edge.camera.segment import Segment
from edge.camera.settings import CameraSettings
from edge.camera.shared_frame import FrameReader, FrameWriter
from edge.camera.status import Report, Status, StatusWriter, read_status
from edge.camera.stream import Description, Mark
from edge.errors import CameraError
from edge.types import U8
from tests.edge.camera.pictures import noise

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@dataclass
class Scripted:
    """A stream whose next picture and stamp a test sets."""

    picture: U8 | None = None
    stamp_s: float | None = None
    pulled: bool = False
    retrieved: int = 0

    def grab(self) -> bool:
        return True

    def retrieve(self) -> U8:
        self.retrieved += 1
        if self.picture is None:
            raise CameraError("a frame cannot be decoded")
        return self.picture

    def mark(self) -> Mark:
        return Mark(stamp_s=self.stamp_s)

    def describe(self) -> Description:
        return Description("h264", "tcp", "ffmpeg")

    def close(self) -> None:
        pass


@dataclass
class Bench:
    """A delivery with its clocks in a test's hands."""

    segment: Segment
    settings: CameraSettings
    now_s: float = 1000.0
    utc: datetime = NOON
    stream: Scripted = field(default_factory=Scripted)

    def __post_init__(self) -> None:
        clock = Clock(lambda: round(self.now_s * 1e9), lambda: self.utc)
        writer = FrameWriter(self.segment.path)
        status = StatusWriter(writer.mapping)
        status.clear(round(self.now_s * 1e9))
        status.tell(Report("reading", round(self.now_s * 1e9)))
        self.reader = FrameReader(self.segment.path)
        self.delivery = Delivery(self.settings, writer, status, round(self.now_s * 1e9), clock)

    def take(self, after_s: float, picture: U8 | None, stamp_s: float | None = None) -> None:
        self.now_s += after_s
        self.stream.picture, self.stream.stamp_s = picture, stamp_s
        self.delivery.take(self.stream)

    def take_all(self, after_s: float, pictures: Sequence[U8 | None]) -> None:
        for picture in pictures:
            self.take(after_s, picture)

    @property
    def status(self) -> Status:
        status = read_status(self.reader.mapping)
        assert status is not None
        return status


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment("a", directory=tmp_path, capacity_pixels=100 * 100)
    yield made
    made.close()


def bench(segment: Segment, **changes: Any) -> Bench:
    values = {"id": "a", "url": "rtsp://cam/1", **changes}
    return Bench(segment, CameraSettings.model_validate(values))


@pytest.mark.parametrize(
    ("camera_fps", "fps", "expected"),
    [(25, 5, 50), (10, 5, 50), (15, 4, 40), (5, 5, 50), (2, 5, 20)],
)
def test_the_target_rate_is_kept_and_the_rest_is_never_converted(
    segment: Segment, camera_fps: float, fps: float, expected: int
) -> None:
    at = bench(segment, fps=fps)
    rng = np.random.default_rng(0)
    for number in range(int(10 * camera_fps)):
        jitter = rng.uniform(-0.3, 0.3) / camera_fps
        at.now_s = 1000 + number / camera_fps + jitter
        at.take(0.0, noise(64, 48, seed=number))
    status = at.status
    assert status.received == 10 * camera_fps
    assert status.handed_on == at.stream.retrieved == pytest.approx(expected, rel=0.06)


def test_after_a_pause_frames_do_not_come_in_a_burst(segment: Segment) -> None:
    at = bench(segment, fps=5)
    at.take(0.0, noise(64, 48))
    at.take(30.0, noise(64, 48, seed=1))
    before = at.status.handed_on
    for number in range(10):
        at.take(0.04, noise(64, 48, seed=2 + number))
    assert at.status.handed_on - before <= 3


def test_a_clock_that_jumps_changes_dates_and_not_ages(segment: Segment) -> None:
    at = bench(segment, fps=5)
    for days in (0, 1, -1):
        at.utc = NOON + timedelta(days=days)
        at.take(1.0, noise(64, 48, seed=days + 5))
        frame = at.reader.latest()
        assert frame is not None
        assert frame.captured_at == at.utc
        assert frame.age_s(round((at.now_s + 0.25) * 1e9)) == pytest.approx(0.25)
    assert at.status.handed_on == 3


def test_a_frame_that_waited_on_its_way_has_its_true_age(segment: Segment) -> None:
    at = bench(segment, fps=5)
    at.take(1.0, noise(64, 48), stamp_s=50.0)
    at.take(3.0, noise(64, 48, seed=1), stamp_s=51.0)
    frame = at.reader.latest()
    assert frame is not None
    assert frame.age_s(round(at.now_s * 1e9)) == pytest.approx(2.0)
    assert frame.captured_at == NOON - timedelta(seconds=2)
    assert at.status.report.info.lag_s == pytest.approx(2.0)


def test_frames_that_cannot_be_decoded_are_passed_over_until_there_are_too_many(
    segment: Segment,
) -> None:
    at = bench(segment, fps=5)
    for _ in range(24):
        at.take(0.3, None)
    at.take(0.3, noise(64, 48))
    assert (at.status.received, at.status.handed_on) == (25, 1)
    with pytest.raises(CameraError, match="cannot be decoded"):
        at.take_all(0.3, [None] * 25)


def test_black_is_withheld_at_once_told_later_and_never_opened_again(segment: Segment) -> None:
    at = bench(segment, fps=5, black_after_s=2)
    at.take(1.0, noise(64, 48))
    for number in range(40):
        at.take(0.5, np.zeros((48, 64, 3), np.uint8))
        assert at.status.report.picture == ("black" if number >= 4 else "ok")
    assert (at.status.handed_on, at.status.withheld) == (1, 40)
    assert at.reader.latest(newer_than=1) is None
    at.take(0.5, noise(64, 48, seed=2))
    assert (at.status.report.picture, at.status.report.reason) == ("ok", "")


def test_grey_that_stays_is_opened_again(segment: Segment) -> None:
    at = bench(segment, fps=5, grey_after_s=2)
    broken = noise(64, 48)
    broken[:, :32] = 128
    with pytest.raises(CameraError, match="parts of the picture are grey"):
        at.take_all(0.5, [broken] * 10)
    assert at.status.handed_on == 0
    assert at.status.withheld >= 8


def test_zero_turns_a_watch_off(segment: Segment) -> None:
    at = bench(segment, fps=5, grey_after_s=0, black_after_s=0, frozen_after_s=0)
    for level in (0, 128):
        for _ in range(200):
            at.take(0.5, np.full((48, 64, 3), level, np.uint8))
    assert (at.status.handed_on, at.status.withheld) == (400, 0)


def test_a_frozen_picture_is_known_by_the_next_process(segment: Segment) -> None:
    at = bench(segment, fps=5, frozen_after_s=3)
    with pytest.raises(CameraError, match="exactly equal"):
        at.take_all(0.5, [noise(64, 48) for _ in range(20)])
    handed_on = at.status.handed_on
    assert 5 <= handed_on <= 8
    again = bench(segment, fps=5, frozen_after_s=3)
    again.take(0.5, noise(64, 48))
    assert (again.status.handed_on, again.status.report.picture) == (0, "frozen")
    again.take(0.5, noise(64, 48, seed=1))
    assert again.status.handed_on == 1
    third = bench(segment, fps=5, frozen_after_s=3)
    third.take(0.5, noise(64, 48))
    assert third.status.handed_on == 1, "what was over is forgotten"


def test_a_clock_in_the_picture_is_masked_before_it_is_compared(segment: Segment) -> None:
    at = bench(segment, fps=5, frozen_after_s=3, masks=[[[0, 0], [1, 0], [1, 0.2], [0, 0.2]]])
    pictures = [noise(64, 48) for _ in range(20)]
    for number, picture in enumerate(pictures):
        picture[:5] = number
    with pytest.raises(CameraError, match="exactly equal"):
        at.take_all(0.5, pictures)


def test_a_frame_too_large_for_the_segment_is_an_error_with_its_size(segment: Segment) -> None:
    at = bench(segment)
    with pytest.raises(CameraError, match="640 x 480"):
        at.take(1.0, noise(640, 480))
