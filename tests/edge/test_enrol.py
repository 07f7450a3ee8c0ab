"""`edge gallery enrol` on the kilobyte bundle: from an audit's unknown to a gallery that knows them."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.source import read_image
from edge.gallery.gallery import Gallery
from edge.gallery.store import GalleryStore
from tests.edge.command import Edge
from tests.factories import SHELF, squares, write_bundle, write_fronts, write_picture

Rows = list[dict[str, str]]


@pytest.fixture
def gallery(tiny_bundle: Path, tmp_path: Path, edge: Edge) -> Path:
    """Red and green are enrolled, blue and yellow are not."""
    fronts = write_fronts(tmp_path / "fronts", ("red", "green"))
    out = tmp_path / "g.db"
    assert edge("gallery", "build", fronts, "--out", out, "--bundle", tiny_bundle).status == 0
    return out


@pytest.fixture
def audited(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path, gallery: Path, edge: Edge
) -> Path:
    """An audit of two pictures: blue, yellow and white are unknown in both."""
    out = tmp_path / "out"
    options = ("--bundle", tiny_bundle, "--gallery", gallery, "--out", out)
    assert edge("audit", tiny_pictures, *options).status == 0
    return out


def fill(path: Path, change: Callable[[Rows], object]) -> None:
    """Change the CSV as a person with a spreadsheet would."""
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def clusters_of(audited: Path) -> dict[str, int]:
    """The cluster of each colour, found by looking at the crops."""
    state = json.loads((audited / "enrol" / "clusters.json").read_text())
    found = {}
    with zipfile.ZipFile(audited / "unknown.zip") as archive:
        for number, names in state["clusters"].items():
            data = np.frombuffer(archive.read(names[0]), np.uint8)
            pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
            blue, green, red = (int(v) > 128 for v in pixels.mean((0, 1)))
            colour = {(0, 0, 1): "blue", (1, 1, 0): "yellow", (1, 1, 1): "white"}[red, green, blue]
            found[colour] = int(number)
    return found


def name_two(rows: Rows, numbers: dict[str, int]) -> None:
    for row in rows:
        for colour in ("blue", "yellow"):
            if int(row["cluster"]) == numbers[colour]:
                row.update(sku_id=colour, brand="Paints", category="Paint > New", name_en="A can")


def test_unknown_products_are_named_and_then_known(
    audited: Path, gallery: Path, tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path, edge: Edge
) -> None:
    common = ("gallery", "enrol", "--from", audited, "--bundle", tiny_bundle)
    first = edge(*common)
    assert first.status == 0
    form = audited / "enrol" / "clusters.csv"
    assert str(form) in first.out
    assert min(read_image(audited / "enrol" / "sheet-01.jpg").shape[:2]) > 250
    rows = list(csv.DictReader(form.open()))
    assert [row["count"] for row in rows] == ["2", "2", "2"]
    assert {row["nearest_sku"] for row in rows} <= {"red", "green"}
    assert all(float(row["similarity"]) < 0.9 for row in rows)

    fill(form, lambda r: name_two(r, clusters_of(audited)))
    second = edge(*common, "--json")
    assert second.status == 0
    report = second.json
    assert sorted(report["new_skus"]) == ["blue", "yellow"]
    assert report["references"] == 2  # both photos show the very same
    assert len(report["passed_over"]) == 2
    assert len(report["empty"]) == 1
    with GalleryStore.open(gallery) as store:
        blue = next(sku for sku in store.skus() if sku.sku_id == "blue")
        assert (blue.brand, blue.category, blue.names) == (
            "Paints",
            ("Paint", "New"),
            {"en": "A can"},
        )
        (reference,) = store.references("blue")
        assert "a.png frame 0 box" in reference.source

    out = tmp_path / "again"
    options = ("--bundle", tiny_bundle, "--gallery", gallery, "--out", out, "--json")
    summary = edge("audit", tiny_pictures, *options).json
    assert summary["facings"] == {"red": 4, "green": 2, "blue": 2, "yellow": 2}
    assert summary["unknown"] == 2


def test_running_it_twice_enrols_nothing_twice(
    audited: Path, gallery: Path, tiny_bundle: Path, edge: Edge
) -> None:
    common = ("gallery", "enrol", "--from", audited, "--bundle", tiny_bundle, "--json")
    edge(*common)
    fill(audited / "enrol" / "clusters.csv", lambda r: name_two(r, clusters_of(audited)))
    edge(*common)
    with GalleryStore.open(gallery) as store:
        version, count = store.version, len(store.vectors())
    for options in ((), ("--force",)):
        again = edge(*common, *options)
        assert (again.status, again.json["new_skus"], again.json["references"]) == (0, [], 0)
        assert again.json["known"] >= 2
    with GalleryStore.open(gallery) as store:
        assert (store.version, len(store.vectors())) == (version, count)


def test_all_mistakes_are_said_at_once_and_nothing_is_enrolled(
    audited: Path, gallery: Path, tiny_bundle: Path, edge: Edge
) -> None:
    common = ("gallery", "enrol", "--from", audited, "--bundle", tiny_bundle)
    edge(*common)

    def wrong(rows: Rows) -> None:
        rows[0].update(sku_id="blue", gtin="4006381333932", leave_out="9")
        rows[1].update(name_en="nameless")
        rows[2].update(sku_id="red", brand="Other", category="a > > b")

    fill(audited / "enrol" / "clusters.csv", wrong)
    before = gallery.read_bytes()
    done = edge(*common)
    assert done.status == 1
    for part in (
        "line 2, column gtin: GTIN '4006381333932' has check digit 2, expected 1",
        "line 2, column leave_out: '9' is no picture's number",
        "line 3, column sku_id: is empty",
        "line 4, column category: category 'a > > b' has an empty level",
    ):
        assert part in done.error
    assert gallery.read_bytes() == before


def test_a_gallery_is_made_from_a_photo_alone(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path, edge: Edge
) -> None:
    out, gallery = tmp_path / "out", tmp_path / "new.db"
    edge("audit", tiny_pictures / "a.png", "--bundle", tiny_bundle, "--out", out)
    common = ("gallery", "enrol", "--from", out, "--bundle", tiny_bundle)
    assert edge(*common).status == 0
    form = out / "enrol" / "clusters.csv"
    rows = list(csv.DictReader(form.open()))
    assert {row["nearest_sku"] for row in rows} == {""}
    assert sum(int(row["count"]) for row in rows) == len(SHELF)
    fill(form, lambda rows: [row.update(sku_id=f"s{row['cluster']}") for row in rows])
    unnamed = edge(*common)
    assert unnamed.status == 2
    assert "--gallery" in unnamed.error
    assert not gallery.exists()
    assert edge(*common, "--gallery", gallery).status == 0
    assert len(Gallery.open(gallery).skus) == 5


def test_pictures_can_be_left_out_and_a_known_sku_extended(
    audited: Path, gallery: Path, tiny_bundle: Path, edge: Edge
) -> None:
    common = ("gallery", "enrol", "--from", audited, "--bundle", tiny_bundle, "--json")
    edge(*common)
    numbers = clusters_of(audited)

    def change(rows: Rows) -> None:
        for row in rows:
            if int(row["cluster"]) == numbers["blue"]:
                row.update(sku_id="red", leave_out="1", gtin="4006381333931")
            if int(row["cluster"]) == numbers["white"]:
                row.update(sku_id="white", leave_out="1 2")

    fill(audited / "enrol" / "clusters.csv", change)
    done = edge(*common)
    assert done.status == 1
    assert (done.json["references"], done.json["new_skus"]) == (1, [])
    assert done.json["lost"] == ["white"]
    with GalleryStore.open(gallery) as store:
        red = next(sku for sku in store.skus() if sku.sku_id == "red")
        assert (red.gtin, red.names["de"]) == ("4006381333931", "Das red")
        references = list(store.references("red"))
        assert "b.png" in references[-1].source


def test_a_csv_for_an_earlier_audit_is_not_enrolled(
    audited: Path, gallery: Path, tiny_bundle: Path, tmp_path: Path, edge: Edge
) -> None:
    common = ("gallery", "enrol", "--from", audited, "--bundle", tiny_bundle)
    edge(*common)
    form = audited / "enrol" / "clusters.csv"
    fill(form, lambda r: name_two(r, clusters_of(audited)))
    filled = form.read_text()
    photo = write_picture(tmp_path / "c.png", squares({(2, 2): (255, 255, 255)}))
    edge("audit", photo, "--bundle", tiny_bundle, "--gallery", gallery, "--out", audited)
    done = edge(*common)
    assert done.status == 2
    assert "earlier audit" in done.error
    assert form.read_text() == filled
    assert edge(*common, "--anew").status == 0
    assert form.read_text() != filled


def test_what_is_missing_is_named(tmp_path: Path, tiny_bundle: Path, edge: Edge) -> None:
    done = edge("gallery", "enrol", "--from", tmp_path / "no", "--bundle", tiny_bundle)
    assert done.status == 2
    assert "no folder of an audit" in done.error


def test_another_tower_is_refused(audited: Path, tmp_path: Path, edge: Edge, gallery: Path) -> None:
    from tests.factories import tower_spec

    other = write_bundle(tmp_path / "b", tower=tower_spec(fingerprint="ff" * 16)).path
    done = edge("gallery", "enrol", "--from", audited, "--bundle", other)
    assert done.status == 1
    assert "ff" * 16 in done.error
    assert str(gallery) in done.error
