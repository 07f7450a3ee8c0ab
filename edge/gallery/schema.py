"""The tables of ``gallery.db`` and the steps from one schema version to the next.

Each row carries a checksum (see ``edge.gallery.rows``); a reference's checksum covers the hash of
its picture instead of the picture, so that vectors can be verified without reading the pictures.
The row of ``meta`` holds the sum of all these checksums, so that a row that is missing, twice there
or of an earlier state is noticed too.

Schema 2 adds those sums, the journal of changes, the removed references that undo needs, and the
category edges. The tables that a reader of schema 1 needs are unchanged but for ``meta``.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Mapping

from edge.gallery import rows

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

_VERSION_2 = (
    "DROP TABLE meta",
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
        sku_sum BLOB NOT NULL,
        reference_sum BLOB NOT NULL,
        checksum BLOB NOT NULL
    ) STRICT
    """,
    'CREATE INDEX references_by_picture ON "references" (source_sha256)',
    """
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        previous_seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        created_at TEXT NOT NULL,
        summary TEXT NOT NULL,
        undone_by INTEGER,
        weight INTEGER NOT NULL,
        steps_checksum BLOB NOT NULL,
        checksum BLOB NOT NULL,
        steps TEXT NOT NULL
    ) STRICT
    """,
    # its checksum covers removed_seq, so that no row of it can pass for one of "references"
    """
    CREATE TABLE removed_references (
        id INTEGER PRIMARY KEY,
        removed_seq INTEGER NOT NULL,
        sku_id TEXT NOT NULL,
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
    "CREATE INDEX removed_by_seq ON removed_references (removed_seq)",
    """
    CREATE TABLE category_edges (
        parent TEXT NOT NULL,
        child TEXT NOT NULL,
        skus INTEGER NOT NULL CHECK (skus > 0),
        PRIMARY KEY (parent, child)
    ) STRICT, WITHOUT ROWID
    """,
)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_1:
        connection.execute(statement)


def _add_journal(connection: sqlite3.Connection) -> None:
    """From schema 1 to 2; every row is verified on the way. Raises GalleryError for damage."""
    found = connection.execute(f"SELECT {rows.META_COLUMNS_1}, checksum FROM meta").fetchone()
    sums = []
    for what, columns, table in (
        ("SKU", rows.SKU_ROW, "skus"),
        ("reference", rows.REFERENCE_COLUMNS, '"references"'),
    ):
        total = rows.NOTHING
        for row in connection.execute(f"SELECT {columns} FROM {table}"):
            rows.verify(row, f"{what} {row[0]!r}")
            total = rows.plus(total, row[-1])
        sums.append(total)
    edges: dict[tuple[str, str], int] = {}
    for row in connection.execute(f"SELECT {rows.SKU_ROW} FROM skus"):
        for edge in rows.to_sku(row, "skus").category_edges:
            edges[edge] = edges.get(edge, 0) + 1
    for statement in _VERSION_2:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO category_edges (parent, child, skus) VALUES (?, ?, ?)",
        [(parent, child, skus) for (parent, child), skus in edges.items()],
    )
    if found is not None:
        values = (*rows.verify(found, "meta"), *sums)
        rows.insert(connection, "meta", f"id, {rows.META_COLUMNS}", (1, *values))


MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {0: _create, 1: _add_journal}
"""The step from each schema version to the next."""

SCHEMA_VERSION = max(MIGRATIONS) + 1


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a gallery of schema ``version`` to ``SCHEMA_VERSION`` within the open transaction."""
    for step in range(version, SCHEMA_VERSION):
        MIGRATIONS[step](connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@functools.cache
def expected_tables(version: int) -> frozenset[tuple[str, str, str | None]]:
    """Type, name and text of all that a gallery of schema ``version`` consists of."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for step in range(version):
            MIGRATIONS[step](memory)
        return found_tables(memory)
    finally:
        memory.close()


def found_tables(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str | None]]:
    """Type, name and text of all that an open database consists of."""
    rows_found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
    )
    return frozenset((kind, name, text) for kind, name, text in rows_found)
