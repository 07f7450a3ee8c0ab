"""Single facings as a detector cuts them from a photo, fast enough for metric learning."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.scenes.catalog import Catalog, Sku
from export.scenes.effects import Difficulty, apply_effects
from export.scenes.fronts import DEFAULT_FRONTS, FrontCache
from export.scenes.paint import Image

_JITTER = 0.06
_HEIGHT_PX = (24, 200)


def render_crop(
    catalog: Catalog,
    sku: Sku,
    rng: np.random.Generator,
    size: int | None = None,
    *,
    difficulty: Difficulty | None = None,
    fronts: FrontCache | None = None,
) -> Image:
    """One crop of a SKU, (h, w, 3) uint8 RGB, as seen on a shelf of other SKUs of the catalogue.

    With perspective, a shelf behind, neighbours peeking in, a box off by up to 6% a side, uneven
    light, reflections, blur, noise and JPEG; some are cut off by the picture's edge or have their
    foot behind a rail or tray. At its own resolution, 24 to 200 px high (log-uniform, leaning to
    the larger), where `size` is None; else stretched to (size, size). Without a `difficulty` half
    the crops are "mild" and half "hard". The same generator state gives the same bytes.
    """
    fronts = fronts or DEFAULT_FRONTS
    if difficulty is None:
        difficulty = "mild" if rng.random() < 0.5 else "hard"
    least, most = np.log(_HEIGHT_PX)
    height = int(np.exp(least + (most - least) * float(rng.random()) ** 0.7))
    width = max(8, round(height * sku.size_mm[0] / sku.size_mm[1]))
    hidden = float(rng.uniform(0.03, 0.2)) if rng.random() < 0.15 else 0.0
    place = _Place(height, width, max(8, width // 3), max(8, height // 5), hidden)
    patch = _compose(catalog, sku, rng, fronts, place)
    crop = _cut(patch, rng, place, 0.09 if difficulty == "hard" else 0.03)
    seen = apply_effects(crop, rng, difficulty)
    if size is None:
        return seen
    mode = cv2.INTER_AREA if size < seen.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(seen, (size, size), interpolation=mode), np.uint8)


@dataclass(frozen=True, slots=True)
class _Place:
    """Size of the product in its patch and the margins around it, in pixels.

    `hidden` is the share of the product, from its foot, that stands behind a rail or tray.
    """

    height: int
    width: int
    pad_x: int
    pad_y: int
    hidden: float


def _compose(
    catalog: Catalog, sku: Sku, rng: np.random.Generator, fronts: FrontCache, place: _Place
) -> Image:
    """The product between its neighbours on a shelf, straight and evenly lit."""
    height, width, pad_x, pad_y = place.height, place.width, place.pad_x, place.pad_y
    patch = _shelf(rng, height + 2 * pad_y, width + 2 * pad_x, pad_y + height)
    gap = round(width * float(rng.uniform(0.0, 0.1)))
    for side in (-1, 1):
        if rng.random() < 0.88:
            _neighbour(patch, catalog, sku, rng, fronts, side * (gap + width // 2), place)
    turn = int(rng.choice([0, 0, 0, 0, -1, 1]))
    front = fronts.sized(sku, height, width, turn)
    soft = cv2.blur(front[..., 3], (2 * (width // 12) + 3,) * 2)
    _darken(patch, np.asarray(soft, np.uint8), pad_x + max(1, width // 30), pad_y)
    _paste(patch, _glare(front, sku, rng), pad_x, pad_y)
    if rng.random() < 0.5:
        below = slice(0, pad_y + height // 6)
        patch[below] = (patch[below] * float(rng.uniform(0.5, 1))).astype(np.uint8)
    if place.hidden:
        foot = pad_y + round(height * (1 - place.hidden))
        patch[foot:] = rng.uniform(30, 240, 3).astype(np.uint8)
    if rng.random() < 0.04:
        _cover(patch, rng, place)
    return patch


def _cut(patch: Image, rng: np.random.Generator, place: _Place, turn: float) -> Image:
    """The patch through a slightly wrong box, with perspective of strength `turn`."""
    height, width = place.height, place.width
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    box = np.array([0, 0, 1, 1 - place.hidden]) + rng.uniform(-_JITTER, _JITTER, 4)
    if rng.random() < 0.1:
        side = int(rng.integers(4))
        box[side] += float(rng.uniform(0.1, 0.5)) * (1 if side < 2 else -1)
    left, top, right, bottom = box * [width, height, width, height]
    skew = rng.normal(0, 0.5, (4, 2)) * [turn * width, turn * 0.6 * height]
    lean = float(rng.normal(0, 0.5)) * turn * height * 0.5
    moved = corners + skew + np.array([[lean, 0], [lean, 0], [-lean, 0], [-lean, 0]])
    low, high = moved.min(axis=0), moved.max(axis=0)
    moved = (moved - low) * ([width, height] / (high - low)) - [left, top]
    matrix = cv2.getPerspectiveTransform(
        corners + np.array([place.pad_x, place.pad_y], np.float32), moved.astype(np.float32)
    )
    size_wh = (max(8, round(right - left)), max(8, round(bottom - top)))
    crop = cv2.warpPerspective(
        patch, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)


def _shelf(rng: np.random.Generator, height: int, width: int, foot: int) -> Image:
    """A dark back panel above a board or rail."""
    tone = float(rng.uniform(20, 150))
    colour = np.clip(tone + rng.normal(0, 8, 3), 0, 255)
    patch = np.empty((height, width, 3), np.uint8)
    patch[:] = colour
    rail = (
        rng.uniform(40, 245, 3) if rng.random() < 0.5 else np.full(3, float(rng.uniform(60, 240)))
    )
    patch[foot - round(float(rng.uniform(0, 0.02)) * foot) :] = rail
    return patch


def _neighbour(
    patch: Image,
    catalog: Catalog,
    sku: Sku,
    rng: np.random.Generator,
    fronts: FrontCache,
    reach: int,
    place: _Place,
) -> None:
    """Another facing whose near edge is `reach` pixels right of the product's middle."""
    other = sku
    if rng.random() < 0.45:
        other = catalog.skus[int(rng.integers(len(catalog.skus)))]
    tall = round(place.height * other.size_mm[1] / sku.size_mm[1])
    tall = max(8, int(np.clip(tall, 0.4 * place.height, place.height + place.pad_y)))
    wide = max(4, round(tall * other.size_mm[0] / other.size_mm[1]))
    front = fronts.sized(other, tall, wide)
    light = float(rng.uniform(0.6, 1.0))
    front = np.dstack([(front[..., :3] * light).astype(np.uint8), front[..., 3]])
    edge = place.pad_x + place.width // 2 + reach
    _paste(patch, front, edge - wide if reach < 0 else edge, place.pad_y + place.height - tall)


