"""The one row that says what a gallery is and how much it holds, and the transactions around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.connection import sqlite_errors


@dataclass(slots=True)
class Meta:
    """The one row of ``meta``, in the order of META_COLUMNS."""

    gallery_id: str
    tower: str
    dim: int
    precision: str
    created_at: str
    last_seq: int
    sku_count: int
    reference_count: int

    @property
    def version(self) -> str:
        """The last change's sequence number and the gallery's id: ``152-3f9a1c20``."""
        return f"{self.last_seq}-{self.gallery_id}"


class Ledger:
    """Transactions of a gallery whose counts always agree with its rows."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def meta(self) -> Meta:
        """The verified meta row; GalleryError when it is damaged."""
        with sqlite_errors(self._path):
            found = self._connection.execute(
                f"SELECT {rows.META_COLUMNS}, checksum FROM meta"
            ).fetchall()
        if len(found) != 1:
            raise GalleryError(f"{self._path}: damaged gallery: {len(found)} rows in meta")
        return Meta(*rows.verify(found[0], f"{self._path}: meta"))

    def write(self, meta: Meta) -> None:
        """Put ``meta`` in place of the row, within the open transaction."""
        values = astuple(meta)
        values = (*values, rows.checksum(values))
        self._connection.execute(
            f"INSERT OR REPLACE INTO meta (id, {rows.META_COLUMNS}, checksum)"
            f" VALUES (1, {', '.join('?' * len(values))})",
            values,
        )

    @contextmanager
    def reading(self) -> Iterator[Meta]:
        """One committed state for all reads within; nested uses share it."""
        with sqlite_errors(self._path):
            outermost = not self._connection.in_transaction
            if outermost:
                self._connection.execute("BEGIN")
            try:
                yield self.meta()
            finally:
                if outermost and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[Meta]:
        """A transaction; what the caller changed in the meta row is written before it commits."""
        with sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                meta = self.meta()
                yield meta
                self.write(meta)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
