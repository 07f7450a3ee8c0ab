from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import GalleryError
from edge.gallery.exact import ExactIndex
from edge.gallery.matcher import MAX_NEIGHBORS, Matcher, common_path
from edge.manifest import OperatingPoint
from edge.types import Neighbors

MILK, CREAM, SOAP = ("food", "dairy", "milk"), ("food", "dairy", "cream"), ("home", "soap")


def _point(similarity=0.6, margin=0.1, category_similarity=None) -> OperatingPoint:
    return OperatingPoint(
        similarity=similarity,
        margin=margin,
        category_similarity=category_similarity,
        measured="for a test",
    )


def _matcher(point: OperatingPoint, **options: int) -> Matcher:
    """References 10, 11 of milk, 20 of cream, 30 of soap, 40 of a SKU without a category."""
    return Matcher(
        ("milk", "cream", "soap", "plain"),
        (MILK, CREAM, SOAP, ()),
        np.array([10, 11, 20, 30, 40]),
        np.array([0, 0, 1, 2, 3], np.int32),
        point,
        **options,
    )


def _neighbors(*pairs: tuple[int, float]) -> Neighbors:
    ids, values = zip(*pairs, strict=True)
    return Neighbors(np.array([ids], np.int64), np.array([values], np.float32))


NONE = (-1, -np.inf)


@pytest.mark.parametrize(
    ("found", "point", "sku", "category", "margin"),
    [
        # accepted: the full path, and a further view of the same SKU is no competitor
        (((10, 0.9), (11, 0.88), (20, 0.5)), _point(), "milk", MILK, 0.4),
        # both limits are reached exactly
        (((10, 0.6), (20, 0.5)), _point(0.6, 0.0), "milk", MILK, 0.1),
        # similarity too low, no category asked for
        (((10, 0.59), (20, 0.1)), _point(), None, (), 0.49),
        # margin too small, no category asked for
        (((10, 0.9), (20, 0.85)), _point(), None, (), 0.05),
        # margin too small: both are dairy
        (((10, 0.9), (20, 0.85), (30, 0.2)), _point(0.6, 0.1, 0.4), None, ("food", "dairy"), 0.05),
        # a third SKU within the margin shares no level
        (((10, 0.9), (20, 0.85), (30, 0.82)), _point(0.6, 0.1, 0.4), None, (), 0.05),
        # a SKU without a category within the margin: nothing is certain
        (((10, 0.9), (40, 0.85)), _point(0.6, 0.1, 0.4), None, (), 0.05),
        # too far for a SKU, near enough for its category
        (((10, 0.5), (20, 0.3)), _point(0.6, 0.1, 0.4), None, MILK, 0.2),
        # too far even for a category
        (((10, 0.39), (20, 0.1)), _point(0.6, 0.1, 0.4), None, (), 0.29),
        # two SKUs that are exactly as similar are not told apart, at any margin
        (((10, 0.9), (20, 0.9)), _point(0.6, 0.0, 0.4), None, ("food", "dairy"), 0.0),
        # all neighbours are of one SKU: the last one bounds what another could have
        (((10, 0.9), (11, 0.88)), _point(), None, (), 0.02),
        # nothing at all
        ((NONE, NONE), _point(-1.0, 0.0, -1.0), None, (), 0.0),
    ],
)
def test_decision_table(found, point, sku, category, margin) -> None:
    made = _matcher(point).match(_neighbors(*found))
    assert made.sku_id == (sku,)
    assert made.category == (category,)
    assert made.margin[0] == pytest.approx(margin, abs=1e-6)
    assert np.isnan(made.probability[0])
    assert made.similarity[0] == pytest.approx(found[0][1] if found[0][0] >= 0 else -1.0)


def test_candidates_are_the_best_different_skus() -> None:
    made = _matcher(_point(), top_k=2).match(
        _neighbors((11, 0.9), (10, 0.8), (30, 0.7), (20, 0.6), NONE)
    )
    assert [(c.sku_id, round(c.similarity, 4)) for c in made.top[0]] == [
        ("milk", 0.9),
        ("soap", 0.7),
    ]


def test_the_only_sku_of_a_gallery_has_a_finite_margin() -> None:
    only = Matcher(("milk",), (MILK,), np.array([1, 2]), np.zeros(2, np.int32), _point())
    made = only.match(_neighbors((1, 0.7), (2, 0.65)))
    assert made.sku_id == ("milk",)
    assert made.margin[0] == pytest.approx(1.7)


