"""People in front of the shelf: somebody who walks by, and an arm that reaches in. No faces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Sprite = NDArray[np.float32]
"""(H, W, 4) colour in grey levels, and coverage in 0..1."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Somebody who comes in at one side at `from_s`, and leaves at the other at `to_s`.

    In between, they stand for `pause_s` at `pause_at`, a share of the width. `seed` is their looks.
    """

    from_s: float
    to_s: float
    rightwards: bool
    pause_s: float
    pause_at: float
    seed: int

    def centre(self, at_s: float) -> float | None:
        """Where they are, in widths from the left (a body's width beyond either edge); or None."""
        if not self.from_s <= at_s < self.to_s:
            return None
        walking = self.to_s - self.from_s - self.pause_s
        reached = walking * (self.pause_at + 0.25) / 1.5
        moved = at_s - self.from_s
        if moved > reached:
            moved = max(reached, moved - self.pause_s)
        x = -0.25 + 1.5 * moved / walking
        # nobody stands as still as a post
        x += 0.004 * np.sin(2.3 * at_s) + 0.002 * np.sin(7.1 * at_s)
        return float(x if self.rightwards else 1.0 - x)


def draw_person(height_px: int, seed: int) -> Sprite:
    """Somebody from behind, out of focus, in patterned clothes; about 0.45 as wide as high."""
    rng = np.random.default_rng(seed)
    height, width = height_px, round(0.46 * height_px)
    mask = np.zeros((height, width), np.uint8)
    part = np.zeros((height, width), np.uint8)
    colours = rng.integers(20, 200, (4, 3))
    hair, skin, coat, trousers = 1, 2, 3, 4

    def ellipse(x: float, y: float, rx: float, ry: float, of: int) -> None:
        centre = (round(x * width), round(y * height))
        axes = (round(rx * width), round(ry * height))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
        cv2.ellipse(part, centre, axes, 0, 0, 360, of, -1)

    for x in (0.38, 0.62):
        ellipse(x, 0.8, 0.13, 0.25, trousers)
    ellipse(0.5, 0.4, 0.3, 0.25, coat)
    for x in (0.2, 0.8):
        ellipse(x, 0.42, 0.09, 0.22, coat)
    ellipse(0.5, 0.15, 0.1, 0.05, skin)
    ellipse(0.5, 0.085, 0.15, 0.085, hair)
    colours[skin - 1] = (190, 150, 125)
    colours[hair - 1] = rng.integers(15, 70) * np.array([1.0, 0.8, 0.6])
    colour = np.zeros((height, width, 3), np.float32)
    for index, value in enumerate(colours, 1):
        colour[part == index] = value
    stripes = 22 * np.sin(np.arange(height) / height * float(rng.uniform(40, 160)))
    colour += np.where(part == coat, stripes[:, None], 0.0)[..., None].astype(np.float32)
    fold = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 9)
    colour += (fold * 120)[..., None]
    return _soft(colour, mask, height / 220)


def draw_arm(
    size_wh: tuple[int, int], to_xy: tuple[float, float], thick: float, seed: int
) -> Sprite:
    """An arm from below that reaches to a point; a picture-size sprite. `thick` is in pixels."""
    width, height = size_wh
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    colour = np.zeros((height, width, 3), np.float32)
    colour[:] = rng.integers(30, 180, 3)
    x, y = to_xy
    foot = (round(x + float(rng.uniform(-0.25, 0.25)) * width), height + round(thick))
    hand = (round(x), round(y))
    cv2.line(mask, foot, hand, 255, round(thick), cv2.LINE_AA)
    palm = np.zeros_like(mask)
    cv2.ellipse(palm, hand, (round(0.75 * thick), round(0.9 * thick)), 0, 0, 360, 255, -1)
    colour[palm > 0] = (196, 155, 130)
    return _soft(colour, np.maximum(mask, palm), max(1.0, thick / 14))


def put_over(picture: NDArray[np.float32], sprite: Sprite, left: int, top: int) -> None:
    """Composite in place, clipped."""
    height, width = picture.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + sprite.shape[1], width), min(top + sprite.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    under = picture[y0:y1, x0:x1]
    under += (part[..., :3] - under) * part[..., 3:]


def _soft(colour: NDArray[np.float32], mask: Image, sigma: float) -> Sprite:
    cover = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(sigma, 0.5))
    smooth = cv2.GaussianBlur(colour, (0, 0), max(sigma / 2, 0.5))
    return np.dstack([smooth, cover]).astype(np.float32)
