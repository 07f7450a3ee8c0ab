"""Boxes of one or several regions of a frame to the detections of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge import geometry
from edge.manifest import DetectorSpec
from edge.types import F32, I32, I64, Detections
from edge.vision.decode import RawBoxes

Region = tuple[int, int, int, int]
"""x1, y1, x2, y2 in frame pixels."""

_EDGE_PX = 2.0
_COVERED = 0.5


def merge(
    boxes: Sequence[RawBoxes],
    regions: Sequence[Region],
    frame_wh: tuple[int, int],
    spec: DetectorSpec,
) -> Detections:
    """Clip to the frame, suppress doubles, keep the surest ``max_det``.

    Args:
        boxes: decoded boxes of each region, in frame pixels.
    """
    xyxy = np.concatenate([b[0] for b in boxes]).clip(0, np.array(frame_wh * 2, np.float32))
    confidence = np.concatenate([b[1] for b in boxes])
    class_id = np.concatenate([b[2] for b in boxes])
    cut = np.concatenate(
        [_cut_by_tile(b[0], r, frame_wh) for b, r in zip(boxes, regions, strict=True)]
    )
    alive = np.flatnonzero((xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf) >= 1.0)
    xyxy, confidence, class_id, cut = xyxy[alive], confidence[alive], class_id[alive], cut[alive]
    if spec.head == "end2end" and len(regions) == 1:
        keep = np.argsort(-confidence, kind="stable")
    else:
        keep = _suppress(xyxy, confidence, class_id, cut, spec.iou)
        if spec.soft_sigma is not None:
            soft = geometry.soften(
                xyxy[keep], confidence[keep], spec.soft_sigma, group=class_id[keep]
            )
            confidence[keep] = soft
            keep = keep[np.argsort(-soft, kind="stable")]
            keep = keep[confidence[keep] >= spec.confidence]
    keep = keep[: spec.max_det]
    return Detections(xyxy[keep], confidence[keep], class_id[keep])


def _suppress(
    xyxy: F32, confidence: F32, class_id: I32, cut: npt.NDArray[np.bool_], threshold: float
) -> I64:
    """NMS in which a box cut by a tile's edge gives way to a whole one that covers it."""
    whole, partial = np.flatnonzero(~cut), np.flatnonzero(cut)
    keep = whole[geometry.nms(xyxy[whole], confidence[whole], threshold, group=class_id[whole])]
    if len(partial):
        if len(keep):
            own = np.maximum(geometry.area(xyxy[partial]), 1e-6)
            shared = geometry.intersection(xyxy[partial], xyxy[keep]).max(axis=1)
            partial = partial[shared / own < _COVERED]
        left = geometry.nms(xyxy[partial], confidence[partial], threshold, group=class_id[partial])
        keep = np.concatenate([keep, partial[left]])
    return np.asarray(keep[np.argsort(-confidence[keep], kind="stable")], dtype=np.int64)


def _cut_by_tile(xyxy: F32, region: Region, frame_wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which boxes touch an edge of their tile that is not an edge of the frame."""
    inner = np.array(
        [region[0] > 0, region[1] > 0, region[2] < frame_wh[0], region[3] < frame_wh[1]]
    )
    beyond = np.array([1, 1, -1, -1]) * (xyxy - np.array(region, np.float32)) <= _EDGE_PX
    return np.asarray((inner & beyond).any(axis=1))
