"""Takes the light out of a comparison: flicker bands, lamps, exposure and white balance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import F32

CELL = 16
"""Side of the cells in which the light is estimated; picture sides are multiples of it."""
STRIP = 4
"""Height of the rows in which flicker bands are estimated."""
_MOST = 0.5
_BRIGHT = 246.0  # near clipping, a pixel no longer says how bright its place is


def gain_field(picture: F32, reference: F32, trusted: npt.NDArray[np.bool_] | None = None) -> F32:
    """How much brighter ``picture (H, W, 3)`` is than ``reference``, ``(H, W, 3)`` and smooth.

    Two factors: one a row, the median over the row's cells, which takes mains flicker on a rolling
    shutter; and a smooth field, a median over neighbouring cells, which takes lamps, shadows and
    white balance. Being medians, they do not follow single products that changed. Pixels near
    clipping are left out, and so are cells that are not ``trusted (H / CELL, W / CELL)``, as long as
    most are: the light there is that of their surroundings. Both pictures are float32 in grey
    levels, H and W multiples of ``CELL``.
    """
    height, width = picture.shape[:2]
    usable = ((picture < _BRIGHT) & (reference < _BRIGHT)).astype(np.float32)
    weight = reference * usable
    strips = (width // CELL, height // STRIP)
    seen = cv2.resize(picture * weight, strips, interpolation=cv2.INTER_AREA)
    expected = cv2.resize(reference * weight, strips, interpolation=cv2.INTER_AREA)
    # a dark or clipped cell says nothing: the constant pulls it towards the row's other cells
    enough = expected > 40.0
    ratio = np.where(enough, seen / np.maximum(expected, 1.0), np.nan)
    rows = _median_rows(ratio)
    flat = np.where(enough, ratio / rows[:, None], 1.0).astype(np.float32)
    cells = cv2.resize(flat, (width // CELL, height // CELL), interpolation=cv2.INTER_AREA)
    if trusted is not None and not trusted.all() and trusted.mean() >= _MOST:
        cells = _filled(np.asarray(cells, np.float32), trusted)
    smooth = cv2.blur(cv2.medianBlur(cells, 5), (3, 3), borderType=cv2.BORDER_REPLICATE)
    field = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
    by_row = cv2.resize(rows[:, None], (1, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(field * by_row.reshape(height, 1, 3), dtype=np.float32)


def in_reference_light(picture: F32, reference: F32, gain: F32) -> F32:
    """``picture`` as it would look in the reference's light; what is clipped in either is equal."""
    even = picture / gain
    clipped_now = (picture >= _BRIGHT) & (even < reference)
    clipped_then = (reference >= _BRIGHT) & (even > reference)
    np.copyto(even, reference, where=clipped_now | clipped_then)
    return np.asarray(even, dtype=np.float32)


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
