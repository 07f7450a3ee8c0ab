"""Tells a product that was pushed or turned a little from another product in its place."""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import F32

_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
_SMOOTH = (13, 5)  # coarse print first, then the fine
_EDGE_PX = 0.5  # of the comparison, by which an edge may be off after the warp
_FARTHEST = 0.25  # of the picture's smaller side; further away it is another place
_SIZE = 4
_MOST_EDGE = 0.15  # of a side, left out all around: what stands behind a product stays where it is


def explained_by_motion(before: F32, after: F32, least: float) -> bool:
    """Whether ``after`` shows what ``before`` showed, moved, turned or scaled a little.

    An affine warp is fitted by maximising the correlation (ECC, Evangelidis and Psarakis 2008). The
    same print then fits everywhere but for its edges; a variant keeps the spot that makes it one.

    Args:
        before: picture ``(H, W, 3) float32`` of a facing and a little around it, in grey levels.
        after: the same place later, in the same light.
        least: contrast, in grey levels, from which a spot that does not fit is another print.
    """
    height, width = before.shape[:2]
    if min(height, width) < 4 * _SIZE:
        return False
    then, now = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (before, after))
    warp: cv2.typing.MatLike = np.eye(2, 3, dtype=np.float32)
    inside = np.zeros((height, width), np.uint8)
    top, left = (max(round(_MOST_EDGE * side), 1) for side in (height, width))
    inside[top : height - top, left : width - left] = 255
    try:
        for smooth in _SMOOTH:
            _, warp = cv2.findTransformECC(
                now, then, warp, cv2.MOTION_AFFINE, _STEPS, inside, smooth
            )
    except cv2.error:  # it does not converge: nothing alike is there
        return False
    corners = np.array([[left, top, 1], [width - left, height - top, 1]], np.float32).T
    moved = np.abs(warp @ corners - corners[:2])
    if moved.max() > _FARTHEST * min(height, width):
        return False
    fitted = cv2.warpAffine(
        before, warp, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    error = np.square(np.asarray(fitted, np.float32) - after).mean(axis=2)
    slope = _slope(now)
    excess = (error - np.float32(_EDGE_PX**2) * slope)[top : height - top, left : width - left]
    spots = cv2.blur(excess, (_SIZE, _SIZE), borderType=cv2.BORDER_REPLICATE)
    return bool(spots.max() < least**2)


def _slope(grey: cv2.typing.MatLike) -> F32:
    """Squared grey levels a pixel, the steepest close by."""
    along, down = (cv2.Sobel(grey, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    square = np.asarray(along * along + down * down, np.float32)
    return np.asarray(cv2.dilate(square, np.ones((3, 3), np.uint8)), np.float32)
