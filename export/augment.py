"""Training views of a product crop: what detector, camera and store do to it, and no more.

No horizontal flip (text) unless a source asks for it, no erased regions larger than a price tag.
Geometry and degradation work on uint8 pixels; resizing and normalising stay with
`edge.vision.preprocess.crops`, so that a training view differs from a device view only by what is
done here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from pydantic import ConfigDict

from export.images import Image


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Strengths; probabilities in [0, 1], the rest as fractions of the crop's sides."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    box_jitter: float = 0.08
    zoom_in: float = 0.25
    rotate_deg: float = 7.0
    perspective: float = 0.06
    warp_p: float = 0.5
    low_resolution_p: float = 0.35
    low_resolution_px: tuple[int, int] = (24, 96)
    blur_p: float = 0.15
    jpeg_p: float = 0.25
    noise_p: float = 0.2
    light_p: float = 0.8
    occlude_p: float = 0.15


def augment(
    image: Image, rng: np.random.Generator, config: AugmentConfig, *, gentle: bool = False
) -> Image:
    """One random training view of `image` (H, W, 3) uint8 RGB; its sides may change.

    `gentle` only shifts the box: for pictures that already carry what cameras do, and whose SKUs
    differ in one word or shade that stronger changes would remove.
    """
    if gentle:
        return jitter_box(
            image, rng, replace(config, zoom_in=0.0, box_jitter=config.box_jitter / 2)
        )
    image = jitter_box(image, rng, config)
    if rng.random() < config.warp_p:
        image = warp(image, rng, config)
    if rng.random() < config.occlude_p:
        image = occlude(image, rng)
    if rng.random() < config.light_p:
        image = relight(image, rng)
    return degrade(image, rng, config)


def jitter_box(image: Image, rng: np.random.Generator, config: AugmentConfig) -> Image:
    """Cuts as an imprecise detector would: a shifted, slightly tighter or looser box."""
    height, width = image.shape[:2]
    inset = rng.normal(0.0, config.box_jitter / 2, 4)
    if config.zoom_in > 0 and rng.random() < 0.5:
        zoom = rng.random() * config.zoom_in
        shift_x, shift_y = rng.random(2)
        inset += zoom * np.array([shift_x, shift_y, 1 - shift_x, 1 - shift_y])
    inset = np.clip(inset, -config.box_jitter, 0.45)
    left, top = round(inset[0] * width), round(inset[1] * height)
    right, bottom = round(width - inset[2] * width), round(height - inset[3] * height)
    pads = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    cut = image[max(0, top) : max(bottom, top + 1), max(0, left) : max(right, left + 1)]
    if cut.size == 0:
        return image
    if max(pads) > 0:
        cut = _pad(cut, pads, rng)
    return np.ascontiguousarray(cut)


def warp(image: Image, rng: np.random.Generator, config: AugmentConfig) -> Image:
    """A small rotation and perspective, the uncovered corners filled from the border."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle = np.deg2rad(rng.uniform(-config.rotate_deg, config.rotate_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = corners.mean(axis=0)
    target = (corners - centre) @ turn.T + centre
    shift = rng.uniform(-config.perspective, config.perspective, (4, 2))
    target = (target + shift * [width, height]).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    warped = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.astype(np.uint8, copy=False)


def occlude(image: Image, rng: np.random.Generator) -> Image:
    """A price tag or rail: one flat strip at the lower or upper edge."""
    height, width = image.shape[:2]
    depth = max(1, round(height * rng.uniform(0.03, 0.15)))
    left = round(width * rng.uniform(0, 0.5)) if rng.random() < 0.5 else 0
    right = width if left == 0 else min(width, left + round(width * rng.uniform(0.2, 0.6)))
    out = image.copy()
    colour = rng.integers(0, 256, 3) if rng.random() < 0.5 else np.full(3, rng.integers(180, 256))
    rows = slice(height - depth, height) if rng.random() < 0.7 else slice(0, depth)
    out[rows, left:right] = colour.astype(np.uint8)
    return out


def relight(image: Image, rng: np.random.Generator) -> Image:
    """Exposure, contrast, colour cast of the lamps, gamma, a gradient of light, saturation."""
    level = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.07, 3))
    contrast, pivot = np.exp(rng.normal(0, 0.15)), rng.uniform(0.3, 0.6)
    curve = (level[:, None] ** gamma) * gain
    curve = (curve - pivot) * contrast + pivot + rng.normal(0, 0.04)
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)
    out = cv2.LUT(image, table[None]).astype(np.uint8, copy=False)
    if rng.random() < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = rng.uniform(0.55, 1.3)
        out = cv2.addWeighted(out, keep, grey, 1 - keep, 0).astype(np.uint8, copy=False)
    if rng.random() < 0.3:
        height, width = out.shape[:2]
        across = np.linspace(-1, 1, width)[None] * rng.normal(0, 0.15)
        down = np.linspace(-1, 1, height)[:, None] * rng.normal(0, 0.15)
        out = np.clip(out * (1 + across + down)[..., None], 0, 255).astype(np.uint8)
    return out


def degrade(image: Image, rng: np.random.Generator, config: AugmentConfig) -> Image:
    """Far away, out of focus, noisy, compressed."""
    height, width = image.shape[:2]
    if rng.random() < config.low_resolution_p:
        low, high = config.low_resolution_px
        side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        scale = side / max(height, width)
        if scale < 1:
            size_wh = (max(4, round(width * scale)), max(4, round(height * scale)))
            image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    if rng.random() < config.blur_p:
        sigma = float(rng.uniform(0.3, 0.012 * max(image.shape[:2]) + 0.5))
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    if rng.random() < config.noise_p:
        grain = rng.normal(0, rng.uniform(2, 10), image.shape)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if rng.random() < config.jpeg_p:
        quality = int(rng.integers(25, 85))
        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if decoded is not None:
            image = np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)
    return image


def _pad(image: Image, pads: tuple[int, int, int, int], rng: np.random.Generator) -> Image:
    top, bottom, left, right = pads
    if rng.random() < 0.5:
        padded = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REPLICATE)
    else:
        colour = [int(v) for v in rng.integers(0, 256, 3)]
        padded = cv2.copyMakeBorder(
            image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour
        )
    return padded.astype(np.uint8, copy=False)
