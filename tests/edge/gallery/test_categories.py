"""Category paths of any depth, over all SKUs without a circle."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GalleryError
from edge.gallery.catalogue import read_catalogue
from edge.gallery.categories import CategoryGraph
from edge.gallery.records import Sku
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery


def test_a_level_below_itself_is_no_category() -> None:
    with pytest.raises(ValueError, match="'a > b > c > a' runs in a circle: 'a' is above 'b'"):
        Sku("x", category=("a", "b", "c", "a"))
    assert Sku("x", category=("a", "a", "b")).category_edges == (("a", "b"),)


def test_a_path_may_be_as_deep_as_it_likes(small: Path) -> None:
    deep = tuple(f"level {n}" for n in range(60))
    with GalleryStore.open(small, read_only=False) as store:
        store.add_sku(Sku("deep", category=deep))
    with GalleryStore.open(small) as store:
        assert {sku.sku_id: sku.category for sku in store.skus()}["deep"] == deep


def test_two_products_that_contradict_each_other_are_both_named(small: Path) -> None:
    with GalleryStore.open(small, read_only=False) as store:
        with pytest.raises(GalleryError) as caught:
            store.add_sku(Sku("d", category=("dairy", "food")))
        assert "SKU 'd' has 'dairy' > 'food'" in str(caught.value)
        assert "SKU 'a' has 'food' > 'dairy'" in str(caught.value)
        with pytest.raises(
            GalleryError, match=r"SKU 'c' has 'milk' > 'food'.*'food' > 'dairy' > 'milk'"
        ):
            store.update_sku(Sku("c", category=("milk", "food")))
        with pytest.raises(GalleryError, match="SKU 'y' has 'v' > 'u', SKU 'x' has 'u' > 'v'"):
            store.add_skus([Sku("x", category=("u", "v")), Sku("y", category=("v", "u"))])
        store.remove_skus(["a", "b"])
        store.add_sku(Sku("d", category=("dairy", "food")))  # nothing contradicts it any more
        store.undo()
        store.undo()
        with pytest.raises(GalleryError, match="category circle"):
            store.add_sku(Sku("d", category=("dairy", "food")))
    assert verify_gallery(small).ok


def test_a_product_may_turn_its_own_category_round(small: Path) -> None:
    with GalleryStore.open(small, read_only=False) as store:
        store.add_sku(Sku("x", category=("u", "v", "w")))
        store.update_sku(Sku("x", category=("w", "v", "u")))
        store.undo()
    assert verify_gallery(small).ok


def test_a_catalogue_with_a_circle_names_line_and_both_products(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    path.write_text("sku_id,category\nx,u > v > w\ny,w > z\nz,z > u\n", encoding="utf-8")
    with pytest.raises(GalleryError) as caught:
        read_catalogue(path)
    text = str(caught.value)
    assert text.startswith(
        f"{path}: line 4: category circle: SKU 'z' has 'z' > 'u', SKU 'x' has 'u'"
    )
    assert "'u' > 'v' > 'w' > 'z' with others" in text


PATHS = st.lists(st.permutations("abcde").map(lambda p: tuple(p[:3])), max_size=8)


@given(PATHS)
def test_a_circle_is_found_exactly_where_there_is_one(paths: list[tuple[str, ...]]) -> None:
    graph, edges = CategoryGraph(), set[tuple[str, str]]()
    for number, path in enumerate(paths):
        wanted = edges | set(itertools.pairwise(path))
        circle = graph.add(Sku(str(number), category=path))
        assert (circle is not None) == _has_circle(wanted)
        if circle is None:
            edges = wanted
        else:
            assert set(circle) <= wanted
            assert all(a[1] == b[0] for a, b in itertools.pairwise((*circle, circle[0])))


def _has_circle(edges: set[tuple[str, str]]) -> bool:
    """Whether nothing is left to take away that has no parent (Kahn, 1962)."""
    left = set(edges)
    while roots := {parent for parent, _ in left} - {child for _, child in left}:
        left = {edge for edge in left if edge[0] not in roots}
    return bool(left)
