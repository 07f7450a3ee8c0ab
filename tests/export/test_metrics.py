from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.embedding import normalised
from export.metrics import bootstrap_ci95, hits, open_set_curve, rank, spread


def _unit(rng: np.random.Generator, count: int, dim: int = 8) -> np.ndarray:
    return normalised(rng.normal(size=(count, dim)).astype(np.float32))


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_ranking_agrees_with_brute_force(g: int, classes: int, q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, queries = _unit(rng, g), _unit(rng, q)
    labels = rng.integers(0, classes, g)
    ranking = rank(gallery, labels, queries, k=5, chunk=7)
    for row in range(q):
        best = {c: (gallery[labels == c] @ queries[row]).max() for c in set(labels.tolist())}
        expected = sorted(best.values(), reverse=True)[:5]
        np.testing.assert_allclose(ranking.similarity[row], expected, atol=1e-5)
        np.testing.assert_allclose(
            [best[c] for c in ranking.label[row].tolist()], expected, atol=1e-5
        )


def test_an_excluded_reference_is_not_found() -> None:
    gallery = np.eye(3, dtype=np.float32)
    labels = np.array([0, 1, 2])
    exclude = np.eye(3, dtype=bool)
    ranking = rank(gallery, labels, gallery, k=3, exclude=exclude)
    assert not hits(ranking, labels, 3).any()
    assert (ranking.label[:, 2] == -1).all()


def test_hits_grow_with_k() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 80)
    ranking = rank(_unit(rng, 80), labels, _unit(rng, 50), k=5)
    truth = rng.integers(0, 12, 50)
    rates = [hits(ranking, truth, k).mean() for k in (1, 3, 5)]
    assert rates == sorted(rates)
    assert rates[2] > rates[0]


def test_the_interval_covers_a_binomial_mean_and_widens_with_groups() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(400) < 0.8
    low, high = bootstrap_ci95(values, seed=0)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 0.02, rel=0.25)
    same = np.repeat(values[:40], 10)
    alone, grouped = (
        np.diff(bootstrap_ci95(same, groups))[0]
        for groups in (None, [str(i // 10) for i in range(400)])
    )
    assert grouped > 2 * alone


def test_open_set_curve_falls_in_fpir_and_rises_in_fnir() -> None:
    rng = np.random.default_rng(2)
    known, unknown = rng.normal(0.7, 0.1, 300), rng.normal(0.4, 0.1, 200)
    right = rng.random(300) < 0.9
    curve = open_set_curve(known.astype(np.float32), right, unknown.astype(np.float32))
    assert (np.diff(curve.fpir) <= 0).all()
    assert (np.diff(curve.fnir) >= 0).all()
    assert curve.fpir[0] == 1
    assert curve.fpir[-1] == 0
    assert curve.fnir[0] == pytest.approx(1 - right.mean())
    assert curve.fnir_at(0.05) < 0.35


def test_spread_is_zero_when_collapsed_and_one_when_orthogonal() -> None:
    assert spread(np.tile(_unit(np.random.default_rng(0), 1), (9, 1))) == pytest.approx(0, abs=1e-6)
    assert spread(np.eye(6, dtype=np.float32)) == pytest.approx(1)
