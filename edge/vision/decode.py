"""Raw detector outputs to boxes in model-input pixels, per head layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import BundleError
from edge.manifest import DetectorSpec
from edge.types import F32, I32

RawBoxes = tuple[F32, F32, I32]


def check_output(shape: tuple[int | None, ...], spec: DetectorSpec) -> None:
    """Raise BundleError unless an output of this shape (None = unknown) fits the head.

    ``yolov8``: ``(batch, 4 + classes, anchors)``; ``end2end``: ``(batch, n, 6)``.
    """
    channels = 4 + len(spec.class_names)
    if spec.head == "yolov8":
        expected, axis, size = f"(batch, {channels}, anchors)", 1, channels
    else:
        expected, axis, size = "(batch, n, 6)", 2, 6
    if len(shape) != 3 or shape[axis] not in (None, size):
        got = tuple("?" if n is None else n for n in shape)
        raise BundleError(
            f"detector output must be {expected} for head {spec.head} with"
            f" {len(spec.class_names)} class(es), got {got}"
        )


def decode(output: npt.NDArray[Any], spec: DetectorSpec) -> list[RawBoxes]:
    """One ``(xyxy (N, 4), confidence (N,), class_id (N,))`` a picture of the batch.

    Boxes are in input pixels, above the manifest's confidence; nothing is suppressed yet.
    """
    check_output(output.shape, spec)
    pick = _yolov8 if spec.head == "yolov8" else _end2end
    return [pick(np.asarray(one, dtype=np.float32), spec) for one in output]


def _yolov8(rows: F32, spec: DetectorSpec) -> RawBoxes:
    scores = rows[4:]
    class_id = scores.argmax(axis=0) if len(scores) > 1 else np.zeros(rows.shape[1], np.int64)
    confidence = scores.max(axis=0)
    keep = np.flatnonzero(confidence >= spec.confidence)
    return _boxes(rows[:4, keep].T, confidence[keep], class_id[keep], spec)


def _end2end(rows: F32, spec: DetectorSpec) -> RawBoxes:
    keep = np.flatnonzero(rows[:, 4] >= spec.confidence)
    return _boxes(rows[keep, :4], rows[keep, 4], rows[keep, 5], spec)


def _boxes(
    coordinates: F32, confidence: F32, class_id: npt.NDArray[Any], spec: DetectorSpec
) -> RawBoxes:
    if spec.box_format == "cxcywh":
        centre, half = coordinates[:, :2], coordinates[:, 2:] / 2
        coordinates = np.concatenate([centre - half, centre + half], axis=1)
    if spec.box_units == "unit":
        coordinates = coordinates * np.array(spec.input_wh * 2, dtype=np.float32)
    finite = np.isfinite(coordinates).all(axis=1) & np.isfinite(confidence)
    return (
        np.ascontiguousarray(coordinates[finite], dtype=np.float32),
        np.asarray(confidence[finite].clip(0.0, 1.0), dtype=np.float32),
        class_id[finite].astype(np.int32),
    )
