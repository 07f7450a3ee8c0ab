from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, GalleryError
from edge.gallery import cache
from edge.gallery.gallery import Gallery
from edge.gallery.records import Sku
from edge.gallery.store import GalleryStore
from edge.manifest import OperatingPoint
from edge.types import Embeddings

TOWER = "0123456789abcdef"
POINT = OperatingPoint(similarity=0.9, margin=0.05, measured="for a test")


def test_a_gallery_recognises_what_is_enrolled(small: Path, unit) -> None:
    gallery = Gallery.open(small, tower=TOWER)
    assert (len(gallery), gallery.index.kind, gallery.precision) == (3, "exact", "fp32")
    made = gallery.match(Embeddings(unit(3, 8, 1), TOWER), gallery.matcher(POINT))
    assert made.sku_id == ("a", "b", "a")
    assert made.category[1] == ("food", "dairy", "milk")
    stranger = gallery.match(Embeddings(unit(1, 8, 77), TOWER), gallery.matcher(POINT))
    assert stranger.sku_id == (None,)


def test_queries_of_another_tower_are_refused_with_both_named(small: Path, unit) -> None:
    with pytest.raises(GalleryError, match=f"tower {TOWER}, the queries with feedfeed"):
        Gallery.open(small).search(Embeddings(unit(1, 8, 0), "feedfeed"), 1)
    with pytest.raises(GalleryError, match=f"tower {TOWER}, the bundle has feedfeed"):
        Gallery.open(small, tower="feedfeed")


def test_a_gallery_without_references_knows_nothing(tmp_path: Path, unit) -> None:
    path = tmp_path / "empty.db"
    with GalleryStore.create(path, tower=TOWER, dim=8, precision="fp32") as store:
        store.add_sku(Sku("a"))
    gallery = Gallery.open(path)
    made = gallery.match(Embeddings(unit(2, 8, 0), TOWER), gallery.matcher(POINT))
    assert len(gallery) == 0
    assert made.sku_id == (None, None)
    assert made.top == ((), ())


def test_names_fall_back_to_another_language_and_then_to_the_id(small: Path) -> None:
    gallery = Gallery.open(small)
    assert gallery.names("de-AT") == {"a": "a", "b": "Milch", "c": "c"}
    assert gallery.name("b", "fr") == "Milk"
    with pytest.raises(ConfigError, match="'german' is not a locale"):
        gallery.names("german")
    assert gallery.reference_counts() == {"a": 2, "b": 1, "c": 0}
    assert list(gallery.skus) == ["a", "b", "c"]


def test_an_open_gallery_does_not_change_and_holds_no_file(
    small: Path, unit, new_reference
) -> None:
    gallery = Gallery.open(small)
    version = gallery.version
    with GalleryStore.open(small, read_only=False) as store:
        store.add_references([new_reference("c", unit(1, 8, 5)[0])])
    assert (len(gallery), gallery.version) == (3, version)
    assert len(Gallery.open(small)) == 4
    shutil.rmtree(small.parent)
    found = gallery.search(Embeddings(unit(3, 8, 1), TOWER), 1)
    np.testing.assert_allclose(found.similarity[:, 0], 1.0, atol=1e-5)


def test_a_large_gallery_keeps_its_graph_and_notices_every_change(
    small: Path, unit, new_reference
) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    assert Gallery.open(small, threshold=2).index.kind == "hnsw"
    assert Gallery.open(small, threshold=2).index.note == "graph loaded from cache"
    with GalleryStore.open(small, read_only=False) as store:
        store.add_references([new_reference("c", unit(1, 8, 5)[0])])
    changed = Gallery.open(small, threshold=2)
    assert changed.index.note == "graph loaded from cache, 1 newer references searched exactly"
    made = changed.match(Embeddings(unit(1, 8, 5), TOWER), changed.matcher(POINT))
    assert made.sku_id == ("c",)
    assert cache.header_path(cache.graph_path(small)).exists()
