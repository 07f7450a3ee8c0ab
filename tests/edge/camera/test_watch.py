from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.watch import PictureWatch, digest, equal_pictures, grey_share, is_black, look_of
from edge.types import U8
from tests.edge.camera.pictures import noise

SECOND = 1_000_000_000


def sensor(
    level: float, *, sigma: float = 3.0, seed: int = 0, size: tuple[int, int] = (240, 320)
) -> U8:
    """A flat scene as a sensor sees it."""
    values = np.random.default_rng(seed).normal(level, sigma, (*size, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def test_a_shelf_is_neither_black_nor_grey() -> None:
    assert look_of(noise(320, 240), black=True, grey=True) == "ok"


@pytest.mark.parametrize("level", [0, 6, 14])
def test_the_dark_is_black_with_its_noise_and_a_small_light(level: int) -> None:
    dark = sensor(level, sigma=4)
    assert is_black(dark)
    cv2.circle(dark, (100, 100), 4, (0, 255, 0), -1)
    assert is_black(dark)


def test_a_dim_shelf_and_a_dark_shelf_with_a_lit_corner_are_not_black() -> None:
    assert not is_black(sensor(40))
    corner = sensor(5)
    corner[:60, :80] = noise(80, 60)
    assert not is_black(corner)


@pytest.mark.parametrize("fill", [128, 130])
def test_a_quarter_of_decoder_grey_is_broken(fill: int) -> None:
    picture = noise(320, 240)
    picture[120:, 160:] = fill
    assert grey_share(picture) == pytest.approx(0.25, abs=0.02)
    assert look_of(picture, black=True, grey=True) == "grey"
    assert look_of(picture, black=True, grey=False) == "ok"


def test_grey_that_a_decoder_makes_of_an_empty_reference_is_known() -> None:
    """The colour that limited-range YUV 128, 128, 128 becomes in OpenCV."""
    picture = noise(320, 240)
    yuv = np.full((120, 320, 3), 128, np.uint8)
    picture[:120] = cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR)
    assert look_of(picture, black=True, grey=True) == "grey"


def test_a_grey_wall_is_not_broken() -> None:
    assert grey_share(sensor(129, sigma=1.0)) == 0.0
    assert grey_share(np.full((10, 10, 3), 128, np.uint8)) == 0.0


def test_other_flat_colours_of_a_test_picture_are_not_broken() -> None:
    bars = np.zeros((240, 320, 3), np.uint8)
    for number, level in enumerate([191, 0, 104, 235, 16, 180, 60, 255]):
        bars[:, number * 40 : (number + 1) * 40] = level
    assert look_of(bars, black=True, grey=True) == "ok"


def feed(watch: PictureWatch, pictures: list[U8], step_ns: int = SECOND) -> list[str]:
    return [watch.judge(p, "ok", (n + 1) * step_ns).picture for n, p in enumerate(pictures)]


def test_equal_pictures_become_frozen_after_the_time_and_recover() -> None:
    still, other = noise(64, 48), noise(64, 48, seed=1)
    watch = PictureWatch(3.0)
    assert feed(watch, [still] * 3 + [other] + [still] * 5 + [other]) == (
        ["ok"] * 3 + ["ok"] + ["ok"] * 3 + ["frozen"] * 2 + ["ok"]
    )


def test_a_test_picture_in_which_one_pixel_moves_is_not_frozen() -> None:
    """Without noise, and the change is small: whoever samples pixels calls it frozen."""
    pictures = []
    for number in range(20):
        picture = np.full((480, 640, 3), 90, np.uint8)
        picture[number * 7, number * 11] = 91
        pictures.append(picture)
    assert set(feed(PictureWatch(2.0), pictures)) == {"ok"}


def test_a_clock_in_the_picture_hides_nothing_when_it_is_masked() -> None:
    pictures = []
    for number in range(6):
        picture = noise(64, 48)
        picture[:10, :20] = number
        pictures.append(picture)
    assert "frozen" not in feed(PictureWatch(2.0), pictures)
    for picture in pictures:
        picture[:10, :20] = 114
    assert feed(PictureWatch(2.0), pictures)[-1] == "frozen"


def test_zero_seconds_mean_never() -> None:
    assert set(feed(PictureWatch(0.0), [noise(64, 48)] * 50)) == {"ok"}


def test_a_stream_that_was_frozen_is_so_from_its_first_picture_after_it_was_opened_again() -> None:
    still = noise(64, 48)
    assert feed(PictureWatch(60.0, digest(still)), [still, still, noise(64, 48, seed=2)]) == [
        "frozen",
        "frozen",
        "ok",
    ]
    assert feed(PictureWatch(60.0, digest(still)), [noise(64, 48, seed=2), still]) == ["ok", "ok"]


def test_a_picture_is_unusable_at_once_when_it_is_dark() -> None:
    watch = PictureWatch(60.0)
    assert watch.judge(noise(64, 48), "ok", SECOND).usable
    verdict = watch.judge(np.zeros((48, 64, 3), np.uint8), "black", 2 * SECOND)
    assert (verdict.usable, verdict.since_ns) == (False, 2 * SECOND)
    assert watch.judge(np.ones((48, 64, 3), np.uint8), "black", 3 * SECOND).since_ns == 2 * SECOND


@given(x=st.integers(0, 63), y=st.integers(0, 47), channel=st.integers(0, 2))
def test_any_single_value_makes_pictures_differ(x: int, y: int, channel: int) -> None:
    one, other = noise(64, 48), noise(64, 48)
    assert equal_pictures(one, other)
    other[y, x, channel] ^= 1
    assert not equal_pictures(one, other)
    assert not equal_pictures(one, one[:-1])
