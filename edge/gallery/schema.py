"""The tables of ``gallery.db`` and the steps from one schema version to the next.

Each row carries a checksum (see ``edge.gallery.rows``); a reference's checksum covers the hash of
its picture instead of the picture, so that vectors can be verified without reading the pictures.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

APPLICATION_ID = 0x53484C46  # "SHLF", shown by file(1)

_VERSION_1 = (
    """
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        gallery_id TEXT NOT NULL,
        tower TEXT NOT NULL,
        dim INTEGER NOT NULL CHECK (dim > 0),
        precision TEXT NOT NULL,
        created_at TEXT NOT NULL,
        last_seq INTEGER NOT NULL,
        sku_count INTEGER NOT NULL,
        reference_count INTEGER NOT NULL,
        checksum BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE skus (
        sku_id TEXT PRIMARY KEY NOT NULL,
        gtin TEXT,
        brand TEXT,
        names TEXT NOT NULL,
        category TEXT NOT NULL,
        seq INTEGER NOT NULL,
        checksum BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # one product may spell its GTIN with 8 to 14 digits: equal when filled up with zeros
    """
    CREATE UNIQUE INDEX skus_by_gtin
    ON skus (substr('00000000000000' || gtin, -14)) WHERE gtin IS NOT NULL
    """,
    """
    CREATE TABLE "references" (
        id INTEGER PRIMARY KEY,
        sku_id TEXT NOT NULL REFERENCES skus (sku_id),
        vector BLOB NOT NULL,
        source TEXT NOT NULL,
        source_sha256 TEXT NOT NULL,
        quality REAL NOT NULL,
        created_at TEXT NOT NULL,
        seq INTEGER NOT NULL,
        jpeg_checksum BLOB NOT NULL,
        checksum BLOB NOT NULL,
        jpeg BLOB NOT NULL
    ) STRICT
    """,
    'CREATE INDEX references_by_sku ON "references" (sku_id)',
)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_1:
        connection.execute(statement)


MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {0: _create}
"""The step from each schema version to the next."""

SCHEMA_VERSION = max(MIGRATIONS) + 1


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a gallery of schema ``version`` to ``SCHEMA_VERSION`` within the open transaction."""
    for step in range(version, SCHEMA_VERSION):
        MIGRATIONS[step](connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
