"""Illustrations of plants, weather and marks: each draws about (x, y) with a radius in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from export.scenes.paint import Image, luminance, mix
from export.scenes.strokes import DARK, GREEN, WHITE, ellipse, line, polygon
from export.scenes.words import Rgb


def leaf(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """Three leaves."""
    green = mix(colour, GREEN, 0.35)
    for angle in (-40.0, 10.0, 55.0):
        radians = np.radians(angle)
        cx, cy = x + 0.45 * r * np.sin(radians), y - 0.35 * r * np.cos(radians) + 0.2 * r
        points = []
        for t in np.linspace(0, np.pi * 2, 20):
            u, v = 0.26 * r * np.sin(t) * (1.1 + 0.3 * np.cos(t)), -0.62 * r * np.cos(t)
            points.append(
                (
                    cx + u * np.cos(radians) - v * np.sin(radians),
                    cy + u * np.sin(radians) + v * np.cos(radians),
                )
            )
        polygon(image, points, mix(green, WHITE if angle > 0 else DARK, 0.15))
        reach = 0.55 * r
        line(
            image,
            cx - reach * np.sin(radians),
            cy + reach * np.cos(radians),
            cx + reach * np.sin(radians),
            cy - reach * np.cos(radians),
            mix(green, WHITE, 0.5),
            r * 0.04,
        )


def drop(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """A drop."""
    points = [
        (x + 0.62 * r * np.sin(t) * np.sin(t / 2) ** 1.3, y - 0.92 * r * np.cos(t))
        for t in np.linspace(0, 2 * np.pi, 28)
    ]
    polygon(image, points, colour)
    ellipse(image, x - r * 0.22, y + r * 0.4, r * 0.1, r * 0.26, mix(colour, WHITE, 0.7), 20)


def flower(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A flower of five to eight petals."""
    petals = int(rng.integers(5, 9))
    for place in range(petals):
        angle = 2 * np.pi * place / petals
        ellipse(
            image,
            x + r * 0.52 * np.cos(angle),
            y + r * 0.52 * np.sin(angle),
            r * 0.46,
            r * 0.24,
            mix(colour, WHITE, 0.2 * (place % 2)),
            float(np.degrees(angle)),
        )
    ellipse(image, x, y, r * 0.24, r * 0.24, (245, 200, 60))


def honeycomb(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """Cells of a honeycomb."""
    for dx, dy in (
        (0, 0),
        (0.78, 0.45),
        (-0.78, 0.45),
        (0, 0.9),
        (0, -0.9),
        (0.78, -0.45),
        (-0.78, -0.45),
    ):
        centre = (x + dx * r * 0.62, y + dy * r * 0.62)
        points = [
            (centre[0] + r * 0.34 * np.cos(a), centre[1] + r * 0.34 * np.sin(a))
            for a in np.linspace(0, 2 * np.pi, 7)
        ]
        polygon(image, points, mix(colour, WHITE, 0.3 * float(rng.random())))


def wavelines(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """Four wavy lines."""
    across = np.linspace(-1, 1, 40)
    for place, level in enumerate((-0.5, -0.1, 0.3, 0.7)):
        curve = np.stack([x + across * r, y + level * r + 0.14 * r * np.sin(across * 7 + place)], 1)
        cv2.polylines(
            image,
            [curve.astype(np.int32)],
            False,
            mix(colour, WHITE, 0.25 * (place % 2)),
            max(1, round(r * 0.13)),
            cv2.LINE_AA,
        )


def sun(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """A sun with twelve rays."""
    for place in range(12):
        angle = place * np.pi / 6
        polygon(
            image,
            [
                (x + r * np.cos(angle), y + r * np.sin(angle)),
                (x + 0.55 * r * np.cos(angle + 0.2), y + 0.55 * r * np.sin(angle + 0.2)),
                (x + 0.55 * r * np.cos(angle - 0.2), y + 0.55 * r * np.sin(angle - 0.2)),
            ],
            colour,
        )
    ellipse(image, x, y, r * 0.55, r * 0.55, mix(colour, WHITE, 0.25))


def burst(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A star burst."""
    points = [
        (
            x + r * (1.0 if i % 2 else 0.62) * np.cos(i * np.pi / 14),
            y + r * (1.0 if i % 2 else 0.62) * np.sin(i * np.pi / 14),
        )
        for i in range(28)
    ]
    polygon(image, points, colour)
    ellipse(image, x, y, r * 0.42, r * 0.42, WHITE if luminance(colour) < 0.6 else DARK)


def tree(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    """A conifer."""
    line(image, x, y + 0.6 * r, x, y + r, (90, 60, 40), r * 0.16)
    for level, size in ((0.65, 0.75), (0.2, 0.6), (-0.25, 0.45)):
        polygon(
            image,
            [
                (x, y + (level - 0.75) * r),
                (x + size * r, y + level * r),
                (x - size * r, y + level * r),
            ],
            mix(colour, WHITE, 0.12 * (1 - level)),
        )


def cloud(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    """A cloud."""
    for dx, dy, size in (
        (-0.5, 0.15, 0.4),
        (0.5, 0.15, 0.42),
        (-0.1, -0.2, 0.5),
        (0.25, 0.0, 0.45),
        (0.0, 0.25, 0.45),
    ):
        ellipse(
            image, x + dx * r, y + dy * r, size * r, size * r, mix(colour, WHITE, 0.2 - dy * 0.4)
        )
