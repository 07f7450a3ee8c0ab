"""What a camera adds: exposure, white balance, vignetting, blur, noise, JPEG artefacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.paint import noise_field

Image = NDArray[np.uint8]
Difficulty = Literal["clean", "mild", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("clean", "mild", "hard")


@dataclass(frozen=True, slots=True)
class Strength:
    """Upper ends of each effect.

    `exposure` in stops, `balance` as a relative gain of red and blue, `light` as the depth of
    uneven lighting and vignetting, `blur_px` for an image 1000 px high, `noise` in grey levels,
    `jpeg` as (lowest, highest) quality.
    """

    exposure: float
    balance: float
    light: float
    blur_px: float
    noise: float
    jpeg: tuple[int, int]


STRENGTHS: dict[Difficulty, Strength] = {
    "clean": Strength(0.0, 0.0, 0.0, 0.0, 0.0, (100, 100)),
    "mild": Strength(0.25, 0.07, 0.22, 0.7, 4.0, (80, 95)),
    "hard": Strength(0.6, 0.16, 0.45, 2.2, 11.0, (40, 88)),
}


def apply_effects(image: Image, rng: np.random.Generator, difficulty: Difficulty) -> Image:
    """Photograph an evenly lit image (H, W, 3) uint8 RGB; "clean" changes nothing.

    Geometry is unchanged. The same generator state gives the same bytes.
    """
    strength = STRENGTHS[difficulty]
    if difficulty == "clean":
        return image
    lit = _light(image, rng, strength)
    lit = _blur(lit, rng, strength)
    lit = _noise(lit, rng, strength)
    return _jpeg(lit, int(rng.integers(strength.jpeg[0], strength.jpeg[1] + 1)))


def _light(image: Image, rng: np.random.Generator, strength: Strength) -> Image:
    height, width = image.shape[:2]
    gain = 2.0 ** float(rng.uniform(-1, 0.7) * strength.exposure)
    warm = float(rng.uniform(-1, 1)) * strength.balance
    tint = float(rng.uniform(-0.4, 0.4)) * strength.balance
    grid = noise_field(rng, 24, 32, 3)
    slope = np.linspace(-1, 1, 32, dtype=np.float32)[None, :] * float(rng.uniform(-0.4, 0.4))
    down = np.linspace(1, -1, 24, dtype=np.float32)[:, None] * float(rng.uniform(-0.2, 0.5))
    y, x = np.mgrid[-1:1:24j, -1:1:32j]
    ring = (x**2 + y**2) * float(rng.uniform(0, 0.25))
    field = 1 + strength.light * ((grid - 0.5) * 0.8 + slope + down - ring)
    field = np.asarray(cv2.resize(field.astype(np.float32), (width, height)), np.float32)
    gains = np.array([gain * (1 + warm), gain * (1 + tint), gain * (1 - warm)], np.float32)
    lit = image.astype(np.float32)
    lit *= field[..., None]
    lit *= gains
    contrast = 1 + float(rng.uniform(-0.5, 0.5)) * strength.exposure * 0.5
    lit -= 118
    lit *= contrast
    lit += 118
    return np.clip(lit, 0, 255).astype(np.uint8)


def _blur(image: Image, rng: np.random.Generator, strength: Strength) -> Image:
    scale = image.shape[0] / 1000
    amount = strength.blur_px * float(rng.random()) ** 2 * max(scale, 0.35)
    angle, motion = float(rng.uniform(0, np.pi)), bool(rng.random() < 0.35)
    if amount < 0.25:
        return image
    if not motion:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), amount), np.uint8)
    reach = max(1, round(1.7 * amount))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    first, last = (round(reach - dx), round(reach - dy)), (round(reach + dx), round(reach + dy))
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _noise(image: Image, rng: np.random.Generator, strength: Strength) -> Image:
    level = strength.noise * float(rng.uniform(0.15, 1))
    chroma = float(rng.uniform(0.2, 0.8))
    height, width = image.shape[:2]
    grain = rng.standard_normal((min(height, 512), min(width, 512), 3), dtype=np.float32)
    grain = grain * chroma + grain[..., :1] * (1 - chroma)
    tiles = (-(-height // grain.shape[0]), -(-width // grain.shape[1]), 1)
    sheet = np.tile(grain * level, tiles)[:height, :width]
    return np.clip(image + sheet, 0, 255).astype(np.uint8)


def _jpeg(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
