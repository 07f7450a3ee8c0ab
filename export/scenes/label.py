"""Composes a SKU's label: ground, illustration, logo, variant band, badges, small print."""

from __future__ import annotations

import cv2
import numpy as np

from export.scenes.catalog import Sku
from export.scenes.extras import draw_extras
from export.scenes.lettering import Type, arc, pick_type, script_of, text_mask
from export.scenes.motifs import MOTIFS, draw_motif
from export.scenes.paint import (
    Image,
    Palette,
    Rect,
    hsv,
    luminance,
    make_palette,
    mix,
    paste_mask,
    readable,
)
from export.scenes.patterns import draw_ground
from export.scenes.plates import mean_colour, overlap, plate, splash
from export.scenes.scenery import draw_scenery
from export.scenes.words import Rgb

# Rectangles (fractions) of logo, product word, variant word and illustration.
_TALL: tuple[tuple[Rect, Rect, Rect, Rect], ...] = (
    (
        (0.08, 0.05, 0.92, 0.25),
        (0.2, 0.26, 0.8, 0.34),
        (0.0, 0.7, 1.0, 0.86),
        (0.1, 0.35, 0.9, 0.7),
    ),
    (
        (0.08, 0.3, 0.92, 0.52),
        (0.15, 0.53, 0.85, 0.6),
        (0.0, 0.62, 1.0, 0.77),
        (0.15, 0.03, 0.85, 0.3),
    ),
    (
        (0.06, 0.08, 0.94, 0.32),
        (0.15, 0.5, 0.85, 0.58),
        (0.0, 0.34, 1.0, 0.49),
        (0.1, 0.58, 0.9, 0.92),
    ),
    (
        (0.05, 0.72, 0.95, 0.92),
        (0.15, 0.63, 0.85, 0.71),
        (0.0, 0.05, 1.0, 0.2),
        (0.08, 0.22, 0.92, 0.62),
    ),
    (
        (0.1, 0.04, 0.9, 0.2),
        (0.1, 0.2, 0.9, 0.27),
        (0.05, 0.28, 0.95, 0.46),
        (0.05, 0.46, 0.95, 0.95),
    ),
    ((0.06, 0.4, 0.94, 0.62), (0.2, 0.3, 0.8, 0.38), (0.0, 0.8, 1.0, 0.94), (0.0, 0.0, 1.0, 0.34)),
)
_WIDE: tuple[tuple[Rect, Rect, Rect, Rect], ...] = (
    (
        (0.04, 0.1, 0.58, 0.5),
        (0.06, 0.52, 0.5, 0.64),
        (0.0, 0.68, 0.6, 0.92),
        (0.6, 0.08, 0.98, 0.92),
    ),
    (
        (0.4, 0.08, 0.96, 0.46),
        (0.45, 0.48, 0.92, 0.6),
        (0.4, 0.64, 1.0, 0.9),
        (0.02, 0.08, 0.38, 0.92),
    ),
    (
        (0.15, 0.22, 0.85, 0.6),
        (0.3, 0.08, 0.7, 0.2),
        (0.0, 0.7, 1.0, 0.94),
        (0.02, 0.1, 0.98, 0.68),
    ),
)


