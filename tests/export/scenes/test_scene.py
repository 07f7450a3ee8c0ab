"""Scenes: determinism, counts, and truth that agrees with the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.errors import ConfigError
from export.scenes.catalog import Catalog, build_catalog
from export.scenes.fronts import FrontCache
from export.scenes.scene import render_scene
from export.scenes.stocking import MILD, TIDY, make_layout
from export.scenes.store import draw_store
from export.scenes.view import make_camera, make_view, outlines

SMALL = (480, 360)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(seed=8, split="test", skus=60)


def test_the_same_seed_gives_the_same_bytes_whatever_is_cached(catalog: Catalog) -> None:
    first = render_scene(catalog, 3, size_wh=SMALL, facings=(20, 40), difficulty="hard")
    again = render_scene(
        catalog, 3, size_wh=SMALL, facings=(20, 40), difficulty="hard", fronts=FrontCache(1 << 20)
    )
    other = render_scene(catalog, 4, size_wh=SMALL, facings=(20, 40), difficulty="hard")

    assert first.image.tobytes() == again.image.tobytes()
    assert np.array_equal(first.xyxy, again.xyxy)
    assert first.sku_id == again.sku_id
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("difficulty", ["clean", "mild", "hard"])
@pytest.mark.parametrize("facings", [(2, 6), (20, 40), (300, 340)])
def test_a_scene_has_about_the_facings_asked_for(
    catalog: Catalog, facings: tuple[int, int], difficulty: str
) -> None:
    scene = render_scene(catalog, 1, size_wh=SMALL, facings=facings, difficulty=difficulty)  # type: ignore[arg-type]
    assert 0.85 * facings[0] - 1 <= len(scene.xyxy) <= 1.15 * facings[1] + 2


def test_truth_has_the_documented_types_and_lies_in_the_picture(catalog: Catalog) -> None:
    scene = render_scene(catalog, 5, size_wh=SMALL, facings=(60, 90))
    count = len(scene.xyxy)

    assert scene.image.shape == (360, 480, 3)
    assert scene.image.dtype == np.uint8
    assert scene.xyxy.dtype == np.float32
    assert scene.slot.dtype == scene.row.dtype == np.int32
    assert len(scene.sku_id) == len(scene.slot) == len(scene.row) == count
    assert set(scene.sku_id) <= set(catalog.by_id)
    assert (scene.xyxy[:, :2] >= 0).all()
    assert (scene.xyxy[:, 2:] <= SMALL).all()
    assert (scene.xyxy[:, 2:] - scene.xyxy[:, :2] >= 3).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_box_is_where_the_picture_changes_when_its_product_is_taken_away(
    catalog: Catalog, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layout = make_layout(
        catalog, rng, width_mm=800, height_mm=500, tidiness=MILD, hard_variants=False
    )
    layout = replace(layout, facings=tuple(replace(f, behind=0) for f in layout.facings))
    view = make_view(make_camera(rng, 8.0), (100, 50, 700, 500), (640, 480))
    fronts = FrontCache()
    before, xyxy, who = draw_store(layout, view, fronts, np.random.default_rng(9))
    for index, box in list(zip(who, xyxy, strict=True))[::4]:
        kept = tuple(f for place, f in enumerate(layout.facings) if place != index)
        after, _, _ = draw_store(
            replace(layout, facings=kept), view, fronts, np.random.default_rng(9)
        )
        changed = np.abs(before.astype(int) - after).max(axis=2) > 24
        ys, xs = np.nonzero(changed)
        inside = (xs >= box[0] - 8) & (xs < box[2] + 8) & (ys >= box[1] - 8) & (ys < box[3] + 8)
        assert inside.mean() > 0.97
        tight = [xs[inside].min(), ys[inside].min(), xs[inside].max() + 1, ys[inside].max() + 1]
        assert np.abs(np.array(tight) - box).max() <= 8, (box, tight)


def test_boxes_of_an_undisturbed_shelf_are_the_projected_outlines(catalog: Catalog) -> None:
    rng = np.random.default_rng(2)
    layout = make_layout(
        catalog, rng, width_mm=900, height_mm=600, tidiness=TIDY, hard_variants=False
    )
    view = make_view(make_camera(rng, 0.0), (0, 0, 900, 675), (800, 600))
    _, xyxy, who = draw_store(layout, view, FrontCache(), rng)
    corners = outlines(layout.facings, view)[who]
    whole = (corners >= 2).all(axis=(1, 2)) & (corners <= np.array([798, 598])).all(axis=(1, 2))
    expected = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    assert whole.sum() >= 10
    # 6 px: the rail's lip hides 4 mm of the foot; sides of boxes and neighbours do the rest.
    off = np.abs(expected - xyxy)[whole]
    assert np.median(off) <= 2
    assert np.quantile(off, 0.95) <= 8


def test_facings_that_are_mostly_outside_have_no_box(catalog: Catalog) -> None:
    rng = np.random.default_rng(2)
    layout = make_layout(
        catalog, rng, width_mm=900, height_mm=400, tidiness=TIDY, hard_variants=False
    )
    only = layout.facings[0]
    layout = replace(layout, facings=(replace(only, setback_mm=0.0),))
    width = only.sku.size_mm[0]
    for share, boxes in ((0.2, 0), (0.6, 1)):
        left = only.x_mm + width / 2 - share * width
        top = only.base_mm - 300
        view = make_view(make_camera(rng, 0.0), (left, top, left + 533, top + 400), (640, 480))
        assert len(draw_store(layout, view, FrontCache(), rng)[1]) == boxes


def test_a_smaller_least_share_adds_the_facings_at_the_edges(catalog: Catalog) -> None:
    usual = render_scene(catalog, 5, size_wh=SMALL, facings=(60, 90))
    more = render_scene(catalog, 5, size_wh=SMALL, facings=(60, 90), min_visible=0.1)

    assert np.array_equal(usual.image, more.image)
    assert len(more.xyxy) > len(usual.xyxy)
    assert {tuple(box) for box in usual.xyxy} <= {tuple(box) for box in more.xyxy}


def test_only_hard_scenes_show_hard_variants() -> None:
    catalog = build_catalog(seed=8, split="test", skus=80, hard_share=0.5)
    hard = {sku.sku_id for sku in catalog.skus if sku.hard_variant}
    mild = render_scene(catalog, 1, size_wh=SMALL, facings=(60, 90), difficulty="mild")
    all_in = render_scene(catalog, 1, size_wh=SMALL, facings=(60, 90), difficulty="hard")

    assert hard
    assert not hard & set(mild.sku_id)
    assert hard & set(all_in.sku_id)


def test_a_single_sku_can_fill_a_store() -> None:
    scene = render_scene(
        build_catalog(seed=1, split="demo", skus=1), 0, size_wh=SMALL, facings=(5, 9)
    )

    assert set(scene.sku_id) == {"demo-1-0000-00"}


def test_impossible_requests_are_refused_by_name(catalog: Catalog) -> None:
    with pytest.raises(
        ConfigError, match="difficulty must be one of clean, mild, hard, got 'easy'"
    ):
        render_scene(catalog, 0, difficulty="easy")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"got \(9, 3\)"):
        render_scene(catalog, 0, facings=(9, 3))
