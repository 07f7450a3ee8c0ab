"""The one row that says what a gallery is and how much it holds."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.sidecar import Mark


@dataclass(slots=True)
class Meta:
    """The one row of ``meta``, in the order of META_COLUMNS.

    ``sku_sum`` and ``reference_sum`` are the sums of all row checksums (``rows.plus``).
    """

    gallery_id: str
    tower: str
    dim: int
    precision: str
    created_at: str
    last_seq: int
    sku_count: int
    reference_count: int
    sku_sum: bytes = rows.NOTHING
    reference_sum: bytes = rows.NOTHING

    @property
    def version(self) -> str:
        """The last change's sequence number and the gallery's id: ``152-3f9a1c20``."""
        return f"{self.last_seq}-{self.gallery_id}"

    def mark(self, change: str) -> Mark:
        """What the sidecar says of this state."""
        return Mark(self.gallery_id, self.last_seq, change)


def read_meta(connection: sqlite3.Connection, path: Path, schema_version: int) -> Meta:
    """The verified row; GalleryError when it is damaged. Schema 1 has no sums."""
    columns = rows.META_COLUMNS_1 if schema_version == 1 else rows.META_COLUMNS
    found = connection.execute(f"SELECT {columns}, checksum FROM meta").fetchall()
    if len(found) != 1:
        raise GalleryError(f"{path}: damaged gallery: {len(found)} rows in meta")
    return Meta(*rows.verify(found[0], f"{path}: meta"))


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    """Put ``meta`` in place of the row, within the open transaction."""
    connection.execute("DELETE FROM meta")
    rows.insert(connection, "meta", f"id, {rows.META_COLUMNS}", (1, *astuple(meta)))
