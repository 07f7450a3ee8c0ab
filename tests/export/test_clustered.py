from __future__ import annotations

import numpy as np
import pytest

from export.clustered import Pool, design_effect, lower_by_sku, lowest_threshold
from export.intervals import lower_limit


def _pool(rates: np.ndarray, each: int, seed: int = 0, draws: int = 1) -> Pool:
    rng = np.random.default_rng(seed)
    sku = np.repeat(np.arange(len(rates)), each)
    right = rng.random(len(sku)) < rates[sku]
    return Pool(rng.random(len(sku)), right, sku, draws)


def test_errors_that_come_together_weigh_more() -> None:
    scattered = _pool(np.full(20, 0.9), 20)
    together = _pool(np.where(np.arange(20) < 2, 0.0, 1.0), 20)
    assert scattered.right.mean() == pytest.approx(together.right.mean(), abs=0.04)
    assert design_effect(scattered) < 2.5
    # a SKU is all right or all wrong: 20 answers say no more than one
    assert design_effect(together) == pytest.approx(20 * 20 / 19, rel=0.01)
    assert lower_by_sku(together, design_effect(together)) < 0.75
    assert lower_by_sku(scattered, 1.0) > 0.8


def test_without_clusters_and_with_many_skus_it_is_clopper_pearson() -> None:
    one_each = _pool(np.full(4000, 0.95), 1)
    assert design_effect(one_each) == pytest.approx(1.0, abs=0.01)
    plain = lower_limit(int(one_each.right.sum()), 4000)
    assert lower_by_sku(one_each, 1.0) == pytest.approx(plain, abs=1e-3)


def test_asking_again_proves_nothing_more() -> None:
    once = _pool(np.full(20, 0.9), 20)
    thrice = Pool(np.tile(once.score, 3), np.tile(once.right, 3), np.tile(once.sku, 3), 3)
    assert design_effect(thrice) == pytest.approx(design_effect(once))
    assert lower_by_sku(thrice, 2.0) == lower_by_sku(once, 2.0)


def test_the_certificate_holds_for_skus_never_seen() -> None:
    """The limit lies above the true precision in about one of twenty stores, not in one of four."""
    rng = np.random.default_rng(5)
    broken, naive, stores = 0, 0, 300
    for seed in range(stores):
        rates = rng.beta(9, 1, 30)
        pool = _pool(rates, 20, seed)
        broken += lower_by_sku(pool, design_effect(pool)) > 0.9
        naive += lower_limit(int(pool.right.sum()), len(pool.right)) > 0.9
    assert broken / stores < 0.1
    assert naive / stores > 0.12


def test_the_lowest_threshold_that_reaches_the_target() -> None:
    score = np.linspace(0, 1, 1000)
    right = np.random.default_rng(0).random(1000) < np.minimum(1, 0.5 + score)
    pool = Pool(score, right, np.arange(1000), 1)
    sure = lowest_threshold(pool, 0.95)
    expected = lowest_threshold(pool, 0.95, confidence=0.5)
    assert sure is not None
    assert expected is not None
    assert sure.low >= 0.95 > expected.low
    assert expected.threshold < sure.threshold < 0.6
    assert expected.right / expected.answers >= 0.95
    # what stands already counts
    given = Pool(np.ones(500), np.ones(500, bool), np.arange(500), 1)
    assert lowest_threshold(pool, 0.95, given=given).threshold < sure.threshold
    wrong = Pool(score, np.zeros(1000, bool), pool.sku, 1)
    assert lowest_threshold(wrong, 0.5) is None
    assert lowest_threshold(wrong.above(2.0), 0.5) is None
