"""What a camera and the lamps add over time: flicker, lighting steps, exposure control, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LightStep:
    """Lamps that change at `at_s` within `ramp_s`: gains of red, green, blue where they shine.

    `x` is the middle of the lamps in widths; `reach` how far they shine, in widths (a large one
    lights all of the shelf alike).
    """

    at_s: float
    ramp_s: float
    gain: tuple[float, float, float]
    x: float
    reach: float

    def progress(self, at_s: float) -> float:
        """0 before, 1 after."""
        return float(np.clip((at_s - self.at_s) / max(self.ramp_s, 1e-6), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Sensor:
    """A camera's faults.

    `noise` is the standard deviation in grey levels at mid grey, of which a third stays in the
    dark; `flicker` the depth of the bands that 100 Hz lamps leave on a rolling shutter, `bands` how
    many fit a picture; `wander` the depth of slow exposure control.
    """

    noise: float = 4.0
    flicker: float = 0.03
    bands: float = 2.4
    wander: float = 0.02
    mains_hz: float = 100.0


class Exposures:
    """Turns clean pictures (H, W, 3) into frames, each determined by its number and time."""

    def __init__(
        self, sensor: Sensor, steps: tuple[LightStep, ...], size_wh: tuple[int, int], seed: int
    ) -> None:
        self._sensor = sensor
        self._steps = steps
        self._seed = seed
        width, height = size_wh
        rng = np.random.default_rng([seed, 1])
        # a sheet larger than a picture: each frame cuts another part of it
        sheet = rng.standard_normal((height + 97, width + 89, 3), dtype=np.float32)
        self._grain = np.asarray(cv2.GaussianBlur(sheet, (0, 0), 0.5), np.float32)
        self._grain *= np.float32(sensor.noise / max(float(self._grain.std()), 1e-6))
        self._phase = float(rng.uniform(0, 2 * np.pi))
        self._rows = np.linspace(0, 1, height, dtype=np.float32)
        self._columns = np.linspace(0, 1, width, dtype=np.float32)

    def expose(self, picture: NDArray[np.float32], number: int, at_s: float) -> Image:
        """One frame (H, W, 3) uint8; `picture` float32 grey levels is not kept."""
        sensor = self._sensor
        wave = 2 * np.pi * (sensor.mains_hz * at_s + sensor.bands * self._rows) + self._phase
        slow = np.sin(0.7 * at_s + self._phase) + 0.6 * np.sin(1.9 * at_s)
        rows = (1 + sensor.flicker * np.sin(wave)) * (1 + sensor.wander * slow)
        lit = picture * rows.astype(np.float32)[:, None, None]
        for step in self._steps:
            share = step.progress(at_s)
            if share:
                near = np.exp(-(((self._columns - step.x) / step.reach) ** 2))
                change = (np.array(step.gain, np.float32) - 1) * share
                lit *= 1 + near[None, :, None].astype(np.float32) * change
        rng = np.random.default_rng([self._seed, 2, number])
        y, x = int(rng.integers(97)), int(rng.integers(89))
        grain = self._grain[y : y + lit.shape[0], x : x + lit.shape[1]]
        if rng.random() < 0.5:
            grain = grain[:, ::-1]
        lit += grain * np.sqrt(0.11 + lit.clip(0) * np.float32(0.89 / 128))
        return np.asarray(np.rint(lit.clip(0, 255)), np.uint8)
