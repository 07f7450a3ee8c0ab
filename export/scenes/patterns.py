"""Ground layers of a label: gradients, stripes, blobs, rays, textures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.paint import Image, Palette, fill, mix, noise_field
from export.scenes.words import Rgb

Field = NDArray[np.floating]
_Pattern = Callable[[np.random.Generator, int, int, float], Field]


def draw_ground(
    rng: np.random.Generator, height: int, width: int, palette: Palette, colour: Rgb
) -> Image:
    """A label's ground (H, W, 3): a base colour or gradient with one pattern over it.

    `colour` is the base; the pattern is painted in the palette's second colour. All randomness is
    independent of the size, so that a design looks the same at every resolution.
    """
    image = np.empty((height, width, 3), np.uint8)
    image[:] = colour
    end = mix(colour, palette.second, float(rng.uniform(0.2, 0.9)))
    blend = _gradient(rng, height, width)
    image[:] = (image + (np.array(end, np.float32) - image) * blend[..., None]).astype(np.uint8)
    names = list(PATTERNS)
    pattern = PATTERNS[names[int(rng.integers(len(names)))]]
    strength = float(rng.uniform(0.35, 0.95))
    seed_scale = float(rng.uniform(0.6, 1.6))
    cover = np.clip(pattern(rng, height, width, seed_scale), 0, 1)
    over = palette.second if rng.random() < 0.7 else mix(colour, (255, 255, 255), 0.5)
    fill(image, (cover * 255).astype(np.uint8), over, strength)
    return image


def _gradient(rng: np.random.Generator, height: int, width: int) -> Field:
    kind = int(rng.integers(4))
    x, y = _axes(height, width)
    if kind == 0:
        return np.zeros((height, width), np.float32)
    if kind == 1:
        return np.broadcast_to(y / max(float(y.max()), 1e-6), (height, width)).astype(np.float32)
    slope: Field = x * 0.5 + y * 0.5
    if kind == 2:
        slope = np.hypot(x - x.mean(), y - y.mean()) / 0.7
    return np.minimum(np.maximum(slope, 0.0), 1.0)


def _axes(height: int, width: int) -> tuple[Field, Field]:
    """x (1, W) and y (H, 1) in units of the label's height."""
    x = np.arange(width, dtype=np.float32)[None, :] / height
    y = np.arange(height, dtype=np.float32)[:, None] / height
    return x, y


def _edge(value: Field, height: int) -> Field:
    """Anti-aliased step at 0 of a signed distance in units of the height."""
    return np.asarray(np.clip(value * height + 0.5, 0, 1), np.float32)


def _plain(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    return np.zeros((height, width), np.float32)


def _stripes(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    angle = float(rng.choice([0.0, np.pi / 2, np.pi / 4, -np.pi / 6]))
    period = 0.12 * scale
    phase = np.mod(x * np.cos(angle) + y * np.sin(angle), period) - period * 0.5
    return _edge(np.abs(phase) - period * float(rng.uniform(0.2, 0.35)), height)


def _checks(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    period = 0.1 * scale
    squares: Field = (np.floor(x / period) + np.floor(y / period)) % 2
    return squares


def _dots(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    period = 0.09 * scale
    shift = (np.floor(y / period) % 2) * period * 0.5
    dx = np.mod(x + shift, period) - period / 2
    dy = np.mod(y, period) - period / 2
    return _edge(period * float(rng.uniform(0.18, 0.36)) - np.hypot(dx, dy), height)


def _rays(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    cx, cy = width / height * float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.1, 0.9))
    angle = np.arctan2(y - cy, x - cx)
    return _edge(np.sin(angle * int(rng.integers(8, 18))) * 0.05, height)


def _rings(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    cx, cy = width / height * float(rng.uniform(-0.1, 1.1)), float(rng.uniform(-0.1, 1.1))
    period = 0.14 * scale
    return _edge(np.abs(np.mod(np.hypot(x - cx, y - cy), period) - period / 2) - period / 4, height)


def _blobs(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    field = noise_field(rng, height, width, int(3 + 4 / scale))
    return _edge((field - float(rng.uniform(0.45, 0.62))) * 0.3, height)


def _waves(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    level, amplitude = float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.03, 0.12))
    line = level + amplitude * np.sin(x * float(rng.uniform(4, 11)) + float(rng.uniform(0, 6)))
    return _edge(y - line, height)


def _split(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    slope, level = float(rng.choice([0, 0, 0.4, -0.6, 1.0])), float(rng.uniform(0.3, 0.7))
    return _edge(y - level - slope * (x - width / height / 2), height)


def _frame(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    inset = 0.035 * scale
    to_edge = np.minimum(np.minimum(x, width / height - x), np.minimum(y, 1 - y))
    return _edge(inset * 0.5 - np.abs(to_edge - inset), height)


def _chevrons(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    x, y = _axes(height, width)
    period = 0.16 * scale
    fold = np.abs(np.mod(x, 2 * period) - period)
    return _edge(np.abs(np.mod(y + fold, period) - period / 2) - period * 0.3, height)


def _facets(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    field = np.zeros((height, width), np.float32)
    for _ in range(14):
        points = rng.random((3, 2)) * 1.4 - 0.2
        corners = (points * [width, height]).astype(np.int32)
        cv2.fillConvexPoly(field, corners, float(rng.uniform(0, 1)), cv2.LINE_AA)
    return field


def _texture(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    total = sum(
        noise_field(rng, height, width, cells) / (place + 1)
        for place, cells in enumerate((4, 9, 20, 48))
    )
    field: Field = np.clip((np.asarray(total, np.float32) - 0.75) * 1.6, 0, 1)
    return field


def _scatter(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    field = np.zeros((height, width), np.float32)
    for _ in range(int(26 / scale)):
        centre = (int(rng.random() * width), int(rng.random() * height))
        cv2.circle(
            field,
            centre,
            max(1, int(height * float(rng.uniform(0.008, 0.045)) * scale)),
            1.0,
            -1,
            cv2.LINE_AA,
        )
    return field


PATTERNS: dict[str, _Pattern] = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "rays": _rays,
    "rings": _rings,
    "blobs": _blobs,
    "waves": _waves,
    "split": _split,
    "frame": _frame,
    "chevrons": _chevrons,
    "facets": _facets,
    "texture": _texture,
    "scatter": _scatter,
}
"""Name to a function giving the pattern's coverage (H, W) in [0, 1]."""
