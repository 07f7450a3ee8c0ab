"""One rendered shelf photo with ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from export.scenes.brands import SPLIT_CODES
from export.scenes.catalog import Catalog
from export.scenes.effects import DIFFICULTIES, Difficulty, apply_effects
from export.scenes.fronts import DEFAULT_FRONTS, FrontCache
from export.scenes.layout import Layout
from export.scenes.stocking import HARD, MILD, TIDY, make_layout
from export.scenes.store import MIN_VISIBLE, draw_store
from export.scenes.view import Camera, View, make_camera, make_view, outlines

_TIDINESS = {"clean": TIDY, "mild": MILD, "hard": HARD}
_TURN_DEG = {"clean": 0.0, "mild": 10.0, "hard": 30.0}
_CLUTTER = {"clean": 0.0, "mild": 0.15, "hard": 1.0}
_MM2_PER_FACING = 16000.0


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A photo and its facings.

    `image` (H, W, 3) uint8 RGB; `xyxy` (N, 4) float32 in pixels, x2/y2 exclusive, tight around the
    visible part; `sku_id` N ids; `slot` and `row` (N,) int32: which product place, and which shelf
    of which bay, a facing belongs to; `seed` as given.
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
    min_visible: float = MIN_VISIBLE,
    fronts: FrontCache | None = None,
) -> Scene:
    """Render one photo; the same catalogue, seed and arguments give the same bytes.

    `facings` is the wanted range of visible facings, from a close-up (2, 6) to bays (280, 340);
    the count lands in or close to it. "clean" is tidy, straight and without camera effects;
    only "hard" shows SKUs with hard_variant. Facings of which a smaller share than `min_visible`
    is seen, at the picture's edge or behind others, are not in the truth. Raises ConfigError for
    an unknown difficulty or an empty range.
    """
    if difficulty not in DIFFICULTIES:
        raise ConfigError(
            f"difficulty must be one of {', '.join(DIFFICULTIES)}, got {difficulty!r}"
        )
    rng = np.random.default_rng([SPLIT_CODES[catalog.split], catalog.seed, 2, seed])
    layout, view = arrange(
        catalog, rng, size_wh, facings, difficulty, hard_variants=difficulty == "hard"
    )
    image, xyxy, who = draw_store(
        layout,
        view,
        fronts or DEFAULT_FRONTS,
        rng,
        clutter=_CLUTTER[difficulty],
        min_visible=min_visible,
    )
    shown = [layout.facings[int(index)] for index in who]
    return Scene(
        apply_effects(image, rng, difficulty),
        xyxy,
        tuple(facing.sku.sku_id for facing in shown),
        np.array([facing.slot for facing in shown], np.int32),
        np.array([facing.row for facing in shown], np.int32),
        seed,
    )


def arrange(
    catalog: Catalog,
    rng: np.random.Generator,
    size_wh: tuple[int, int],
    facings: tuple[int, int],
    difficulty: Difficulty,
    *,
    hard_variants: bool,
) -> tuple[Layout, View]:
    """Stock shelves and aim a camera at them; arguments as for `render_scene`.

    Raises ConfigError for an empty range of facings.
    """
    low, high = facings
    if not 1 <= low <= high:
        raise ConfigError(f"facings must be (low, high) with 1 <= low <= high, got {facings}")
    inner = 0.12 * (high - low)
    wanted = round(float(rng.uniform(low + inner, high - inner)))
    layout = _stock(catalog, rng, wanted, size_wh[0] / size_wh[1], difficulty, hard_variants)
    camera = make_camera(rng, _TURN_DEG[difficulty])
    return layout, _aim(layout, rng, camera, (low, wanted, high), size_wh)


def _stock(
    catalog: Catalog,
    rng: np.random.Generator,
    wanted: int,
    aspect: float,
    difficulty: Difficulty,
    hard_variants: bool,
) -> Layout:
    """Bays that hold more than the wanted facings: just about all of them, or many more."""
    height = float(np.sqrt(wanted * _MM2_PER_FACING / aspect)) * float(rng.uniform(1.1, 1.4))
    needed = 1.08 * wanted + 2
    while True:
        layout = make_layout(
            catalog,
            rng,
            width_mm=max(700.0, height * aspect * 1.1),
            height_mm=max(300.0, height),
            tidiness=_TIDINESS[difficulty],
            hard_variants=hard_variants,
        )
        if len(layout.facings) >= needed:
            return layout
        height *= 1.25


def _aim(
    layout: Layout,
    rng: np.random.Generator,
    camera: Camera,
    facings: tuple[int, int, int],
    size_wh: tuple[int, int],
) -> View:
    """The view of a random place of the bays that best keeps to (lowest, wanted, highest) facings.

    A row comes into a picture as a whole, so that not every place allows every number.
    """
    low, wanted, high = facings
    best: tuple[int, View] | None = None
    for _ in range(10):
        x, y = _place(layout, rng, wanted)
        view = _zoom(layout, camera, wanted, (x, y), size_wh)
        miss = max(0, low - _visible(layout, view, 0.5), _visible(layout, view, 0.25) - high)
        if best is None or miss < best[0]:
            best = (miss, view)
        if miss == 0:
            break
    assert best is not None
    return best[1]


def _place(layout: Layout, rng: np.random.Generator, wanted: int) -> tuple[float, float]:
    shelf = layout.shelves[int(rng.integers(len(layout.shelves)))]
    across, down = float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.42, 0.58))
    if wanted < 25:
        x = shelf.x0_mm + across * (shelf.x1_mm - shelf.x0_mm)
        return x, shelf.top_mm + float(rng.uniform(0.3, 0.9)) * (shelf.board_mm - shelf.top_mm)
    return layout.width_mm * (0.5 + 0.3 * (across - 0.5)), layout.height_mm * down


def _zoom(
    layout: Layout,
    camera: Camera,
    wanted: int,
    centre_mm: tuple[float, float],
    size_wh: tuple[int, int],
) -> View:
    """The smallest window about a centre that shows the wanted facings, found by bisection."""
    aspect = size_wh[0] / size_wh[1]
    low, high = 20.0, 3 * layout.height_mm + 500
    for _ in range(20):
        middle = (low + high) / 2
        view = make_view(camera, _window(*centre_mm, middle, aspect), size_wh)
        if _visible(layout, view, MIN_VISIBLE + 0.05) < wanted:
            low = middle
        else:
            high = middle
    return make_view(camera, _window(*centre_mm, high, aspect), size_wh)


def _window(x: float, y: float, height: float, aspect: float) -> tuple[float, float, float, float]:
    half = height / 2
    return (x - half * aspect, y - half, x + half * aspect, y + half)


def _visible(layout: Layout, view: View, least: float) -> int:
    """Facings of which at least a share lies in the picture, whatever stands before them."""
    corners = outlines(layout.facings, view)
    low, high = corners.min(axis=1), corners.max(axis=1)
    seen = np.clip(np.minimum(high, view.size_wh) - np.maximum(low, 0), 0, None)
    share = np.prod(seen, axis=1) / np.prod(np.maximum(high - low, 1e-9), axis=1)
    return int(np.count_nonzero(share >= least))
