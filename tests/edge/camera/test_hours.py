from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.hours import DAYS, Opening, is_open, parse_opening


def test_days_may_run_over_the_end_of_the_week() -> None:
    assert parse_opening("sat-mon 09:30-12:00") == Opening(frozenset({5, 6, 0}), 570, 720)
    assert parse_opening(" SUN 00:00-24:00 ") == Opening(frozenset({6}), 0, 1440)


@pytest.mark.parametrize("text", ["", "mon", "mon 8:00-9:00", "mox 08:00-09:00", "mon 08:61-09:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_opening(text)


def test_night_hours_end_the_next_morning() -> None:
    night = (parse_opening("fri 22:00-06:00"),)
    friday = datetime(2026, 7, 3, tzinfo=UTC)
    for hours, expected in [(21.9, False), (22, True), (29.9, True), (30, False), (53.9, False)]:
        assert is_open(night, friday + timedelta(hours=hours), UTC) is expected


def test_the_hours_follow_the_clocks_of_summer_time() -> None:
    zone = ZoneInfo("Europe/Berlin")
    opening = (parse_opening("mon-sun 08:00-09:00"),)
    assert is_open(opening, datetime(2026, 3, 28, 7, 30, tzinfo=UTC), zone)
    assert is_open(opening, datetime(2026, 3, 29, 6, 30, tzinfo=UTC), zone)


@given(
    day=st.integers(0, 6),
    start=st.integers(0, 1439),
    length=st.integers(1, 1440),
    at=st.integers(0, 7 * 1440 - 1),
)
def test_a_day_is_open_for_exactly_its_minutes(day: int, start: int, length: int, at: int) -> None:
    end = (start + length) % 1440
    text = f"{DAYS[day]} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    monday = datetime(2026, 6, 1, tzinfo=UTC)
    expected = (at - day * 1440 - start) % (7 * 1440) < length
    assert is_open((parse_opening(text),), monday + timedelta(minutes=at), UTC) is expected
