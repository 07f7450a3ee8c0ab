from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.enrolment import build_from_folder, search_pictures
from edge.errors import BundleError, GalleryError
from edge.gallery.gallery import Gallery
from tests.factories import (
    COLOURS,
    FINGERPRINT,
    UNKNOWN_COLOUR,
    edit_manifest,
    write_fronts,
    write_picture,
    write_two_precisions,
)


def swatch(path: Path, colour: tuple[int, int, int]) -> Path:
    return write_picture(path, np.full((20, 30, 3), colour, np.uint8))


def test_a_folder_becomes_a_gallery_of_its_tower(tiny_gallery: Path) -> None:
    gallery = Gallery.open(tiny_gallery, tower=FINGERPRINT)
    assert set(gallery.skus) == set(COLOURS)
    assert gallery.precision == "fp32"
    assert len(gallery) == 4


def test_the_precision_is_that_of_the_file_in_use(tmp_path: Path) -> None:
    bundle = write_two_precisions(tmp_path / "two")
    write_fronts(tmp_path / "fronts")
    out = tmp_path / "g.db"
    report = build_from_folder(tmp_path / "fronts", out, bundle=bundle.path, provider="cpu")
    assert report.complete
    assert Gallery.open(out).precision == "int8"


def test_a_bad_picture_is_reported_and_the_others_enrolled(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    fronts = write_fronts(tmp_path / "fronts")
    (fronts / "red" / "second.jpg").write_bytes(b"no picture")
    seen: list[tuple[int, int]] = []
    report = build_from_folder(
        fronts,
        tmp_path / "g.db",
        bundle=tiny_bundle,
        provider="cpu",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert not report.complete
    assert len(report.failures) == 1
    assert "second.jpg" in report.failures[0]
    assert report.references == 4
    assert seen[-1] == (5, 5)


def test_pictures_are_looked_up(tiny_bundle: Path, tiny_gallery: Path, tmp_path: Path) -> None:
    pictures = [
        swatch(tmp_path / "a.png", (230, 20, 20)),
        tmp_path / "gone.png",
        swatch(tmp_path / "b.png", UNKNOWN_COLOUR),
    ]
    red, gone, white = search_pictures(
        tiny_gallery, pictures, bundle=tiny_bundle, provider="cpu", locale="de"
    )
    assert (red.sku_id, red.name, red.category) == ("red", "Das red", ("Paint", "red"))
    assert red.top[0].sku_id == "red"
    assert red.error is None
    assert red.to_text().splitlines()[0] == f"{tmp_path / 'a.png'}: red Das red"
    assert red.to_json()["top"][0]["similarity"] > 0.98  # type: ignore[index]
    assert gone.error is not None
    assert "gone.png" in gone.error
    assert "error" in gone.to_text()
    assert white.sku_id is None
    assert "unknown" in white.to_text()


def test_a_gallery_of_another_tower_is_refused(
    own_bundle: Path, tiny_gallery: Path, tmp_path: Path
) -> None:
    other = "ffeeddccbbaa99887766554433221100"
    edit_manifest(own_bundle, lambda m: m["tower"].update(fingerprint=other))
    with pytest.raises(GalleryError, match=f"{FINGERPRINT}.*{other}|{other}.*{FINGERPRINT}"):
        search_pictures(tiny_gallery, [tmp_path / "a.png"], bundle=own_bundle, provider="cpu")


def test_a_missing_bundle_is_said_before_the_gallery_is_touched(tmp_path: Path) -> None:
    write_fronts(tmp_path / "fronts")
    with pytest.raises(BundleError, match="no such bundle folder"):
        build_from_folder(tmp_path / "fronts", tmp_path / "g.db", bundle=tmp_path / "no")
    assert not (tmp_path / "g.db").exists()
