from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge.auditor import audit_paths, describe, products_of
from edge.errors import BundleError, ConfigError, GalleryError, InferenceError
from edge.gallery.gallery import Gallery
from edge.shelf.records import read_records
from tests.factories import SHELF, SHELF_FACINGS, SHELF_UNKNOWN, edit_manifest, write_clip


def test_pictures_are_summed(
    tiny_bundle: Path, tiny_gallery: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    summary = audit_paths(
        [tiny_pictures],
        tmp_path / "out",
        bundle=tiny_bundle,
        gallery=tiny_gallery,
        provider="cpu",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert summary.frames == 2
    assert dict(summary.facings) == {sku: 2 * n for sku, n in SHELF_FACINGS.items()}
    assert summary.unknown == 2 * SHELF_UNKNOWN
    assert summary.exit_status == 0
    assert summary.gallery["file"] == "gallery.db"
    assert summary.gallery["skus"] == 4
    assert seen == [(1, 2), (2, 2)]
    assert len(list(read_records(tmp_path / "out" / "results.jsonl"))) == 2


def test_a_clip_is_counted_by_its_median(
    tiny_bundle: Path, tiny_gallery: Path, tmp_path: Path
) -> None:
    fewer = {cell: colour for cell, colour in SHELF.items() if cell != (1, 1)}
    clip = write_clip(tmp_path / "aisle.avi", [SHELF, SHELF, fewer, fewer, SHELF, SHELF], fps=2.0)
    summary = audit_paths(
        [clip],
        tmp_path / "out",
        bundle=tiny_bundle,
        gallery=tiny_gallery,
        every_s=0.5,
        provider="cpu",
    )
    assert summary.frames == 6
    assert dict(summary.facings) == SHELF_FACINGS
    half = audit_paths([clip], tmp_path / "half", bundle=tiny_bundle, every_s=1.0, provider="cpu")
    assert half.frames == 3


def test_a_bad_input_does_not_stop_the_others(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    summary = audit_paths(
        [bad, tiny_pictures / "a.png", tmp_path / "gone.png"],
        tmp_path / "out",
        bundle=tiny_bundle,
        provider="cpu",
    )
    assert summary.frames == 1
    assert summary.exit_status == 1
    assert [f.source for f in summary.failures] == [str(bad), str(tmp_path / "gone.png")]
    assert all(f.source in f.error for f in summary.failures)


@pytest.mark.parametrize("every", [0, -1, math.nan, math.inf])
def test_an_impossible_interval_is_a_wrong_call(tiny_pictures: Path, every: float) -> None:
    with pytest.raises(ConfigError, match="--every must be above 0"):
        audit_paths([tiny_pictures], Path("unused"), every_s=every)


def test_what_cannot_be_opened_is_said_before_anything_is_written(
    tiny_bundle: Path, own_bundle: Path, tiny_gallery: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(BundleError, match="no such bundle folder"):
        audit_paths([tiny_pictures], out, bundle=tmp_path / "no")
    with pytest.raises(GalleryError, match=r"none\.db"):
        audit_paths([tiny_pictures], out, bundle=tiny_bundle, gallery=tmp_path / "none.db")
    with pytest.raises((InferenceError, ConfigError), match="provider"):
        audit_paths([tiny_pictures], out, bundle=tiny_bundle, provider="tpu")
    with pytest.raises(ConfigError, match="x y"):
        audit_paths(
            [tiny_pictures],
            out,
            bundle=tiny_bundle,
            gallery=tiny_gallery,
            locale="x y",
            provider="cpu",
        )
    other = "ffeeddccbbaa99887766554433221100"
    edit_manifest(own_bundle, lambda m: m["tower"].update(fingerprint=other))
    ours = Gallery.open(tiny_gallery).tower
    with pytest.raises(GalleryError, match=f"{ours}.*{other}|{other}.*{ours}"):
        audit_paths([tiny_pictures], out, bundle=own_bundle, gallery=tiny_gallery)
    assert not out.exists()


def test_products_are_named_in_a_language(tiny_gallery: Path) -> None:
    gallery = Gallery.open(tiny_gallery)
    assert products_of(gallery, "de")["red"].name == "Das red"
    assert products_of(gallery, "en-GB")["red"].name == "The red one"
    assert products_of(gallery, "en")["blue"].category == ("Paint", "blue")
    assert products_of(None, "en") == {}
    assert describe(None) == {}
    assert describe(gallery)["index"] == "exact"
