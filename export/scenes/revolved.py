"""Round packages: bottles, cans, jars and tubs from a profile, a wrapped label and a light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.catalog import Sku
from export.scenes.label import draw_label
from export.scenes.paint import hsv, mix
from export.scenes.strokes import ellipse, polygon
from export.scenes.words import Rgb

Rgba = NDArray[np.uint8]
Field = NDArray[np.float32]

_CLEAR: Rgb = (222, 232, 234)


@dataclass(frozen=True, eq=False, slots=True)
class Profile:
    """A silhouette by height: half width (H,) in [0, 1], and the label's and the cap's extent.

    Heights are fractions from the top; the cap covers `cap[0]` to `cap[1]`. `head` names what is
    drawn over the top: "none", "trigger", "pump" or "handle".
    """

    half: Field
    label: tuple[float, float]
    cap: tuple[float, float]
    head: str = "none"


def draw_revolved(
    sku: Sku, rng: np.random.Generator, height: int, width: int, turn_deg: float
) -> Rgba:
    """A round package (height, width, 4) uint8 RGBA, turned about its axis by `turn_deg`."""
    y = np.linspace(0, 1, height, dtype=np.float32)
    profile = _profile(sku, rng, y)
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    half = profile.half[:, None]
    u = np.clip(x[None, :] / np.maximum(half, 1e-3), -1, 1).astype(np.float32)
    alpha = np.clip((half - np.abs(x[None, :])) * width / 2 + 0.5, 0, 1)
    bow = 0.02 * float(rng.uniform(-0.6, 1.0)) * np.sqrt(1 - u**2)
    colour = _body(sku, rng, y, profile, width)
    top, bottom = profile.label
    rows = max(8, round((bottom - top) * height))
    wide = 0.95 * sku.size_mm[0] > 1.15 * sku.size_mm[1] * (bottom - top)
    label = draw_label(sku, rows, round(width * 1.4), wide=wide, inset=0.16)
    across = (np.arcsin(u) - np.radians(turn_deg)) / np.pi + 0.5
    down = (y[:, None] - top - bow) / (bottom - top) * (rows - 1)
    wrapped = cv2.remap(
        label,
        (across * (label.shape[1] - 1)).astype(np.float32),
        down.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    on_label = np.clip(down + 0.5, 0, 1) * np.clip(rows - 0.5 - down, 0, 1)
    colour += (wrapped - colour) * on_label[..., None].astype(np.float32)
    seam = np.where((np.abs(down) < 1) | (np.abs(down - rows) < 1), 0.85, 1.0)
    light = _light(rng, u, metal=sku.kind == "can") * seam
    rgba = np.dstack([np.clip(colour * light[..., None], 0, 255), alpha * 255]).astype(np.uint8)
    if profile.head != "none":
        _head(rgba, sku, profile, rng)
    return rgba


def _light(rng: np.random.Generator, u: Field, *, metal: bool) -> Field:
    lean = float(rng.uniform(-0.35, 0.35))
    base = 0.5 + 0.58 * np.sqrt(np.clip(1 - (u - lean * 0.3) ** 2 / 1.15, 0, 1))
    glint = float(rng.uniform(0.1, 0.4)) * np.exp(-(((u - lean - 0.35) / 0.09) ** 2))
    soft = float(rng.uniform(0.0, 0.25)) * np.exp(-(((u - lean + 0.5) / 0.16) ** 2))
    return np.asarray(base + glint * (1.3 if metal else 0.8) + soft, np.float32)


def _curve(y: Field, knots: list[tuple[float, float]], smooth: float = 0.0) -> Field:
    places, widths = zip(*knots, strict=True)
    half = np.asarray(np.interp(y, places, widths), np.float32)
    if smooth:
        size = 2 * max(1, round(smooth * len(y))) + 1
        half = np.asarray(cv2.GaussianBlur(half[:, None], (1, size), 0)[:, 0], np.float32)
    return half


def _profile(sku: Sku, rng: np.random.Generator, y: Field) -> Profile:
    if sku.kind == "can":
        return _can(sku, rng, y)
    if sku.kind == "jar":
        return _jar(rng, y)
    household = sku.category[0] in ("Household", "Care")
    if household:
        styles = ["shampoo", "shampoo", "classic", "squeeze", "trigger", "pump", "handle"]
    else:
        styles = ["classic", "classic", "classic", "long", "squeeze", "wide"]
    return _bottle(str(rng.choice(styles)), rng, y)


def _can(sku: Sku, rng: np.random.Generator, y: Field) -> Profile:
    if sku.size_mm[1] > 1.5 * sku.size_mm[0]:
        neck = float(rng.uniform(0.82, 0.9))
        knots = [(0.0, neck - 0.03), (0.012, neck), (0.02, neck - 0.02), (0.09, 1.0)]
        knots += [(0.94, 1.0), (0.985, 0.9), (1.0, 0.84)]
        return Profile(_curve(y, knots), (0.045, 0.965), (0.0, 0.0))
    knots = [(0.0, 0.98), (0.02, 1.0), (0.05, 1.0), (0.07, 0.97)]
    knots += [(0.93, 0.97), (0.95, 1.0), (0.98, 1.0), (1.0, 0.98)]
    return Profile(_curve(y, knots), (0.06, 0.94), (0.0, 0.0))


def _jar(rng: np.random.Generator, y: Field) -> Profile:
    lid, shoulder = float(rng.uniform(0.12, 0.2)), float(rng.uniform(0.05, 0.12))
    if rng.random() < 0.3:
        foot = float(rng.uniform(0.8, 0.92))
        knots = [(0.0, 0.96), (0.02, 1.0), (lid, 1.0), (lid + 0.005, 0.95), (0.97, foot)]
        knots.append((1.0, foot - 0.06))
        return Profile(_curve(y, knots), (lid + 0.03, 0.93), (0.0, lid))
    cap = float(rng.uniform(0.82, 1.0))
    knots = [(0.0, cap - 0.04), (0.015, cap), (lid, cap), (lid + 0.005, cap - 0.06)]
    knots += [(lid + shoulder, 1.0), (0.95, 1.0), (1.0, 0.9)]
    return Profile(
        _curve(y, knots), (lid + shoulder * 0.9, float(rng.uniform(0.86, 0.94))), (0.0, lid)
    )


def _bottle(style: str, rng: np.random.Generator, y: Field) -> Profile:
    cap = float(rng.uniform(0.06, 0.13))
    foot = float(rng.uniform(0.88, 0.97))
    waist = float(rng.choice([1.0, 1.0, 0.92]))
    cap_w, neck_w = float(rng.uniform(0.36, 0.62)), float(rng.uniform(0.3, 0.5))
    if style == "squeeze":
        knots = [(0.0, 0.62), (0.02, 0.8), (0.12, 1.0), (0.6, 0.96), (0.86, 0.6), (0.87, 0.6)]
        half = _curve(y, [*knots, (1.0, 0.66)], 0.02)
        return Profile(half, (0.1, 0.78), (0.86, 1.0))
    if style == "shampoo":
        knots = [(cap, 0.7), (cap + 0.01, 0.86), (cap + 0.06, 1.0), (0.55, waist), (0.96, 0.98)]
        body = _curve(y, [*knots, (1.0, 0.88)], 0.008)
        half = np.where(y < cap, max(cap_w, 0.5) + 0.1, body).astype(np.float32)
        return Profile(half, (cap + 0.05, foot), (0.0, cap))
    if style in ("trigger", "pump"):
        neck = 0.3 if style == "trigger" else 0.22
        knots = [(neck, 0.26), (neck + 0.03, 0.3), (neck + 0.14, 0.95), (0.6, waist), (0.97, 1.0)]
        body = _curve(y, [*knots, (1.0, 0.92)], 0.012)
        half = np.where(y < neck - 0.08, 0.0, np.where(y < neck, 0.3, body)).astype(np.float32)
        return Profile(half, (neck + 0.15, foot), (neck - 0.08, neck), style)
    neck = float(rng.uniform(0.02, 0.12))
    slope = float(rng.uniform(0.08, 0.2))
    if style == "long":
        cap, neck, slope = 0.05, float(rng.uniform(0.2, 0.28)), float(rng.uniform(0.08, 0.16))
    if style in ("wide", "handle"):
        neck, cap_w, neck_w = 0.02, 0.55, 0.52
    start = cap + neck
    knots = [(cap, neck_w), (start, neck_w), (start + slope * 0.5, (neck_w + 1) / 2 + 0.08)]
    knots += [(start + slope, 1.0), (0.62, waist), (0.9, 1.0), (0.985, 0.98), (1.0, 0.92)]
    half = np.where(y < cap, cap_w, _curve(y, knots, 0.016)).astype(np.float32)
    top = start + slope * float(rng.uniform(0.75, 1.1))
    if style == "handle":
        return Profile(half, (max(top, 0.42), foot), (0.0, cap), "handle")
    return Profile(half, (top, float(rng.uniform(0.82, 0.97))), (0.0, cap))


def _cap_colour(sku: Sku) -> tuple[Rgb, Rgb]:
    """Cap and body colours, from the family's seed."""
    rng = np.random.default_rng([sku.family.seed, 2])
    hue = float(rng.random())
    tint = sku.look.colour
    caps: tuple[Rgb, ...] = (
        (245, 245, 245),
        tint,
        hsv(hue, 0.8, 0.6),
        (212, 176, 96),
        (40, 40, 44),
    )
    cap = caps[int(rng.integers(len(caps)))]
    choice = float(rng.random())
    if sku.kind == "can":
        return cap, (196, 198, 202)
    if choice < 0.5:
        return cap, mix(tint, _CLEAR, 0.15 if sku.kind == "jar" else 0.35)
    if choice < 0.75:
        return cap, (244, 243, 238)
    return cap, hsv(hue + 0.4, 0.5, 0.85)


