"""Cutting a picture to its region of interest and blanking what must not be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edge.types import U8

BLANK = 114
"""Grey that detectors are padded with: it holds no edges and so no products."""

Polygon = Sequence[tuple[float, float]]


class Region:
    """The region of interest and the masks of a camera; corners are fractions of the picture."""

    def __init__(self, roi: Polygon | None, masks: Sequence[Polygon]) -> None:
        self._roi = roi
        self._masks = masks
        self._size_wh = (0, 0)
        self._box = (0, 0, 0, 0)
        self._blank: U8 | None = None

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """``(left, top, right, bottom)`` of the cut in pixels; right and bottom are exclusive."""
        if self._size_wh != (width, height):
            self._prepare(width, height)
        return self._box

    def blank(self, cut: U8) -> None:
        """Blank in place what lies outside the region or under a mask.

        Args:
            cut: ``(H, W, 3) uint8``, the picture cut to :meth:`box` of its whole size.
        """
        if self._blank is not None:
            cv2.copyTo(np.full_like(cut, BLANK), self._blank, cut)

    def _prepare(self, width: int, height: int) -> None:
        box = (0, 0, width, height)
        if self._roi is not None:
            xs = [x * width for x, _ in self._roi]
            ys = [y * height for _, y in self._roi]
            left = min(math.floor(min(xs)), width - 1)
            top = min(math.floor(min(ys)), height - 1)
            box = (
                left,
                top,
                max(left + 1, min(width, math.ceil(max(xs)))),
                max(top + 1, min(height, math.ceil(max(ys)))),
            )
        blank = np.zeros((height, width), np.uint8)
        if self._roi is not None:
            blank[:] = 255
            cv2.fillPoly(blank, [_corners(self._roi, width, height)], 0)
        for mask in self._masks:
            cv2.fillPoly(blank, [_corners(mask, width, height)], 255)
        cut = np.ascontiguousarray(blank[box[1] : box[3], box[0] : box[2]])
        self._blank = cut if cut.any() else None
        self._box = box
        self._size_wh = (width, height)


def _corners(polygon: Polygon, width: int, height: int) -> np.ndarray:
    return np.array([[round(x * width), round(y * height)] for x, y in polygon], np.int32)
