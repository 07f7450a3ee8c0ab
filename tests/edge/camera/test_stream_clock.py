from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.stream_clock import StreamClock


def test_a_frame_that_waited_shows_it() -> None:
    clock = StreamClock()
    assert clock.lag_s(100.0, 7.0) == 0.0
    assert clock.lag_s(100.2, 7.2) == pytest.approx(0.0)
    assert clock.lag_s(102.4, 7.4) == pytest.approx(2.0)
    assert clock.lag_s(102.4, 9.4) == pytest.approx(0.0)


def test_a_quicker_frame_tells_that_the_first_ones_were_late() -> None:
    clock = StreamClock()
    clock.lag_s(100.0, 0.0)
    clock.lag_s(100.0, 1.0)
    assert clock.lag_s(101.5, 1.5) == pytest.approx(1.0)


def test_a_sender_that_begins_anew_is_not_late() -> None:
    clock = StreamClock()
    clock.lag_s(100.0, 500.0)
    assert clock.lag_s(101.0, 0.0) == 0.0
    assert clock.lag_s(102.0, 1.0) == pytest.approx(0.0)
    assert clock.lag_s(1000.0, 2.0) == 0.0


def test_clocks_that_drift_apart_do_not_add_up() -> None:
    """A camera whose clock is 200 parts per million slow, for a day."""
    clock = StreamClock()
    lags = [clock.lag_s(float(second), second * (1 - 200e-6)) for second in range(86_400)]
    assert max(lags) < 0.03


def test_without_stamps_nothing_is_late() -> None:
    assert StreamClock().lag_s(5.0, None) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=50))
def test_a_lag_is_never_negative_or_absurd(pairs: list[tuple[float, float]]) -> None:
    clock = StreamClock()
    for arrived, stamp in sorted(pairs):
        assert 0.0 <= clock.lag_s(arrived, stamp) <= 30.0 + 1e-6


def test_key_frames_are_timed_and_their_slices_count_once() -> None:
    clock = StreamClock()
    for at, keyframe in enumerate([True, True, False, False, True, True, False, True]):
        clock.saw(float(at), keyframe=keyframe)
    assert clock.keyframe_s == 3.0


def test_where_all_are_key_frames_there_is_no_interval() -> None:
    clock = StreamClock()
    for at in range(5):
        clock.saw(float(at), keyframe=True)
    assert clock.keyframe_s == 0.0
