"""Illustrations: fruit, leaves, fish, steam and abstract marks in flat or shaded style."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from export.scenes.paint import Image, Rect, luminance, mix, noise_field
from export.scenes.words import Rgb

_SHIFT = 4
_WHITE: Rgb = (255, 255, 250)
_DARK: Rgb = (30, 24, 24)
_GREEN: Rgb = (64, 130, 52)


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


def _ellipse(
    image: Image, x: float, y: float, rx: float, ry: float, colour: Rgb, angle: float = 0.0
) -> None:
    scale = 1 << _SHIFT
    centre = (round(x * scale), round(y * scale))
    axes = (max(1, round(abs(rx) * scale)), max(1, round(abs(ry) * scale)))
    cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)


def _polygon(image: Image, points: list[tuple[float, float]], colour: Rgb) -> None:
    scale = 1 << _SHIFT
    corners = np.array([[round(x * scale), round(y * scale)] for x, y in points], np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, _SHIFT)


def _line(
    image: Image, x0: float, y0: float, x1: float, y1: float, colour: Rgb, wide: float
) -> None:
    cv2.line(
        image,
        (round(x0), round(y0)),
        (round(x1), round(y1)),
        colour,
        max(1, round(wide)),
        cv2.LINE_AA,
    )


def _berry(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _polygon(
        image,
        [
            (x + r * np.sin(a) * (0.85 - 0.12 * np.cos(a)), y - r * 0.85 * np.cos(a) + r * 0.1)
            for a in np.linspace(0, 2 * np.pi, 24)
        ],
        colour,
    )
    for _ in range(12):
        _ellipse(
            image,
            x + r * float(rng.uniform(-0.5, 0.5)),
            y + r * float(rng.uniform(-0.4, 0.6)),
            r * 0.05,
            r * 0.08,
            mix(colour, _WHITE, 0.6),
        )
    for angle in (-50, -15, 15, 50):
        _ellipse(image, x + r * 0.006 * angle, y - r * 0.75, r * 0.12, r * 0.34, _GREEN, angle)


def _citrus(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _ellipse(image, x, y, r, r, colour)
    _ellipse(image, x, y, r * 0.88, r * 0.88, _WHITE)
    turn = float(rng.uniform(0, 1))
    for place in range(8):
        angle = (place + turn) * np.pi / 4
        points = [(x, y)]
        points += [
            (x + r * 0.8 * np.cos(angle + d), y + r * 0.8 * np.sin(angle + d))
            for d in (-0.33, -0.12, 0.12, 0.33)
        ]
        _polygon(image, points, mix(colour, _WHITE, 0.12))


def _apple(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _ellipse(image, x - r * 0.3, y, r * 0.62, r * 0.85, colour)
    _ellipse(image, x + r * 0.3, y, r * 0.62, r * 0.85, mix(colour, _DARK, 0.08))
    _ellipse(image, x - r * 0.4, y - r * 0.3, r * 0.14, r * 0.26, mix(colour, _WHITE, 0.65), 25)
    _line(image, x, y - r * 0.6, x + r * 0.1, y - r, (90, 60, 30), r * 0.09)
    _ellipse(image, x + r * 0.38, y - r * 0.88, r * 0.3, r * 0.13, _GREEN, -25)


def _cherry(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    for side in (-0.48, 0.45):
        _line(image, x + r * side, y + r * 0.3, x + r * 0.1, y - r * 0.9, _GREEN, r * 0.07)
        _ellipse(image, x + r * side, y + r * 0.42, r * 0.45, r * 0.45, colour)
        _ellipse(image, x + r * (side - 0.15), y + r * 0.28, r * 0.1, r * 0.13, _WHITE)


def _grapes(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    for row, number in enumerate((4, 3, 3, 2, 1)):
        for place in range(number):
            px = x + (place - (number - 1) / 2) * r * 0.42
            py = y - r * 0.55 + row * r * 0.36
            _ellipse(
                image, px, py, r * 0.25, r * 0.25, mix(colour, _WHITE, 0.12 * float(rng.random()))
            )
            _ellipse(
                image, px - r * 0.07, py - r * 0.08, r * 0.06, r * 0.06, mix(colour, _WHITE, 0.6)
            )
    _ellipse(image, x + r * 0.2, y - r * 0.85, r * 0.35, r * 0.17, _GREEN, -20)


def _leaf(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    green = mix(colour, _GREEN, 0.35)
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
        _polygon(image, points, mix(green, _WHITE if angle > 0 else _DARK, 0.15))
        reach = 0.55 * r
        _line(
            image,
            cx - reach * np.sin(radians),
            cy + reach * np.cos(radians),
            cx + reach * np.sin(radians),
            cy - reach * np.cos(radians),
            mix(green, _WHITE, 0.5),
            r * 0.04,
        )


def _drop(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    points = [
        (x + 0.62 * r * np.sin(t) * np.sin(t / 2) ** 1.3, y - 0.92 * r * np.cos(t))
        for t in np.linspace(0, 2 * np.pi, 28)
    ]
    _polygon(image, points, colour)
    _ellipse(image, x - r * 0.22, y + r * 0.4, r * 0.1, r * 0.26, mix(colour, _WHITE, 0.7), 20)


def _flower(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    petals = int(rng.integers(5, 9))
    for place in range(petals):
        angle = 2 * np.pi * place / petals
        _ellipse(
            image,
            x + r * 0.52 * np.cos(angle),
            y + r * 0.52 * np.sin(angle),
            r * 0.46,
            r * 0.24,
            mix(colour, _WHITE, 0.2 * (place % 2)),
            float(np.degrees(angle)),
        )
    _ellipse(image, x, y, r * 0.24, r * 0.24, (245, 200, 60))


def _squares(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
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
                _polygon(image, corners, mix(colour, _DARK, tone))


def _nut(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    for dx, dy, angle in ((-0.35, 0.1, -25.0), (0.38, 0.2, 30.0), (0.0, -0.3, 0.0)):
        cx, cy = x + dx * r, y + dy * r
        _ellipse(image, cx, cy, r * 0.36, r * 0.52, mix(colour, _DARK, 0.15), angle)
        _ellipse(
            image,
            cx - r * 0.07,
            cy - r * 0.08,
            r * 0.22,
            r * 0.36,
            mix(colour, _WHITE, 0.25),
            angle,
        )


def _hex(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
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
        _polygon(image, points, mix(colour, _WHITE, 0.3 * float(rng.random())))


def _wedge(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _polygon(
        image,
        [(x - r, y + 0.1 * r), (x + 0.9 * r, y - 0.6 * r), (x + 0.95 * r, y + 0.1 * r)],
        mix(colour, _WHITE, 0.35),
    )
    _polygon(
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
        _ellipse(image, x + dx * r, y + dy * r, size * r, size * r, mix(colour, _DARK, 0.3))


def _pepper(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    for place in range(9):
        t = place / 8
        _ellipse(
            image,
            x - r * 0.6 + 1.2 * r * t,
            y - r * 0.35 + r * 0.9 * t**2,
            r * (0.4 - 0.33 * t),
            r * (0.4 - 0.33 * t),
            mix(colour, _WHITE, 0.12 * (1 - t)),
        )
    _line(image, x - r * 0.65, y - r * 0.5, x - r * 0.9, y - r * 0.9, _GREEN, r * 0.16)


def _wavelines(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    across = np.linspace(-1, 1, 40)
    for place, level in enumerate((-0.5, -0.1, 0.3, 0.7)):
        line = np.stack([x + across * r, y + level * r + 0.14 * r * np.sin(across * 7 + place)], 1)
        cv2.polylines(
            image,
            [line.astype(np.int32)],
            False,
            mix(colour, _WHITE, 0.25 * (place % 2)),
            max(1, round(r * 0.13)),
            cv2.LINE_AA,
        )


def _ringset(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    for place, size in enumerate((1.0, 0.8, 0.6, 0.4, 0.2)):
        _ellipse(
            image,
            x,
            y,
            r * size,
            r * size * 0.85,
            colour if place % 2 == 0 else mix(colour, _WHITE, 0.7),
        )


def _steam(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    bowl = mix(colour, _DARK, 0.1)
    _polygon(
        image,
        [
            (x + 0.85 * r * np.cos(a), y + 0.1 * r + 0.75 * r * np.sin(a))
            for a in np.linspace(0, np.pi, 20)
        ],
        bowl,
    )
    _ellipse(image, x, y + 0.1 * r, 0.85 * r, 0.2 * r, mix(bowl, _WHITE, 0.45))
    _ellipse(image, x, y + 0.1 * r, 0.72 * r, 0.14 * r, mix(bowl, _DARK, 0.4))
    up = np.linspace(0, 1, 20)
    for dx in (-0.35, 0.0, 0.35):
        line = np.stack([x + dx * r + 0.1 * r * np.sin(up * 6), y - 0.15 * r - 0.75 * r * up], 1)
        cv2.polylines(
            image,
            [line.astype(np.int32)],
            False,
            mix(colour, _WHITE, 0.55),
            max(1, round(r * 0.09)),
            cv2.LINE_AA,
        )


def _fish(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _polygon(
        image,
        [(x + 0.5 * r, y), (x + r, y - 0.45 * r), (x + 0.9 * r, y), (x + r, y + 0.45 * r)],
        mix(colour, _DARK, 0.2),
    )
    _ellipse(image, x - 0.1 * r, y, 0.78 * r, 0.38 * r, colour)
    _ellipse(image, x - 0.1 * r, y + 0.12 * r, 0.66 * r, 0.22 * r, mix(colour, _WHITE, 0.35))
    _ellipse(image, x - 0.6 * r, y - 0.07 * r, 0.07 * r, 0.07 * r, _DARK)


def _sun(image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb) -> None:
    for place in range(12):
        angle = place * np.pi / 6
        _polygon(
            image,
            [
                (x + r * np.cos(angle), y + r * np.sin(angle)),
                (x + 0.55 * r * np.cos(angle + 0.2), y + 0.55 * r * np.sin(angle + 0.2)),
                (x + 0.55 * r * np.cos(angle - 0.2), y + 0.55 * r * np.sin(angle - 0.2)),
            ],
            colour,
        )
    _ellipse(image, x, y, r * 0.55, r * 0.55, mix(colour, _WHITE, 0.25))


def _burst(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    points = [
        (
            x + r * (1.0 if i % 2 else 0.62) * np.cos(i * np.pi / 14),
            y + r * (1.0 if i % 2 else 0.62) * np.sin(i * np.pi / 14),
        )
        for i in range(28)
    ]
    _polygon(image, points, colour)
    _ellipse(image, x, y, r * 0.42, r * 0.42, _WHITE if luminance(colour) < 0.6 else _DARK)


def _tree(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    _line(image, x, y + 0.6 * r, x, y + r, (90, 60, 40), r * 0.16)
    for level, size in ((0.65, 0.75), (0.2, 0.6), (-0.25, 0.45)):
        _polygon(
            image,
            [
                (x, y + (level - 0.75) * r),
                (x + size * r, y + level * r),
                (x - size * r, y + level * r),
            ],
            mix(colour, _WHITE, 0.12 * (1 - level)),
        )


def _cloud(
    image: Image, rng: np.random.Generator, x: float, y: float, r: float, colour: Rgb
) -> None:
    for dx, dy, size in (
        (-0.5, 0.15, 0.4),
        (0.5, 0.15, 0.42),
        (-0.1, -0.2, 0.5),
        (0.25, 0.0, 0.45),
        (0.0, 0.25, 0.45),
    ):
        _ellipse(
            image, x + dx * r, y + dy * r, size * r, size * r, mix(colour, _WHITE, 0.2 - dy * 0.4)
        )


_Draw = Callable[[Image, np.random.Generator, float, float, float, Rgb], None]
MOTIFS: dict[str, _Draw] = {
    "berry": _berry,
    "citrus": _citrus,
    "apple": _apple,
    "cherry": _cherry,
    "grapes": _grapes,
    "leaf": _leaf,
    "drop": _drop,
    "flower": _flower,
    "squares": _squares,
    "nut": _nut,
    "hex": _hex,
    "wedge": _wedge,
    "pepper": _pepper,
    "waves": _wavelines,
    "rings": _ringset,
    "steam": _steam,
    "fish": _fish,
    "sun": _sun,
    "burst": _burst,
    "tree": _tree,
    "cloud": _cloud,
}
"""Name to a function drawing one motif about (x, y) with a radius in pixels."""
