from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.camera.mapping import HEADER_BYTES, Mapping
from edge.camera.segment import Segment
from edge.camera.shared_frame import FrameReader, FrameWriter
from edge.errors import CameraError
from edge.types import U8
from tests.streams import kill_hard, python

NOON = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment("a", directory=tmp_path, capacity_pixels=200 * 100)
    yield made
    made.close()


def put(writer: FrameWriter, value: int, height: int = 10, width: int = 20) -> int:
    writer.begin(height, width)[:] = value
    return writer.commit(captured_ns=1000 + value, captured_at=NOON)


def test_a_frame_comes_out_as_it_went_in(segment: Segment) -> None:
    writer, reader = FrameWriter(segment.path), FrameReader(segment.path)
    assert reader.latest() is None
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    writer.begin(5, 7)[:] = picture
    assert reader.latest() is None
    index = writer.commit(
        captured_ns=2_000_000_000, captured_at=NOON, origin_xy=(3, 4), full_wh=(640, 480)
    )
    frame = reader.latest()
    assert frame is not None
    np.testing.assert_array_equal(frame.image, picture)
    assert (frame.index, frame.captured_at, frame.captured_ns) == (index, NOON, 2_000_000_000)
    assert (frame.origin_xy, frame.full_wh) == ((3, 4), (640, 480))
    assert frame.age_s(2_500_000_000) == 0.5
    assert frame.age_s(1_000_000_000) == 0.0
    assert reader.latest(newer_than=index) is None
    assert reader.latest_ns() == 2_000_000_000


def test_a_frame_that_was_read_is_not_changed_by_the_next(segment: Segment) -> None:
    writer, reader = FrameWriter(segment.path), FrameReader(segment.path)
    put(writer, 1)
    frame = reader.latest()
    for value in (2, 3, 4):
        put(writer, value)
    assert frame is not None
    assert (frame.image == 1).all()
    writer.close()
    reader.close()
    assert (frame.image == 1).all()


def test_the_resolution_may_change_with_every_frame(segment: Segment) -> None:
    writer, reader = FrameWriter(segment.path), FrameReader(segment.path)
    for value, (height, width) in enumerate([(100, 200), (1, 1), (50, 60), (99, 200)]):
        put(writer, value, height, width)
        frame = reader.latest()
        assert frame is not None
        assert frame.image.shape == (height, width, 3)
        assert (frame.image == value).all()


def test_a_picture_that_is_too_large_is_refused_and_changes_nothing(segment: Segment) -> None:
    writer, reader = FrameWriter(segment.path), FrameReader(segment.path)
    put(writer, 1)
    with pytest.raises(CameraError, match="4000 x 3000 pixels is larger than the shared memory"):
        writer.begin(3000, 4000)
    frame = reader.latest()
    assert frame is not None
    assert frame.index == 1


def test_no_room_is_an_error_and_not_a_crash(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CameraError, match="no room for frames of 0 MB: No space left"):
        FrameWriter(segment.path).begin(10, 10)


