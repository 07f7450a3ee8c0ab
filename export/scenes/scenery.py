"""Ground layers that look like places: ridges, fields, a splash of liquid, stars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.scenes.paint import Image, Palette, mix
from export.scenes.strokes import ellipse, line, polygon
from export.scenes.words import Rgb

_Ridge = NDArray[np.float64]


def draw_scenery(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    """Paint one of a few sceneries over a ground of `colour`, in place."""
    (_mountains, _field, _pour, _night, _sea)[int(rng.integers(5))](image, rng, palette, colour)


def _ridge(rng: np.random.Generator, level: float, rough: float) -> _Ridge:
    """Heights at 65 places across, by midpoint displacement."""
    heights = np.array([level, level]) + rng.uniform(-rough, rough, 2)
    while len(heights) < 65:
        middle = (heights[1:] + heights[:-1]) / 2 + rng.uniform(-rough, rough, len(heights) - 1)
        both = np.empty(len(heights) + len(middle))
        both[::2], both[1::2] = heights, middle
        heights, rough = both, rough * 0.55
    return heights


def _land(image: Image, ridge: _Ridge, colour: Rgb) -> None:
    height, width = image.shape[:2]
    across = np.linspace(0, width, len(ridge))
    top = [(float(x), float(y) * height) for x, y in zip(across, ridge, strict=True)]
    polygon(image, [*top, (float(width), float(height)), (0.0, float(height))], colour)


def _mountains(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    height, width = image.shape[:2]
    glow = float(rng.uniform(0.25, 0.75)) * width, float(rng.uniform(0.2, 0.45)) * height
    ellipse(image, *glow, 0.1 * height, 0.1 * height, mix(palette.accent, (255, 255, 240), 0.4))
    for place, level in enumerate((0.5, 0.65, 0.8)):
        tone = mix(mix(colour, palette.second, 0.6), (16, 20, 34), 0.15 + 0.25 * place)
        _land(image, _ridge(rng, level, 0.16 - 0.04 * place), tone)


def _field(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    height, width = image.shape[:2]
    horizon = float(rng.uniform(0.4, 0.65))
    soil = mix(palette.second, (120, 160, 60), float(rng.uniform(0.2, 0.8)))
    _land(image, _ridge(rng, horizon, 0.03), soil)
    middle = float(rng.uniform(0.3, 0.7)) * width
    for place in np.linspace(-2.5, 2.5, 17):
        line(
            image,
            middle + place * 0.12 * width,
            horizon * height + 0.02 * height,
            middle + place * 1.2 * width,
            height,
            mix(soil, (255, 250, 200), 0.3),
            0.008 * height,
        )


def _pour(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    """A thick liquid that runs down from the top."""
    height, width = image.shape[:2]
    liquid = mix(palette.second, (255, 255, 250), float(rng.uniform(0.0, 0.7)))
    count = int(rng.integers(4, 8))
    polygon(image, [(0, 0), (width, 0), (width, 0.16 * height), (0, 0.16 * height)], liquid)
    for place in range(count):
        x, reach = (place + 0.5) / count * width, float(rng.uniform(0.2, 0.5)) * height
        half = 0.36 * width / count
        polygon(
            image,
            [
                (x - half, 0.1 * height),
                (x + half, 0.1 * height),
                (x + half, reach),
                (x - half, reach),
            ],
            liquid,
        )
        ellipse(image, x, reach, half, half * 1.25, liquid)
        ellipse(
            image, x - 0.4 * half, reach, half * 0.15, half * 0.5, mix(liquid, (255, 255, 255), 0.6)
        )


def _night(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    height, width = image.shape[:2]
    light = mix(palette.accent, (255, 255, 255), 0.5)
    for _ in range(60):
        size = height * float(rng.uniform(0.002, 0.008))
        ellipse(image, float(rng.random()) * width, float(rng.random()) * height, size, size, light)
    x, y = float(rng.uniform(0.2, 0.8)) * width, float(rng.uniform(0.1, 0.35)) * height
    ellipse(image, x, y, 0.11 * height, 0.11 * height, light)
    ellipse(
        image,
        x + 0.05 * height,
        y - 0.02 * height,
        0.1 * height,
        0.1 * height,
        mix(colour, palette.second, 0.3),
    )


def _sea(image: Image, rng: np.random.Generator, palette: Palette, colour: Rgb) -> None:
    across = np.linspace(0, 1, 65)
    for place, level in enumerate(np.linspace(0.5, 0.95, 5)):
        phase, pitch = float(rng.uniform(0, 6)), float(rng.uniform(12, 26))
        crest = level + 0.025 * np.abs(np.sin(across * pitch + phase))
        _land(
            image, crest, mix(palette.second, (240, 250, 255) if place % 2 else (10, 50, 90), 0.35)
        )
