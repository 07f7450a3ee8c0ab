"""Pillow's antialiased resize, for towers that were trained with it.

Kernel widths, coefficients and the rounding to eight bits between the two passes follow
`precompute_coeffs` and `ImagingResample` of Pillow's libImaging/Resample.c: the kernel is widened by
the factor of shrinking, cut off at the picture's edge and normalised; columns are resampled before
rows. Answers differ from Pillow's by a level or two (float sums for its fixed-point ones), and
by more only where a cubic kernel overshoots black or white and Pillow took the rows first.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import F32, U8

_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
_A = -0.5
_BLOCK = 32
_ZERO = np.zeros(4, dtype=np.float64)
_KEPT = 128

Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the resized picture."""


def resize_antialias(
    image: U8, size_wh: tuple[int, int], kernel: str, window: Window | None = None
) -> U8:
    """Resize ``(H, W, 3) uint8`` as Pillow does with ``bilinear`` or ``bicubic``.

    Args:
        size_wh: size of the whole resized picture.
        window: the part of it that is wanted; only that is computed.
    """
    x1, y1, x2, y2 = window or (0, 0, *size_wh)
    height, width = image.shape[:2]
    if (x1, x2, size_wh[0]) != (0, width, width):
        columns = _pass(cv2.transpose(image), width, size_wh[0], kernel, x1, x2)
        image = np.asarray(cv2.transpose(columns), dtype=np.uint8)
    if (y1, y2, size_wh[1]) != (0, height, height):
        image = _pass(image, height, size_wh[1], kernel, y1, y2)
    return image


def _pass(
    lines: npt.NDArray[np.generic], old: int, new: int, kernel: str, start: int, stop: int
) -> U8:
    """Resample the first axis of ``(old, N, 3)`` to ``new``; rows ``start`` to ``stop`` of it."""
    flat = np.asarray(lines).reshape(old, -1)
    out = np.empty((stop - start, flat.shape[1]), dtype=np.uint8)
    first, weights = _weights(old, new, kernel, start, stop)
    taps = weights.shape[1]
    for at in range(0, stop - start, _BLOCK):
        end = min(at + _BLOCK, stop - start)
        low, high = int(first[at]), min(int(first[end - 1]) + taps, old)
        band = np.zeros((end - at, high - low + taps), dtype=np.float32)
        columns = (first[at:end] - low)[:, None] + np.arange(taps)
        np.put_along_axis(band, columns, weights[at:end], axis=1)
        sums = band[:, : high - low] @ flat[low:high].astype(np.float32)
        # OpenCV's conversion rounds and saturates in one go
        cv2.add(sums, _ZERO, dst=out[at:end], dtype=cv2.CV_8U)
    return out.reshape(stop - start, lines.shape[1], 3)


@lru_cache(maxsize=_KEPT)
def _weights(
    old: int, new: int, kernel: str, start: int, stop: int
) -> tuple[npt.NDArray[np.int64], F32]:
    """For each new pixel its first source pixel and normalised weights ``(stop - start, taps)``, which
    are zero past its last one.
    """
    scale = old / new
    stretch = max(scale, 1.0)
    support = _SUPPORT[kernel] * stretch
    centre = (np.arange(start, stop) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), old)
    taps = math.ceil(support) * 2 + 1
    place = first[:, None] + np.arange(taps)
    weights = _KERNELS[kernel]((place - centre[:, None] + 0.5) / stretch)
    weights = np.where(place < last[:, None], weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum(1.0 - np.abs(x), 0.0))


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.abs(x)
    near = ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * _A
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic}
