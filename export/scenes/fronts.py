"""Clean fronts, and the cache that makes many scenes of one catalogue cheap."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.catalog import Sku
from export.scenes.packages import Rgba, draw_package

TURN_DEG = 14.0
"""One step of a round package's turn about its axis."""
_LEVELS = (192, 384, 768, 1536)


class FrontCache:
    """Least-recently-used cache of drawn packages at a few heights, bounded in bytes."""

    def __init__(self, max_bytes: int = 384 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._fronts: OrderedDict[tuple[Sku, int, int], Rgba] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """Bytes of pixels held now."""
        return self._bytes

    def get(self, sku: Sku, height_px: int, turn: int = 0) -> Rgba:
        """The package at the smallest kept height that is at least `height_px` (or the largest).

        `turn` counts steps of TURN_DEG about the axis of a round package.

        The array (H, W, 4) uint8 is shared: callers must not write to it.
        """
        level = next((level for level in _LEVELS if level >= height_px), _LEVELS[-1])
        turn = turn if sku.kind in ("bottle", "can", "jar") else 0
        key = (sku, level, turn)
        front = self._fronts.get(key)
        if front is not None:
            self._fronts.move_to_end(key)
            return front
        front = draw_package(sku, level, turn * TURN_DEG)
        front.setflags(write=False)
        self._fronts[key] = front
        self._bytes += front.nbytes
        while self._bytes > self._max_bytes and len(self._fronts) > 1:
            self._bytes -= self._fronts.popitem(last=False)[1].nbytes
        return front

    def sized(self, sku: Sku, height_px: int, width_px: int, turn: int = 0) -> Rgba:
        """The package resized to exactly (height_px, width_px, 4) uint8."""
        front = self.get(sku, height_px, turn)
        small = front.shape[0] >= height_px
        mode = cv2.INTER_AREA if small else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(front, (width_px, height_px), interpolation=mode), np.uint8)


DEFAULT_FRONTS = FrontCache()
"""One cache a process, used where a caller passes none; it changes speed, never pixels."""


def render_front(sku: Sku, height_px: int = 384) -> NDArray[np.uint8]:
    """One clean studio front, (height_px, W, 3) uint8 RGB, on a light ground with a soft shadow.

    The package takes about 90% of the height. Raises ValueError for height_px < 16.
    """
    if height_px < 16:
        raise ValueError(f"height_px must be at least 16, got {height_px}")
    package = draw_package(sku, max(8, round(height_px * 0.9)))
    margin = round(height_px * 0.05)
    height, width = height_px, package.shape[1] + 2 * margin
    ground = np.full((height, width, 3), 244, np.float32)
    alpha = np.zeros((height, width), np.float32)
    alpha[margin : margin + package.shape[0], margin : margin + package.shape[1]] = (
        package[..., 3].astype(np.float32) / 255
    )
    shadow = cv2.GaussianBlur(alpha, (0, 0), max(1.0, height_px / 70))
    ground *= (1 - 0.25 * np.roll(shadow, max(1, height_px // 100), axis=0))[..., None]
    inside = ground[margin : margin + package.shape[0], margin : margin + package.shape[1]]
    cover = package[..., 3:].astype(np.float32) / 255
    inside += (package[..., :3].astype(np.float32) - inside) * cover
    return np.clip(ground + 0.5, 0, 255).astype(np.uint8)