def draw_label(sku: Sku, height: int, width: int, *, wide: bool, inset: float = 0.0) -> Image:
    """A SKU's flat label, (height, width, 3) uint8 RGB.

    `wide` labels have their parts side by side instead of one above the other; the caller decides
    by the package's true proportions, so that the layout is the same at every resolution.
    `inset` in [0, 0.4] is the share of the width at either side that carries ground and bands only:
    the part of a round package that turns away from the viewer.

    Everything but the flavour's colour, motif and words comes from the brand's and the family's
    seeds, so that siblings differ in these only; in a hard family in a small badge or weight only.
    """
    brand = np.random.default_rng(sku.family.brand.seed)
    rng = np.random.default_rng(sku.family.seed)
    hue = float(brand.random())
    logo_type = pick_type(brand, sku.family.brand.script)
    logo_shape = str(brand.choice(["none", "none", "ellipse", "pill", "rect", "ribbon", "disc"]))
    rise = float(brand.choice([0.0, 0.0, 0.0, 0.35, -0.3]))
    palette = make_palette(rng, hue if rng.random() < 0.7 else float(rng.random()))
    cue = str(rng.choice(["ground", "band", "band", "both"]))
    art_style = str(rng.choice(["flavour", "flavour", "flavour", "emblem", "panel", "none"]))
    if cue == "band" and art_style in ("emblem", "none"):
        # a band alone is too small a difference on a round package
        cue = "band" if sku.kind in ("box", "pouch") else "both"
    flavour = sku.look.colour
    ground = flavour if cue in ("ground", "both") else palette.ground
    if cue == "ground" and rng.random() < 0.4:
        ground = mix(ground, (255, 255, 255), 0.55)
    image = draw_ground(rng, height, width, palette, ground)
    if rng.random() < 0.2:
        draw_scenery(image, np.random.default_rng([sku.family.seed, 4]), palette, ground)
    side = round(inset * width)
    face = image[:, side : width - side]
    layouts = _WIDE if wide else _TALL
    logo, product, variant, art = layouts[int(rng.integers(len(layouts)))]
    _illustrate(face, rng, sku, palette, art, art_style, cue in ("ground", "both"))
    own = np.random.default_rng([sku.family.seed, 3])
    taken = (logo, product, variant)
    boxy = sku.kind in ("box", "pouch")
    draw_extras(face, own, sku.family.brand.locale, palette, taken, window=boxy)
    word_type = pick_type(rng, "latin")
    _variant_band(image, face, rng, sku, palette, variant, word_type, cue in ("band", "both"))
    _logo(face, sku.brand, logo_type, rise, logo, logo_shape, palette)
    _word(face, sku.family.product.word(sku.family.brand.locale), word_type, product, palette.ink)
    _small_print(face, rng, sku, palette, taken)
    return image


def _illustrate(
    image: Image,
    rng: np.random.Generator,
    sku: Sku,
    palette: Palette,
    rect: Rect,
    style: str,
    on_flavour: bool,
) -> None:
    photo, count = bool(rng.random() < 0.5), int(rng.choice([1, 1, 2, 3, 5]))
    emblem = str(rng.choice(list(MOTIFS)))
    own = np.random.default_rng([sku.family.seed, 7])
    splashed = style == "flavour" and bool(rng.random() < (0.8 if on_flavour else 0.25))
    pale = mix(palette.plate, (255, 255, 250), float(rng.uniform(0.7, 1.0)))
    if style == "none":
        return
    colour = sku.look.colour
    if style == "panel":
        plate(image, rect, str(rng.choice(["ellipse", "rect", "disc"])), palette.plate)
    under = mean_colour(image, rect)
    name = emblem if style == "emblem" else sku.look.motif
    if style == "emblem":
        colour = palette.accent
    if splashed and luminance(mean_colour(image, rect)) < 0.9:
        splash(image, rect, np.random.default_rng([sku.family.seed, 8]), pale)
        under = pale
    if sum(abs(a - b) for a, b in zip(under, colour, strict=True)) < 120:
        colour = mix(colour, (255, 255, 255) if luminance(under) < 0.5 else (30, 20, 30), 0.45)
    draw_motif(image, own, name, rect, colour, count=count, photo=photo)


