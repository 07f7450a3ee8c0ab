from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from export.augment import AugmentConfig, augment, jitter_box, relight

SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))


@given(SHAPES, st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_any_picture_gives_a_picture(shape: tuple[int, int], seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    before = image.copy()
    view = augment(image, np.random.default_rng(seed), AugmentConfig())
    assert view.dtype == np.uint8
    assert view.ndim == 3
    assert view.shape[2] == 3
    assert min(view.shape[:2]) >= 1
    np.testing.assert_array_equal(image, before)


def test_the_same_generator_gives_the_same_view() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    one, two = (augment(image, np.random.default_rng(5), AugmentConfig()) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_picture_is_never_mirrored() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, :20] = 255
    for seed in range(60):
        view = augment(image, np.random.default_rng(seed), AugmentConfig(occlude_p=0.0))
        third = max(1, view.shape[1] // 3)
        assert view[:, :third].mean() > view[:, -third:].mean()


def test_without_jitter_the_box_stays_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 30, 3), np.uint8)
    still = AugmentConfig(box_jitter=0.0, zoom_in=0.0)
    np.testing.assert_array_equal(jitter_box(image, np.random.default_rng(0), still), image)


def test_light_changes_colours_without_tearing_them_apart() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    views = np.stack(
        [relight(grey, np.random.default_rng(s)).mean(axis=(0, 1)) for s in range(200)]
    )
    assert 20 < views.mean(axis=1).std() < 60
    assert np.abs(views - views.mean(axis=1, keepdims=True)).mean() < 25


def test_a_gentle_view_keeps_colours_and_all_but_a_rim() -> None:
    image = np.zeros((100, 80, 3), np.uint8)
    image[:, :] = (200, 30, 90)
    image[10:-10, 10:-10] = (20, 160, 40)
    for seed in range(40):
        view = augment(image, np.random.default_rng(seed), AugmentConfig(), gentle=True)
        assert ((view == (20, 160, 40)).all(axis=2)).sum() >= 0.9 * 80 * 60
