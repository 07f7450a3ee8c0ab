"""Opening a gallery file for reading, or as its one writer, and making a new one."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.atomic import cannot_write
from edge.errors import GalleryError, OutputError
from edge.gallery import connection as sqlite
from edge.gallery import schema
from edge.gallery.files import publish, sync_file, temporary_name
from edge.gallery.ledger import Ledger
from edge.gallery.meta import Meta, read_meta, write_meta
from edge.gallery.recovery import Recovery, log, remove_leftovers, unacknowledged
from edge.gallery.sidecar import read_marks, sidecar_path, write_marks
from edge.gallery.writer_lock import WriterLock, lock_path

_ATTEMPTS, _RETRY_S = 4, 0.05


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file; a reader has no lock, nor has the writer of an unpublished file."""

    connection: sqlite3.Connection
    lock: WriterLock | None = None
    recovery: Recovery = field(default_factory=Recovery)
    writer: bool = False
    durable: bool = True

    def close(self) -> None:
        """Close the file and let the next writer in."""
        try:
            self.connection.close()
        finally:
            if self.lock is not None:
                self.lock.close()


def open_to_read(path: Path, *, check_tail: bool = True) -> Opened:
    """Open the gallery at ``path``; refused when it lost acknowledged changes."""
    for attempt in range(_ATTEMPTS):
        before = _stand(path)
        try:
            return _open_once(path, check_tail=check_tail)
        except GalleryError:
            # a writer may just have put another file, or another schema, in this one's place
            at_work = lock_path(path).exists() or _stand(path) != before
            if not at_work or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_RETRY_S)
    raise AssertionError("unreachable")


def _open_once(path: Path, *, check_tail: bool) -> Opened:
    connection = sqlite.connect(path, read_only=True)
    try:
        version = sqlite.schema_version(connection)
        if check_tail and version > 1:
            ledger = Ledger(path, connection, version)
            # the sidecar first: a writer at work may then be ahead of it, but never behind
            marks = read_marks(path)
            with ledger.reading() as meta:
                changes = unacknowledged(path, marks, ledger, meta)
            if changes:
                log.info("%s: %d change(s) not acknowledged yet", path, len(changes))
    except BaseException:
        connection.close()
        raise
    return Opened(connection)


def _stand(path: Path) -> list[tuple[int, int, int] | None]:
    """Which files are there now, and when they were last written."""
    found: list[tuple[int, int, int] | None] = []
    for one in (path, sidecar_path(path)):
        try:
            status = one.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def open_to_write(path: Path) -> Opened:
    """Open the gallery at ``path`` as its one writer, and put in order what a crash has left.

    An older schema is migrated. Raises GalleryError that names who holds it, OutputError where the
    disk is read-only.
    """
    if not path.is_file():
        raise GalleryError(
            f"{path}: {'not a gallery file' if path.exists() else 'no such gallery'}"
        )
    lock = WriterLock(path, wait_s=sqlite.BUSY_TIMEOUT_S)
    try:
        temporaries = remove_leftovers(path)
        replayed = sqlite.journal_size(path) if lock.left_by else 0
        marks = read_marks(path)
        connection = sqlite.connect(path, read_only=False)
        try:
            with sqlite.sqlite_errors(path):
                if sqlite.schema_version(connection) < schema.SCHEMA_VERSION:
                    _migrate(path, connection)
                    marks = read_marks(path)
            ledger = Ledger(path, connection, schema.SCHEMA_VERSION)
            with ledger.reading() as meta:
                changes = unacknowledged(path, marks, ledger, meta)
                if changes:
                    ledger.acknowledge(meta, changes[-1].summary)
        except BaseException:
            connection.close()
            raise
        recovery = Recovery(lock.left_by, replayed, changes, temporaries)
        if recovery:
            log.warning("%s: %s", path, recovery.to_text())
        return Opened(connection, lock, recovery, writer=True)
    except BaseException:
        lock.close()
        raise


def create(path: Path, meta: Meta) -> Opened:
    """A new, empty gallery, opened to write; complete when it gets its name, with its sidecar."""
    with WriterLock(path, wait_s=sqlite.BUSY_TIMEOUT_S):
        if path.exists():
            raise GalleryError(f"{path}: already exists")
        temporary = temporary_name(path)
        try:
            create_unpublished(temporary, meta).close()
            sync_file(temporary)
            write_marks(path, [meta.mark("made")])
            publish(temporary, path)
        except (GalleryError, OutputError) as error:
            raise type(error)(str(error).replace(str(temporary), str(path))) from error
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            for suffix in ("", "-wal", "-shm"):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
    return open_to_write(path)


def create_unpublished(path: Path, meta: Meta) -> Opened:
    """A new, empty gallery under a temporary name, opened to write.

    Without sidecar, and nothing of it is surely on disk before it is synced and published.
    """
    connection = sqlite.create(path)
    try:
        with sqlite.sqlite_errors(path):
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            schema.migrate(connection, 0)
            write_meta(connection, meta)
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return Opened(connection, writer=True, durable=False)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    version = sqlite.schema_version(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        meta = read_meta(connection, path, version)
        schema.migrate(connection, version)
        if version == 1:
            # before the commit: schema 2 is never without its sidecar, schema 1 does not mind it
            write_marks(path, [meta.mark(f"migrated from schema {version}")])
        connection.execute("COMMIT")
    except GalleryError as error:
        raise GalleryError(f"{path}: cannot be migrated from schema {version}: {error}") from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    log.warning("%s: migrated from schema %d to %d", path, version, schema.SCHEMA_VERSION)
