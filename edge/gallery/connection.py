"""Opening ``gallery.db``: SQLite settings, read-only media, and errors that name the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import EdgeError, GalleryError, OutputError
from edge.gallery import schema
from edge.gallery.schema import APPLICATION_ID

BUSY_TIMEOUT_S = 5.0
_MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, section 1.3


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into GalleryError or OutputError with one line that names ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error
    except UnicodeDecodeError as error:
        # SQLite quotes damaged text in its message, which Python then cannot decode
        raise GalleryError(f"{path}: damaged gallery: text that is not UTF-8") from error


def create(path: Path) -> sqlite3.Connection:
    """A new database in WAL mode at ``path``, which must not exist; without tables yet."""
    if path.exists():
        raise GalleryError(f"{path}: already exists")
    with sqlite_errors(path):
        connection = _connect(path, "rwc")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _prepare_writer(connection)
    return connection


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open an existing gallery and check that it is one, of a schema that this program knows.

    Raises GalleryError.
    """
    if not path.exists():
        raise GalleryError(f"{path}: no such gallery")
    if not path.is_file():
        raise GalleryError(f"{path}: not a gallery file")
    with sqlite_errors(path):
        connection = _open_reader(path) if read_only else _connect(path, "rw")
        try:
            _check_tables(connection, path)
            _check_length(connection, path)
            if not read_only:
                _prepare_writer(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def schema_version(connection: sqlite3.Connection) -> int:
    """The schema of an open gallery."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def journal_size(path: Path) -> int:
    """Bytes in the journal beside the gallery at ``path``; 0 where there is none.

    Asked for once: a writer at work may remove the file at any moment.
    """
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def take_over(path: Path) -> None:
    """Make an existing gallery file safe to replace: its journal is folded in and removed.

    SQLite would otherwise apply a journal left by a killed process to the file that takes this
    one's place. Raises GalleryError when the file is something else than a gallery, or another
    process is using it; a gallery that is damaged just loses its journal.
    """
    if not path.exists():
        return
    foreign = GalleryError(f"{path}: exists and is not a gallery: remove it first")
    try:
        with sqlite_errors(path):
            connection = _connect(path, "rw")
            try:
                if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                    raise foreign
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("COMMIT")
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.close()
    except GalleryError as error:
        if error is foreign or not (_is_busy(error) or _begins_as_a_gallery(path)):
            raise foreign from error
        busy = _is_busy(error)
    if busy:
        raise GalleryError(f"{path}: another process is using this gallery")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _begins_as_a_gallery(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(72)
    return start[:16] == _MAGIC and start[68:] == APPLICATION_ID.to_bytes(4, "big")


def _connect(path: Path, query: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={query}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _open_reader(path: Path) -> sqlite3.Connection:
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        # a writable connection can recover a journal and leaves no file behind; it only reads
        connection = _connect(path, "rw")
    elif journal_size(path):
        connection = _connect(path, "ro")
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.OperationalError as error:
            connection.close()
            raise GalleryError(
                f"{path}: its last changes are in {path.name}-wal, which cannot be folded in on a"
                " read-only disk: open it once where it can be written"
            ) from error
    else:
        connection = _connect(path, "ro&immutable=1")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _prepare_writer(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _check_length(connection: sqlite3.Connection, path: Path) -> None:
    """Notice a lost tail also where only pages that reading does not touch are gone.

    The file is not opened for it: closing it would take away the locks that SQLite holds on it in
    this process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    connection.execute("BEGIN")
    try:
        # while this reads from the file alone, no checkpoint of a writer at work can change it
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        if journal_size(path):
            return  # the tail may still be in the journal
        size = path.stat().st_size
    finally:
        connection.execute("ROLLBACK")
    if size < pages * page_size:
        raise GalleryError(f"{path}: damaged gallery: {size} of {pages * page_size} bytes are left")


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise GalleryError(f"{path}: not a gallery (an SQLite file of another program)")
    version = schema_version(connection)
    if version > schema.SCHEMA_VERSION or version < 1:
        raise GalleryError(
            f"{path}: schema version {version} is unknown, this program reads 1 to"
            f" {schema.SCHEMA_VERSION}"
        )
    if schema.found_tables(connection) != schema.expected_tables(version):
        raise GalleryError(
            f"{path}: damaged gallery: its tables are not those of schema version {version}"
        )


def _is_busy(error: EdgeError) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and _code(cause) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _translate(path: Path, error: sqlite3.Error) -> EdgeError:
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return OutputError(f"{path}: cannot be written: {error}")
    if code == sqlite3.SQLITE_READONLY:
        return OutputError(f"{path}: cannot be written: read-only")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return GalleryError(f"{path}: another process is writing this gallery")
    if code == sqlite3.SQLITE_NOTADB:
        return GalleryError(f"{path}: not a gallery (no SQLite file)")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return GalleryError(f"{path}: cannot be opened, read or written: {error}")
    if isinstance(error, sqlite3.ProgrammingError):  # closed, or of another thread
        return GalleryError(f"{path}: used wrongly: {error}")
    reason = (str(error).splitlines() or [""])[0]  # SQLite quotes whole statements after it
    return GalleryError(f"{path}: damaged gallery: {reason}")
