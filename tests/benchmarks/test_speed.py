"""How much faster the vectorised parts are than plain ones: ratios for a reader, never a verdict.

Deselected by default: ``pytest -m slow -s tests/benchmarks``, or run this file as a script from the
repository's root: ``python -m tests.benchmarks.test_speed``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge import geometry
from edge.gallery.exact import ExactIndex
from edge.types import F32, U8
from edge.vision import preprocess
from tests.factories import detector_session, detector_spec, preprocessing

pytestmark = pytest.mark.slow


def best_ms(work: Callable[[], object], rounds: int = 5) -> float:
    """The fastest of some rounds: what is least disturbed by other work on the machine."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return min(times)


def report(what: str, ours_ms: float, plain_ms: float) -> None:
    print(f"\n{what}: {plain_ms / ours_ms:.1f} x ({ours_ms:.2f} ms against {plain_ms:.2f} ms)")


def shelf_boxes(count: int, seed: int = 0) -> tuple[U8, F32]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    corner = rng.uniform((0, 0), (1500, 1080), (count, 2))
    size = rng.uniform((40, 60), (90, 120), (count, 2))
    return image, np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def plain_crops(image: U8, xyxy: F32, size: int) -> F32:
    """A crop at a time, in floats, as a first version would do it."""
    out = []
    for x1, y1, x2, y2 in xyxy.astype(int):
        crop = image[y1:y2, x1:x2].astype(np.float32) / 255
        crop = (crop - 0.5) / 0.5
        resized = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        out.append(resized.transpose(2, 0, 1)[None])
    return np.concatenate(out)


def plain_nms(xyxy: F32, score: F32, threshold: float) -> list[int]:
    """A pair at a time."""

    def overlap(a: list[float], b: list[float]) -> float:
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0.0) * max(height, 0.0)
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return shared / (areas - shared)

    rows = xyxy.tolist()
    keep: list[int] = []
    for i in np.argsort(-score, kind="stable").tolist():
        if all(overlap(rows[i], rows[k]) <= threshold for k in keep):
            keep.append(i)
    return keep


def test_crops() -> None:
    image, xyxy = shelf_boxes(120)
    spec = preprocessing(size=128)
    ours = best_ms(lambda: preprocess.crops(image, xyxy, spec))
    plain = best_ms(lambda: plain_crops(image, xyxy, 128))
    report("120 crops", ours, plain)
    np.testing.assert_allclose(
        preprocess.crops(image, xyxy, spec).mean(), plain_crops(image, xyxy, 128).mean(), atol=0.05
    )


def test_nms() -> None:
    rng = np.random.default_rng(1)
    _, centres = shelf_boxes(150)
    xyxy = (np.repeat(centres, 6, axis=0) + rng.normal(0, 3, (900, 4))).astype(np.float32)
    score = rng.random(900).astype(np.float32)
    ours = best_ms(lambda: geometry.nms(xyxy, score, 0.6))
    plain = best_ms(lambda: plain_nms(xyxy, score, 0.6), rounds=2)
    report("NMS of 900 boxes", ours, plain)
    assert geometry.nms(xyxy, score, 0.6).tolist() == plain_nms(xyxy, score, 0.6)


def test_letterbox() -> None:
    image, _ = shelf_boxes(1)

    def plain() -> F32:
        canvas = np.full((640, 640, 3), 114, np.float32)
        canvas[80:560] = cv2.resize(
            image.astype(np.float32), (640, 480), interpolation=cv2.INTER_AREA
        )
        canvas /= 255
        return np.ascontiguousarray(canvas.transpose(2, 0, 1))[None]

    report(
        "letterbox to 640",
        best_ms(lambda: preprocess.letterbox(image, (640, 640))),
        best_ms(plain),
    )


def test_exact_search() -> None:
    rng = np.random.default_rng(2)
    references = rng.standard_normal((2000, 256), np.float32)
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    queries = references[:120] + 0
    index = ExactIndex(np.arange(2000, dtype=np.int64), references)

    def plain() -> list[np.ndarray]:
        return [np.argsort(-(references @ query))[:5] for query in queries]

    report(
        "exact search, 120 queries in 2000",
        best_ms(lambda: index.search(queries, 5)),
        best_ms(plain),
    )
    assert index.search(queries, 1).reference_id[:, 0].tolist() == list(range(120))


def test_around_the_detector() -> None:
    """What the detector's own code costs beside the model: a model that answers at once."""
    from edge.vision.detector import Detector

    rng = np.random.default_rng(3)
    answer = np.zeros((1, 5, 8400), np.float32)
    answer[0, :2] = rng.uniform(20, 620, (2, 8400))
    answer[0, 2:4] = rng.uniform(20, 40, (2, 8400))
    answer[0, 4] = rng.uniform(0, 0.62, 8400)
    session = detector_session(lambda b: answer, input_wh=(640, 640))
    detector = Detector(session, detector_spec(input_wh=(640, 640)), "whole")
    image, _ = shelf_boxes(1)
    print(
        f"\nletterbox, decode and NMS around one pass: {best_ms(lambda: detector.detect(image)):.1f} ms"
    )


def main() -> None:
    """Print all ratios."""
    for work in (test_crops, test_nms, test_letterbox, test_exact_search, test_around_the_detector):
        work()


if __name__ == "__main__":
    main()
