"""Takes the light out of a comparison: flicker bands, lamps, exposure and white balance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import F32

CELLS_ACROSS = 40
"""Cells of a picture's width in which the light is estimated: a few make a facing."""
STRIP = 4
"""Height of the rows in which flicker bands are estimated."""
Mask = npt.NDArray[np.bool_]
_MOST = 0.5
_BRIGHT = 246.0  # near clipping, a pixel no longer says how bright its place is


class LightMatch:
    """Brings pictures into the light of a reference; holds its working memory, so one a camera.

    Pictures are ``(H, W, 3) float32`` in grey levels, all of one size.
    """

    def __init__(self, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        across = min(CELLS_ACROSS, width)
        self.cells_wh = (across, max(round(across * height / width), 1))
        self._strips_wh = (self.cells_wh[0], max(height // STRIP, 1))
        # fresh memory costs more than the work done in it
        self._full = np.empty((height, width, 3), np.float32)
        self._wide = np.empty((self._strips_wh[1], width, 3), np.float32)
        self._half = np.empty((4, (height + 1) // 2, (width + 1) // 2, 3), np.float32)

    def gain(self, picture: F32, reference: F32, trusted: Mask | None = None) -> F32:
        """How much brighter ``picture`` is than ``reference``, ``(H, W, 3)`` and smooth.

        Two factors: one a row, the median over the row's cells, which takes mains flicker on a
        rolling shutter; and a smooth field, a median over neighbouring cells, which takes lamps,
        shadows and white balance. Being medians, they do not follow single products that changed.
        Pixels near clipping are left out, and so are cells that are not ``trusted`` (of the shape
        of ``cells_wh``), as long as most are: the light there is that of their surroundings. The
        result is good until the next call.
        """
        # every other pixel of every other row is enough to know the light
        now, then, weight, product = self._half
        now[:], then[:] = picture[::2, ::2], reference[::2, ::2]
        cv2.max(now, then, dst=product)
        cv2.threshold(product, _BRIGHT, 1.0, cv2.THRESH_BINARY_INV, dst=weight)
        cv2.multiply(then, weight, dst=weight)
        seen = self._by_strip(cv2.multiply(now, weight, dst=product))
        expected = self._by_strip(cv2.multiply(then, weight, dst=product))
        # a dark or clipped cell says nothing
        enough = expected > 40.0
        ratio = np.where(enough, seen / np.maximum(expected, 1.0), np.nan)
        rows = _median_rows(ratio)
        flat = np.where(enough, ratio / rows[:, None], 1.0).astype(np.float32)
        field = np.asarray(
            cv2.resize(flat, self.cells_wh, interpolation=cv2.INTER_AREA), np.float32
        )
        if trusted is not None and not trusted.all() and trusted.mean() >= _MOST:
            field = _filled(field, trusted)
        smooth = cv2.blur(cv2.medianBlur(field, 5), (3, 3), borderType=cv2.BORDER_REPLICATE)
        height, width = self._full.shape[:2]
        cv2.resize(smooth, (width, len(rows)), dst=self._wide, interpolation=cv2.INTER_LINEAR)
        self._wide *= rows[:, None]
        cv2.resize(self._wide, (width, height), dst=self._full, interpolation=cv2.INTER_LINEAR)
        return self._full

    def even(self, picture: F32, reference: F32, gain: F32, out: F32) -> None:
        """Write ``picture`` as it would look in the reference's light; what is clipped in either
        is equal to the reference."""
        cv2.divide(picture, gain, dst=out)
        if picture.max() < _BRIGHT and reference.max() < _BRIGHT:
            return
        clipped = (picture >= _BRIGHT) & (out < reference)
        clipped |= (reference >= _BRIGHT) & (out > reference)
        np.copyto(out, reference, where=clipped)

    def _by_strip(self, half: cv2.typing.MatLike) -> F32:
        return np.asarray(
            cv2.resize(half, self._strips_wh, interpolation=cv2.INTER_AREA), np.float32
        )


def _filled(cells: F32, trusted: npt.NDArray[np.bool_]) -> F32:
    """Cells that are not trusted become the mean of those around them that are."""
    weight = trusted.astype(np.float32)
    filled = cells.copy()
    missing = ~trusted
    for side in (5, 11, 23):
        near = cv2.blur(weight, (side, side), borderType=cv2.BORDER_REPLICATE)
        mean = cv2.blur(cells * weight[..., None], (side, side), borderType=cv2.BORDER_REPLICATE)
        now = missing & (near > 1.5 / side**2)
        filled[now] = mean[now] / near[now, None]
        missing &= ~now
    filled[missing] = 1.0
    return filled


def _median_rows(ratio: F32) -> F32:
    """Median ``(rows, 3)`` over the cells of each row; 1 where a row has none."""
    filled = np.where(np.isnan(ratio), np.inf, ratio)
    filled.sort(axis=1)
    counts = np.isfinite(filled).sum(axis=1)
    at = np.maximum(counts - 1, 0) // 2
    middle = np.take_along_axis(filled, at[:, None, :], axis=1)[:, 0]
    return np.where(counts > 0, middle, 1.0).clip(0.02, 50.0).astype(np.float32)
