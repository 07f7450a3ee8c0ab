from __future__ import annotations

import pytest

from export.intervals import answers_needed, interval, lower_limit, upper_limit


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
