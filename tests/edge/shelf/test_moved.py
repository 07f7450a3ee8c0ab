"""A product that was pushed or turned is the same product: no change of the shelf."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.shelf.motion import explained_by_motion
from edge.types import F32
from tests.edge.shelf.watched_shelf import HIGH, WIDE, Paint, Shelf, Watcher, box_of, package

PLACE = 9


def repainted(front: F32, shift_xy: tuple[int, int] = (0, 0)) -> Paint:
    """Draws ``front`` over the product of ``PLACE``, shifted; the old edges show the board."""

    def paint(picture: F32, number: int) -> F32:
        x1, y1, x2, y2 = box_of(PLACE).astype(int)
        picture[y1:y2, x1:x2] = 85.0
        x1, y1 = x1 + shift_xy[0], y1 + shift_xy[1]
        picture[y1 : y1 + front.shape[0], x1 : x1 + front.shape[1]] = front
        return picture

    return paint


def turned(front: F32) -> F32:
    """A box turned about its upright axis: the front is narrower, a plain side comes into sight."""
    narrow = cv2.resize(front, (WIDE - 8, HIGH), interpolation=cv2.INTER_AREA)
    side = np.full((HIGH, 8, 3), front.mean(axis=(0, 1)), np.float32) * 0.7
    return np.concatenate([narrow, side], axis=1).astype(np.float32)


def printed(seed: int = 3, spot: bool = False) -> F32:
    """A front with fine print, as large as a real one is in a picture."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 200, (8, 6, 3)), (60, 90), interpolation=cv2.INTER_CUBIC)
    coarse = coarse.clip(0, 255).astype(np.uint8)
    for row in range(12, 80, 12):
        text = "".join(rng.choice(list("ABEHKMRSW"), 5).tolist())
        cv2.putText(coarse, text, (6, row), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (20, 20, 20), 1)
    if spot:
        coarse[40:52, 16:36] = (200, 40, 40)
    return coarse.astype(np.float32)


def around(front: F32, warp: F32) -> F32:
    """A front before a board, warped."""
    picture = np.full((110, 80, 3), 90.0, np.float32)
    picture[10:100, 10:70] = front
    moved = cv2.warpAffine(picture, warp, (80, 110), borderMode=cv2.BORDER_REPLICATE)
    grain = np.random.default_rng(8).normal(0, 0.8, moved.shape)
    return np.asarray(moved + grain, np.float32)


STILL = np.eye(2, 3, dtype=np.float32)


@pytest.mark.parametrize(
    "warp",
    [
        [[1, 0, 3.4], [0, 1, -1.2]],
        [[0.97, 0, 1.0], [0, 0.97, 1.6]],
        [[0.94, 0.03, 1.0], [-0.03, 1, 2.0]],
    ],
)
def test_the_same_print_elsewhere_is_explained(warp: list[list[float]]) -> None:
    before = around(printed(), STILL)
    after = around(printed(), np.array(warp, np.float32))
    assert np.abs(after - before).max() > 40
    assert explained_by_motion(before, after, 14.0)


@pytest.mark.parametrize("warp", [STILL.tolist(), [[1, 0, 2.5], [0, 1, 1.0]]])
def test_a_variant_is_not_explained_even_if_moved(warp: list[list[float]]) -> None:
    before = around(printed(), STILL)
    after = around(printed(spot=True), np.array(warp, np.float32))
    assert not explained_by_motion(before, after, 14.0)


def test_another_print_is_not_explained() -> None:
    assert not explained_by_motion(around(printed(3), STILL), around(printed(4), STILL), 14.0)


def watcher_at_rest() -> Watcher:
    watcher = Watcher(Shelf.full())
    assert watcher.run(4.0) == []
    return watcher


@pytest.mark.parametrize("shift", [(4, 0), (-3, 0), (0, 3), (4, 2)])
def test_a_pushed_product_is_no_event(shift: tuple[int, int]) -> None:
    watcher = watcher_at_rest()
    inventory = watcher.memory.inventory()
    assert watcher.run(4.0, repainted(package("b"), shift)) == []
    assert watcher.memory.inventory() == inventory
    # and is known where it stands now
    embedded = watcher.embedded
    assert watcher.run(4.0, repainted(package("b"), shift)) == []
    assert watcher.embedded == embedded


def test_a_turned_product_is_no_event() -> None:
    watcher = watcher_at_rest()
    assert watcher.run(4.0, repainted(turned(package("b")))) == []
    assert watcher.memory.inventory()["b"] == 4


def test_what_comes_after_a_push_is_still_seen() -> None:
    watcher = watcher_at_rest()
    watcher.run(3.0, repainted(package("b"), (4, 0)))
    (event,) = watcher.run(3.0, repainted(package("d"), (4, 0)))
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "b", "d")


def test_a_variant_in_a_pushed_place_is_a_change() -> None:
    watcher = watcher_at_rest()
    (event,) = watcher.run(3.0, repainted(package("b", spot=True)))
    assert (event.kind, event.sku_before, event.sku_after) == ("replaced", "b", "b")
