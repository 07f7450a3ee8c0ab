from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gallery.decision import deepest, probabilities, probability
from edge.gallery.matcher import Matcher
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.types import Neighbors

MODEL = ProbabilityModel(
    bias=-6.0, similarity=6.0, margin=20.0, similarity_range=(0.2, 0.95), margin_range=(0.0, 0.5)
)


def _answer_point(accept: float | None, minimum: float = 0.0) -> AnswerPoint:
    return AnswerPoint(
        model=MODEL,
        accept=accept,
        min_similarity=minimum,
        target=0.9,
        answers=50,
        right=50,
        precision_low=0.94,
    )


def _calibration(sku: float | None = 0.9, *levels: float | None) -> Calibration:
    return Calibration(sku=_answer_point(sku), levels=tuple(_answer_point(p) for p in levels))


@given(
    one=st.tuples(st.floats(-1, 1), st.floats(0, 2)),
    other=st.tuples(st.floats(-1, 1), st.floats(0, 2)),
)
def test_more_similarity_or_margin_is_never_less_probable(one, other) -> None:
    low = [min(a, b) for a, b in zip(one, other, strict=True)]
    high = [max(a, b) for a, b in zip(one, other, strict=True)]
    score = np.array([low[0], high[0]], np.float32)
    chance = probability(MODEL, score, np.array([low[1], high[1]], np.float32))
    assert 0.0 <= chance[0] <= chance[1] <= 1.0


def test_the_formula_and_its_range() -> None:
    score, margin = np.array([0.5, 1.0, 0.5], np.float32), np.array([0.1, 2.0, np.nan], np.float32)
    chance = probability(MODEL, score, margin)
    assert chance[0] == pytest.approx(1 / (1 + np.exp(1.0)), abs=1e-6)
    # outside of what was calibrated, the edge of it
    assert chance[1] == pytest.approx(1 / (1 + np.exp(6.0 - 5.7 - 10.0)), abs=1e-6)
    assert chance[2] == 0.0
    extreme = ProbabilityModel(
        bias=-1e6, similarity=0, margin=0, similarity_range=(0, 1), margin_range=(0, 1)
    )
    assert probability(extreme, score[:1], margin[:1])[0] == 0.0


def test_a_category_is_at_least_as_probable_as_what_lies_in_it() -> None:
    calibration = _calibration(0.9, 0.9, 0.9)
    # the margin shrinks with the level where a path is short of neighbours: still no fall
    margins = np.array([[0.1, 0.3, 0.2], [0.1, np.nan, 0.2]], np.float32)
    each = probabilities(calibration, np.full(2, 0.7, np.float32), margins)
    assert each[0, 0] >= each[0, 1] >= each[0, 2]
    assert each[1, 1] == 0.0
    assert each[1, 0] == pytest.approx(each[1, 2])


def test_the_deepest_level_that_is_certain_enough_is_told() -> None:
    margins = np.array(
        [[0.4, 0.4, 0.4], [0.4, 0.4, 0.01], [0.4, 0.02, 0.01], [0.01] * 3], np.float32
    )
    score = np.full(4, 0.8, np.float32)
    calibration = _calibration(0.9, 0.9, 0.9)
    each = probabilities(calibration, score, margins)
    assert deepest(calibration, score, margins, each).tolist() == [2, 1, 0, -1]
    never = _calibration(0.9, 0.9, None)
    assert deepest(never, score, margins, each).tolist() == [2, 0, 0, -1]
    # no margin, no answer, however low the threshold
    loose = _calibration(0.0, 0.0, 0.0)
    tied = np.zeros((1, 3), np.float32)
    each = probabilities(loose, score[:1], tied)
    assert deepest(loose, score[:1], tied, each).tolist() == [-1]


PATHS = [("food", "dairy"), ("food", "dairy"), ("food", "juice"), ("home", "soap")]


def _match(point: OperatingPoint, *similarity: float):
    matcher = Matcher(
        ("milk", "cream", "apple", "soap"), PATHS, np.arange(4), np.arange(4, dtype=np.int32), point
    )
    order = np.argsort(-np.array(similarity), kind="stable")
    return matcher.match(
        Neighbors(order[None].astype(np.int64), np.array(similarity, np.float32)[None, order])
    )


@pytest.mark.parametrize(
    ("similarity", "sku", "category", "level"),
    [
        ((0.9, 0.5, 0.5, 0.5), "milk", ("food", "dairy"), 2),
        # milk or cream: dairy
        ((0.9, 0.89, 0.5, 0.5), None, ("food", "dairy"), 1),
        # milk or juice: food
        ((0.9, 0.1, 0.89, 0.5), None, ("food",), 0),
        # milk or soap: unknown, with the probability of milk
        ((0.9, 0.1, 0.1, 0.89), None, (), 2),
        # exactly as similar to two SKUs of one category
        ((0.9, 0.9, 0.2, 0.2), None, ("food", "dairy"), 1),
    ],
)
def test_back_off_from_sku_to_category_to_unknown(similarity, sku, category, level) -> None:
    point = OperatingPoint(
        similarity=0.3, measured="for a test", calibration=_calibration(0.9, 0.9, 0.9)
    )
    made = _match(point, *similarity)
    assert (made.sku_id, made.category) == ((sku,), (category,))
    best = max(similarity)
    prefix = PATHS[0][: level + 1]
    outside = [
        s
        for i, (s, path) in enumerate(zip(similarity, PATHS, strict=True))
        if i and (level == 2 or path[: level + 1] != prefix)
    ]
    expected = probability(
        MODEL, np.array([best], np.float32), np.array([best - max(outside)], np.float32)
    )
    assert made.probability[0] == pytest.approx(float(expected[0]), abs=1e-4)


def test_a_calibrated_sku_still_needs_the_least_similarity_of_the_operating_point() -> None:
    point = OperatingPoint(
        similarity=0.85, measured="for a test", calibration=_calibration(0.5, 0.5, 0.5)
    )
    assert _match(point, 0.86, 0.1, 0.1, 0.1).sku_id == ("milk",)
    made = _match(point, 0.84, 0.1, 0.1, 0.1)
    assert (made.sku_id, made.category) == ((None,), (("food", "dairy"),))
