from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.intervals import answers_needed, certify, interval, lower_limit, upper_limit


@pytest.mark.parametrize(
    ("right", "answers", "low", "high"),
    [
        # two-sided 95%, from quantiles of the beta distribution (scipy 1.17, scipy.stats.beta.ppf)
        (5, 10, 0.187086028447, 0.812913971553),
        (0, 10, 0.0, 0.308497100147),
        (10, 10, 0.691502899853, 1.0),
        (90, 100, 0.823777402260, 0.950995310778),
        (980, 1000, 0.969279967317, 0.987741732028),
    ],
)
def test_intervals_are_those_of_clopper_and_pearson(right, answers, low, high) -> None:
    assert interval(right, answers) == pytest.approx((low, high), abs=1e-6)


def test_no_answer_says_nothing() -> None:
    assert (lower_limit(0, 0), upper_limit(0, 0)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 3"):
        lower_limit(4, 3)


@pytest.mark.parametrize(
    ("target", "errors", "needed"), [(0.99, 0, 299), (0.95, 0, 59), (0.95, 1, 93), (0.9, 0, 29)]
)
def test_how_many_answers_certify_a_target(target, errors, needed) -> None:
    assert answers_needed(target, errors) == needed
    assert lower_limit(needed - errors, needed) >= target
    assert lower_limit(needed - 1 - errors, needed - 1) < target


def _holds(sets, threshold: float, target: float) -> bool:
    for score, right in sets:
        over = score >= threshold
        if not over.any() or lower_limit(int(right[over].sum()), int(over.sum())) < target:
            return False
    return True


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), target=st.sampled_from([0.6, 0.8, 0.9]), sets=st.integers(1, 3))
def test_the_threshold_is_the_lowest_that_holds_in_every_set(seed, target, sets) -> None:
    rng = np.random.default_rng(seed)
    data = []
    for _ in range(sets):
        score = rng.integers(0, 30, 80) / 30.0  # ties stand or fall together
        data.append((score, rng.random(80) < score))
    found = certify([s for s, _ in data], [r for _, r in data], target)
    candidates = sorted({float(v) for s, _ in data for v in s})
    expected = next((t for t in candidates if _holds(data, t, target)), None)
    assert (found.threshold if found else None) == expected
    if found is not None:
        assert found.low >= target
        assert found.low == pytest.approx(lower_limit(found.right, found.answers))


def test_answers_given_before_count_but_do_not_cover_for_wrong_ones() -> None:
    before = [np.ones(200, bool)]
    score = np.linspace(0, 1, 40)
    good, poor = np.ones(40, bool), np.arange(40) >= 20
    found = certify([score], [good], 0.95, given=before)
    assert (found.threshold, found.answers) == (0.0, 240)
    # 200 right before and 20 wrong of 40 would still be 92%, but the 40 are only half right
    found = certify([score], [poor], 0.9, given=before)
    assert found.threshold == pytest.approx(score[18])
    # without those before, 40 answers cannot certify 95% at all
    assert certify([score], [good], 0.95) is None
