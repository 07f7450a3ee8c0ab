from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.exif import Exif, parse_exif
from tests.edge.camera.pictures import exif_block

TAKEN = "2026:03:04 15:16:17"


@pytest.mark.parametrize("order", ["<", ">"])
def test_time_with_offset_becomes_utc(order: str) -> None:
    block = exif_block(orientation=6, taken=TAKEN, offset="+02:00", order=order)
    expected = Exif(6, datetime(2026, 3, 4, 13, 16, 17, tzinfo=UTC))
    assert parse_exif(block) == expected
    assert parse_exif(b"Exif\0\0" + block) == expected


@pytest.mark.parametrize("offset", ["", "?", "+xx:00", "x02:00"])
def test_time_without_a_usable_offset_is_local(offset: str) -> None:
    moment = parse_exif(exif_block(taken=TAKEN, offset=offset)).taken_at
    assert moment == datetime(2026, 3, 4, 15, 16, 17).astimezone(UTC)


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "    ", "yesterday"])
def test_nonsense_time_is_no_time(taken: str) -> None:
    assert parse_exif(exif_block(taken=taken)).taken_at is None


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_upright(orientation: int) -> None:
    assert parse_exif(exif_block(orientation=orientation)).orientation == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(tail: bytes) -> None:
    for head in (b"", b"II*\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= parse_exif(head + tail).orientation <= 8


@given(st.integers(0, 120))
def test_a_cut_block_is_survived(length: int) -> None:
    parse_exif(exif_block(orientation=3, taken=TAKEN, offset="-03:30")[:length])