def _glare(front: Image, sku: Sku, rng: np.random.Generator) -> Image:
    gloss = {"box": 0.3, "jar": 0.5, "bottle": 0.5, "can": 0.6, "pouch": 0.8}[sku.kind]
    strength = gloss * float(rng.random()) ** 2 * 170
    lit = front.copy()
    if strength < 8:
        return lit
    height, width = front.shape[:2]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :] - float(rng.random())
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None] - float(rng.random())
    wide, tall = float(rng.uniform(0.06, 0.3)), float(rng.uniform(0.2, 1.0))
    spot = np.exp(-(((x + 0.3 * y) / wide) ** 2) - (y / tall) ** 2) * strength
    lit[..., :3] = np.clip(front[..., :3] + spot[..., None], 0, 255).astype(np.uint8)
    return lit


def _cover(patch: Image, rng: np.random.Generator, place: _Place) -> None:
    """A price card or a hand's width of something in front of a corner."""
    x = place.pad_x + int(place.width * float(rng.uniform(-0.1, 0.8)))
    down = 0.75 if rng.random() < 0.5 else float(rng.uniform(-0.1, 0.1))
    y = place.pad_y + int(place.height * down)
    rows, columns = slice(max(y, 0), y + place.height // 4), slice(max(x, 0), x + place.width // 3)
    patch[rows, columns] = rng.uniform(30, 255, 3).astype(np.uint8)


def _paste(patch: Image, front: Image, left: int, top: int) -> None:
    x0, y0 = max(left, 0), max(top, 0)
    x1 = min(left + front.shape[1], patch.shape[1])
    y1 = min(top + front.shape[0], patch.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = front[y0 - top : y1 - top, x0 - left : x1 - left]
    under = patch[y0:y1, x0:x1]
    alpha = part[..., 3:].astype(np.float32) / 255
    under[:] = (under + (part[..., :3].astype(np.float32) - under) * alpha + 0.5).astype(np.uint8)


def _darken(patch: Image, alpha: Image, left: int, top: int) -> None:
    height, width = patch.shape[:2]
    part = alpha[: height - top, : width - left].astype(np.float32)[..., None]
    under = patch[top : top + part.shape[0], left : left + part.shape[1]]
    under[:] = (under * (1 - part * (0.5 / 255))).astype(np.uint8)
