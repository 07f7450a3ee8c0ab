from __future__ import annotations

import math

import pytest

from edge.camera import clip


def test_clock_follows_timestamps_from_the_first_frame() -> None:
    clock = clip._Clock(25.0, "c")
    assert [clock.seconds(i, 5.0 + 0.5 * i) for i in range(4)] == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("stamp", [0.0, math.nan])
def test_clock_without_timestamps_counts_frames(stamp: float) -> None:
    clock = clip._Clock(10.0, "c")
    assert [clock.seconds(i, stamp) for i in range(3)] == [0.0, 0.1, 0.2]


def test_clock_never_runs_backwards() -> None:
    clock = clip._Clock(10.0, "c")
    stamps = [0.0, 2.0, 4.0, 1.0, 0.0, 0.0]
    times = [clock.seconds(i, stamp) for i, stamp in enumerate(stamps)]
    assert times == sorted(times)


def test_clock_without_anything_assumes_a_rate_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = clip._Clock(0.0, "door.avi")
    assert clock.seconds(0, 0.0) == 0.0
    assert clock.seconds(50, 0.0) == 50 / clip.FALLBACK_FPS
    assert "door.avi: no timestamps and no frame rate" in caplog.text
