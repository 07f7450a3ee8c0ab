"""Takes the light out of a comparison: flicker bands, lamps, exposure and white balance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import F32, U8

CELLS_ACROSS = 40
"""Cells of a picture's width in which the light is estimated: a few make a facing."""
STRIP = 4
"""Height of the rows in which flicker bands are estimated."""
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
_MOST = 0.5
_PART = 96  # rows of a frame
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
        self.level = 1.0
        # fresh memory costs more than the work done in it
        self._full = np.empty((height, width, 3), np.float32)
        self._bright = np.empty((height, width, 3), bool)
        self._wide = np.empty((self._strips_wh[1], width, 3), np.float32)
        self._half = np.empty((4, (height + 1) // 2, (width + 1) // 2, 3), np.float32)

    def factor(self, picture: F32, reference: F32, trusted: Mask | None = None) -> F32:
        """What brings ``picture`` into the reference's light, ``(H, W, 3)`` and smooth.

        One over two gains: one a row, the median over the row's cells, which takes mains flicker on
        a rolling shutter; and a smooth field, a median over neighbouring cells, which takes lamps,
        shadows and white balance. Being medians, they do not follow single products that changed.
        Pixels near clipping are left out, and so are cells that are not ``trusted`` (of the shape
        of ``cells_wh``), as long as most are: the light there is that of their surroundings. The
        result is good until the next call; ``level`` is then the median gain.
        """
        # every other pixel of every other row is enough to know the light
        now, then, weight, product = self._half
        half_wh = (now.shape[1], now.shape[0])
        cv2.resize(picture, half_wh, dst=now, interpolation=cv2.INTER_NEAREST)
        cv2.resize(reference, half_wh, dst=then, interpolation=cv2.INTER_NEAREST)
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
        self.level = float(np.median(smooth) * np.median(rows))
        height, width = self._full.shape[:2]
        inverse = 1.0 / np.maximum(smooth, 0.02)
        cv2.resize(inverse, (width, len(rows)), dst=self._wide, interpolation=cv2.INTER_LINEAR)
        self._wide *= 1.0 / rows[:, None]
        cv2.resize(self._wide, (width, height), dst=self._full, interpolation=cv2.INTER_LINEAR)
        return self._full

    def even(
        self, picture: F32, reference: F32, factor: F32, out: F32, clipped: Places | None = None
    ) -> None:
        """Write ``picture`` as it would look in the reference's light; what is clipped in either
        is equal to the reference. ``clipped`` is ``clipped_in(reference)``, where it is known."""
        cv2.multiply(picture, factor, dst=out)
        there = self.clipped_in(reference) if clipped is None else clipped
        for at, nearer in ((self.clipped_in(picture), np.maximum), (there, np.minimum)):
            if len(at):
                flat = out.reshape(-1)
                flat[at] = nearer(flat[at], reference.reshape(-1)[at])

    def clipped_in(self, picture: F32) -> Places:
        """Where a picture is near clipping, as places in it laid flat ``(N,) int64``."""
        np.greater_equal(picture, _BRIGHT, out=self._bright)
        return np.flatnonzero(self._bright)

    def _by_strip(self, half: cv2.typing.MatLike) -> F32:
        return np.asarray(
            cv2.resize(half, self._strips_wh, interpolation=cv2.INTER_AREA), np.float32
        )


def cells_mostly(blocks: Mask, cells_wh: tuple[int, int]) -> Mask:
    """The cells of the light of which nearly all blocks are set."""
    share = cv2.resize(blocks.astype(np.float32), cells_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0.75, dtype=bool)


def evened(image: U8, xyxy: F32 | None, factor: F32) -> U8:
    """A copy of a frame in which all of it, or the boxes, are in the light of the reference.

    Args:
        image: ``(H, W, 3) uint8``, of any size.
        xyxy: ``(N, 4) float32`` in its pixels; what lies outside all of them stays as it is. None
            for the whole frame.
        factor: of ``LightMatch``, over the same view.

    Pixels near clipping stay as they are: how bright their place is they do not say.
    """
    height, width = image.shape[:2]
    rows, columns = factor.shape[:2]
    out = image.copy()
    if xyxy is None:
        # in parts, so that a large frame takes little more memory than its copy
        tops = range(0, height, _PART)
        xyxy = np.array([[0, top, width, top + _PART] for top in tops], np.float32)
    low = np.floor(xyxy[:, :2]).clip(0, (width - 1, height - 1)).astype(int)
    high = np.ceil(xyxy[:, 2:]).clip(low + 1, (width, height)).astype(int)
    for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
        top, left = y1 * rows // height, x1 * columns // width
        bottom, right = -(-y2 * rows // height), -(-x2 * columns // width)
        field = cv2.resize(factor[top:bottom, left:right], (x2 - x1, y2 - y1))
        seen = image[y1:y2, x1:x2]
        even = cv2.multiply(seen, field, dtype=cv2.CV_8U)
        out[y1:y2, x1:x2] = np.where(seen >= _BRIGHT, seen, even)
    return out


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
