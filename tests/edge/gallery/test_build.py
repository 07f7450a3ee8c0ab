from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import CameraError, GalleryError, InferenceError, OutputError
from edge.gallery import connection
from edge.gallery.build import BATCH, BuildReport, build_gallery
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery
from edge.types import U8, Embeddings

TOWER = "0123456789abcdef"


def embed(images: list[U8]) -> Embeddings:
    """A tower of 12 dimensions: the colours of four quarters."""
    small = np.stack([cv2.resize(image, (2, 2)).ravel() for image in images])
    vectors = small.astype(np.float32) - 127.5
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), TOWER)


def read_image(path: Path) -> U8:
    """RGB of a picture file, as the camera's reader gives it."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise CameraError(f"{path}: cannot be decoded")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def paint(path: Path, seed: int, size_wh: tuple[int, int] = (30, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quarters = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(quarters, size_wh, interpolation=cv2.INTER_NEAREST))


def build(folder: Path, out: Path, **options: object) -> BuildReport:
    given = {"embed": embed, "precision": "fp32", "read_image": read_image} | options
    return build_gallery(folder, out, **given)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """SKU a: two pictures; SKU b: one beside the folders; both in a CSV."""
    folder = tmp_path / "pictures"
    paint(folder / "a" / "front.jpg", 1, (600, 300))
    paint(folder / "a" / "side.png", 2)
    paint(folder / "b.jpg", 3)
    (folder / "skus.csv").write_text("sku_id,brand,category\na,Alm,food > milk\nb,,food > jam\n")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


def test_both_layouts_are_enrolled_with_what_the_csv_says(folder: Path, out: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = build(folder, out, progress=lambda done, total: steps.append((done, total)))
    assert report.complete
    assert not report.warnings
    assert (report.skus, report.references, steps) == (2, 3, [(3, 3)])
    with GalleryStore.open(out, tower=TOWER) as store:
        assert store.version == report.version
        assert store.precision == "fp32"
        assert [sku.category for sku in store.skus()] == [("food", "milk"), ("food", "jam")]
        found = list(store.references())
        expected = embed([read_image(folder / "b.jpg")]).vectors[0]
        np.testing.assert_allclose(found[2].vector, expected, atol=1e-6)
        assert [reference.sku_id for reference in found] == ["a", "a", "b"]
        picture = cv2.imdecode(np.frombuffer(found[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (128, 256, 3)
        original = cv2.imread(str(folder / "a" / "front.jpg"))
        assert np.abs(picture.mean((0, 1)) - original.mean((0, 1))).max() < 3  # colours kept
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "gallery.db",
        "gallery.db.seq",
        "pictures",
    ]
    assert verify_gallery(out).ok


def test_pictures_are_embedded_in_batches(tmp_path: Path, out: Path) -> None:
    sizes: list[int] = []

    def counting(images: list[U8]) -> Embeddings:
        sizes.append(len(images))
        return embed(images)

    for seed in range(BATCH + 5):
        paint(tmp_path / "many" / f"s{seed}.jpg", seed)
    report = build(tmp_path / "many", out, embed=counting)
    assert sizes == [BATCH, 5]
    assert report.references == BATCH + 5


def test_large_pictures_make_smaller_batches(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counting(images: list[U8]) -> Embeddings:
        sizes.append(len(images))
        return embed(images)

    monkeypatch.setattr("edge.gallery.build.BATCH_PIXELS", 100_000)
    build(folder, out, embed=counting)
    assert sizes == [1, 2]


def test_unreadable_pictures_are_named_and_the_others_go_on(folder: Path, out: Path) -> None:
    (folder / "a" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "empty.jpg").write_bytes(b"")
    report = build(folder, out)
    assert report.references == 3
    assert not report.complete
    assert [
        str(folder / name) in text
        for name, text in zip(["a/broken.jpg", "empty.jpg"], report.failures, strict=True)
    ] == [True, True]
    assert any("SKU 'empty' has no reference" in text for text in report.warnings)


def test_what_is_passed_over_is_said(folder: Path, out: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "c").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "Thumbs.db").write_bytes(b"x")
    paint(folder / "new.jpg", 9)
    (folder / "skus.csv").write_text("sku_id\na\nb\nghost\n")
    text = "\n".join(build(folder, out).warnings)
    assert "notes.txt: not a picture" in text
    assert "no pictures for SKU 'c'" in text
    assert "SKU 'new' is not listed" in text
    assert "SKU 'ghost' has no reference" in text
    assert "hidden" not in text
    assert "Thumbs" not in text
    with GalleryStore.open(out) as store:
        assert [sku.sku_id for sku in store.skus()] == ["a", "b", "ghost", "new"]


def test_the_same_picture_under_two_skus_is_refused_for_both(folder: Path, out: Path) -> None:
    twin = folder / "c.jpg"
    twin.write_bytes((folder / "b.jpg").read_bytes())
    report = build(folder, out)
    assert not report.complete
    assert report.references == 2
    assert "under SKUs b, c" in report.contradictions[0]
    assert str(twin) in report.contradictions[0]
    forced = build(folder, out, force=True)
    assert forced.references == 4
    assert forced.contradictions


def test_the_same_picture_twice_for_one_sku_counts_once(folder: Path, out: Path) -> None:
    (folder / "a" / "twin.jpg").write_bytes((folder / "a" / "front.jpg").read_bytes())
    report = build(folder, out)
    assert report.references == 3
    assert "twin.jpg: the same picture again" in report.warnings[0]


@pytest.mark.parametrize("csv", [None, "sku_id\na\n"])
def test_nothing_to_enrol_is_an_error(tmp_path: Path, out: Path, csv: str | None) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if csv is not None:
        (empty / "skus.csv").write_text(csv)
    with pytest.raises(GalleryError, match="empty: no pictures to enrol"):
        build(empty, out)
    with pytest.raises(GalleryError, match="nowhere: no such folder"):
        build(tmp_path / "nowhere", out)
    assert not out.exists()


def test_reports_are_plain_data(folder: Path, out: Path) -> None:
    report = json.loads(json.dumps(build(folder, out).to_json()))
    assert (report["complete"], report["skus"], report["failures"]) == (True, 2, [])
    checked = json.loads(json.dumps(verify_gallery(out).to_json()))
    assert (checked["ok"], checked["references"], checked["problems"]) == (True, 3, [])


def test_only_unreadable_pictures_are_an_error(tmp_path: Path, out: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(GalleryError, match=r"no picture could be enrolled: .*a\.jpg"):
        build(tmp_path / "bad", out)
    assert not out.exists()


def test_mistakes_in_the_csv_stop_the_build(folder: Path, out: Path) -> None:
    (folder / "skus.csv").write_text("sku_id,gtin\na,123\n")
    with pytest.raises(GalleryError, match=r"skus\.csv: line 2: GTIN '123'"):
        build(folder, out)
    assert not out.exists()


def test_a_failing_tower_leaves_the_old_gallery_untouched(folder: Path, out: Path) -> None:
    build(folder, out)
    before = out.read_bytes()
    calls = 0

    def failing(images: list[U8]) -> Embeddings:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise InferenceError("the device is gone")
        return embed(images)

    for seed in range(BATCH):
        paint(folder / f"more{seed}.jpg", 100 + seed)
    with pytest.raises(InferenceError, match="gone"):
        build(folder, out, embed=failing)
    assert calls == 2
    assert out.read_bytes() == before
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "gallery.db",
        "gallery.db.seq",
        "pictures",
    ]


def test_a_tower_that_changes_or_loses_a_vector_is_an_error(folder: Path, out: Path) -> None:
    def short(images: list[U8]) -> Embeddings:
        return embed(images[:-1])

    with pytest.raises(GalleryError, match=r"2 vectors .* for 3 pictures"):
        build(folder, out, embed=short)
    assert not out.exists()


def test_a_journal_of_the_old_gallery_does_not_reach_the_new_one(folder: Path, out: Path) -> None:
    build(folder, out)
    raw = sqlite3.connect(out, isolation_level=None)
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute("UPDATE skus SET brand = 'left in the journal'")
    journal = out.with_name("gallery.db-wal")
    kept = journal.read_bytes()
    raw.close()
    journal.write_bytes(kept)  # as a killed process leaves it
    paint(folder / "c.jpg", 8)
    report = build(folder, out)
    assert not journal.exists()
    assert verify_gallery(out).ok
    assert verify_gallery(out).version == report.version


def test_a_gallery_that_is_being_written_is_not_replaced(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, out)
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.01)
    raw = sqlite3.connect(out, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(GalleryError, match=r"gallery\.db: another process is using"):
        build(folder, out)
    raw.close()
    assert verify_gallery(out).ok


def test_a_file_that_is_no_gallery_is_not_overwritten(folder: Path, out: Path) -> None:
    out.write_bytes(b"my thesis")
    with pytest.raises(GalleryError, match="exists and is not a gallery"):
        build(folder, out)
    assert out.read_bytes() == b"my thesis"


def test_a_damaged_gallery_can_be_built_again(folder: Path, out: Path) -> None:
    build(folder, out)
    out.write_bytes(out.read_bytes()[:4096] + b"\xee" * 4096)
    build(folder, out)
    assert verify_gallery(out).ok


def test_a_target_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere does not exist"):
        build(folder, tmp_path / "nowhere" / "gallery.db")
    with pytest.raises(OutputError, match="is a folder"):
        build(folder, folder)


def test_a_full_disk_names_the_gallery_and_leaves_nothing(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = connection.create

    def small_disk(path: Path) -> sqlite3.Connection:
        raw = plain(path)
        raw.execute("PRAGMA max_page_count = 6")
        return raw

    for seed in range(20):
        paint(folder / "many" / f"{seed}.jpg", 200 + seed)
    monkeypatch.setattr(connection, "create", small_disk)
    with pytest.raises(OutputError, match=r"gallery\.db: cannot be written: .*full") as caught:
        build(folder, out)
    assert ".tmp" not in str(caught.value)
    assert [p.name for p in out.parent.iterdir()] == ["pictures"]