def test_an_empty_gallery_knows_nothing() -> None:
    empty = Matcher((), (), np.zeros(0, np.int64), np.zeros(0, np.int32), _point(-1.0, 0.0, -1.0))
    assert empty.k == 1
    made = empty.match(_neighbors(NONE))
    assert (made.sku_id, made.category, made.top) == ((None,), ((),), ((),))
    assert made.similarity[0] == -1.0
    assert made.margin[0] == 0.0


def test_no_query_no_match() -> None:
    none = Neighbors(np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32))
    assert len(_matcher(_point()).match(none)) == 0


@pytest.mark.parametrize("missing", [12, 41, 10**12])
@pytest.mark.parametrize("far", [50, 10**9], ids=["dense", "sparse"])
def test_a_reference_that_is_not_enrolled_is_an_error(missing: int, far: int) -> None:
    ids = np.array([10, 11, 20, 30, 40, far])
    owner = np.array([0, 0, 1, 2, 3, 3], np.int32)
    matcher = Matcher(
        ("milk", "cream", "soap", "plain"), (MILK, CREAM, SOAP, ()), ids, owner, _point()
    )
    assert matcher.match(_neighbors((far, 0.9), (10, 0.1))).sku_id == ("plain",)
    with pytest.raises(GalleryError, match="rebuild"):
        matcher.match(_neighbors((missing, 0.9)))


def test_neighbours_are_enough_for_five_skus_and_bounded() -> None:
    views = np.repeat(np.arange(8), [9, 1, 2, 7, 1, 1, 3, 1]).astype(np.int32)
    many = Matcher(
        [f"s{i}" for i in range(8)], [()] * 8, np.arange(len(views)), views, _point(), top_k=5
    )
    assert many.k == 9 + 7 + 3 + 2 + 1
    views = np.repeat(np.arange(8), 500).astype(np.int32)
    crowd = Matcher([f"s{i}" for i in range(8)], [()] * 8, np.arange(4000), views, _point())
    assert crowd.k == 501
    views = np.repeat(np.arange(8), 100).astype(np.int32)
    crowd = Matcher([f"s{i}" for i in range(8)], [()] * 8, np.arange(800), views, _point())
    assert crowd.k == MAX_NEIGHBORS


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), skus=st.integers(1, 9), views=st.integers(1, 6))
def test_the_decision_equals_a_plain_loop(unit, seed: int, skus: int, views: int) -> None:
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, skus, skus * views).astype(np.int32)
    vectors, asked = unit(len(owner), 6, seed), unit(7, 6, seed + 1)
    paths = [tuple(rng.choice(["a", "b"], rng.integers(0, 4)).tolist()) for _ in range(skus)]
    point = _point(0.7, 0.15, 0.5)
    matcher = Matcher([f"s{i}" for i in range(skus)], paths, np.arange(len(owner)), owner, point)
    made = matcher.match(ExactIndex(np.arange(len(owner)), vectors).search(asked, len(owner)))
    cosine = asked @ vectors.T
    for row in range(len(asked)):
        best = {s: float(cosine[row, owner == s].max()) for s in set(owner.tolist())}
        order = sorted(best, key=lambda s: -best[s])
        first = best[order[0]]
        margin = first - (best[order[1]] if len(order) > 1 else -1.0)
        assert made.similarity[row] == pytest.approx(first, abs=1e-5)
        assert made.margin[row] == pytest.approx(margin, abs=1e-5)
        assert [c.sku_id for c in made.top[row]] == [f"s{s}" for s in order[:5]]
        if first >= 0.7 and margin >= 0.15:
            assert made.sku_id[row] == f"s{order[0]}"
            assert made.category[row] == paths[order[0]]
        else:
            assert made.sku_id[row] is None
            near = [paths[s] for s in order if best[s] >= first - 0.15]
            assert made.category[row] == (common_path(near) if first >= 0.5 else ())


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=4).map(tuple), min_size=1, max_size=5))
def test_common_path_is_the_longest_shared_beginning(paths: list[tuple[str, ...]]) -> None:
    shared = common_path(paths)
    assert all(path[: len(shared)] == shared for path in paths)
    longer = {path[: len(shared) + 1] for path in paths}
    assert len(longer) > 1 or longer == {shared}
