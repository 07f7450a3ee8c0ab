from __future__ import annotations

import builtins
import logging
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import GalleryError
from edge.gallery import exact
from edge.gallery.base import make_base
from edge.gallery.exact import ExactIndex


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(0, 60),
    queries=st.integers(0, 9),
    dim=st.integers(2, 9),
    k=st.integers(1, 70),
    block=st.integers(1, 70),
    seed=st.integers(0, 999),
)
def test_exact_search_equals_sorting_everything(unit, n, queries, dim, k, block, seed) -> None:
    vectors, asked = unit(n, dim, seed), unit(queries, dim, seed + 1)
    ids = np.random.default_rng(seed).permutation(1000)[:n].astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_REFERENCE_ROWS", block)
        patch.setattr(exact, "_QUERY_ROWS", 1 + block % 4)
        found = ExactIndex(ids, vectors).search(asked, k)

    cosine = asked.astype(np.float64) @ vectors.T.astype(np.float64)
    order = np.argsort(-cosine, axis=1)[:, :k]
    assert found.reference_id.shape == (queries, k)
    best = np.take_along_axis(cosine, order, axis=1)
    np.testing.assert_allclose(found.similarity[:, : order.shape[1]], best, atol=1e-6)
    # ids may change places only where float32 cannot tell their similarities apart
    at = np.argsort(ids)[np.searchsorted(np.sort(ids), found.reference_id[:, : order.shape[1]])]
    np.testing.assert_allclose(np.take_along_axis(cosine, at, axis=1), best, atol=1e-6)
    assert all(len(set(row)) == len(row) for row in at.tolist())
    assert np.all(found.reference_id[:, order.shape[1] :] == -1)
    assert np.all(np.isneginf(found.similarity[:, order.shape[1] :]))


def test_equal_similarities_come_in_the_order_of_their_ids(unit) -> None:
    vectors = np.repeat(unit(1, 8, 0), 4, axis=0)
    found = ExactIndex(np.array([7, 3, 9, 5]), vectors).search(vectors[:1], 4)
    assert found.reference_id.tolist() == [[3, 5, 7, 9]]


def test_length_of_a_query_does_not_matter(unit) -> None:
    exact = ExactIndex(np.arange(20), unit(20, 8, 0))
    asked = unit(3, 8, 1)
    near, far = exact.search(asked, 4), exact.search(asked * np.float32(50), 4)
    np.testing.assert_array_equal(near.reference_id, far.reference_id)
    np.testing.assert_allclose(near.similarity, far.similarity, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_query_that_means_nothing_finds_nothing_and_spoils_no_other(
    unit, bad: float, caplog: pytest.LogCaptureFixture
) -> None:
    exact = ExactIndex(np.arange(20), unit(20, 8, 0))
    asked = unit(3, 8, 1)
    expected = exact.search(asked, 4)
    asked[1] = bad
    found = exact.search(asked, 4)
    assert found.reference_id[1].tolist() == [-1] * 4
    assert np.all(np.isneginf(found.similarity[1]))
    np.testing.assert_array_equal(found.reference_id[::2], expected.reference_id[::2])
    assert "1 of 3 queries are zero or not finite" in caplog.text


def test_queries_of_another_dimension_are_refused_with_both_named(unit) -> None:
    with pytest.raises(GalleryError, match=r"\(N, 8\) as the gallery, got \(2, 9\)"):
        ExactIndex(np.arange(20), unit(20, 8, 0)).search(unit(2, 9, 0), 1)


def test_few_references_are_searched_exactly(unit) -> None:
    made = make_base(np.arange(20), unit(20, 8, 0), threshold=20)
    assert (made.kind, len(made)) == ("exact", 20)


def test_without_hnswlib_search_is_exact_and_says_so(
    unit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with caplog.at_level(logging.WARNING, "edge.gallery"):
        made = make_base(np.arange(20), unit(20, 8, 0), threshold=10)
    assert made.kind == "exact (hnswlib missing)"
    assert caplog.text.count("hnswlib is not installed") == 1
    assert made.search(unit(20, 8, 0), 1).reference_id[:, 0].tolist() == list(range(20))


def test_hnswlib_is_not_loaded_for_exact_search(unit, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def guarded(name: str, *args: object, **kwargs: object) -> object:
        assert name != "hnswlib"
        return plain(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "hnswlib", raising=False)
    monkeypatch.setattr(builtins, "__import__", guarded)
    make_base(np.arange(20), unit(20, 8, 0), threshold=8000).search(unit(2, 8, 1), 3)
    assert "hnswlib" not in sys.modules
