from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from edge.types import Detections
from export.detector_scores import precision_recall, score


def _found(boxes: list[list[float]], confidence: list[float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(confidence, np.float32),
        np.zeros(len(boxes), np.int32),
    )


def _boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


A, B = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]


def test_perfect_detections_score_one() -> None:
    scores = score([_found([A, B], [0.9, 0.8])], [_boxes(A, B)])
    assert (scores.ap, scores.ap50, scores.ar1000, scores.recall50_300) == pytest.approx((1,) * 4)
    assert scores.recall_at_precision == 1.0
    assert scores.threshold == pytest.approx(0.8)


def test_a_double_and_a_loose_box_cost_what_coco_says() -> None:
    loose = [0.0, 0.0, 10.0, 16.0]  # IoU 0.625 with A
    scores = score([_found([B, B, loose], [0.9, 0.8, 0.7])], [_boxes(A, B)])
    # precision 1 up to recall 0.5, then 2/3: 51 and 50 of COCO's 101 recalls
    assert scores.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert scores.ap75 == pytest.approx(51 / 101)
    assert scores.recall50_1000 == 1.0
    assert scores.ar1000 == pytest.approx((3 * 1.0 + 7 * 0.5) / 10)
    assert (scores.recall_at_precision, scores.threshold) == pytest.approx((0.5, 0.9))


def test_the_curve_is_counted_over_all_pictures_and_by_confidence() -> None:
    curve = precision_recall(
        [_found([A], [0.5]), _found([B, [50, 50, 60, 60]], [0.9, 0.7]), _found([], [])],
        [_boxes(A), _boxes(B), _boxes(A, B)],
    )
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [0.25, 0.25, 0.5])
    assert curve.at_confidence(0.6) == pytest.approx((0.5, 0.25))
    assert curve.at_confidence(0.95) == (1, 0)
    assert curve.recall_at(0.9) == pytest.approx((0.25, 0.9))


def test_the_own_curve_and_the_evaluator_agree() -> None:
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(6):
        corner = rng.uniform(0, 400, (40, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 40, (40, 2))], axis=1)
        noisy = np.concatenate([boxes, boxes]) + rng.normal(0, 3, (80, 4))
        confidence = np.sort(rng.random(80))[::-1]
        found.append(_found(noisy.tolist(), confidence.tolist()))
        truth.append(boxes.astype(np.float32))
    curve = precision_recall(found, truth)
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    steps = np.searchsorted(curve.recall, np.linspace(0, 1, 101))
    ap50 = np.append(envelope, 0.0)[steps].mean()
    assert score(found, truth).ap50 == pytest.approx(ap50, abs=0.01)


def test_nothing_found_and_nothing_there_score_zero() -> None:
    empty = _found([], [])
    assert score([empty], [_boxes(A)]).ap == 0.0
    assert score([_found([A], [0.9])], [_boxes()]).ap50 == 0.0
