"""Anti-aliased shapes at sub-pixel places, and the colours that illustrations share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.words import Rgb

Pixels = NDArray[np.uint8] | NDArray[np.float32]

_SHIFT = 4
WHITE: Rgb = (255, 255, 250)
DARK: Rgb = (30, 24, 24)
GREEN: Rgb = (64, 130, 52)


def ellipse(
    image: Pixels, x: float, y: float, rx: float, ry: float, colour: Rgb, angle: float = 0.0
) -> None:
    """A filled ellipse; `angle` in degrees, clockwise."""
    scale = 1 << _SHIFT
    centre = (round(x * scale), round(y * scale))
    axes = (max(1, round(abs(rx) * scale)), max(1, round(abs(ry) * scale)))
    cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)


def polygon(image: Pixels, points: list[tuple[float, float]], colour: Rgb) -> None:
    """A filled polygon."""
    scale = 1 << _SHIFT
    corners = np.array([[round(x * scale), round(y * scale)] for x, y in points], np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, _SHIFT)


def line(
    image: Pixels, x0: float, y0: float, x1: float, y1: float, colour: Rgb, wide: float
) -> None:
    """A line `wide` pixels wide."""
    cv2.line(
        image,
        (round(x0), round(y0)),
        (round(x1), round(y1)),
        colour,
        max(1, round(wide)),
        cv2.LINE_AA,
    )
