"""How good a detector is: COCO's AP and recall, and recall at a precision.

AP and AR are those of the COCO evaluation (Lin et al., 2014) as computed by faster-coco-eval, with
up to 1,000 detections a picture instead of 100: a shelf holds more.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import geometry
from edge.errors import ConfigError
from edge.types import F32, Detections

MAX_DETECTIONS = (300, 1000)
IOU = 0.5
PRECISION = 0.9


@dataclass(frozen=True, slots=True)
class DetectorScores:
    """Shares in 0..1 over all pictures together.

    ``ap`` is AP@[.50:.95]; ``ar…`` is recall averaged over the same IoUs and ``recall50_…`` at IoU
    0.5, both with so many detections a picture at most. ``recall_at_precision`` is the largest
    recall whose precision is at least PRECISION (IoU 0.5), ``threshold`` the confidence there.
    """

    photos: int
    facings: int
    ap: float
    ap50: float
    ap75: float
    ar300: float
    ar1000: float
    recall50_300: float
    recall50_1000: float
    recall_at_precision: float
    threshold: float

    def to_json(self) -> dict[str, float]:
        """Rounded values by name."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """The curve at one IoU: a point a detection, surest first; confidence, precision, recall."""

    confidence: F32
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def recall_at(self, precision: float) -> tuple[float, float]:
        """The largest recall of at least this precision, and its confidence; (0, 1) for none."""
        good = np.flatnonzero(self.precision >= precision)
        if not len(good):
            return 0.0, 1.0
        return float(self.recall[good[-1]]), float(self.confidence[good[-1]])

    def at_confidence(self, confidence: float) -> tuple[float, float]:
        """Precision and recall of the detections of at least this confidence."""
        count = int((self.confidence >= confidence).sum())
        return (
            (float(self.precision[count - 1]), float(self.recall[count - 1])) if count else (1, 0)
        )


def score(found: Sequence[Detections], truth: Sequence[F32]) -> DetectorScores:
    """Scores of ``found`` against ``truth``, a list of ``(N, 4) float32`` xyxy a picture."""
    precision, recall = _coco(found, truth)
    best, threshold = precision_recall(found, truth).recall_at(PRECISION)
    return DetectorScores(
        photos=len(truth),
        facings=sum(len(boxes) for boxes in truth),
        ap=float(precision[:, :, -1].mean()),
        ap50=float(precision[0, :, -1].mean()),
        ap75=float(precision[5, :, -1].mean()),
        ar300=float(recall[:, 0].mean()),
        ar1000=float(recall[:, 1].mean()),
        recall50_300=float(recall[0, 0]),
        recall50_1000=float(recall[0, 1]),
        recall_at_precision=best,
        threshold=threshold,
    )


def precision_recall(
    found: Sequence[Detections], truth: Sequence[F32], iou: float = IOU
) -> PrecisionRecall:
    """One-to-one matches, the surest detection first, each to the free box that it covers best."""
    right = [_matched(one.xyxy, boxes, iou) for one, boxes in zip(found, truth, strict=True)]
    confidence = np.concatenate([one.confidence for one in found]) if found else np.zeros(0)
    hit = np.concatenate(right) if right else np.zeros(0, bool)
    order = np.argsort(-confidence, kind="stable")
    hits = hit[order].cumsum()
    total = max(sum(len(boxes) for boxes in truth), 1)
    return PrecisionRecall(
        confidence[order].astype(np.float32),
        hits / np.arange(1, len(hits) + 1),
        hits / total,
    )


def _matched(xyxy: F32, truth: F32, iou: float) -> NDArray[np.bool_]:
    """``xyxy`` must be sorted, surest first, as the detector gives it."""
    hit = np.zeros(len(xyxy), bool)
    if not len(truth):
        return hit
    free = np.ones(len(truth), bool)
    for i, row in enumerate(geometry.iou(xyxy, truth)):
        best = int(np.where(free, row, -1.0).argmax())
        if free[best] and row[best] >= iou:
            free[best], hit[i] = False, True
    return hit


def _coco(
    found: Sequence[Detections], truth: Sequence[F32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision ``(10 IoUs, 101 recalls, 2 limits)`` and recall ``(10 IoUs, 2 limits)``."""
    coco = _evaluator()
    sizes = {"width": 1, "height": 1}  # the evaluator asks for them and never looks
    annotations = [
        {"image_id": i, "category_id": 1, "iscrowd": 0, **_xywh(box)}
        for i, boxes in enumerate(truth)
        for box in boxes.tolist()
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    reference = coco.COCO(
        {
            "images": [{"id": i, **sizes} for i in range(len(truth))],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "product"}],
        }
    )
    answers = [
        {"image_id": i, "category_id": 1, "score": score, **_xywh(box)}
        for i, one in enumerate(found)
        for box, score in zip(one.xyxy.tolist(), one.confidence.tolist(), strict=True)
    ]
    if not answers or not annotations:
        return np.zeros((10, 101, 2)), np.zeros((10, 2))
    judge = coco.COCOeval_faster(reference, reference.loadRes(answers), "bbox")
    judge.params.maxDets = list(MAX_DETECTIONS)
    judge.params.areaRng, judge.params.areaRngLbl = [[0.0, 1e10]], ["all"]
    judge.evaluate()
    judge.accumulate()
    return judge.eval["precision"][:, :, 0, 0], judge.eval["recall"][:, 0, 0]


def _evaluator() -> Any:
    try:
        return importlib.import_module("faster_coco_eval")
    except ImportError as error:
        raise ConfigError(
            "a detector's scores need faster-coco-eval: pip install 'shelf-edge[export]'"
        ) from error


def _xywh(box: list[float]) -> dict[str, object]:
    x1, y1, x2, y2 = box
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
