"""What is lost is said, what a crash left is put in order, and one writer works at a time."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import GalleryError, OutputError
from edge.gallery import connection, ledger, schema
from edge.gallery.records import Sku
from edge.gallery.repair import repair_gallery
from edge.gallery.replace import replacing
from edge.gallery.sidecar import Mark, read_marks, sidecar_path, write_marks
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery
from edge.gallery.writer_lock import lock_path

TOWER = "0123456789abcdef"


def writing(path: Path) -> GalleryStore:
    return GalleryStore.open(path, read_only=False)


def skus(path: Path) -> list[str]:
    with GalleryStore.open(path) as store:
        return [sku.sku_id for sku in store.skus()]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def replace_by_an_empty_one(path: Path) -> None:
    with replacing(path) as new:
        GalleryStore.create(
            new.path, tower=TOWER, dim=8, precision="fp32", unpublished=True
        ).close()
        new.publish()


def fill(store: GalleryStore, acknowledged: list[str]) -> None:
    for number in range(1000):
        store.add_sku(Sku(f"n{number}", brand="b" * 500))
        acknowledged.append(f"n{number}")


# ------------------------------------------------------------------------------------- sidecar


def test_the_sidecar_names_the_last_acknowledged_change(small: Path) -> None:
    with writing(small) as store:
        store.add_sku(Sku("d"))
        (mark,) = read_marks(small) or ()
        assert f"{mark.last_seq}-{mark.gallery_id}" == store.version
        assert mark.change == "SKU 'd'"
    line = json.loads(sidecar_path(small).read_text())
    assert set(line) == {"gallery_id", "last_seq", "change", "checksum"}


@pytest.mark.parametrize("read_only", [True, False])
def test_a_lost_tail_is_an_error_that_says_what_was_lost(small: Path, read_only: bool) -> None:
    old = small.read_bytes()
    with writing(small) as store:
        last = store.last_seq
        store.add_sku(Sku("d"))
    small.write_bytes(old)
    with pytest.raises(GalleryError) as caught:
        GalleryStore.open(small, read_only=read_only)
    text = str(caught.value)
    assert f"ends at number {last}, acknowledged was up to {last + 1} (SKU 'd')" in text
    assert "repair" in text
    assert "--accept-loss" in text
    with pytest.raises(GalleryError, match="changes are lost"):
        repair_gallery(small)
    report = repair_gallery(small, accept_loss=True)
    assert report.found == text
    assert skus(small) == ["a", "b", "c"]
    with writing(small) as store:
        assert store.last_seq > last + 1  # the lost numbers are not used again
        assert store.undo().kind == "add_references"
    assert verify_gallery(small).ok


def test_a_lost_write_ahead_log_is_an_error(small: Path) -> None:
    with writing(small) as store:
        store.add_sku(Sku("d"))
        copy = small.parent / "copy"
        copy.mkdir()
        for name in ("gallery.db", "gallery.db.seq"):  # a copy of a gallery at work, without -wal
            shutil.copy(small.with_name(name), copy)
    with pytest.raises(GalleryError, match="its last changes are lost"):
        GalleryStore.open(copy / "gallery.db")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_gallery_copied_alone_is_refused_with_the_way_out(small: Path, read_only: bool) -> None:
    alone = small.with_name("alone.db")
    shutil.copy(small, alone)
    with pytest.raises(
        GalleryError, match=r"alone\.db\.seq is missing beside it.*repair"
    ) as caught:
        GalleryStore.open(alone, read_only=read_only)
    assert "\n" not in str(caught.value)
    report = repair_gallery(alone)
    assert report.found is not None
    with GalleryStore.open(small) as old, GalleryStore.open(alone) as new:
        assert new.skus() == old.skus()
        assert new.gallery_id != old.gallery_id  # from here on they are two galleries
    assert repair_gallery(alone).found is None


def test_a_sidecar_of_another_gallery_is_named_with_both(small: Path) -> None:
    other = small.with_name("other.db")
    GalleryStore.create(other, tower=TOWER, dim=8, precision="fp32").close()
    shutil.copy(sidecar_path(other), sidecar_path(small))
    with GalleryStore.open(other) as a, GalleryStore.open(small, check_tail=False) as b:
        ids = a.gallery_id, b.gallery_id
    with pytest.raises(GalleryError, match=f"gallery {ids[0]}, .* is gallery {ids[1]}"):
        GalleryStore.open(small)


def test_a_damaged_gallery_is_not_taken_as_it_is(small: Path) -> None:
    raw = sqlite3.connect(small)
    raw.execute("UPDATE skus SET brand = 'Other' WHERE sku_id = 'b'")
    raw.commit()
    raw.close()
    sidecar_path(small).unlink()
    with pytest.raises(GalleryError, match=r"cannot be repaired, put back a copy: .*SKU 'b'"):
        repair_gallery(small)
    assert not sidecar_path(small).exists()


def test_a_commit_that_was_not_acknowledged_is_kept_and_reported(
    small: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OutputError("no space left on device")

    with monkeypatch.context() as patch:
        store = writing(small)
        patch.setattr(ledger, "write_marks", full)
        with pytest.raises(OutputError, match="is stored but not acknowledged: no space left"):
            store.add_sku(Sku("d"))
        with pytest.raises(OutputError, match="not acknowledged"):
            store.add_sku(Sku("e"))  # refused until the sidecar can be written again
        store.close()
    assert skus(small) == ["a", "b", "c", "d"]
    with caplog.at_level(logging.WARNING), writing(small) as store:
        assert [change.summary for change in store.recovery.changes] == ["SKU 'd'"]
    assert "recovered 1 change" in caplog.text
    with writing(small) as store:
        assert not store.recovery


def test_a_sidecar_put_back_from_a_copy_is_explained_by_the_journal_or_refused(
    small: Path,
) -> None:
    old = sidecar_path(small).read_bytes()
    with writing(small) as store:
        for name in "def":
            store.add_sku(Sku(name))
    sidecar_path(small).write_bytes(old)
    with GalleryStore.open(small) as store:
        assert len(store.skus()) == 6
    raw = sqlite3.connect(small)
    raw.execute("DELETE FROM journal WHERE seq = (SELECT max(seq) - 2 FROM journal)")
    raw.commit()
    raw.close()
    with pytest.raises(GalleryError, match=r"gallery\.db\.seq: ends at number 6, .* at 9"):
        GalleryStore.open(small)


# --------------------------------------------------------------------------------- one writer


def test_two_writers_at_once_are_refused_with_the_holder_named(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.1)
    code = (
        "import sys; from pathlib import Path; from edge.gallery.store import GalleryStore\n"
        "sys.argv = ['edge', 'gallery', 'add', 'secret-file.jpg']\n"
        f"with GalleryStore.open(Path({str(small)!r}), read_only=False):\n"
        "    print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(GalleryError) as caught:
        writing(small)
    text = str(caught.value)
    assert text.startswith(
        f"{small}: another writer has it open: process {other.pid} (edge gallery"
    )
    assert "secret" not in text
    with pytest.raises(GalleryError, match=f"process {other.pid}"), replacing(small):
        pass
    assert skus(small) == ["a", "b", "c"]  # reading goes on
    other.communicate("")
    with writing(small) as store:
        assert not store.recovery
        store.add_sku(Sku("d"))
    assert files(small.parent) == ["gallery.db", "gallery.db.seq"]


def test_a_writer_killed_while_it_says_its_name_hides_no_other(small: Path) -> None:
    lock = lock_path(small)
    with writing(small):
        line = lock.read_bytes()
    # a shorter name over a longer one, cut off before the rest of the longer one was
    lock.write_bytes(line + b'than", "since": "2026"}\n')
    with writing(small) as store:
        assert str(store.recovery.to_text()).count(f"process {os.getpid()} (") == 1
        assert len(lock.read_bytes().splitlines()) == 1


def test_a_second_writer_waits_for_the_first(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = writing(small)
    monkeypatch.setattr("time.sleep", lambda _: first.close())
    with writing(small) as second:
        second.add_sku(Sku("d"))


def test_a_read_only_disk_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, flags: int, *rest: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system", str(path))
        return really(path, flags, *rest)

    really = os.open
    monkeypatch.setattr("os.open", read_only)
    with pytest.raises(OutputError, match=r"gallery\.db: cannot be written: Read-only file system"):
        writing(small)


def test_a_full_disk_keeps_what_was_acknowledged_and_still_opens(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)  # no room even for the name of the lock's holder
    with writing(small) as store:
        store.add_sku(Sku("d"))
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        acknowledged = ["a", "b", "c", "d"]
        with pytest.raises(OutputError, match=r"gallery\.db: cannot be written: database or disk"):
            fill(store, acknowledged)
        assert {sku.sku_id for sku in store.skus()} == set(acknowledged)
    assert set(skus(small)) == set(acknowledged)
    assert verify_gallery(small).ok


def test_changes_in_a_journal_on_a_read_only_disk_are_not_left_out(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(small) as store:
        store.add_sku(Sku("d"))
        disk = small.parent / "disk"
        disk.mkdir()
        for name in ("gallery.db", "gallery.db-wal", "gallery.db.seq"):
            shutil.copy(small.with_name(name), disk)

    class NoSharedMemory:
        """What SQLite is on a disk where it can make no index of the journal."""

        def execute(self, _: str) -> None:
            raise sqlite3.OperationalError("unable to open database file")

        def close(self) -> None:
            pass

    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(connection, "_connect", lambda *_: NoSharedMemory())
    with pytest.raises(GalleryError, match=r"are in gallery\.db-wal.*on a read-only disk"):
        GalleryStore.open(disk / "gallery.db")


def test_readers_are_never_misled_by_a_writer_at_work(small: Path) -> None:
    writer = os.fork()
    if writer == 0:
        try:
            with writing(small) as store:
                for number in range(40):
                    store.add_sku(Sku(f"n{number}"))
                    if number % 10 == 0:
                        store.compact()
            for _ in range(3):
                replace_by_an_empty_one(small)
        finally:
            os._exit(0)
    counts = []
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        with GalleryStore.open(small) as store:
            counts.append(len(store.skus()))
    assert 0 in counts[-1:] or len(skus(small)) == 0
    assert len(counts) > 3


# ------------------------------------------------------------------------- leftovers, renaming


def test_half_written_files_are_removed_at_the_next_write(small: Path) -> None:
    left = [
        ".gallery.db.0a1b2c3d.tmp",
        ".gallery.db.0a1b2c3d.tmp-shm",
        ".gallery.db.0a1b2c3d.tmp-wal",
        ".gallery.db.seq.0a1b2c3d4e5f.tmp",
    ]
    others = [".gallery.db2.0a1b2c3d.tmp", "gallery.db.bak", ".gallery.db.tmp"]
    for name in left + others:
        small.with_name(name).write_bytes(b"half")
    with writing(small) as store:
        assert store.recovery.temporaries == tuple(left)
        assert ".gallery.db.0a1b2c3d.tmp-shm" in store.recovery.to_text()
    assert files(small.parent) == sorted([*others, "gallery.db", "gallery.db.seq"])


def test_a_crash_between_the_two_renames_of_a_replacement_leaves_either_gallery(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.gallery import replace

    class PowerCutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise PowerCutError

    for step in ("publish", "discard"):
        calls: list[Mark] = []
        with monkeypatch.context() as patch:
            patch.setattr(replace, step, cut)
            if step == "discard":
                really = write_marks
                patch.setattr(
                    replace,
                    "write_marks",
                    lambda path, marks, calls=calls, really=really: (
                        cut() if calls else (calls.extend(marks), really(path, marks))
                    ),
                )
            with pytest.raises(PowerCutError):
                replace_by_an_empty_one(small)
        assert skus(small) == ([] if step == "discard" else ["a", "b", "c"])
        with writing(small) as store:
            store.add_sku(Sku("z"))
            store.remove_skus(["z"])
        assert len(read_marks(small) or ()) == 1


# ------------------------------------------------------------------------------------- schemas


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A gallery that was made by schema 1: SKUs a, b, c with references 4, 5, 6, 7."""
    return Path(shutil.copy(Path(__file__).with_name("schema1.db"), tmp_path / "gallery.db"))


