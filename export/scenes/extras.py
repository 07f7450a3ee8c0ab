"""Small things that make a design its own: crests, claims, ribbons, frames, side strips."""

from __future__ import annotations

import numpy as np

from export.scenes.lettering import Type, text_mask
from export.scenes.marks import burst, leaf, sun
from export.scenes.paint import Image, Palette, Rect, mix, noise_field, paste_mask, readable
from export.scenes.plates import mean_colour, overlap, plate
from export.scenes.strokes import ellipse, line, polygon
from export.scenes.words import Rgb

_CLAIMS = {
    "en": ("since 1897", "no sugar added", "new recipe", "100% natural", "fresh & fine"),
    "de": ("seit 1897", "ohne Zucker", "neue Rezeptur", "100% natürlich", "fein & frisch"),
    "fr": ("depuis 1897", "sans sucre", "nouvelle recette", "100% naturel", "pur plaisir"),
    "ru": ("с 1897 года", "без сахара", "новый рецепт", "100% натуральный"),
    "el": ("από το 1897", "χωρίς ζάχαρη", "νέα συνταγή", "100% φυσικό"),
    "ja": ("創業明治三十年", "砂糖不使用", "新発売", "国産原料"),
    "ko": ("1897년부터", "무설탕", "새로운 맛", "자연 그대로"),
}  # fmt: skip


def draw_extras(
    face: Image,
    rng: np.random.Generator,
    locale: str,
    palette: Palette,
    taken: tuple[Rect, ...],
    *,
    window: bool,
) -> None:
    """Add a few small elements to a label's face, in place, away from `taken`.

    `window` allows a clear pane that shows the contents.

    They depend on the generator's state and the palette only, so that siblings share them.
    """
    if rng.random() < 0.2 and window:
        _window(face, rng, taken)
    if rng.random() < 0.35:
        _claim(face, rng, locale, palette, taken)
    if rng.random() < 0.25:
        _crest(face, rng, palette, taken)
    if rng.random() < 0.2:
        _corner(face, rng)
    if rng.random() < 0.2:
        _border(face, rng, palette)
    if rng.random() < 0.15:
        _rules(face, rng, palette, taken)


def _free(
    rng: np.random.Generator, wide: float, tall: float, taken: tuple[Rect, ...]
) -> Rect | None:
    """The least occupied of some random rectangles of a size; None where all are occupied."""
    spots: list[Rect] = []
    for _ in range(30):
        x, y = float(rng.uniform(0.03, 0.97 - wide)), float(rng.uniform(0.03, 0.92 - tall))
        spots.append((x, y, x + wide, y + tall))
    used = [sum(overlap(spot, other) for other in taken) for spot in spots]
    best = int(np.argmin(used))
    return spots[best] if used[best] < 0.3 * wide * tall else None


def _window(face: Image, rng: np.random.Generator, taken: tuple[Rect, ...]) -> None:
    height, width = face.shape[:2]
    rect = _free(rng, float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.1, 0.2)), taken)
    if rect is None:
        return
    mask = np.zeros((height, width, 3), np.uint8)
    plate(mask, rect, str(rng.choice(["ellipse", "rect", "disc"])), (255, 255, 255))
    colours: tuple[Rgb, ...] = ((150, 96, 52), (214, 180, 120), (120, 70, 40), (230, 220, 190))
    contents = np.array(colours[int(rng.integers(4))], np.float32)
    texture = contents * (0.5 + 0.8 * noise_field(rng, height, width, 26)[..., None])
    inside = mask[..., 0] > 127
    face[inside] = np.clip(texture, 0, 255).astype(np.uint8)[inside]


def _claim(
    face: Image, rng: np.random.Generator, locale: str, palette: Palette, taken: tuple[Rect, ...]
) -> None:
    claims = _CLAIMS[locale]
    text = claims[int(rng.integers(len(claims)))]
    rect = _free(rng, float(rng.uniform(0.35, 0.6)), 0.05, taken)
    if rect is None:
        return
    if rng.random() < 0.4:
        plate(face, rect, "rect", palette.accent)
    builtin = "builtin:italic" if locale in ("en", "de", "fr") else "builtin:uni"
    ink = readable(palette.ink, mean_colour(face, rect))
    paste_mask(face, text_mask(text, Type(builtin, 500)), rect, ink)


def _crest(
    face: Image, rng: np.random.Generator, palette: Palette, taken: tuple[Rect, ...]
) -> None:
    height, width = face.shape[:2]
    size = float(rng.uniform(0.18, 0.3))
    rect = _free(rng, size, size * width / height, taken)
    if rect is None:
        return
    x, y = (rect[0] + rect[2]) / 2 * width, (rect[1] + rect[3]) / 2 * height
    radius = size * width / 2
    kind = int(rng.integers(4))
    if kind == 0:
        ellipse(face, x, y, radius, radius, palette.accent)
        ellipse(face, x, y, radius * 0.84, radius * 0.84, palette.plate)
        sun(face, rng, x, y, radius * 0.7, palette.accent)
    elif kind == 1:
        shield = [(-0.8, -0.9), (0.8, -0.9), (0.8, 0.1), (0.0, 1.0), (-0.8, 0.1)]
        polygon(face, [(x + a * radius, y + b * radius) for a, b in shield], palette.plate)
        inner = [(x + 0.8 * a * radius, y + 0.8 * b * radius) for a, b in shield]
        polygon(face, inner, palette.accent)
        line(face, x, y - 0.7 * radius, x, y + 0.7 * radius, palette.plate, radius * 0.15)
    elif kind == 2:
        burst(face, rng, x, y, radius, palette.accent)
    else:
        ellipse(face, x, y, radius, radius, (246, 246, 240))
        leaf(face, rng, x, y, radius * 0.8, (70, 150, 60))


def _corner(face: Image, rng: np.random.Generator) -> None:
    width = face.shape[1]
    colours: tuple[Rgb, ...] = ((220, 30, 40), (240, 180, 30), (30, 120, 60), (30, 60, 150))
    colour = colours[int(rng.integers(len(colours)))]
    left, side = bool(rng.random() < 0.5), float(rng.uniform(0.16, 0.26)) * width
    inner = side * 0.45
    points = [(inner, 0.0), (side, 0.0), (0.0, side), (0.0, inner)]
    polygon(face, [(x if left else width - x, y) for x, y in points], colour)


def _border(face: Image, rng: np.random.Generator, palette: Palette) -> None:
    height, width = face.shape[:2]
    inset, wide = 0.03 * height, max(1.0, 0.008 * height)
    colour = (
        palette.accent
        if rng.random() < 0.5
        else readable(palette.ink, mean_colour(face, (0, 0, 1, 1)))
    )
    corners = [
        (inset, inset),
        (width - inset, inset),
        (width - inset, height - inset),
        (inset, height - inset),
    ]
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        line(face, x0, y0, x1, y1, colour, wide)


def _rules(
    face: Image, rng: np.random.Generator, palette: Palette, taken: tuple[Rect, ...]
) -> None:
    """A block of small print, as grey lines."""
    height, width = face.shape[:2]
    rect = _free(rng, float(rng.uniform(0.25, 0.5)), 0.09, taken)
    if rect is None:
        return
    ink = mix(mean_colour(face, rect), readable(palette.ink, mean_colour(face, rect)), 0.7)
    for row in range(5):
        y = (rect[1] + (rect[3] - rect[1]) * (row + 0.5) / 5) * height
        end = rect[0] + (rect[2] - rect[0]) * float(rng.uniform(0.6, 1.0))
        line(face, rect[0] * width, y, end * width, y, ink, 0.006 * height)
