"""Small galleries and vectors for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.types import F32

TOWER = "0123456789abcdef"
JPEG = b"\xff\xd8 a picture \xff\xd9"

Unit = Callable[[int, int, int], F32]
NewRef = Callable[[str, F32], NewReference]


@pytest.fixture(scope="session")
def unit() -> Unit:
    """``unit(n, dim, seed)``: vectors ``(n, dim)`` of L2 norm 1."""

    def make(n: int, dim: int, seed: int) -> F32:
        vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    return make


@pytest.fixture(scope="session")
def new_reference() -> NewRef:
    """``new_reference(sku_id, vector)``: a reference ready to be enrolled."""

    def make(sku_id: str, vector: F32) -> NewReference:
        return NewReference(sku_id, vector, JPEG, f"{sku_id}.jpg", "00" * 32, 12.5)

    return make


@pytest.fixture
def small(tmp_path: Path, small_template: Path) -> Path:
    """A closed gallery: SKUs a, b, c of 8 dimensions; two references of a, one of b, none of c."""
    for path in small_template.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / small_template.name


@pytest.fixture(scope="session")
def small_template(
    tmp_path_factory: pytest.TempPathFactory, unit: Unit, new_reference: NewRef
) -> Path:
    """What ``small`` is a copy of; not to be changed."""
    path = tmp_path_factory.mktemp("small") / "gallery.db"
    vectors = unit(3, 8, 1)
    with GalleryStore.create(path, tower=TOWER, dim=8, precision="fp32") as store:
        names = {"de": "Milch", "en-US": "Milk"}
        store.add_sku(Sku("b", "4006381333931", "Alm", names, ("food", "dairy", "milk")))
        store.add_skus([Sku("a", category=("food", "dairy", "cream")), Sku("c")])
        store.add_references([new_reference(s, v) for s, v in zip("aba", vectors, strict=True)])
    return path
