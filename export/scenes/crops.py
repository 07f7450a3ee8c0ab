"""Single facings as a detector cuts them from a photo, fast enough for metric learning."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.catalog import Catalog, Sku
from export.scenes.effects import Difficulty, apply_effects
from export.scenes.fronts import DEFAULT_FRONTS, FrontCache

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
) -> NDArray[np.uint8]:
    """One crop of a SKU, (h, w, 3) uint8 RGB, as seen on a shelf of other SKUs of the catalogue.

    With perspective, a shelf behind, neighbours peeking in, a box off by up to 6% a side, uneven
    light, reflections, blur, noise and JPEG. At its own resolution, 24 to 200 px high (log-uniform,
    leaning to the larger), where `size` is None; else stretched to (size, size). Without a
    `difficulty` half the crops are "mild" and half "hard". The same generator state gives the same
    bytes.
    """
    fronts = fronts or DEFAULT_FRONTS
    if difficulty is None:
        difficulty = "mild" if rng.random() < 0.5 else "hard"
    low, high = np.log(_HEIGHT_PX)
    height = int(np.exp(low + (high - low) * float(rng.random()) ** 0.7))
    width = max(8, round(height * sku.size_mm[0] / sku.size_mm[1]))
    pad_x, pad_y = max(8, width // 3), max(8, height // 5)
    patch = _shelf(rng, height + 2 * pad_y, width + 2 * pad_x, pad_y + height)
    gap = round(width * float(rng.uniform(0.0, 0.1)))
    for side in (-1, 1):
        if rng.random() < 0.88:
            _neighbour(patch, catalog, sku, rng, fronts, side, (height, width, pad_x, pad_y, gap))
    turn_step = int(rng.choice([0, 0, 0, 0, -1, 1]))
    front = fronts.sized(sku, height, width, turn_step)
    shadow = cv2.blur(front[..., 3], (2 * (width // 12) + 3,) * 2)
    _darken(patch, np.asarray(shadow, np.uint8), pad_x + max(1, width // 30), pad_y)
    _paste(patch, _glare(front, sku, rng), pad_x, pad_y)
    if rng.random() < 0.5:
        patch[: pad_y + height // 6] = (
            patch[: pad_y + height // 6] * float(rng.uniform(0.5, 1))
        ).astype(np.uint8)
    if rng.random() < 0.04:
        _cover(patch, rng, pad_x, pad_y, height, width)
    turn = 0.09 if difficulty == "hard" else 0.03
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    box = _jittered_box(rng, height, width)
    skew = rng.normal(0, 0.5, (4, 2)) * [turn * width, turn * 0.6 * height]
    lean = float(rng.normal(0, 0.5)) * turn * height * 0.5
    skew += np.array([[lean, 0], [lean, 0], [-lean, 0], [-lean, 0]])
    moved = (corners + skew).astype(np.float32)
    low_xy, high_xy = moved.min(axis=0), moved.max(axis=0)
    moved = (moved - low_xy) * ([width, height] / (high_xy - low_xy)).astype(np.float32)
    moved -= np.array(box[:2], np.float32)
    matrix = cv2.getPerspectiveTransform(
        corners + np.array([pad_x, pad_y], np.float32), moved.astype(np.float32)
    )
    size_wh = (max(8, round(box[2] - box[0])), max(8, round(box[3] - box[1])))
    crop = cv2.warpPerspective(
        patch, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    seen = apply_effects(np.asarray(crop, np.uint8), rng, difficulty)
    if size is None:
        return seen
    mode = cv2.INTER_AREA if size < seen.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(seen, (size, size), interpolation=mode), np.uint8)


def _jittered_box(
    rng: np.random.Generator, height: int, width: int
) -> tuple[float, float, float, float]:
    left, top, right, bottom = rng.uniform(-_JITTER, _JITTER, 4)
    return (left * width, top * height, width * (1 + right), height * (1 + bottom))


def _shelf(rng: np.random.Generator, height: int, width: int, foot: int) -> NDArray[np.uint8]:
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
    patch: NDArray[np.uint8],
    catalog: Catalog,
    sku: Sku,
    rng: np.random.Generator,
    fronts: FrontCache,
    side: int,
    place: tuple[int, int, int, int, int],
) -> None:
    height, width, pad_x, pad_y, gap = place
    other = sku
    if rng.random() < 0.45:
        other = catalog.skus[int(rng.integers(len(catalog.skus)))]
    tall = round(height * other.size_mm[1] / sku.size_mm[1])
    tall = int(np.clip(tall, 0.4 * height, height + pad_y))
    wide = max(4, round(tall * other.size_mm[0] / other.size_mm[1]))
    front = fronts.sized(other, max(8, tall), wide)
    light = float(rng.uniform(0.6, 1.0))
    front = np.dstack([(front[..., :3] * light).astype(np.uint8), front[..., 3]])
    left = pad_x - gap - wide if side < 0 else pad_x + width + gap
    _paste(patch, front, left, pad_y + height - front.shape[0])


def _glare(front: NDArray[np.uint8], sku: Sku, rng: np.random.Generator) -> NDArray[np.uint8]:
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


def _cover(
    patch: NDArray[np.uint8],
    rng: np.random.Generator,
    pad_x: int,
    pad_y: int,
    height: int,
    width: int,
) -> None:
    """A price card or a hand's width of something in front of a corner."""
    x = pad_x + int(width * float(rng.uniform(-0.1, 0.8)))
    y = pad_y + int(height * float(rng.choice([float(rng.uniform(-0.1, 0.1)), 0.75])))
    colour = rng.uniform(30, 255, 3)
    patch[max(y, 0) : y + height // 4, max(x, 0) : x + width // 3] = colour.astype(np.uint8)


def _paste(patch: NDArray[np.uint8], front: NDArray[np.uint8], left: int, top: int) -> None:
    x0, y0 = max(left, 0), max(top, 0)
    x1 = min(left + front.shape[1], patch.shape[1])
    y1 = min(top + front.shape[0], patch.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = front[y0 - top : y1 - top, x0 - left : x1 - left]
    under = patch[y0:y1, x0:x1]
    alpha = part[..., 3:].astype(np.float32) / 255
    under[:] = (under + (part[..., :3].astype(np.float32) - under) * alpha + 0.5).astype(np.uint8)


def _darken(patch: NDArray[np.uint8], alpha: NDArray[np.uint8], left: int, top: int) -> None:
    height, width = patch.shape[:2]
    part = alpha[: height - top, : width - left].astype(np.float32)[..., None]
    under = patch[top : top + part.shape[0], left : left + part.shape[1]]
    under[:] = (under * (1 - part * (0.5 / 255))).astype(np.uint8)
