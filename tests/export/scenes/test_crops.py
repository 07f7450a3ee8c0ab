"""Crops for metric learning: size, determinism, and the right product inside."""

from __future__ import annotations

import numpy as np
import pytest

from export.scenes.catalog import Catalog, build_catalog
from export.scenes.crops import render_crop
from export.scenes.fronts import FrontCache


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(seed=6, split="test", skus=24, hard_share=0.0)


def test_native_crops_are_as_large_as_a_detector_cuts_them(catalog: Catalog) -> None:
    rng = np.random.default_rng(0)
    heights = []
    for sku in catalog.skus:
        crop = render_crop(catalog, sku, rng)
        assert crop.dtype == np.uint8
        assert crop.shape[2] == 3
        heights.append(crop.shape[0])

    assert min(heights) < 70
    assert max(heights) > 120
    assert all(9 <= height <= 226 for height in heights)


def test_a_size_gives_square_crops_and_a_seed_the_same_bytes(catalog: Catalog) -> None:
    first = render_crop(catalog, catalog.skus[3], np.random.default_rng(5), 64)
    again = render_crop(catalog, catalog.skus[3], np.random.default_rng(5), 64)

    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)


def test_crops_of_a_sku_are_nearer_to_each_other_than_to_those_of_others(catalog: Catalog) -> None:
    rng = np.random.default_rng(1)
    skus = catalog.skus[::4]
    crops = np.stack(
        [[render_crop(catalog, sku, rng, 32, difficulty="mild") for _ in range(6)] for sku in skus]
    ).astype(np.float32)
    crops -= crops.mean(axis=(2, 3), keepdims=True)
    centres = crops[:, :3].mean(axis=1)
    right = 0
    for place in range(len(skus)):
        for crop in crops[place, 3:]:
            right += int(np.argmin(((centres - crop) ** 2).mean(axis=(1, 2, 3)))) == place

    # chance is a sixth; some crops are cut off or very small
    assert right >= 0.6 * 3 * len(skus)


def test_the_cache_changes_no_pixel_of_a_crop(catalog: Catalog) -> None:
    args = (catalog, catalog.skus[5])
    cold = render_crop(*args, np.random.default_rng(7), fronts=FrontCache(1))
    warm = render_crop(*args, np.random.default_rng(7))

    assert np.array_equal(cold, warm)
