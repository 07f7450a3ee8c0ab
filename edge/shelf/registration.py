"""Notices that a camera was moved: the whole picture shifted against the reference."""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import F32

_LEAST_PX = 0.15  # of the comparison's pixels; less is within the noise of the estimate
_WIDE_ENOUGH = 480
_EXPLAINED = 0.5  # part of the changed blocks that a shift must explain


def estimate_shift(reference: F32, picture: F32) -> tuple[float, float]:
    """How far ``picture (H, W, 3) float32`` is shifted against ``reference``, in pixels (x, y).

    Phase correlation (Kuglin and Hines 1975) of what is left after the coarse light is taken off,
    under a window, with the sub-pixel peak of OpenCV.
    """
    # a large picture has more detail than the estimate needs
    shrink = min(1.0, _WIDE_ENOUGH / picture.shape[1])
    plain = [_detail(_smaller(p, shrink)) for p in (reference, picture)]
    height, width = plain[0].shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(plain[0], plain[1], window)
    return float(x / shrink), float(y / shrink)


def shifted(picture: F32, shift_px: tuple[float, float]) -> F32:
    """``picture`` moved by a shift; what comes in at the edges repeats the edge."""
    x, y = shift_px
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)


def counts_as_shift(shift_px: tuple[float, float], changed: int, left: int) -> bool:
    """Whether a shift explains what changed: of ``changed`` blocks, ``left`` differ after it."""
    return float(np.hypot(*shift_px)) >= _LEAST_PX and left <= (1 - _EXPLAINED) * changed


def _smaller(picture: F32, shrink: float) -> F32:
    if shrink == 1.0:
        return picture
    size = (round(picture.shape[1] * shrink), round(picture.shape[0] * shrink))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _detail(picture: F32) -> F32:
    grey = cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))
    coarse = cv2.blur(grey, (15, 15), borderType=cv2.BORDER_REPLICATE)
    # bounded, so that a few strong edges do not outvote the picture
    return np.asarray(np.clip(grey - coarse, -30, 30), np.float32)
