from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edge.errors import EdgeError, GalleryError
from edge.gallery import connection
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery

TOWER = "0123456789abcdef"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_enrolled_is_read_back(small: Path, unit) -> None:
    with GalleryStore.open(small, tower=TOWER) as store:
        assert (store.tower, store.dim, store.precision) == (TOWER, 8, "fp32")
        skus, found = store.skus(), store.vectors()
        assert [sku.sku_id for sku in skus] == ["a", "b", "c"]
        assert skus[1] == Sku(
            "b",
            "4006381333931",
            "Alm",
            {"de": "Milch", "en-US": "Milk"},
            ("food", "dairy", "milk"),
        )
        assert found.ids.dtype == np.int64
        assert np.all(np.diff(found.ids) > 0)
        assert found.sku_index.tolist() == [0, 1, 0]
        np.testing.assert_array_equal(found.vectors, unit(3, 8, 1))
        first = next(store.references())
        assert (first.sku_id, first.jpeg[:2], first.quality) == ("a", b"\xff\xd8", 12.5)


def test_a_closed_gallery_is_a_file_in_wal_mode_and_its_sidecar(small: Path) -> None:
    assert names(small.parent) == ["gallery.db", "gallery.db.seq"]
    with GalleryStore.open(small) as store:
        store.vectors()
    assert names(small.parent) == ["gallery.db", "gallery.db.seq"]
    raw = sqlite3.connect(small)
    assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    raw.close()


def test_each_change_makes_a_new_version_of_the_same_gallery(small: Path) -> None:
    with GalleryStore.open(small, read_only=False) as store:
        before = store.version
        store.add_sku(Sku("d"))
        after = store.version
    assert before.split("-")[1] == after.split("-")[1]
    assert int(after.split("-")[0]) == int(before.split("-")[0]) + 1


def test_another_process_sees_a_change_as_soon_as_it_is_acknowledged(
    small: Path, unit, new_reference
) -> None:
    with GalleryStore.open(small, read_only=False) as writer, GalleryStore.open(small) as reader:
        assert len(reader.vectors()) == 3
        writer.add_references([new_reference("c", unit(1, 8, 9)[0])])
        assert len(reader.vectors()) == 4


def test_another_tower_is_refused_with_both_named(small: Path) -> None:
    with pytest.raises(GalleryError) as caught:
        GalleryStore.open(small, tower="feedfeedfeedfeed")
    assert TOWER in str(caught.value)
    assert "feedfeedfeedfeed" in str(caught.value)


def test_a_batch_with_one_bad_reference_enrols_none(small: Path, unit, new_reference) -> None:
    good, other = unit(2, 8, 3)
    with GalleryStore.open(small, read_only=False) as store:
        version = store.version
        with pytest.raises(GalleryError, match="no SKU 'zz'"):
            store.add_references([new_reference("a", good), new_reference("zz", other)])
        assert len(store.vectors()) == 3
        assert store.version == version


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.full(8, np.nan, np.float32), "L2 norm 1, got nan"),
        (np.ones(8, np.float32), "L2 norm 1, got 2.828"),
        (np.zeros(8, np.float32), "L2 norm 1, got 0"),
        (np.eye(9, dtype=np.float32)[0], r"float32 \(8,\), got float32 \(9,\)"),
        (np.eye(8)[0], "got float64"),
    ],
)
def test_vectors_that_would_lie_are_refused(small: Path, new_reference, vector, message) -> None:
    with (
        GalleryStore.open(small, read_only=False) as store,
        pytest.raises(GalleryError, match=message),
    ):
        store.add_references([new_reference("a", vector)])


def test_a_picture_that_is_no_jpeg_is_refused(small: Path, unit) -> None:
    reference = NewReference("a", unit(1, 8, 0)[0], b"PNG", "a.png", "00", 1.0)
    with (
        GalleryStore.open(small, read_only=False) as store,
        pytest.raises(GalleryError, match=r"a\.png: .*not a JPEG"),
    ):
        store.add_references([reference])


@pytest.mark.parametrize(
    ("sku", "message"),
    [
        (Sku("a"), "SKU 'a': its id"),
        (Sku("d", "04006381333931"), "SKU 'd': GTIN 04006381333931 is that of SKU 'b'"),
    ],
)
def test_an_id_or_a_number_is_enrolled_once(small: Path, sku: Sku, message: str) -> None:
    with (
        GalleryStore.open(small, read_only=False) as store,
        pytest.raises(GalleryError, match=message),
    ):
        store.add_sku(sku)


def test_one_writer_at_a_time(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.01)
    raw = sqlite3.connect(small, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    with (
        GalleryStore.open(small, read_only=False) as store,
        pytest.raises(GalleryError, match="another process is writing"),
    ):
        store.add_sku(Sku("d"))
    raw.close()


def test_a_reader_cannot_write(small: Path) -> None:
    with GalleryStore.open(small) as store, pytest.raises(EdgeError, match="read-only"):
        store.add_sku(Sku("d"))


def test_a_gallery_on_read_only_media_is_read(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with GalleryStore.open(small) as store:
        assert len(store.vectors()) == 3
    assert names(small.parent) == ["gallery.db", "gallery.db.seq"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a gallery"), (b"no database", "not a gallery"), (b"x" * 9000, "not a gallery")],
)
def test_what_is_no_gallery_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(GalleryError, match=rf"other\.db: {message}"):
        GalleryStore.open(path)


def test_a_missing_file_a_folder_and_another_database_are_named(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"none\.db: no such gallery"):
        GalleryStore.open(tmp_path / "none.db")
    with pytest.raises(GalleryError, match="not a gallery file"):
        GalleryStore.open(tmp_path)
    raw = sqlite3.connect(tmp_path / "notes.db")
    raw.execute("CREATE TABLE notes (text)")
    raw.close()
    with pytest.raises(GalleryError, match="an SQLite file of another program"):
        GalleryStore.open(tmp_path / "notes.db")


def test_a_newer_schema_is_refused_with_both_versions(small: Path) -> None:
    raw = sqlite3.connect(small)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(GalleryError, match="schema version 99 is unknown, this program reads 1 to"):
        GalleryStore.open(small)


def test_verify_reads_all_and_names_skus_without_a_reference(small: Path) -> None:
    report = verify_gallery(small, tower=TOWER)
    assert report.ok
    assert (report.skus, report.references) == (3, 3)
    assert report.skus_without_reference == ("c",)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE \"references\" SET jpeg = x'ffd8ff' WHERE sku_id = 'b'", "picture"),
        ("UPDATE \"references\" SET sku_id = 'c' WHERE sku_id = 'b'", "checksum"),
        ("DELETE FROM \"references\" WHERE sku_id = 'b'", "2 references found, 3 were enrolled"),
        ("UPDATE skus SET names = '{}' WHERE sku_id = 'b'", "SKU 'b'"),
        ("DELETE FROM skus WHERE sku_id = 'c'", "2 SKUs found, 3 were enrolled"),
        ("UPDATE meta SET tower = 'feedfeedfeedfeed'", "meta"),
        ("DELETE FROM meta", "0 rows in meta"),
    ],
)
def test_rows_changed_behind_the_stores_back_are_found(
    small: Path, statement: str, message: str
) -> None:
    raw = sqlite3.connect(small)
    raw.execute(statement)
    raw.commit()
    raw.close()
    report = verify_gallery(small)
    assert not report.ok
    assert any(message in problem for problem in report.problems)