def _body(sku: Sku, rng: np.random.Generator, y: Field, profile: Profile, width: int) -> Field:
    """Colours under the label (H, W, 3) float32: cap or lid, glass or plastic."""
    cap, shell = _cap_colour(sku)
    body = np.empty((len(y), width, 3), np.float32)
    body[:] = shell
    rows = (y >= profile.cap[0]) & (y < profile.cap[1])
    ribs = 0.9 + 0.1 * np.sign(np.sin(np.arange(width, dtype=np.float32) / width * 150))
    if rng.random() < 0.4:
        ribs = np.ones_like(ribs)
    body[rows] = np.array(cap, np.float32) * ribs[None, :, None]
    return body


def _head(rgba: Rgba, sku: Sku, profile: Profile, rng: np.random.Generator) -> None:
    """Draws a trigger, a pump or a handle's hole over the silhouette, in place."""
    height, width = rgba.shape[:2]
    cap, shell = _cap_colour(sku)
    colour = np.ascontiguousarray(rgba[..., :3])
    alpha = np.repeat(rgba[..., 3:], 3, axis=2)

    def both(points: list[tuple[float, float]], tone: Rgb) -> None:
        corners = [(x * width, y * height) for x, y in points]
        polygon(colour, corners, tone)
        polygon(alpha, corners, (255, 255, 255))

    neck = profile.cap[0]
    if profile.head == "trigger":
        both(
            [
                (0.12, 0.02),
                (0.8, 0.0),
                (0.86, 0.1),
                (0.62, 0.13),
                (0.62, neck + 0.02),
                (0.38, neck + 0.02),
                (0.38, 0.12),
                (0.12, 0.09),
            ],
            cap,
        )
        both([(0.2, 0.09), (0.3, 0.1), (0.22, 0.22), (0.14, 0.24)], mix(cap, (0, 0, 0), 0.25))
    elif profile.head == "pump":
        both(
            [(0.46, 0.03), (0.54, 0.03), (0.54, neck + 0.02), (0.46, neck + 0.02)],
            mix(cap, (0, 0, 0), 0.1),
        )
        both(
            [(0.12, 0.02), (0.66, 0.0), (0.66, 0.06), (0.2, 0.05), (0.16, 0.08), (0.11, 0.07)], cap
        )
    else:
        x, y = 0.72 * width, 0.3 * height
        rx, ry = 0.1 * width, 0.075 * height
        ellipse(colour, x, y, rx * 1.3, ry * 1.2, mix(shell, (0, 0, 0), 0.3), 12)
        ellipse(alpha, x, y, rx, ry, (0, 0, 0), 12)
    rgba[..., :3] = colour
    rgba[..., 3] = alpha[..., 0]
