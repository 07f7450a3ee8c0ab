"""Puts illustrations on a label, flat or with the light, shadow and grain of a photo."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from export.scenes import food, marks
from export.scenes.paint import Image, Rect, noise_field
from export.scenes.words import Rgb


def draw_motif(
    image: Image,
    rng: np.random.Generator,
    name: str,
    rect: Rect,
    colour: Rgb,
    *,
    count: int,
    photo: bool,
) -> None:
    """Draw `count` copies of a motif of MOTIFS into a rectangle of fractions, in place.

    `photo` gives it light, shadow and grain instead of flat colour.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = rect[0] * width, rect[1] * height, rect[2] * width, rect[3] * height
    box = min(x1 - x0, y1 - y0)
    draw = MOTIFS[name]
    before = image.copy() if photo else None
    for place in range(count):
        if count == 1:
            centre, radius = ((x0 + x1) / 2, (y0 + y1) / 2), box * 0.48
        else:
            radius = box * float(rng.uniform(0.26, 0.38))
            across, down = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.2, 0.8))
            share = (place + across) / count
            centre = (
                x0 + radius * 0.6 + share * max(x1 - x0 - 1.2 * radius, 0),
                y0 + down * (y1 - y0),
            )
        draw(image, rng, centre[0], centre[1], radius, colour)
    if before is not None:
        _photo(image, before, rng)


def _photo(image: Image, before: Image, rng: np.random.Generator) -> None:
    changed = np.any(image != before, axis=2)
    grain = noise_field(rng, image.shape[0], image.shape[1], 24) - 0.5
    height = image.shape[0]
    light = np.linspace(1.22, 0.72, height, dtype=np.float32)[:, None] + grain * 0.35
    lit = np.clip(image * light[..., None], 0, 255).astype(np.uint8)
    shadow = cv2.GaussianBlur(changed.astype(np.float32), (0, 0), max(1.0, height * 0.015))
    shadow = np.roll(shadow, max(1, height // 60), axis=0)
    dark = (before * (1 - 0.45 * shadow[..., None])).astype(np.uint8)
    image[:] = np.where(changed[..., None], lit, dark)


_Draw = Callable[[Image, np.random.Generator, float, float, float, Rgb], None]
MOTIFS: dict[str, _Draw] = {
    "berry": food.berry,
    "citrus": food.citrus,
    "apple": food.apple,
    "cherry": food.cherry,
    "grapes": food.grapes,
    "leaf": marks.leaf,
    "drop": marks.drop,
    "flower": marks.flower,
    "squares": food.squares,
    "nut": food.nut,
    "hex": marks.honeycomb,
    "wedge": food.wedge,
    "pepper": food.pepper,
    "waves": marks.wavelines,
    "rings": food.ringset,
    "steam": food.steam,
    "fish": food.fish,
    "sun": marks.sun,
    "burst": marks.burst,
    "tree": marks.tree,
    "cloud": marks.cloud,
}
"""Name to a function drawing one motif about (x, y) with a radius in pixels."""