@given(steps=st.lists(st.sampled_from(["write", "die", "read"]), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_readers_see_the_last_whole_frame_whatever_writers_die_of(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """A writer that dies between begin and commit is followed by another one."""
    segment = Segment("h", directory=tmp_path_factory.getbasetemp(), capacity_pixels=100)
    try:
        writer, reader = FrameWriter(segment.path), FrameReader(segment.path)
        last = 0
        for number, step in enumerate(steps, 1):
            if step == "write":
                assert put(writer, number, 5, 5) == last + 1
                last += 1
                value = number
            elif step == "die":
                writer.begin(5, 5)[:] = 255
                writer = FrameWriter(segment.path)
            else:
                frame = reader.latest()
                assert (frame.index if frame else 0) == last
                assert frame is None or (frame.image == value).all()
    finally:
        segment.close()


class Racing:
    """What a reader reads, between whose accesses a writer makes some of its steps."""

    def __init__(self, mapping: Mapping, writer: FrameWriter, schedule: list[int]) -> None:
        self.words = mapping.words
        self.view = mapping.pixels
        self.committed = 0
        self._steps = self._write(writer)
        self._schedule = iter(schedule)

    def __getitem__(self, at: Any) -> Any:
        self._race()
        return self.words[at]

    def pixels(self, buffer: int, height: int, width: int) -> U8:
        self._race()
        return self.view(buffer, height, width)

    def rest(self) -> None:
        """Let the writer stand still from now on, whatever is left of its schedule."""
        self._schedule = iter(())

    def _race(self) -> None:
        for _ in range(next(self._schedule, 0)):
            next(self._steps)

    def _write(self, writer: FrameWriter) -> Iterator[None]:
        for number in range(1, 1000):
            view = writer.begin(4, 4 + number % 2)
            yield
            view[:2] = number
            yield
            view[2:] = number
            yield
            writer.commit(captured_ns=1000 + number, captured_at=NOON)
            self.committed = number
            yield


@given(schedule=st.lists(st.integers(0, 9), max_size=60), head_start=st.integers(0, 12))
@settings(max_examples=300, deadline=None)
def test_no_interleaving_of_writer_and_reader_tears_a_frame(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[int], head_start: int
) -> None:
    segment = Segment("i", directory=tmp_path_factory.getbasetemp(), capacity_pixels=100)
    try:
        reader = FrameReader(segment.path)
        racing = Racing(reader.mapping, FrameWriter(segment.path), [head_start, *schedule])
        reader.mapping.words = racing  # type: ignore[assignment]
        reader.mapping.pixels = racing.pixels  # type: ignore[method-assign]
        before = 0
        for _ in range(4):
            frame = reader.latest(newer_than=before)
            if frame is not None:
                assert before < frame.index <= racing.committed
                assert (frame.image == frame.index).all()
                assert frame.image.shape == (4, 4 + frame.index % 2, 3)
                assert frame.captured_ns == 1000 + frame.index
                before = frame.index
        racing.rest()
        quiet = reader.latest()
        assert (quiet.index if quiet else 0) == racing.committed
    finally:
        segment.close()


def test_no_read_is_ever_torn_between_threads(segment: Segment) -> None:
    """The writer changes size and content as fast as it can; every copy is of one frame."""
    reader = FrameReader(segment.path)
    done = threading.Event()

    def write() -> None:
        writer = FrameWriter(segment.path)
        number = 0
        while not done.is_set():
            number += 1
            put(writer, number % 256, 100, 100 + number % 100)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        check_reads(reader, seconds=1.0)
    finally:
        done.set()
        thread.join()


WRITE_FOR_EVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from edge.camera.shared_frame import FrameWriter
writer = FrameWriter(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    writer.begin(100, 100 + number % 100)[:] = number % 256
    writer.commit(captured_ns=1000 + number % 256, captured_at=datetime.now(UTC))
    if number == 1:
        print("ready", flush=True)
"""


def test_no_read_is_ever_torn_between_processes_and_kills(segment: Segment) -> None:
    reader = FrameReader(segment.path)
    last = 0
    for _ in range(3):
        with python(WRITE_FOR_EVER, str(segment.path)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            last = check_reads(reader, seconds=0.4, above=last)
            kill_hard(process.pid)
        frame = reader.latest()
        assert frame is not None
        assert frame.index >= last


def check_reads(reader: FrameReader, seconds: float, above: int = 0) -> int:
    end_s = time.monotonic() + seconds
    last, count = above, 0
    while time.monotonic() < end_s or count < 20:
        frame = reader.latest(newer_than=last)
        if frame is None:
            continue
        count += 1
        assert frame.index > last
        last = frame.index
        value = frame.captured_ns - 1000
        assert (frame.image == value).all()
        assert frame.image.shape[0] == 100
        assert frame.full_wh == frame.image.shape[1::-1]
    return last


def test_what_is_no_segment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no shared memory"):
        FrameReader(tmp_path / "absent")
    for content in (b"", bytes(HEADER_BYTES + 10)):
        path = tmp_path / "other"
        path.write_bytes(content)
        with pytest.raises(CameraError, match="not a frame segment"):
            FrameReader(path)
