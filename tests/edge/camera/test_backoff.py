from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.camera.backoff import Backoff


def test_pauses_double_up_to_the_limit_and_begin_again() -> None:
    backoff = Backoff(1.0, 60.0, lambda ceiling: ceiling)
    assert [backoff.next_pause() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next_pause() == 1


@given(minimum=st.floats(0.05, 60), factor=st.floats(1, 100), count=st.integers(1, 2000))
def test_a_pause_is_never_above_the_limit(minimum: float, factor: float, count: int) -> None:
    backoff = Backoff(minimum, minimum * factor)
    for _ in range(count):
        ceiling = backoff.ceiling_s
        assert 0 <= backoff.next_pause() <= ceiling <= minimum * factor


def test_cameras_do_not_come_back_together() -> None:
    pauses = sorted(Backoff(10.0, 10.0).next_pause() for _ in range(200))
    assert pauses[0] < 2
    assert pauses[-1] > 8
