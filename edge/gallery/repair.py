"""Taking a gallery as it is, when its sidecar cannot vouch for it."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import connection as sqlite
from edge.gallery import schema
from edge.gallery.ledger import Ledger, now
from edge.gallery.meta import Meta, write_meta
from edge.gallery.recovery import remove_leftovers, unacknowledged
from edge.gallery.sidecar import Mark, read_marks, write_marks
from edge.gallery.store import GalleryStore
from edge.gallery.writer_lock import WriterLock


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was wrong with a gallery's sidecar (None when nothing was), and what it is now."""

    path: str
    found: str | None
    version: str
    skus: int
    references: int
    removed: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """For machines: all fields."""
        return asdict(self)


def repair_gallery(path: Path, *, accept_loss: bool = False) -> RepairReport:
    """Write the sidecar of the gallery at ``path`` anew, after every row was read and found whole.

    From then on it is a gallery of its own, with a new id: nobody can say any more which changes
    it shares with the one that it was. Acknowledged changes that are known to be lost are refused
    unless ``accept_loss``; their numbers are not used again.

    Raises GalleryError when a row or page is damaged, which no repair can undo.
    """
    if not path.is_file():
        raise GalleryError(f"{path}: no such gallery")
    with WriterLock(path, wait_s=sqlite.BUSY_TIMEOUT_S):
        removed = remove_leftovers(path)
        _read_everything(path)
        connection = sqlite.connect(path, read_only=False)
        try:
            with sqlite.sqlite_errors(path):
                found, meta = _put_right(path, connection, accept_loss=accept_loss)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    return RepairReport(
        str(path), found, meta.version, meta.sku_count, meta.reference_count, removed
    )


def _read_everything(path: Path) -> None:
    with GalleryStore.open(path, check_tail=False) as store:
        problems = list(store.structural_problems())
        if not problems:
            try:
                store.snapshot()
                for _ in store.references():
                    pass
            except GalleryError as error:
                problems = [str(error)]
    if problems:
        raise GalleryError(f"cannot be repaired, put back a copy: {problems[0]}")


def _put_right(
    path: Path, connection: sqlite3.Connection, *, accept_loss: bool
) -> tuple[str | None, Meta]:
    """What was wrong, and the state after it was put right."""
    version = sqlite.schema_version(connection)
    ledger = Ledger(path, connection, version)
    if version < schema.SCHEMA_VERSION:
        return None, ledger.meta()  # has no sidecar yet, and gets one when it is migrated
    connection.execute("BEGIN IMMEDIATE")
    try:
        meta = ledger.meta()
        marks: tuple[Mark, ...] | None = None
        try:
            marks = read_marks(path)
            unacknowledged(path, marks, ledger, meta)
            return None, meta
        except GalleryError as error:
            found = str(error)
        last = max((m.last_seq for m in marks or () if m.gallery_id == meta.gallery_id), default=0)
        if last > meta.last_seq and not accept_loss:
            raise GalleryError(found)
        previous_seq = meta.last_seq
        meta.last_seq = max(meta.last_seq, last) + 1
        meta.gallery_id = secrets.token_hex(4)
        change = ledger.journal.append(meta, previous_seq, "repair", now(), "taken as it was", [])
        write_meta(connection, meta)
        # before the commit, beside what is there: whichever state a crash leaves has its line
        write_marks(path, [*(marks or ()), meta.mark(change.summary)])
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    write_marks(path, [meta.mark(change.summary)])
    return found, meta
