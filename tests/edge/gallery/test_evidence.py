from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gallery.evidence import gather
from edge.gallery.exact import ExactIndex
from edge.gallery.hierarchy import Hierarchy
from edge.types import Neighbors


def _found(*pairs: tuple[int, float]) -> tuple[Neighbors, np.ndarray]:
    owner, values = zip(*pairs, strict=True)
    similarity = np.array([values], np.float32)
    ids = np.where(np.array([owner]) >= 0, np.arange(len(owner)), -1).astype(np.int64)
    return Neighbors(ids, similarity), np.array([owner], np.int64)


@pytest.mark.parametrize(
    ("views", "skus", "scores"),
    [
        # the best reference speaks
        (1, [0, 1], [0.9, 0.8]),
        # the mean of two: SKU 1 has two near ones
        (2, [1, 0], [0.78, 0.75]),
        # SKU 1 has only two references, SKU 0 a third that was not found: it counts as the last
        (3, [1, 0], [0.78, 0.7]),
    ],
)
def test_several_views_of_a_sku_speak_together(views, skus, scores) -> None:
    neighbors, owner = _found((0, 0.9), (1, 0.8), (1, 0.76), (0, 0.6))
    made = gather(neighbors, owner, np.array([3, 2]), views)
    assert made.sku[0].tolist() == skus
    assert made.score[0].tolist() == pytest.approx(scores)
    assert made.bound[0] == pytest.approx(0.6)


def test_nothing_found_is_no_evidence() -> None:
    neighbors, owner = _found((-1, -np.inf), (-1, -np.inf))
    made = gather(neighbors, owner, np.array([1]), 2)
    assert made.sku.tolist() == [[-1]]
    assert made.bound.tolist() == [-1.0]
    none = Neighbors(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.float32))
    assert gather(none, none.reference_id, np.zeros(0, np.int64), 1).sku.tolist() == [[-1], [-1]]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    skus=st.integers(1, 8),
    views=st.integers(1, 4),
    each=st.integers(1, 5),
)
def test_evidence_and_margins_equal_a_plain_loop(
    unit, seed: int, skus: int, views: int, each: int
) -> None:
    rng = np.random.default_rng(seed)
    owner_of = rng.integers(0, skus, skus * each)
    vectors, asked = unit(len(owner_of), 5, seed), unit(6, 5, seed + 1)
    paths = [tuple(rng.choice(["a", "b"], rng.integers(0, 4)).tolist()) for _ in range(skus)]
    count = np.bincount(owner_of, minlength=skus)
    found = ExactIndex(np.arange(len(owner_of)), vectors).search(asked, len(owner_of))
    evidence = gather(found, owner_of[found.reference_id], count, views)
    margins = Hierarchy(paths, count > 0, 3).margins(evidence)
    cosine = asked @ vectors.T
    for row in range(len(asked)):
        score = {
            s: float(np.sort(cosine[row, owner_of == s])[::-1][:views].mean())
            for s in set(owner_of.tolist())
        }
        order = sorted(score, key=lambda s: -score[s])
        assert evidence.score[row, 0] == pytest.approx(score[order[0]], abs=1e-5)
        best = int(evidence.sku[row, 0])
        others = [v for s, v in score.items() if s != best]
        assert margins[row, 3] == pytest.approx(score[best] - max(others, default=-1.0), abs=1e-5)
        for level in range(3):
            if len(paths[best]) <= level:
                assert np.isnan(margins[row, level])
                continue
            outside = [
                v for s, v in score.items() if paths[s][: level + 1] != paths[best][: level + 1]
            ]
            expected = score[best] - max(outside, default=-1.0)
            assert margins[row, level] == pytest.approx(expected, abs=1e-5)


def test_an_unseen_category_is_bounded_by_the_last_neighbour() -> None:
    # both neighbours are dairy, and soap is enrolled: it may be as near as the last neighbour
    neighbors, owner = _found((0, 0.9), (1, 0.7))
    paths = [("food", "milk"), ("food", "cream"), ("home", "soap")]
    evidence = gather(neighbors, owner, np.array([1, 1, 1]), 1)
    margins = Hierarchy(paths, np.ones(3, bool), 2).margins(evidence)
    assert margins[0].tolist() == pytest.approx([0.2, 0.2, 0.2])
    # nothing but food is enrolled: there is nothing that it could be taken for
    margins = Hierarchy(paths, np.array([True, True, False]), 2).margins(evidence)
    assert margins[0].tolist() == pytest.approx([1.9, 0.2, 0.2])
