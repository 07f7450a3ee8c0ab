from __future__ import annotations

import numpy as np
import pytest

from edge.gallery.decision import probability
from export.probability import (
    expected_calibration_error,
    fit_probability,
    held_out_probability,
    reliability,
)


def _answers(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 1, count).astype(np.float32)
    margin = rng.uniform(0, 0.5, count).astype(np.float32)
    chance = 1 / (1 + np.exp(-(-4 + 4 * score + 8 * margin)))
    return score, margin, rng.random(count) < chance, chance


def test_the_fit_recovers_the_model_that_made_the_answers() -> None:
    score, margin, right, chance = _answers(20_000)
    model = fit_probability(score, margin, right)
    assert model.bias == pytest.approx(-4, abs=0.25)
    assert model.similarity == pytest.approx(4, abs=0.3)
    assert model.margin == pytest.approx(8, abs=0.6)
    np.testing.assert_allclose(probability(model, score, margin), chance, atol=0.03)


def test_held_out_probabilities_are_honest() -> None:
    score, margin, right, _ = _answers(4_000, 1)
    groups = [f"sku-{i % 40}" for i in range(len(score))]
    chance = held_out_probability(score, margin, right, groups)
    assert expected_calibration_error(chance, right) < 0.04
    assert sum(row.count for row in reliability(chance, right)) == len(score)
    # the same probabilities, all too high
    assert expected_calibration_error(np.minimum(chance + 0.3, 1), right) > 0.15


def test_a_feature_that_points_the_wrong_way_is_not_used() -> None:
    score, margin, right, _ = _answers(2_000, 2)
    model = fit_probability(1 - score, margin, right)
    assert model.similarity == 0.0
    assert model.margin > 0
    model = fit_probability(1 - score, 0.5 - margin, right)
    assert (model.similarity, model.margin) == (0.0, 0.0)
    assert probability(model, score, margin) == pytest.approx(right.mean(), abs=0.01)


@pytest.mark.parametrize("right", [np.ones(50, bool), np.arange(50) >= 25])
def test_separable_answers_give_no_certainty(right) -> None:
    score = np.linspace(0, 1, 50, dtype=np.float32)
    chance = probability(fit_probability(score, score, right), score, score)
    assert np.all((chance > 0) & (chance < 1))
    assert np.all(np.diff(chance) >= 0)


def test_no_answer_and_answers_without_a_margin() -> None:
    none = np.zeros(0, np.float32)
    assert fit_probability(none, none, none.astype(bool)).bias == 0.0
    score, margin, right, _ = _answers(500, 3)
    unreached = margin.copy()
    unreached[::2] = np.nan
    half = fit_probability(score[1::2], margin[1::2], right[1::2])
    assert fit_probability(score, unreached, right) == half
    assert np.isnan(expected_calibration_error(none, none.astype(bool)))
