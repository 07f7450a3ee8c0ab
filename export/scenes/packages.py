"""Turns a label into a package: silhouette, cap, lid, crimped edge and cylindrical shading."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.catalog import Sku
from export.scenes.label import draw_label
from export.scenes.paint import hsv, mix, noise_field
from export.scenes.words import Rgb

Rgba = NDArray[np.uint8]
Field = NDArray[np.float32]

_CLEAR: Rgb = (222, 232, 234)


def draw_package(sku: Sku, height_px: int, turn_deg: float = 0.0) -> Rgba:
    """A SKU's front, (height_px, W, 4) uint8 RGBA, edges anti-aliased, colour not premultiplied.

    `turn_deg` turns a round package (bottle, can, jar) about its axis; others stay as they are.

    W follows the package's proportions. Drawn at twice the size (at least 256 px high) and reduced,
    so that small fronts look like reduced large ones. Raises ValueError for height_px < 8.
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
        drawn = _revolved(sku, rng, height, width, turn_deg)
    if scale == 1.0:
        return drawn
    return np.asarray(
        cv2.resize(drawn, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8
    )


def _box(sku: Sku, rng: np.random.Generator, height: int, width: int) -> Rgba:
    label = draw_label(sku, height, width).astype(np.float32)
    rim = np.ones((height, width), np.float32)
    edge = max(1, height // 120)
    rim[:edge], rim[-edge:] = 1.25, 0.7
    rim[:, :edge], rim[:, -edge:] = 1.12, 0.8
    fold = float(rng.uniform(0.03, 0.1))
    if rng.random() < 0.35:
        rim[round(fold * height)] *= 0.8
    sheen = 1 + 0.06 * (noise_field(rng, height, width, 3) - 0.5)
    alpha = np.full((height, width), 255, np.float32)
    radius = max(1, height // 90)
    cut = np.zeros((height, width), np.uint8)
    cv2.rectangle(cut, (radius, radius), (width - 1 - radius, height - 1 - radius), 255, -1)
    alpha = cv2.dilate(cut, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2))
    return _join(label * (rim * sheen)[..., None], alpha.astype(np.float32))


def _pouch(sku: Sku, rng: np.random.Generator, height: int, width: int) -> Rgba:
    label = draw_label(sku, height, width).astype(np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    waist = float(rng.uniform(0.01, 0.05))
    half = 1 - waist * np.sin(np.pi * y) ** 2 - 0.012 * np.sin(y * float(rng.uniform(15, 30)))
    alpha = np.clip((half - np.abs(x)) * width / 2 + 0.5, 0, 1)
    crimp = float(rng.uniform(0.03, 0.07))
    teeth = 0.006 * np.abs(np.mod(x * width / height * 22, 2) - 1)
    alpha = alpha * np.clip((y - teeth) * height, 0, 1) * np.clip((1 - teeth - y) * height, 0, 1)
    ends = (y < crimp) | (y > 1 - crimp * float(rng.choice([1, 0])))
    ridges = 0.86 + 0.14 * np.sin(y * height / height * 2 * np.pi / 0.011)
    wrinkle = noise_field(rng, height, width, 7) - 0.5
    folds = np.exp(-(((np.abs(x) - 0.86) / 0.1) ** 2)) * (
        noise_field(rng, height, width, 14) - 0.35
    )
    pillow = 1.08 - 0.42 * np.abs(x) ** 3 - 0.25 * np.abs(2 * y - 1) ** 6
    light = np.where(ends, ridges, pillow + 0.16 * wrinkle - 0.3 * folds).astype(np.float32)
    gloss = float(rng.uniform(10, 60))
    streak = gloss * np.exp(-(((x + 0.5 + 0.2 * wrinkle) / 0.12) ** 2)) * (~ends)
    return _join(label * light[..., None] + streak[..., None], alpha.astype(np.float32) * 255)


def _revolved(sku: Sku, rng: np.random.Generator, height: int, width: int, turn_deg: float) -> Rgba:
    """Bottles, cans and jars: a half-width profile, a label wrapped on it, shading by its angle."""
    y = np.linspace(0, 1, height, dtype=np.float32)
    if sku.kind == "can":
        profile, top, bottom = _can_profile(rng, y, sku)
    elif sku.kind == "jar":
        profile, top, bottom = _jar_profile(rng, y)
    else:
        profile, top, bottom = _bottle_profile(rng, y)
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    u = x[None, :] / np.maximum(profile[:, None], 1e-3)
    alpha = np.clip((profile[:, None] - np.abs(x[None, :])) * width / 2 + 0.5, 0, 1)
    round_u = np.clip(u, -1, 1)
    bow = 0.02 * float(rng.uniform(-0.6, 1.0)) * np.sqrt(1 - round_u**2)
    body = _body(sku, rng, y, height, width)
    label_rows = max(8, round((bottom - top) * height))
    label = draw_label(sku, label_rows, round(width * 1.4), inset=0.16)
    lx = ((np.arcsin(round_u) - np.radians(turn_deg)) / np.pi + 0.5) * (label.shape[1] - 1)
    ly = (y[:, None] - top - bow) / (bottom - top) * (label_rows - 1)
    wrapped = cv2.remap(
        label,
        lx.astype(np.float32),
        ly.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    on_label = (np.clip(ly + 0.5, 0, 1) * np.clip(label_rows - 0.5 - ly, 0, 1))[..., None]
    colour = body + (wrapped - body) * on_label
    metal = sku.kind == "can"
    light = _cylinder_light(rng, round_u, metal)
    seam = np.where((np.abs(ly) < 1) | (np.abs(ly - label_rows) < 1), 0.85, 1.0)
    return _join(colour * (light * seam)[..., None], (alpha * 255).astype(np.float32))


def _cylinder_light(rng: np.random.Generator, u: Field, metal: bool) -> Field:
    lean = float(rng.uniform(-0.35, 0.35))
    base = 0.5 + 0.58 * np.sqrt(np.clip(1 - (u - lean * 0.3) ** 2 / 1.15, 0, 1))
    glint = float(rng.uniform(0.1, 0.4)) * np.exp(-(((u - lean - 0.35) / 0.09) ** 2))
    soft = float(rng.uniform(0.0, 0.25)) * np.exp(-(((u - lean + 0.5) / 0.16) ** 2))
    return (base + glint * (1.3 if metal else 0.8) + soft).astype(np.float32)


def _can_profile(rng: np.random.Generator, y: Field, sku: Sku) -> tuple[Field, float, float]:
    tall = sku.size_mm[1] > 1.5 * sku.size_mm[0]
    if tall:
        neck = float(rng.uniform(0.82, 0.9))
        knots = [0.0, 0.012, 0.02, 0.09, 0.94, 0.985, 1.0]
        widths = [neck - 0.03, neck, neck - 0.02, 1.0, 1.0, 0.9, 0.84]
        return np.interp(y, knots, widths).astype(np.float32), 0.045, 0.965
    knots = [0.0, 0.02, 0.05, 0.07, 0.93, 0.95, 0.98, 1.0]
    widths = [0.98, 1.0, 1.0, 0.97, 0.97, 1.0, 1.0, 0.98]
    return np.interp(y, knots, widths).astype(np.float32), 0.06, 0.94


def _jar_profile(rng: np.random.Generator, y: Field) -> tuple[Field, float, float]:
    lid, shoulder = float(rng.uniform(0.12, 0.2)), float(rng.uniform(0.05, 0.12))
    cap = float(rng.uniform(0.82, 1.0))
    knots = [0.0, 0.015, lid, lid + 0.005, lid + shoulder, 0.95, 1.0]
    widths = [cap - 0.04, cap, cap, cap - 0.06, 1.0, 1.0, 0.9]
    return (
        np.interp(y, knots, widths).astype(np.float32),
        lid + shoulder * 0.9,
        float(rng.uniform(0.86, 0.94)),
    )


def _bottle_profile(rng: np.random.Generator, y: Field) -> tuple[Field, float, float]:
    cap, neck = float(rng.uniform(0.06, 0.13)), float(rng.uniform(0.02, 0.12))
    slope = float(rng.uniform(0.08, 0.2))
    cap_w, neck_w = float(rng.uniform(0.34, 0.62)), float(rng.uniform(0.3, 0.5))
    start = cap + neck
    waist = float(rng.choice([1.0, 1.0, 0.9, 0.94]))
    knots = [
        0.0,
        0.008,
        cap,
        cap + 0.004,
        start,
        start + slope * 0.5,
        start + slope,
        0.62,
        0.9,
        0.985,
        1.0,
    ]
    widths = [
        cap_w - 0.03,
        cap_w,
        cap_w,
        neck_w,
        neck_w,
        (neck_w + 1) / 2 + 0.08,
        1.0,
        waist,
        1.0,
        0.98,
        0.92,
    ]
    profile = np.interp(y, knots, widths).astype(np.float32)
    smooth = cv2.GaussianBlur(profile[:, None], (1, 0 * 2 + 2 * (len(y) // 60) + 1), 0)[:, 0]
    profile = np.where(y < cap, profile, smooth).astype(np.float32)
    top = start + slope * float(rng.uniform(0.75, 1.1))
    bottom = float(rng.uniform(0.82, 0.97))
    return profile, top, bottom


def _body(sku: Sku, rng: np.random.Generator, y: Field, height: int, width: int) -> Field:
    """Colours under the label (H, W, 3) float32: cap or lid, glass or plastic with its contents."""
    tint = sku.flavour.colour if not sku.hard_variant else hsv(float(rng.random()), 0.6, 0.7)
    cap_choice, see_through = int(rng.integers(4)), bool(rng.random() < 0.6)
    hue = float(rng.random())
    lid_end = 0.0
    probe = np.random.default_rng([sku.family.seed, 1])
    if sku.kind == "can":
        shell: Rgb = (196, 198, 202)
    elif sku.kind == "jar":
        lid_end = float(probe.uniform(0.12, 0.2))
        shell = mix(tint, _CLEAR, 0.15)
    else:
        lid_end = float(probe.uniform(0.06, 0.13))
        shell = mix(tint, _CLEAR, 0.35) if see_through else hsv(hue, 0.5, 0.9)
    caps: tuple[Rgb, ...] = ((245, 245, 245), tint, hsv(hue, 0.8, 0.6), (212, 176, 96))
    body = np.empty((height, width, 3), np.float32)
    body[:] = shell
    if lid_end:
        cap = np.array(caps[cap_choice], np.float32)
        rows = (y < lid_end)[:, None, None]
        ribs = 0.9 + 0.1 * np.sign(np.sin(np.arange(width, dtype=np.float32) / width * 150))
        body = np.where(rows, cap * ribs[None, :, None], body).astype(np.float32)
    return body


def _join(colour: Field, alpha: Field) -> Rgba:
    rgba = np.dstack([np.clip(colour, 0, 255), np.clip(alpha, 0, 255)])
    return rgba.astype(np.uint8)
