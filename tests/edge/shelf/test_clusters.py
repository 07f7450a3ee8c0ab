from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.shelf.clusters import cluster, representatives
from edge.types import F32


def unit(vectors: np.ndarray) -> F32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def simple_average_linkage(vectors: F32, similarity: float) -> list[frozenset[int]]:
    """The definition, without any shortcut: join the two nearest clusters while they are near."""
    groups = [frozenset({i}) for i in range(len(vectors))]
    between = (vectors @ vectors.T).astype(np.float64)
    while len(groups) > 1:
        mean = [
            (between[np.ix_(list(a), list(b))].mean(), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups[:i])
        ]
        best, i, j = max(mean)
        if best < similarity:
            break
        joined = groups[i] | groups[j]
        groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [joined]
    return groups


def as_sets(numbers: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(numbers == n).tolist()) for n in set(numbers.tolist())}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 14), st.floats(-0.5, 0.99))
def test_it_is_average_linkage(seed: int, n: int, similarity: float) -> None:
    raw = np.random.default_rng(seed).standard_normal((n, 4))
    vectors = unit(raw) if n else np.zeros((0, 4), np.float32)
    found = cluster(vectors, similarity)
    assert as_sets(found) == set(simple_average_linkage(vectors, similarity))


def test_numbers_go_by_size_and_then_by_the_first_member() -> None:
    axes = np.eye(4, dtype=np.float32)
    vectors = axes[[0, 1, 1, 2, 1, 3, 3]]
    assert cluster(vectors, 0.5).tolist() == [2, 0, 0, 3, 0, 1, 1]


def test_thousands_are_clustered_in_seconds() -> None:
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((50, 32)))
    which = rng.integers(0, 50, 1500)
    vectors = unit(centres[which] + 0.05 * rng.standard_normal((1500, 32)))
    assert len(as_sets(cluster(vectors, 0.8))) == 50


def test_representatives_are_typical_first_then_different_and_sharp() -> None:
    angles = np.array([0.0, 0.05, -0.05, 0.6, -0.6, 0.61])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sharpness = np.array([9.0, 9.0, 9.0, 9.0, 9.0, 1.0])
    chosen = representatives(vectors, sharpness, 3)
    assert chosen[0] in (0, 1, 2)
    assert set(chosen[1:]) == {3, 4}
    assert sorted(representatives(vectors, sharpness, 10)) == list(range(6))
    assert representatives(vectors[:1], sharpness[:1], 3) == [0]
