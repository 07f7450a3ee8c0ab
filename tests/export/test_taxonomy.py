from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.gallery.catalogue import read_catalogue
from edge.gallery.gallery import Gallery
from edge.gallery.records import NewReference
from edge.gallery.store import GalleryStore
from export.datasets import read_grocery_store
from export.taxonomy import paths_of, read_class_ids, read_taxonomies, read_taxonomy, skus_csv
from tests.conftest import ROOT

CLASSES = ROOT / "tests" / "benchmarks" / "grocery_taxonomy.csv"
LOCALES = {"de-DE", "en-US", "es-ES", "fr-FR", "it-IT", "ja-JP", "pl-PL", "pt-BR", "zh-CN"}


def test_every_class_has_one_id() -> None:
    classes = read_class_ids(CLASSES)
    assert len(classes) == 81
    assert classes["Bravo-Apple-Juice"] == 2887


def test_the_classes_are_those_of_the_data_and_the_ids_known_in_every_language(
    shelf_data: Path,
) -> None:
    classes = read_class_ids(CLASSES)
    assert set(classes) == set(read_grocery_store(shelf_data / "grocery-store", "iconic").labels)
    taxonomies = read_taxonomies(shelf_data / "taxonomy")
    assert set(taxonomies) == LOCALES
    depths = {len(path) for path in paths_of(classes, taxonomies["en-US"]).values()}
    assert depths == {3, 4, 5, 6}
    for taxonomy in taxonomies.values():
        assert all(paths_of(classes, taxonomy).values())


def test_categories_and_names_go_through_skus_csv_into_a_gallery(
    shelf_data: Path, tmp_path: Path
) -> None:
    classes = read_class_ids(CLASSES)
    taxonomies = read_taxonomies(shelf_data / "taxonomy")
    (tmp_path / "skus.csv").write_text(skus_csv(classes, taxonomies), encoding="utf-8")
    skus = read_catalogue(tmp_path / "skus.csv")
    vectors = np.eye(len(skus), dtype=np.float32)
    with GalleryStore.create(
        tmp_path / "g.db", tower="0123456789abcdef", dim=len(skus), precision="fp32"
    ) as store:
        store.add_skus(list(skus.values()))
        store.add_references(
            [
                NewReference(
                    sku, vector, b"\xff\xd8 jpeg \xff\xd9", f"{sku}.jpg", f"{n:064x}", 50.0
                )
                for n, (sku, vector) in enumerate(zip(skus, vectors, strict=True))
            ]
        )
    gallery = Gallery.open(tmp_path / "g.db")
    assert gallery.skus["Bravo-Apple-Juice"].category == (
        "Food, Beverages & Tobacco", "Beverages", "Juice",
    )  # fmt: skip
    for locale, taxonomy in taxonomies.items():
        names = gallery.names(locale)
        assert len(names) == 81
        for sku, key in classes.items():
            assert names[sku] == f"{taxonomy[key][-1]}: {sku}"
    # a region that is not there falls back to its language
    assert gallery.name("Bravo-Apple-Juice", "de-AT") == gallery.name("Bravo-Apple-Juice", "de-DE")
    assert gallery.name("Bravo-Apple-Juice", "de").startswith("Saft")


def test_files_that_are_no_taxonomy_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no taxonomy-with-ids"):
        read_taxonomies(tmp_path)
    file = tmp_path / "taxonomy-with-ids.en-US.txt"
    file.write_text("# version\n1 - Animals\nnonsense\n")
    with pytest.raises(ConfigError, match="line 3"):
        read_taxonomy(file)
    file.write_text("1 - Animals\n3 - Animals > Dogs\n")
    assert read_taxonomies(tmp_path)["en-US"][3] == ("Animals", "Dogs")
    with pytest.raises(ConfigError, match="'Cat': taxonomy has no id 9"):
        paths_of({"Cat": 9}, read_taxonomy(file))
    (tmp_path / "c.csv").write_text("class,taxonomy_id\nCat,9\nCat,8\n")
    with pytest.raises(ConfigError, match="line 3: class 'Cat' is there twice"):
        read_class_ids(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_text("class,taxonomy_id\nCat,x\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_class_ids(tmp_path / "c.csv")
