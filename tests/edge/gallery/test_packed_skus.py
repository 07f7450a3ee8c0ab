"""Packed SKUs are a mapping like any other, and follow changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gallery.packed_skus import PackedSkus, SkuPlaces
from edge.gallery.records import Sku

IDS = st.sets(st.text("abzß€😀", min_size=1, max_size=4), max_size=40)


def sku(sku_id: str, brand: str = "Alm") -> Sku:
    gtin = "4006381333931" if sku_id == "a" else None
    names = {"de": f"Milch {sku_id}", "zh-Hant": "牛奶"} if len(sku_id) > 1 else {}
    return Sku(sku_id, gtin, brand, names, ("food", sku_id[0]) if len(sku_id) < 4 else ())


def packed(ids: set[str], brand: str = "Alm") -> PackedSkus:
    return PackedSkus.of(sku(i, brand) for i in sorted(ids))


@settings(max_examples=60, deadline=None)
@given(IDS)
def test_they_hold_what_a_dictionary_holds(ids: set[str]) -> None:
    made, plain = packed(ids), {i: sku(i) for i in sorted(ids)}
    assert made == plain
    assert list(made) == list(made.ids) == list(plain)
    assert list(made.values()) == list(plain.values())
    assert made.categories == tuple(one.category for one in plain.values())
    assert [made.place(i) for i in made] == list(range(len(plain)))
    assert [made.sku_id(n) for n in range(len(made))] == list(plain)
    for other in {"", "a", "zzzzz", "😀😀"} - ids:
        assert other not in made
        with pytest.raises(KeyError):
            made[other]


@settings(max_examples=100, deadline=None)
@given(IDS, IDS, IDS)
def test_they_follow_changes(before: set[str], changed: set[str], removed: set[str]) -> None:
    removed -= changed
    old = packed(before)
    new, moved = old.after([sku(i, "New") for i in sorted(changed)], sorted(removed))
    left = sorted((before | changed) - removed)
    assert new == {i: sku(i, "New" if i in changed else "Alm") for i in left}
    assert list(new) == left
    assert moved.dtype == np.int32
    for place, sku_id in enumerate(old):
        assert moved[place] == (-1 if sku_id in removed else new.place(sku_id))
    again, _ = new.after([], left[::2])
    assert list(again) == left[1::2]
    assert old == packed(before)


def test_many_places_are_found_at_once() -> None:
    skus = packed({f"s{n}" for n in range(500)})
    places = SkuPlaces(skus)
    asked = ["s7", "nothing", "s499", "s7", ""]
    expected = [skus.place("s7"), -1, skus.place("s499"), skus.place("s7"), -1]
    assert places(asked).tolist() == expected
    assert SkuPlaces(packed(set()))(["a"]).tolist() == [-1]


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"]])
def test_skus_out_of_order_are_refused(ids: list[str]) -> None:
    with pytest.raises(ValueError, match="SKU 'a' is out of order"):
        PackedSkus.of(sku(i) for i in ids)
