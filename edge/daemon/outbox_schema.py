"""The tables of the outbox, and how its file is opened or set aside."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from edge.errors import OutputError

log = logging.getLogger("edge.outbox")

FORMAT = 1
BUSY_MS = 5000
WAL_LIMIT_BYTES = 8 * 1024 * 1024

_TABLES = f"""
CREATE TABLE events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    camera TEXT NOT NULL,
    kind TEXT NOT NULL,
    snapshot INTEGER NOT NULL,
    payload TEXT NOT NULL);
CREATE INDEX events_oldest_snapshot ON events(snapshot, seq);
CREATE TABLE state(name TEXT PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE sinks(name TEXT PRIMARY KEY, acked INTEGER NOT NULL);
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE totals(one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER, bytes INTEGER);
INSERT INTO totals VALUES (1, 0, 0);
CREATE TRIGGER events_added AFTER INSERT ON events BEGIN
    UPDATE totals SET rows = rows + 1, bytes = bytes + length(CAST(new.payload AS BLOB)); END;
CREATE TRIGGER events_gone AFTER DELETE ON events BEGIN
    UPDATE totals SET rows = rows - 1, bytes = bytes - length(CAST(old.payload AS BLOB)); END;
PRAGMA user_version = {FORMAT};
"""


class DamagedError(OutputError):
    """The file is no sound database any more; only a new start can mend that."""


def connect(path: Path, *, mend: bool) -> sqlite3.Connection:
    """Open or create the outbox at ``path``: WAL, every commit on disk before it returns.

    With ``mend``, a file that SQLite finds damaged is renamed to ``<name>.damaged`` and a new one
    begun: a device in a store must not stay silent because of a lost sector. Only for the first
    process that opens it: the others would go on with the file that was renamed.

    Raises:
        DamagedError: without ``mend``.
        OutputError: no permission, no space, or a format of a newer version.
    """
    try:
        db = _open(path)
        if mend and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            db.close()
            raise sqlite3.DatabaseError("quick_check failed")
        return db
    except sqlite3.DatabaseError as error:
        if not mend or not (_damaged(error) or str(error) == "quick_check failed"):
            raise cannot_write(path, error) from error
        aside = path.with_name(f"{path.name}.damaged")
        log.error("outbox damaged, set aside", extra={"file": str(path), "aside": str(aside)})
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
    try:
        return _open(path)
    except sqlite3.Error as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: sqlite3.Error) -> OutputError:
    """The one line for a write that failed, naming the file and the cause."""
    kind = DamagedError if _damaged(error) else OutputError
    return kind(f"{path}: cannot be written: {error}")


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version == 0:
        db.execute("BEGIN IMMEDIATE")
        try:
            # another process may have been first
            if _version(db) == 0:
                for statement in _statements(_TABLES):
                    db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
    elif version != FORMAT:
        raise OutputError(f"{path}: outbox of format {version} (this version writes {FORMAT})")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> list[str]:
    found, part = [], ""
    for line in script.strip().splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found


def _damaged(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
