"""Plates, splashes and discs that carry the words of a label."""

from __future__ import annotations

import cv2
import numpy as np

from export.scenes.paint import Image, Rect, readable
from export.scenes.words import Rgb


def plate(image: Image, rect: Rect, shape: str, colour: Rgb) -> None:
    """Fill a "rect", "ellipse", "disc", "pill" or "ribbon" in a rectangle of fractions."""
    height, width = image.shape[:2]
    x0, y0 = round(rect[0] * width), round(rect[1] * height)
    x1, y1 = round(rect[2] * width), round(rect[3] * height)
    if shape == "rect":
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, -1)
        return
    centre = ((x0 + x1) // 2, (y0 + y1) // 2)
    if shape in ("ellipse", "disc"):
        axes = ((x1 - x0) // 2, (y1 - y0) // 2)
        if shape == "disc":
            side = max(min(axes), int(0.7 * max(axes)) if axes[0] > axes[1] else min(axes))
            axes = (side, side) if axes[1] >= axes[0] else axes
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(
            image,
            centre,
            axes,
            0,
            0,
            360,
            readable(colour, colour),
            max(1, height // 160),
            cv2.LINE_AA,
        )
        return
    if shape == "pill":
        inset, radius = round(0.06 * width), (y1 - y0) // 2
        left, right = x0 + inset + radius, x1 - inset - radius
        cv2.line(
            image, (left, centre[1]), (max(right, left), centre[1]), colour, 2 * radius, cv2.LINE_AA
        )
        return
    notch = (y1 - y0) // 2
    points = [
        (x0, y0),
        (x1, y0),
        (x1 - notch // 2, centre[1]),
        (x1, y1),
        (x0, y1),
        (x0 + notch // 2, centre[1]),
    ]
    cv2.fillPoly(image, [np.array(points, np.int32)], colour, cv2.LINE_AA)


def splash(image: Image, rect: Rect, rng: np.random.Generator, colour: Rgb) -> None:
    """A ragged patch behind an illustration whose colour is close to the ground's."""
    height, width = image.shape[:2]
    x, y = (rect[0] + rect[2]) / 2 * width, (rect[1] + rect[3]) / 2 * height
    rx, ry = (rect[2] - rect[0]) / 2 * width, (rect[3] - rect[1]) / 2 * height
    turns = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    reach = 0.85 + 0.12 * np.sin(turns * int(rng.integers(4, 11)) + float(rng.uniform(0, 6)))
    corners = np.stack([x + rx * reach * np.cos(turns), y + ry * reach * np.sin(turns)], 1)
    cv2.fillPoly(image, [corners.astype(np.int32)], colour, cv2.LINE_AA)


def mean_colour(image: Image, rect: Rect) -> Rgb:
    """The average colour under a rectangle of fractions."""
    height, width = image.shape[:2]
    part = image[
        max(0, round(rect[1] * height)) : max(1, round(rect[3] * height)),
        max(0, round(rect[0] * width)) : max(1, round(rect[2] * width)),
    ]
    red, green, blue, _ = cv2.mean(np.ascontiguousarray(part))
    return round(red), round(green), round(blue)


def overlap(first: Rect, second: Rect) -> float:
    """Shared area of two rectangles of fractions."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    return max(wide, 0) * max(tall, 0)
