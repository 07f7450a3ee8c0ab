from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import geometry
from edge.geometry import LetterboxTransform
from edge.types import F32

side = st.integers(0, 60)
EMPTY = np.zeros((0, 4), np.float32)


@st.composite
def boxes(draw: st.DrawFn, most: int = 25) -> F32:
    """Boxes on a coarse grid, so that equal boxes, touching boxes and empty boxes are frequent."""
    rows = draw(st.lists(st.tuples(side, side, side, side), max_size=most))
    made = np.array(rows, np.float32).reshape(-1, 4)
    made[:, 2:] += made[:, :2]
    return made


@st.composite
def scored(draw: st.DrawFn) -> tuple[F32, F32, np.ndarray]:
    xyxy = draw(boxes())
    n = len(xyxy)
    score = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    group = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return xyxy, np.array(score, np.float32) / np.float32(10), np.array(group, np.int32)


def naive_iou(a: F32, b: F32) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return float(overlap / union) if union > 0 else 0.0


def naive_nms(xyxy: F32, score: F32, threshold: float, group: np.ndarray) -> list[int]:
    order = sorted(range(len(xyxy)), key=lambda i: (-score[i], i))
    keep: list[int] = []
    for i in order:
        rivals = (k for k in keep if group[k] == group[i])
        if all(naive_iou(xyxy[i], xyxy[k]) <= threshold for k in rivals):
            keep.append(i)
    return keep


@given(boxes(), boxes())
def test_iou_is_symmetric_and_a_share(a: F32, b: F32) -> None:
    ratio = geometry.iou(a, b)
    assert ratio.shape == (len(a), len(b))
    assert ratio.dtype == np.float32
    assert ((ratio >= 0) & (ratio <= 1)).all()
    np.testing.assert_array_equal(ratio, geometry.iou(b, a).T)
    expected = [[naive_iou(p, q) for q in b] for p in a]
    np.testing.assert_allclose(ratio, np.reshape(expected, ratio.shape), atol=1e-6)


@given(boxes())
def test_a_box_is_itself(a: F32) -> None:
    solid = a[geometry.area(a) > 0]
    np.testing.assert_array_equal(np.diag(geometry.iou(solid, solid)), 1.0)


def test_an_inverted_box_has_no_area() -> None:
    inverted = np.array([[10, 10, 5, 20]], np.float32)
    assert geometry.area(inverted)[0] == 0
    assert geometry.iou(inverted, inverted)[0, 0] == 0


def test_nothing_gives_nothing() -> None:
    none = np.zeros(0, np.float32)
    assert geometry.area(EMPTY).shape == (0,)
    assert geometry.iou(EMPTY, EMPTY).shape == (0, 0)
    assert geometry.nms(EMPTY, none, 0.5).tolist() == []
    assert geometry.nms(EMPTY, none, 0.5, group=np.zeros(0, np.int32)).dtype == np.int64
    transform = LetterboxTransform((2, 2), (1, 1))
    assert transform.inverse(transform.forward(EMPTY)).shape == (0, 4)


# thresholds that no ratio of two small areas comes near, so that rounding cannot decide
@given(scored(), st.sampled_from([0.0, 0.4503, 0.7101, 1.0]))
@settings(max_examples=150)
def test_nms_is_the_naive_one_and_idempotent(
    found: tuple[F32, F32, np.ndarray], threshold: float
) -> None:
    xyxy, score, group = found
    keep = geometry.nms(xyxy, score, threshold, group=group)
    assert keep.tolist() == naive_nms(xyxy, score, threshold, group)
    again = geometry.nms(xyxy[keep], score[keep], threshold, group=group[keep])
    assert again.tolist() == list(range(len(keep)))


@given(scored(), st.integers(1, 5))
def test_a_limit_keeps_the_best(found: tuple[F32, F32, np.ndarray], limit: int) -> None:
    xyxy, score, _ = found
    all_of_them = geometry.nms(xyxy, score, 0.4503)
    some = geometry.nms(xyxy, score, 0.4503, limit=limit)
    assert some.tolist() == all_of_them[:limit].tolist()


def test_classes_left_of_the_frame_do_not_meet() -> None:
    xyxy = np.array([[-50, -50, -10, -10], [-50, -50, -10, -10]], np.float32)
    score = np.array([0.5, 0.9], np.float32)
    assert geometry.nms(xyxy, score, 0.2).tolist() == [1]
    assert geometry.nms(xyxy, score, 0.2, group=np.array([0, 1])).tolist() == [1, 0]


@given(scored(), st.sampled_from([0.1, 0.5, 5.0]))
def test_scores_soften_by_what_surer_boxes_cover(
    found: tuple[F32, F32, np.ndarray], sigma: float
) -> None:
    xyxy, score, group = found
    order = np.argsort(-score, kind="stable")
    expected = score.astype(np.float64)
    for place, i in enumerate(order):
        for j in order[:place]:
            if group[i] == group[j]:
                shared = float(geometry.iou(xyxy[[i]], xyxy[[j]])[0, 0])
                expected[i] *= np.exp(-(shared**2) / sigma)
    softened = geometry.soften(xyxy, score, sigma, group=group)
    np.testing.assert_allclose(softened, expected, rtol=1e-4, atol=1e-7)


def test_a_lone_box_keeps_its_score() -> None:
    xyxy = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [40, 0, 50, 10]], np.float32)
    score = np.array([0.9, 0.8, 0.7], np.float32)
    softened = geometry.soften(xyxy, score, 0.5)
    np.testing.assert_allclose(softened, [0.9, 0.8 * np.exp(-2 / 9), 0.7], rtol=1e-5)
    assert geometry.soften(EMPTY, np.zeros(0, np.float32), 0.5).shape == (0,)


positive = st.floats(0.03125, 8, width=32)
offset = st.floats(0, 2000, width=32)


@given(boxes(), st.tuples(positive, positive), st.tuples(offset, offset), st.tuples(offset, offset))
def test_letterbox_inverse_undoes_forward(
    xyxy: F32,
    scale: tuple[float, float],
    pad: tuple[float, float],
    origin: tuple[float, float],
) -> None:
    transform = LetterboxTransform(scale, pad, origin)
    back = transform.inverse(transform.forward(xyxy))
    assert back.dtype == np.float32
    # float32 carries 24 bits: the padding's rounding grows by 1 / scale on the way back
    np.testing.assert_allclose(back, xyxy, atol=4e-4 / min(scale) + 1e-3)


def test_letterbox_maps_as_it_says() -> None:
    transform = LetterboxTransform((0.5, 0.25), (10, 20), (100, 200))
    box = np.array([[100, 200, 140, 240]], np.float32)
    np.testing.assert_array_equal(transform.forward(box), [[10, 20, 30, 30]])
