from __future__ import annotations

import numpy as np
import pytest

from edge.gallery.views import SHELF_PX, cut_to_product, enrolment_views
from edge.types import U8


def packshot(height: int, width: int, box: tuple[int, int, int, int], noise: float = 0.0) -> U8:
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 240.0) + rng.normal(0, noise, (height, width, 3))
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = rng.uniform(0, 200, (y2 - y1, x2 - x1, 3))
    return image.clip(0, 255).astype(np.uint8)


def test_a_product_on_a_plain_background_is_cut_out_exactly() -> None:
    image = packshot(400, 300, (90, 50, 210, 370))
    cut = cut_to_product(image)
    assert cut is not None
    np.testing.assert_array_equal(cut, image[50:370, 90:210])


def test_sensor_noise_on_the_background_is_not_the_product() -> None:
    cut = cut_to_product(packshot(400, 300, (90, 50, 210, 370), noise=3.0))
    assert cut is not None
    assert abs(cut.shape[0] - 320) <= 2
    assert abs(cut.shape[1] - 120) <= 2


def test_a_large_packshot_is_enrolled_at_shelf_size_too() -> None:
    views = enrolment_views(packshot(400, 300, (90, 50, 210, 370)))
    assert [v.shape for v in views] == [(320, 120, 3), (SHELF_PX, 45, 3)]
    assert all(v.dtype == np.uint8 for v in views)


def test_a_small_packshot_has_one_view() -> None:
    assert [v.shape for v in enrolment_views(packshot(150, 100, (20, 20, 80, 130)))] == [
        (110, 60, 3)
    ]


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(1).integers(0, 255, (200, 100, 3), dtype=np.uint8),
        np.full((200, 100, 3), 255, np.uint8),
        np.full((1, 1, 3), 9, np.uint8),
        packshot(400, 300, (100, 100, 110, 110)),
    ],
    ids=["photo", "empty", "one pixel", "speck"],
)
def test_any_other_picture_is_taken_as_it_is(image: U8) -> None:
    views = enrolment_views(image)
    assert len(views) == 1
    assert views[0] is image