def test_a_gallery_of_schema_1_is_read_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    with GalleryStore.open(old, tower=TOWER) as store:
        assert [sku.sku_id for sku in store.skus()] == ["a", "b", "c"]
        assert store.vectors().ids.tolist() == [4, 5, 6, 7]
        assert store.changes_since(0) is None
        assert store.history() == ()
    assert verify_gallery(old).ok
    assert old.read_bytes() == before
    assert files(old.parent) == ["gallery.db"]


def test_a_writer_migrates_schema_1_and_loses_nothing(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with GalleryStore.open(old) as store:
        before = store.snapshot()
    with caplog.at_level(logging.WARNING), writing(old) as store:
        after = store.snapshot()
        assert (after.version, after.skus) == (before.version, before.skus)
        assert after.references.digest == before.references.digest
        assert store.changes_since(store.last_seq) is not None
        store.merge("a", "b")
        store.undo()
        assert store.snapshot().skus == before.skus
    assert "migrated from schema 1 to 2" in caplog.text
    assert verify_gallery(old).ok
    assert files(old.parent) == ["gallery.db", "gallery.db.seq"]


def test_a_gallery_that_schema_2_has_written_stays_loadable(tmp_path: Path) -> None:
    path = tmp_path / "schema2.db"
    for name in (path.name, path.name + ".seq"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    with GalleryStore.open(path, tower=TOWER) as store:
        assert [sku.sku_id for sku in store.skus()] == ["a", "b", "c"]
        assert store.vectors().ids.tolist() == [4, 6, 7]
    assert verify_gallery(path).ok
    with writing(path) as store:
        assert [change.kind for change in store.history()][-2:] == ["merge", "undo"]
        assert store.undo().kind == "remove_references"
        assert store.vectors().ids.tolist() == [4, 5, 6, 7]


def test_a_damaged_row_stops_a_migration_and_leaves_schema_1(old: Path) -> None:
    raw = sqlite3.connect(old)
    raw.execute('UPDATE "references" SET quality = 1 WHERE id = 5')
    raw.commit()
    raw.close()
    with pytest.raises(GalleryError, match=r"cannot be migrated from schema 1: .*reference 5"):
        writing(old)
    raw = sqlite3.connect(old)
    assert raw.execute("PRAGMA user_version").fetchone() == (1,)
    raw.close()


def test_a_migration_cut_off_before_its_commit_is_made_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("edge.gallery.opening.write_marks", cut)
        with pytest.raises(KeyboardInterrupt):
            writing(old)
    with writing(old) as store:
        assert len(store.vectors()) == 4


def test_a_newer_schema_is_refused_and_an_older_program_says_so(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_shelf_life(raw: sqlite3.Connection) -> None:
        raw.execute("CREATE TABLE shelf_lives (sku_id TEXT, days INTEGER) STRICT")

    newer = max(schema.MIGRATIONS) + 1
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", {**schema.MIGRATIONS, newer: add_shelf_life})
        patch.setattr(schema, "SCHEMA_VERSION", newer + 1)
        with writing(small) as store:
            assert len(store.vectors()) == 3
    with pytest.raises(GalleryError, match=f"schema version {newer + 1} is unknown.*1 to {newer}"):
        GalleryStore.open(small)


def test_tables_that_are_not_those_of_the_schema_are_refused(small: Path) -> None:
    raw = sqlite3.connect(small)
    raw.execute("DROP INDEX skus_by_gtin")
    raw.close()
    with pytest.raises(GalleryError, match="its tables are not those of schema version 2"):
        GalleryStore.open(small)
