"""One rendered shelf photo with ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.scenes.brands import SPLIT_CODES
from export.scenes.catalog import Catalog
from export.scenes.effects import DIFFICULTIES, Difficulty, apply_effects
from export.scenes.fronts import DEFAULT_FRONTS, FrontCache
from export.scenes.layout import HARD, MILD, TIDY, Facing, Layout, make_layout
from export.scenes.store import MIN_VISIBLE, draw_store
from export.scenes.view import make_view

_TIDINESS = {"clean": TIDY, "mild": MILD, "hard": HARD}
_TURN_DEG = {"clean": 0.0, "mild": 6.0, "hard": 16.0}
_MM2_PER_FACING = 16000.0


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A photo and its facings.

    `image` (H, W, 3) uint8 RGB; `xyxy` (N, 4) float32 in pixels, x2/y2 exclusive, tight around the
    visible part; `sku_id` N ids; `slot` and `row` (N,) int32; `seed` as given.
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    sku_id: tuple[str, ...]
    slot: NDArray[np.int32]
    row: NDArray[np.int32]
    seed: int


def render_scene(
    catalog: Catalog,
    seed: int,
    *,
    size_wh: tuple[int, int] = (1280, 960),
    facings: tuple[int, int] = (80, 140),
    difficulty: Difficulty = "mild",
    fronts: FrontCache | None = None,
) -> Scene:
    """Render one photo; the same catalogue, seed and arguments give the same bytes.

    `facings` is the wanted range of visible facings, from a close-up (2, 6) to a bay (280, 340); the
    count lands in or close to it. "clean" is tidy, straight and without camera effects; only "hard"
    shows SKUs with hard_variant. Raises ValueError for an unknown difficulty or an empty range.
    """
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty must be one of {', '.join(DIFFICULTIES)}, got {difficulty!r}")
    low, high = facings
    if not 1 <= low <= high:
        raise ValueError(f"facings must be (low, high) with 1 <= low <= high, got {facings}")
    rng = np.random.default_rng([SPLIT_CODES[catalog.split], catalog.seed, 2, seed])
    inner = 0.12 * (high - low)
    wanted = int(round(rng.uniform(low + inner, high - inner)))
    aspect = size_wh[0] / size_wh[1]
    height = float(np.sqrt(wanted * _MM2_PER_FACING / aspect))
    margin = float(rng.uniform(1.05, 1.4))
    layout = make_layout(
        catalog,
        rng,
        width_mm=max(700.0, height * aspect * margin * 1.15),
        height_mm=max(300.0, height * margin * 1.1),
        tidiness=_TIDINESS[difficulty],
        hard_variants=difficulty == "hard",
    )
    window = _window(layout, rng, wanted, aspect)
    view = make_view(rng, window, size_wh, _TURN_DEG[difficulty])
    image, xyxy, who = draw_store(layout, view, fronts or DEFAULT_FRONTS, rng)
    shown = [layout.facings[int(index)] for index in who]
    return Scene(
        apply_effects(image, rng, difficulty),
        xyxy,
        tuple(facing.sku.sku_id for facing in shown),
        np.array([facing.slot for facing in shown], np.int32),
        np.array([facing.row for facing in shown], np.int32),
        seed,
    )


def _window(
    layout: Layout, rng: np.random.Generator, wanted: int, aspect: float
) -> tuple[float, float, float, float]:
    """The window of an aspect that shows about `wanted` facings, at a random place of the bay."""
    boxes = np.array([_box(facing) for facing in layout.facings]).reshape(-1, 4)
    shelf = layout.shelves[int(rng.integers(len(layout.shelves)))]
    few = wanted < 25
    centre_y = (shelf.top_mm + shelf.board_mm) / 2 if few else layout.height_mm * float(rng.uniform(0.45, 0.55))
    centre_x = layout.width_mm * float(rng.uniform(0.25, 0.75) if few else rng.uniform(0.42, 0.58))
    low, high = 20.0, 3 * layout.height_mm + 500
    for _ in range(30):
        height = (low + high) / 2
        half = height / 2
        window = (centre_x - half * aspect, centre_y - half, centre_x + half * aspect, centre_y + half)
        if _visible(boxes, window) < wanted:
            low = height
        else:
            high = height
    half = high / 2
    return (centre_x - half * aspect, centre_y - half, centre_x + half * aspect, centre_y + half)


def _visible(boxes: NDArray[np.float64], window: tuple[float, float, float, float]) -> int:
    wide = np.minimum(boxes[:, 2], window[2]) - np.maximum(boxes[:, 0], window[0])
    tall = np.minimum(boxes[:, 3], window[3]) - np.maximum(boxes[:, 1], window[1])
    seen = np.clip(wide, 0, None) * np.clip(tall, 0, None)
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return int(np.count_nonzero(seen >= MIN_VISIBLE * whole))


def _box(facing: Facing) -> tuple[float, float, float, float]:
    width, height = facing.sku.size_mm
    left = facing.x_mm - width / 2
    return left, facing.base_mm - height, left + width, facing.base_mm