def _variant_band(
    image: Image,
    face: Image,
    rng: np.random.Generator,
    sku: Sku,
    palette: Palette,
    rect: Rect,
    type_: Type,
    must_show: bool,
) -> None:
    shape = str(rng.choice(["rect", "rect", "pill", "ribbon", "none"]))
    if shape == "none" and must_show:
        shape = "rect"
    locale = sku.family.brand.locale
    colour = sku.look.colour
    x0, y0, x1, y1 = rect
    if shape != "none":
        plate(image if shape == "rect" else face, rect, shape, colour)
    under = colour if shape != "none" else mean_colour(face, rect)
    ink = readable(colour if shape == "none" else (255, 255, 255), under)
    pad = (y1 - y0) * 0.16
    inner = (x0 + 0.08, y0 + pad, x1 - 0.08, y1 - pad)
    _word(face, sku.flavour.word(locale), type_, inner, ink)


def _logo(
    image: Image, text: str, type_: Type, rise: float, rect: Rect, shape: str, palette: Palette
) -> None:
    if shape != "none":
        plate(image, rect, shape, palette.plate)
        x0, y0, x1, y1 = rect
        dx, dy = (x1 - x0) * 0.12, (y1 - y0) * 0.16
        rect = (x0 + dx, y0 + dy, x1 - dx, y1 - dy)
    under = palette.plate if shape != "none" else mean_colour(image, rect)
    mask = text_mask(text, type_)
    if rise:
        mask = arc(mask, rise)
    colour = readable(palette.accent if shape == "none" else palette.ground, under)
    if shape == "none":
        halo = cv2.dilate(mask, np.ones((5, 5), np.uint8))
        paste_mask(image, np.asarray(halo, np.uint8), rect, readable(under, colour), opacity=0.55)
    paste_mask(image, mask, rect, colour)


def _word(image: Image, text: str, type_: Type, rect: Rect, colour: Rgb) -> None:
    script = script_of(text)
    if script != "latin":
        type_ = Type("builtin:uni" if script != "cyrillic" else "builtin:sans", type_.weight)
    ink = readable(colour, mean_colour(image, rect))
    paste_mask(image, text_mask(text, type_), rect, ink)


def _small_print(
    image: Image, rng: np.random.Generator, sku: Sku, palette: Palette, taken: tuple[Rect, ...]
) -> None:
    """Weight, nutrition boxes and a badge, in the places that hide the least of `taken`."""
    left = bool(rng.random() < 0.5)
    rect: Rect = (0.05, 0.93, 0.4, 0.985) if left else (0.6, 0.93, 0.95, 0.985)
    _word(image, sku.amount, Type("builtin:sans", 600), rect, palette.ink)
    nutrition: Rect = (0.5, 0.93, 0.95, 0.985) if left else (0.05, 0.93, 0.5, 0.985)
    if rng.random() < 0.3:
        _nutrition(image, nutrition)
    badge = hsv(float(rng.random()), 0.85, 0.85)
    large = float(rng.uniform(0.3, 0.4))
    if not sku.extra:
        return
    size = 0.17 if sku.hard_variant else large
    tall = size * image.shape[1] / image.shape[0]
    spots: list[Rect] = [
        (x, y, x + size, y + tall)
        for y in np.linspace(0.02, 0.92 - tall, 9)
        for x in (0.02, 0.98 - size)
    ]
    spot = min(spots, key=lambda spot: sum(overlap(spot, other) for other in taken))
    plate(image, spot, "disc", palette.accent if sku.hard_variant else badge)
    inner = (
        spot[0] + size * 0.08, spot[1] + tall * 0.2, spot[2] - size * 0.08, spot[3] - tall * 0.2
    )  # fmt: skip
    word = sku.extra_word(sku.family.brand.locale)
    _word(image, word, Type("builtin:sans", 800), inner, (255, 255, 255))


def _nutrition(image: Image, rect: Rect) -> None:
    step = (rect[2] - rect[0]) / 4
    for place in range(4):
        x = rect[0] + place * step
        plate(image, (x, rect[1], x + 0.85 * step, rect[3]), "rect", (250, 250, 250))
        inner = (x + 0.2 * step, rect[1] + 0.015, x + 0.65 * step, rect[3] - 0.02)
        plate(image, inner, "rect", (90, 90, 100))
