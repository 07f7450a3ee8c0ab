"""Turns a label into a package: cartons and pouches here, round ones in `revolved`."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.catalog import Sku
from export.scenes.label import draw_label
from export.scenes.paint import mix, noise_field
from export.scenes.revolved import draw_revolved
from export.scenes.strokes import ellipse

Rgba = NDArray[np.uint8]
Field = NDArray[np.float32]


def draw_package(sku: Sku, height_px: int, turn_deg: float = 0.0) -> Rgba:
    """A SKU's front, (height_px, W, 4) uint8 RGBA, edges anti-aliased, colour not premultiplied.

    `turn_deg` turns a round package (bottle, can, jar) about its axis; others stay as they are. W
    follows the package's proportions. Drawn at least 256 px high and reduced, so that small fronts
    look like reduced large ones. Raises ValueError for height_px < 8.
    """
    if height_px < 8:
        raise ValueError(f"height_px must be at least 8, got {height_px}")
    width_mm, height_mm = sku.size_mm
    width_px = max(4, round(height_px * width_mm / height_mm))
    scale = max(1.0, 256 / height_px)
    height, width = round(height_px * scale), max(8, round(width_px * scale))
    rng = np.random.default_rng([sku.family.seed, 1])
    if sku.kind == "box":
        drawn = _box(sku, rng, height, width)
    elif sku.kind == "pouch":
        drawn = _pouch(sku, rng, height, width)
    else:
        drawn = draw_revolved(sku, rng, height, width, turn_deg)
    if scale == 1.0:
        return drawn
    small = cv2.resize(drawn, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _box(sku: Sku, rng: np.random.Generator, height: int, width: int) -> Rgba:
    style = str(rng.choice(["plain", "plain", "plain", "plain", "hanger", "flap"]))
    if sku.category[2] in ("Juice", "Yogurt"):
        style = str(rng.choice(["gable", "brick"]))
    colour = draw_label(sku, height, width, wide=_is_wide(sku)).astype(np.float32)
    light = np.ones((height, width), np.float32)
    edge = max(1, height // 120)
    light[:edge], light[-edge:] = 1.25, 0.7
    light[:, :edge], light[:, -edge:] = 1.12, 0.8
    fold = float(rng.uniform(0.03, 0.1))
    if style in ("flap", "gable"):
        light[round(fold * height)] *= 0.75
    light *= 1 + 0.06 * (noise_field(rng, height, width, 3) - 0.5)
    alpha = _rounded(height, width, max(1, height // 90))
    if style == "gable":
        _gable(colour, light, alpha, sku, rng)
    elif style == "hanger":
        ellipse(alpha, width / 2, 0.05 * height, 0.09 * width, 0.014 * height, (0, 0, 0))
    return _join(colour * light[..., None], alpha.astype(np.float32))


def _is_wide(sku: Sku) -> bool:
    return sku.size_mm[0] > 1.15 * sku.size_mm[1]


def _rounded(height: int, width: int, radius: int) -> NDArray[np.uint8]:
    inner = np.zeros((height, width), np.uint8)
    cv2.rectangle(inner, (radius, radius), (width - 1 - radius, height - 1 - radius), 255, -1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(inner, kernel), np.uint8)


def _gable(
    colour: Field, light: Field, alpha: NDArray[np.uint8], sku: Sku, rng: np.random.Generator
) -> None:
    """A carton's sloping top with a screw cap."""
    height, width = light.shape
    roof = round(0.13 * height)
    fin = round(0.035 * height)
    light[fin:roof] *= np.linspace(0.72, 0.95, roof - fin, dtype=np.float32)[:, None]
    light[roof] *= 0.7
    narrow = np.linspace(0.06, 0.0, roof)
    for row in range(roof):
        cut = round(float(narrow[row]) * width)
        alpha[row, :cut] = 0
        alpha[row, width - cut :] = 0
    cap = ((245, 245, 245), sku.look.colour, (40, 90, 170))[int(rng.integers(3))]
    x, y, r = float(rng.choice([0.5, 0.72])) * width, 0.085 * height, 0.04 * height
    ellipse(colour, x, y, r * 1.1, r, mix(cap, (0, 0, 0), 0.35))
    ellipse(colour, x, y - r * 0.12, r, r * 0.88, cap)


def _pouch(sku: Sku, rng: np.random.Generator, height: int, width: int) -> Rgba:
    wide = _is_wide(sku)
    choices = ["flow", "flow", "pillow"] if wide else ["pillow", "pillow", "standing", "brick"]
    style = str(rng.choice(choices))
    label = draw_label(sku, height, width, wide=wide, inset=0.05 if style == "flow" else 0.0)
    colour = label.astype(np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    if style == "flow":
        alpha, ends = _crimped(rng, x.T * 0.5 + 0.5, y.T * 2 - 1, width, height, both=True)
        alpha, ends = alpha.T, ends.T
        ridges = 0.86 + 0.14 * np.sin(x * width / height * np.pi / 0.011) * np.ones_like(y)
    else:
        both = style == "pillow"
        alpha, ends = _crimped(rng, y, x, height, width, both=both)
        ridges = 0.86 + 0.14 * np.sin(y * 2 * np.pi / 0.011) * np.ones_like(x)
    wrinkle = noise_field(rng, height, width, 7) - 0.5
    near_edge = np.exp(-(((np.abs(x) - 0.86) / 0.1) ** 2))
    folds = near_edge * (noise_field(rng, height, width, 14) - 0.35)
    depth = 0.15 if style == "brick" else 0.42
    light = 1.08 - depth * np.abs(x) ** 3 - 0.25 * np.abs(2 * y - 1) ** 6
    light = light + 0.16 * wrinkle - (0.05 if style == "brick" else 0.3) * folds
    if style == "standing":
        sag = y - 0.93 + 0.07 * x**2
        light = light * np.where(sag > 0, 0.8, 1.0) * np.where(np.abs(y - 0.1) < 0.004, 0.75, 1.0)
    light = np.where(ends, ridges, light)
    gloss = float(rng.uniform(10, 60)) * (0.4 if style == "brick" else 1.0)
    streak = gloss * np.exp(-(((x + 0.5 + 0.2 * wrinkle) / 0.12) ** 2)) * (~ends)
    lit = colour * light[..., None].astype(np.float32) + streak[..., None].astype(np.float32)
    return _join(lit.astype(np.float32), (alpha * 255).astype(np.float32))


def _crimped(
    rng: np.random.Generator, y: Field, x: Field, height: int, width: int, *, both: bool
) -> tuple[Field, NDArray[np.bool_]]:
    """Coverage and the crimped ends of a bag that is sealed at y = 0 and, if `both`, y = 1."""
    waist = float(rng.uniform(0.01, 0.05))
    half = 1 - waist * np.sin(np.pi * y) ** 2 - 0.012 * np.sin(y * float(rng.uniform(15, 30)))
    alpha = np.clip((half - np.abs(x)) * width / 2 + 0.5, 0, 1)
    crimp = float(rng.uniform(0.03, 0.07))
    teeth = 0.006 * np.abs(np.mod(x * width / height * 22, 2) - 1)
    alpha = alpha * np.clip((y - teeth) * height, 0, 1)
    ends = y < crimp
    if both:
        alpha = alpha * np.clip((1 - teeth - y) * height, 0, 1)
        ends = ends | (y > 1 - crimp)
    return alpha.astype(np.float32), np.broadcast_to(ends, alpha.shape)


def _join(colour: Field, alpha: Field) -> Rgba:
    return np.dstack([np.clip(colour, 0, 255), np.clip(alpha, 0, 255)]).astype(np.uint8)
