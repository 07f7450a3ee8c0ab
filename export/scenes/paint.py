"""Colours and the few drawing operations that all artwork shares."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.words import Rgb

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1 as fractions of an image's width and height."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one design."""

    ground: Rgb
    second: Rgb
    accent: Rgb
    plate: Rgb
    ink: Rgb


def hsv(hue: float, saturation: float, value: float) -> Rgb:
    """Colour from hue (turns), saturation and value (0 to 1, clipped)."""
    sat, val = min(max(saturation, 0), 1), min(max(value, 0), 1)
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, sat, val)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """The colour `share` of the way from first to second."""
    mixed = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def luminance(colour: Rgb) -> float:
    """Perceived brightness in [0, 1] (Rec. 601 weights)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def readable(colour: Rgb, ground: Rgb) -> Rgb:
    """`colour` where it stands out from `ground`, else near-black or white."""
    if abs(luminance(colour) - luminance(ground)) > 0.38:
        return colour
    return (20, 18, 22) if luminance(ground) > 0.55 else (250, 250, 246)


def make_palette(rng: np.random.Generator, hue: float) -> Palette:
    """A palette around a brand's hue (turns)."""
    scheme = str(rng.choice(["bold", "bold", "dark", "pastel", "white", "white", "kraft", "duo"]))
    accent = hsv(hue + float(rng.choice([0.5, 0.33, -0.33, 0.08, 0.17])), 0.85, 0.9)
    main = hsv(hue, float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.45, 0.9)))
    if scheme == "bold":
        return Palette(main, hsv(hue + 0.06, 0.8, 0.7), accent, (250, 250, 246), (25, 22, 30))
    if scheme == "dark":
        ground = hsv(hue, float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.1, 0.25)))
        return Palette(ground, mix(ground, main, 0.4), (214, 178, 92), main, (240, 226, 190))
    if scheme == "pastel":
        ground = hsv(hue, 0.22, 0.97)
        return Palette(
            ground, hsv(hue + 0.1, 0.3, 0.93), main, (255, 255, 255), mix(main, (0, 0, 0), 0.4)
        )
    if scheme == "white":
        return Palette(
            (247, 246, 241), mix((247, 246, 241), main, 0.25), accent, main, (30, 28, 32)
        )
    if scheme == "kraft":
        return Palette((196, 160, 116), (170, 132, 92), main, (240, 230, 210), (54, 36, 24))
    return Palette(main, accent, (252, 240, 200), hsv(hue, 0.9, 0.3), (252, 252, 250))


def fill(image: Image, mask: Mask, colour: Rgb, opacity: float = 1.0) -> None:
    """Paint a colour through a coverage mask (H, W) uint8, in place."""
    alpha = (mask.astype(np.float32) * (opacity / 255))[..., None]
    image[:] = (image + (np.array(colour, np.float32) - image) * alpha + 0.5).astype(np.uint8)


def paste_mask(
    image: Image, mask: Mask, rect: Rect, colour: Rgb, *, opacity: float = 1.0, grow: bool = True
) -> None:
    """Paint a mask, scaled to fit into `rect` with its proportions kept, centred there."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = rect[0] * width, rect[1] * height, rect[2] * width, rect[3] * height
    scale = min((x1 - x0) / mask.shape[1], (y1 - y0) / mask.shape[0])
    if not grow:
        scale = min(scale, 1.0)
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = round((x0 + x1 - size[0]) / 2), round((y0 + y1 - size[1]) / 2)
    paste_at(image, np.asarray(small, np.uint8), left, top, colour, opacity)


def paste_at(
    image: Image, mask: Mask, left: int, top: int, colour: Rgb, opacity: float = 1.0
) -> None:
    """Paint a mask with its corner at (left, top), clipped to the image."""
    height, width = image.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
    if x1 > x0 and y1 > y0:
        part = mask[y0 - top : y1 - top, x0 - left : x1 - left]
        fill(image[y0:y1, x0:x1], part, colour, opacity)


def noise_field(
    rng: np.random.Generator, height: int, width: int, cells: int
) -> NDArray[np.float32]:
    """Smooth noise (height, width) float32 about in [0, 1], with `cells` bumps a side."""
    grid = rng.random((cells + 1, cells + 1), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
