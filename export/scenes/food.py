"""Illustrations of food: each draws about (x, y) with a radius in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from export.scenes.paint import Image, mix
from export.scenes.strokes import DARK, GREEN, WHITE, ellipse, line, polygon
from export.scenes.words import Rgb


def berry(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A strawberry-like berry with seeds and leaves."""
    polygon(
        image,
        [
            (x + r * np.sin(a) * (0.85 - 0.12 * np.cos(a)), y - r * 0.85 * np.cos(a) + r * 0.1)
            for a in np.linspace(0, 2 * np.pi, 24)
        ],
        colour,
    )
    for _ in range(12):
        ellipse(
            image,
            x + r * float(rng.uniform(-0.5, 0.5)),
            y + r * float(rng.uniform(-0.4, 0.6)),
            r * 0.05,
            r * 0.08,
            mix(colour, WHITE, 0.6),
        )
    for angle in (-50, -15, 15, 50):
        ellipse(image, x + r * 0.006 * angle, y - r * 0.75, r * 0.12, r * 0.34, GREEN, angle)


def citrus(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A slice of a citrus fruit."""
    ellipse(image, x, y, r, r, colour)
    ellipse(image, x, y, r * 0.88, r * 0.88, WHITE)
    turn = float(rng.uniform(0, 1))
    for place in range(8):
        angle = (place + turn) * np.pi / 4
        points = [(x, y)]
        points += [
            (x + r * 0.8 * np.cos(angle + d), y + r * 0.8 * np.sin(angle + d))
            for d in (-0.33, -0.12, 0.12, 0.33)
        ]
        polygon(image, points, mix(colour, WHITE, 0.12))


def apple(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A round fruit with a stalk and a leaf."""
    ellipse(image, x - r * 0.3, y, r * 0.62, r * 0.85, colour)
    ellipse(image, x + r * 0.3, y, r * 0.62, r * 0.85, mix(colour, DARK, 0.08))
    ellipse(image, x - r * 0.4, y - r * 0.3, r * 0.14, r * 0.26, mix(colour, WHITE, 0.65), 25)
    line(image, x, y - r * 0.6, x + r * 0.1, y - r, (90, 60, 30), r * 0.09)
    ellipse(image, x + r * 0.38, y - r * 0.88, r * 0.3, r * 0.13, GREEN, -25)


def cherry(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """Two cherries on their stalks."""
    for side in (-0.48, 0.45):
        line(image, x + r * side, y + r * 0.3, x + r * 0.1, y - r * 0.9, GREEN, r * 0.07)
        ellipse(image, x + r * side, y + r * 0.42, r * 0.45, r * 0.45, colour)
        ellipse(image, x + r * (side - 0.15), y + r * 0.28, r * 0.1, r * 0.13, WHITE)


def grapes(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A bunch of grapes."""
    for row, number in enumerate((4, 3, 3, 2, 1)):
        for place in range(number):
            px = x + (place - (number - 1) / 2) * r * 0.42
            py = y - r * 0.55 + row * r * 0.36
            ellipse(
                image, px, py, r * 0.25, r * 0.25, mix(colour, WHITE, 0.12 * float(rng.random()))
            )
            ellipse(
                image, px - r * 0.07, py - r * 0.08, r * 0.06, r * 0.06, mix(colour, WHITE, 0.6)
            )
    ellipse(image, x + r * 0.2, y - r * 0.85, r * 0.35, r * 0.17, GREEN, -20)


def nut(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """Three nuts."""
    for dx, dy, angle in ((-0.35, 0.1, -25.0), (0.38, 0.2, 30.0), (0.0, -0.3, 0.0)):
        cx, cy = x + dx * r, y + dy * r
        ellipse(image, cx, cy, r * 0.36, r * 0.52, mix(colour, DARK, 0.15), angle)
        ellipse(
            image,
            cx - r * 0.07,
            cy - r * 0.08,
            r * 0.22,
            r * 0.36,
            mix(colour, WHITE, 0.25),
            angle,
        )


def wedge(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A wedge of cheese."""
    polygon(
        image,
        [(x - r, y + 0.1 * r), (x + 0.9 * r, y - 0.6 * r), (x + 0.95 * r, y + 0.1 * r)],
        mix(colour, WHITE, 0.35),
    )
    polygon(
        image,
        [
            (x - r, y + 0.1 * r),
            (x + 0.95 * r, y + 0.1 * r),
            (x + 0.95 * r, y + 0.7 * r),
            (x - r, y + 0.7 * r),
        ],
        colour,
    )
    for dx, dy, size in ((-0.5, 0.4, 0.14), (0.1, 0.3, 0.1), (0.5, 0.5, 0.16)):
        ellipse(image, x + dx * r, y + dy * r, size * r, size * r, mix(colour, DARK, 0.3))


def pepper(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A curved pepper."""
    for place in range(9):
        t = place / 8
        ellipse(
            image,
            x - r * 0.6 + 1.2 * r * t,
            y - r * 0.35 + r * 0.9 * t**2,
            r * (0.4 - 0.33 * t),
            r * (0.4 - 0.33 * t),
            mix(colour, WHITE, 0.12 * (1 - t)),
        )
    line(image, x - r * 0.65, y - r * 0.5, x - r * 0.9, y - r * 0.9, GREEN, r * 0.16)


def steam(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A steaming bowl."""
    bowl = mix(colour, DARK, 0.1)
    polygon(
        image,
        [
            (x + 0.85 * r * np.cos(a), y + 0.1 * r + 0.75 * r * np.sin(a))
            for a in np.linspace(0, np.pi, 20)
        ],
        bowl,
    )
    ellipse(image, x, y + 0.1 * r, 0.85 * r, 0.2 * r, mix(bowl, WHITE, 0.45))
    ellipse(image, x, y + 0.1 * r, 0.72 * r, 0.14 * r, mix(bowl, DARK, 0.4))
    up = np.linspace(0, 1, 20)
    for dx in (-0.35, 0.0, 0.35):
        curve = np.stack([x + dx * r + 0.1 * r * np.sin(up * 6), y - 0.15 * r - 0.75 * r * up], 1)
        cv2.polylines(
            image,
            [curve.astype(np.int32)],
            False,
            mix(colour, WHITE, 0.55),
            max(1, round(r * 0.09)),
            cv2.LINE_AA,
        )


def fish(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """A fish, facing left."""
    polygon(
        image,
        [(x + 0.5 * r, y), (x + r, y - 0.45 * r), (x + 0.9 * r, y), (x + r, y + 0.45 * r)],
        mix(colour, DARK, 0.2),
    )
    ellipse(image, x - 0.1 * r, y, 0.78 * r, 0.38 * r, colour)
    ellipse(image, x - 0.1 * r, y + 0.12 * r, 0.66 * r, 0.22 * r, mix(colour, WHITE, 0.35))
    ellipse(image, x - 0.6 * r, y - 0.07 * r, 0.07 * r, 0.07 * r, DARK)


def squares(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A bar of chocolate."""
    for row in range(3):
        for column in range(3):
            left, top = x + (column - 1.5) * r * 0.6, y + (row - 1.5) * r * 0.6
            for inset, tone in ((0.0, 0.25), (0.09, 0.0)):
                a, b = r * inset, r * (0.56 - inset)
                corners = [
                    (left + a, top + a),
                    (left + b, top + a),
                    (left + b, top + b),
                    (left + a, top + b),
                ]
                polygon(image, corners, mix(colour, DARK, tone))


def ringset(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """Concentric rings."""
    for place, size in enumerate((1.0, 0.8, 0.6, 0.4, 0.2)):
        ellipse(
            image,
            x,
            y,
            r * size,
            r * size * 0.85,
            colour if place % 2 == 0 else mix(colour, WHITE, 0.7),
        )
