"""Things between the camera and the shelf: glass doors, and what a shopper puts in the way."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.canvas import NOBODY
from export.scenes.paint import noise_field


def add_foreground(
    image: NDArray[np.uint8],
    owner: NDArray[np.int16],
    rng: np.random.Generator,
    clutter: float,
) -> None:
    """Draw in place, with probabilities that grow with `clutter` in [0, 1] (0 draws nothing).

    `image` is (H, W, 3) uint8 RGB, `owner` (H, W) int16: hidden pixels lose their owner, pixels
    behind glass keep it.
    """
    glass, shopper = rng.random(2)
    if glass < 0.15 * clutter:
        _reflections(image, rng)
    if shopper < 0.12 * clutter:
        _obstacle(image, owner, rng)


def _reflections(image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Pale slanted streaks and a haze, as on a closed cooler door."""
    height, width = image.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(2, 6))):
        x, wide = float(rng.uniform(-0.1, 1.0)) * width, float(rng.uniform(0.01, 0.12)) * width
        lean = float(rng.uniform(-0.1, 0.1)) * width
        corners = np.array([(x, 0), (x + wide, 0), (x + wide + lean, height), (x + lean, height)])
        cv2.fillConvexPoly(veil, corners.astype(np.int32), float(rng.uniform(0.06, 0.3)))
    soft = cv2.GaussianBlur(veil, (0, 0), max(1.0, width / 300))
    soft = soft + 0.12 * np.clip(noise_field(rng, height, width, 4), 0, 1)
    image[:] = (image + (235 - image.astype(np.float32)) * soft[..., None]).astype(np.uint8)


def _obstacle(image: NDArray[np.uint8], owner: NDArray[np.int16], rng: np.random.Generator) -> None:
    """An out-of-focus shape that comes in from a side or from below."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    side = float(rng.choice([-0.08, 1.08, 0.5]))
    x = side * width if side != 0.5 else float(rng.uniform(0.15, 0.85)) * width
    y = float(rng.uniform(0.5, 1.0)) * height if side != 0.5 else 1.05 * height
    for _ in range(4):
        centre = (
            round(x + float(rng.normal(0, 0.04)) * width),
            round(y + float(rng.normal(0, 0.1)) * height),
        )
        axes = (
            round(float(rng.uniform(0.08, 0.17)) * width),
            round(float(rng.uniform(0.12, 0.3)) * height),
        )
        cv2.ellipse(mask, centre, axes, float(rng.uniform(-25, 25)), 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, width / 160)).astype(np.float32) / 255
    grey = float(rng.uniform(15, 170))
    colour = np.clip(grey + rng.normal(0, 22, 3), 0, 255).astype(np.float32)
    shade = 0.6 + 0.7 * noise_field(rng, height, width, 5)[..., None]
    image[:] = np.clip(image + (colour * shade - image) * soft[..., None], 0, 255).astype(np.uint8)
    owner[soft > 0.5] = NOBODY
