from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.shelf.facings import FacingsCounter
from tests.edge.shelf.results import PRODUCTS, result


def counter(*results: object) -> FacingsCounter:
    adding = FacingsCounter()
    for one in results:
        adding.add(one)  # type: ignore[arg-type]
    return adding


def test_pictures_are_given_each_and_summed() -> None:
    added = counter(
        result(["a", "a", "b", None], source="1.jpg"), result(["b", "b", "b"], source="2.jpg")
    )
    assert added.facings() == {"b": 4, "a": 2}
    assert list(added.facings()) == ["b", "a"]
    assert added.unknown() == 1
    first, second = added.per_source()
    assert (first.source, dict(first.facings), first.unknown) == ("1.jpg", {"a": 2, "b": 1}, 1)
    assert (second.source, dict(second.facings), second.unknown) == ("2.jpg", {"b": 3}, 0)


def test_a_clip_is_the_median_per_sku() -> None:
    seen = [["a", "a", "b"], ["a", "a", "a"], ["a", "a", "c"], ["a", None, None]]
    added = counter(*(result(s, source="c.mp4", index=i) for i, s in enumerate(seen)))
    assert added.facings() == {"a": 2}  # b and c were seen in a quarter of the frames
    assert added.unknown() == 0
    (clip,) = added.per_source()
    assert clip.frames == 4


def test_half_is_rounded_up() -> None:
    added = counter(result(["a", None], source="c"), result([], source="c", index=1))
    assert (added.facings(), added.unknown()) == ({"a": 1}, 1)


def test_a_clip_beside_pictures_counts_once() -> None:
    clip = [result(["a", "b"], source="c.mp4", index=i) for i in range(9)]
    added = counter(result(["a"], source="1.jpg"), *clip)
    assert added.facings() == {"a": 2, "b": 1}


def test_shares_are_by_width() -> None:
    shares = counter(result(["a", "b", "c", None], widths=[30, 10, 20, 40])).shares(PRODUCTS)
    assert shares.by_sku == pytest.approx({"a": 0.3, "c": 0.2, "b": 0.1})
    assert shares.by_brand == pytest.approx({"Bergland": 0.3, "Fizz": 0.3})
    assert shares.unknown == pytest.approx(0.4)


def test_resolution_and_clip_length_do_not_weigh() -> None:
    small = result(["a"], source="1.jpg", widths=[40])
    large = result(["b"], source="2.jpg", widths=[400], size_wh=(4000, 2000))
    clip = [result(["c"], source="c", index=i, widths=[40]) for i in range(5)]
    shares = counter(small, large, *clip).shares(PRODUCTS)
    assert shares.by_sku == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_nothing_detected_has_no_shares() -> None:
    for added in (FacingsCounter(), counter(result([])), counter(result(["a"], widths=[0]))):
        shares = added.shares(PRODUCTS)
        assert (shares.by_sku, shares.by_brand, shares.unknown) == ({}, {}, 0.0)


def test_a_sku_that_the_gallery_does_not_describe_has_no_brand() -> None:
    assert counter(result(["x"])).shares(PRODUCTS).by_brand == {"": 1.0}


seen_frames = st.lists(
    st.tuples(
        st.sampled_from(["1.jpg", "2.jpg", "c.mp4"]),
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "c", "x", None]), st.floats(0.5, 300)), max_size=12
        ),
    ),
    max_size=8,
)


@given(seen_frames)
def test_shares_add_up_to_one(seen: list[tuple[str, list[tuple[str | None, float]]]]) -> None:
    added = counter(
        *(
            result([s for s, _ in boxes], source=source, index=i, widths=[w for _, w in boxes])
            for i, (source, boxes) in enumerate(seen)
        )
    )
    shares = added.shares(PRODUCTS)
    anything = any(boxes for _, boxes in seen)
    for mapping in (shares.by_sku, shares.by_brand):
        assert sum(mapping.values()) + shares.unknown == pytest.approx(1.0 if anything else 0.0)
    assert added.facings().keys() <= {s for _, boxes in seen for s, _ in boxes}
    assert sum(added.facings().values()) == sum(
        sum(source.facings.values()) for source in added.per_source()
    )
