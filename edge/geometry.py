"""Boxes: IoU, non-maximum suppression, and the letterbox transform with its inverse.

Boxes are ``xyxy float32`` in pixels, x2/y2 exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.types import F32, I64


def area(xyxy: F32) -> F32:
    """Areas ``(N,)`` of boxes ``(N, 4)``; an inverted box has area 0."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0.0)
    return np.asarray(size[:, 0] * size[:, 1], dtype=np.float32)


def intersection(a: F32, b: F32) -> F32:
    """Intersection areas ``(N, M)`` of boxes ``(N, 4)`` and ``(M, 4)``."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    size = np.maximum(high - low, 0.0)
    return np.asarray(size[..., 0] * size[..., 1], dtype=np.float32)


def iou(a: F32, b: F32) -> F32:
    """Intersection over union ``(N, M)`` in 0..1; 0 where both boxes are empty."""
    overlap = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    ratio: F32 = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return ratio


def nms(
    xyxy: F32,
    score: F32,
    threshold: float,
    *,
    group: npt.NDArray[np.integer] | None = None,
    limit: int | None = None,
) -> I64:
    """Greedy non-maximum suppression: indices to keep, best score first.

    A box goes when its IoU with a better kept box of the same ``group`` (class) is above
    ``threshold``. ``limit`` bounds how many are kept.
    """
    order = np.argsort(-score, kind="stable")
    if group is not None and len(order):
        # boxes of different groups never meet when each group is moved to a plane of its own
        span = float(xyxy.max() - min(float(xyxy.min()), 0.0)) + 1.0
        xyxy = xyxy + group[:, None].astype(np.float32) * np.float32(span)
    x1, y1, x2, y2 = xyxy[order].T
    areas = area(xyxy)[order]
    alive = np.ones(len(order), dtype=bool)
    keep: list[int] = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        keep.append(int(order[i]))
        if limit is not None and len(keep) == limit:
            break
        rest = slice(i + 1, None)
        width = np.minimum(x2[rest], x2[i]) - np.maximum(x1[rest], x1[i])
        height = np.minimum(y2[rest], y2[i]) - np.maximum(y1[rest], y1[i])
        overlap = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        alive[rest] &= overlap <= threshold * (areas[rest] + areas[i] - overlap)
    return np.array(keep, dtype=np.int64)


def soften(
    xyxy: F32, score: F32, sigma: float, *, group: npt.NDArray[np.integer] | None = None
) -> F32:
    """Scores ``(N,)`` of boxes of which the surer ones explain a part of the others.

    Each score is multiplied by exp(-IoU² / ``sigma``) for every box of its ``group`` with a higher one:
    the Gaussian penalty of Soft-NMS (Bodla et al., 2017), in one pass in the order of the given scores.
    """
    order = np.argsort(-score, kind="stable")
    overlap = iou(xyxy[order], xyxy[order])
    if group is not None:
        overlap[group[order][:, None] != group[order][None, :]] = 0.0
    softened = np.empty_like(score)
    softened[order] = score[order] * np.exp(-np.square(np.triu(overlap, 1)).sum(axis=0) / sigma)
    return softened


@dataclass(frozen=True, slots=True)
class LetterboxTransform:
    """Maps a region of a frame into a model's input: ``x' = (x - origin) * scale + pad``."""

    scale_xy: tuple[float, float]
    pad_xy: tuple[float, float]
    origin_xy: tuple[float, float] = (0.0, 0.0)

    def forward(self, xyxy: F32) -> F32:
        """Boxes in frame pixels ``(N, 4)`` to boxes in model-input pixels."""
        scale, pad, origin = self._vectors()
        return np.asarray((xyxy - origin) * scale + pad, dtype=np.float32)

    def inverse(self, xyxy: F32) -> F32:
        """Boxes in model-input pixels ``(N, 4)`` to boxes in frame pixels; the caller clips."""
        scale, pad, origin = self._vectors()
        return np.asarray((xyxy - pad) / scale + origin, dtype=np.float32)

    def _vectors(self) -> tuple[F32, F32, F32]:
        pairs = (self.scale_xy, self.pad_xy, self.origin_xy)
        twice = [np.array(v * 2, dtype=np.float32) for v in pairs]
        return twice[0], twice[1], twice[2]
