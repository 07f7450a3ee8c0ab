"""Packages: every shape, the same at every size, and SKUs that can be told apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from export.scenes.catalog import Catalog, build_catalog
from export.scenes.fronts import FrontCache, render_front
from export.scenes.packages import draw_package


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(seed=12, split="test", skus=210, hard_share=0.0)


@pytest.fixture(scope="module")
def thumbnails(catalog: Catalog) -> NDArray[np.float32]:
    """Fronts as a shelf photo shows them, about 120 px high, cut to a common 48 x 96."""
    fronts = [render_front(sku, 120) for sku in catalog.skus]
    small = [cv2.resize(front, (48, 96), interpolation=cv2.INTER_AREA) for front in fronts]
    return np.stack(small).astype(np.float32)


@pytest.mark.parametrize("kind", ["box", "bottle", "can", "pouch", "jar"])
def test_a_package_has_a_silhouette_of_the_products_proportions(
    catalog: Catalog, kind: str
) -> None:
    sku = next(sku for sku in catalog.skus if sku.kind == kind)

    rgba = draw_package(sku, 200)

    assert rgba.shape[0] == 200
    assert abs(rgba.shape[1] / 200 - sku.size_mm[0] / sku.size_mm[1]) < 0.01
    assert rgba.dtype == np.uint8
    filled = np.mean(rgba[..., 3] > 127)
    assert 0.5 < filled <= 1.0
    assert np.ptp(rgba[..., :3][rgba[..., 3] > 127], axis=0).min() > 60


def test_round_packages_leave_the_corners_free_and_boxes_fill_them(catalog: Catalog) -> None:
    bottle = next(sku for sku in catalog.skus if sku.kind == "bottle")
    box = next(sku for sku in catalog.skus if sku.kind == "box" and "Juice" not in sku.category)

    assert draw_package(bottle, 200)[2, 2, 3] == 0
    assert draw_package(box, 200)[6, 6, 3] == 255


def test_a_front_is_on_light_ground_and_deterministic(catalog: Catalog) -> None:
    front = render_front(catalog.skus[0], 160)

    assert front.shape[0] == 160
    assert front[0].min() > 225
    assert np.array_equal(front, render_front(catalog.skus[0], 160))


def test_a_design_looks_the_same_at_every_size(catalog: Catalog) -> None:
    for sku in catalog.skus[::17]:
        large = draw_package(sku, 768)
        size = draw_package(sku, 192).shape[1::-1]
        reduced = cv2.resize(large, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        difference = np.abs(reduced - draw_package(sku, 192)).mean()
        assert difference < 14, (sku.sku_id, difference)


def test_all_fronts_differ_visibly_at_the_size_of_a_shelf_photo(
    catalog: Catalog, thumbnails: NDArray[np.float32]
) -> None:
    flat = thumbnails.reshape(len(thumbnails), -1)
    for index in range(len(flat)):
        distance = np.sqrt(np.mean((flat - flat[index]) ** 2, axis=1))
        distance[index] = np.inf
        nearest = int(distance.argmin())
        pair = catalog.skus[index].sku_id, catalog.skus[nearest].sku_id
        assert distance[nearest] > 9, (pair, distance[nearest])


def test_only_round_packages_turn(catalog: Catalog) -> None:
    can = next(sku for sku in catalog.skus if sku.kind == "can")
    pouch = next(sku for sku in catalog.skus if sku.kind == "pouch")

    assert not np.array_equal(draw_package(can, 96, 20.0), draw_package(can, 96))
    assert np.array_equal(draw_package(pouch, 96, 20.0), draw_package(pouch, 96))


def test_cache_keeps_within_its_bound_and_changes_no_pixel(catalog: Catalog) -> None:
    cache = FrontCache(max_bytes=300_000)
    first = cache.get(catalog.skus[0], 100).copy()
    for sku in catalog.skus[1:8]:
        cache.get(sku, 100)

    assert np.array_equal(cache.get(catalog.skus[0], 100), first)
    assert cache.held_bytes <= 300_000
    assert cache.sized(catalog.skus[0], 50, 20).shape == (50, 20, 4)
    with pytest.raises(ValueError, match="read-only"):
        cache.get(catalog.skus[0], 100)[0, 0] = 1


def test_too_small_a_front_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="height_px must be at least 16, got 4"):
        render_front(catalog.skus[0], 4)
    with pytest.raises(ValueError, match="height_px must be at least 8, got 4"):
        draw_package(catalog.skus[0], 4)
