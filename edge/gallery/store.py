"""``gallery.db``: the enrolled SKUs and their references, and the only truth about them."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from edge.errors import GalleryError
from edge.gallery import connection as sqlite
from edge.gallery import rows, schema
from edge.gallery.ledger import Ledger, Meta
from edge.gallery.records import (
    NewReference,
    Reference,
    ReferenceSet,
    Sku,
    Snapshot,
)
from edge.types import F32

_NORM_TOLERANCE = 1e-3


class GalleryStore:
    """A gallery file that is open for reading, or by its one writer.

    Every write is one transaction that is on disk when the call returns. All errors are
    GalleryError (OutputError when the disk is full or read-only) with one line that names the
    file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Used by ``create`` and ``open``; takes over the connection."""
        self.path = path
        self._connection = connection
        self._ledger = Ledger(path, connection)
        meta = self._ledger.meta()
        self.tower, self.dim, self.precision = meta.tower, meta.dim, meta.precision
        self.created_at = meta.created_at

    @classmethod
    def create(cls, path: Path, *, tower: str, dim: int, precision: str) -> Self:
        """An empty gallery for vectors of length ``dim`` from the tower with this fingerprint."""
        connection = sqlite.create(path)
        meta = Meta(secrets.token_hex(4), tower, dim, precision, _now(), 0, 0, 0)
        try:
            with sqlite.sqlite_errors(path):
                connection.execute("BEGIN IMMEDIATE")
                schema.migrate(connection, 0)
                Ledger(path, connection).write(meta)
                connection.execute("COMMIT")
            return cls(path, connection)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open(cls, path: Path, *, tower: str | None = None, read_only: bool = True) -> Self:
        """Open a gallery; with ``tower``, only when that tower made its vectors."""
        connection = sqlite.connect(path, read_only=read_only)
        try:
            store = cls(path, connection)
            if tower is not None and tower != store.tower:
                raise GalleryError(
                    f"{path}: made with image tower {store.tower}, the bundle has {tower}: build"
                    " the gallery again"
                )
        except BaseException:
            connection.close()
            raise
        return store

    @property
    def version(self) -> str:
        """The last change's sequence number and the gallery's id: ``152-3f9a1c20``."""
        return self._ledger.meta().version

    def add_sku(self, sku: Sku) -> None:
        """Enrol a product; refuses a ``sku_id`` or GTIN that is there already."""
        self.add_skus([sku])

    def add_skus(self, skus: Sequence[Sku]) -> None:
        """Enrol products, all or none."""
        with self._ledger.writing() as meta:
            for sku in skus:
                meta.last_seq += 1
                meta.sku_count += 1
                values = rows.sku_values(sku, meta.last_seq)
                try:
                    self._insert("skus", rows.SKU_ROW, (*values, rows.checksum(values)))
                except sqlite3.IntegrityError as error:
                    taken = f"GTIN {sku.gtin}" if "skus_by_gtin" in str(error) else "its id"
                    raise GalleryError(
                        f"{self.path}: SKU {sku.sku_id!r}: {taken} is enrolled already"
                    ) from error

    def add_references(self, references: Sequence[NewReference]) -> tuple[int, ...]:
        """Enrol pictures, all or none; their new ids, which are never used again."""
        for reference in references:
            self._check(reference)
        ids = []
        with self._ledger.writing() as meta:
            for new in references:
                meta.last_seq += 1
                meta.reference_count += 1
                ids.append(meta.last_seq)
                values = rows.reference_values(new, meta.last_seq, _now())
                row = (*values, rows.checksum(values), new.jpeg)
                try:
                    self._insert('"references"', rows.REFERENCE_ROW, row)
                except sqlite3.IntegrityError as error:
                    raise GalleryError(
                        f"{self.path}: {new.source}: no SKU {new.sku_id!r} to enrol it for"
                    ) from error
        return tuple(ids)

    def skus(self) -> tuple[Sku, ...]:
        """All products, sorted by id."""
        with self._ledger.reading() as meta:
            cursor = self._connection.execute(f"SELECT {rows.SKU_ROW} FROM skus")
            skus = [rows.to_sku(row, str(self.path)) for row in cursor]
            self._check_count("SKUs", len(skus), meta.sku_count)
        return tuple(sorted(skus, key=lambda sku: sku.sku_id))

    def references(self) -> Iterator[Reference]:
        """All references with their pictures, one at a time, by id."""
        with sqlite.sqlite_errors(self.path):
            cursor = self._connection.execute(
                f'SELECT {rows.REFERENCE_ROW} FROM "references" ORDER BY id'
            )
            for row in cursor:
                yield rows.to_reference(row, self.dim, str(self.path))

    def vectors(self) -> ReferenceSet:
        """All vectors, each row verified; the pictures are not read."""
        return self.snapshot().references

    def snapshot(self) -> Snapshot:
        """Version, SKUs and vectors of one committed state."""
        with self._ledger.reading() as meta:
            skus = self.skus()
            return Snapshot(meta.version, meta.last_seq, skus, self._vectors(meta, skus))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All reads within see one committed state."""
        with self._ledger.reading():
            yield

    def structural_problems(self) -> Iterator[str]:
        """What SQLite itself finds wrong with the file's pages, indices and foreign keys."""
        for pragma in ("integrity_check(20)", "foreign_key_check"):
            try:
                found = [tuple(row) for row in self._connection.execute(f"PRAGMA {pragma}")]
            except sqlite3.Error as error:
                found = [(str(error),)]
            for row in found:
                if row != ("ok",):
                    yield f"{self.path}: {', '.join(str(value) for value in row)}"

    def close(self) -> None:
        """Fold the journal into the file and close it; what was opened is not usable any more."""
        try:
            writer = not self._connection.execute("PRAGMA query_only").fetchone()[0]
            if writer:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # the journal stays beside the file and is read at the next start
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _vectors(self, meta: Meta, skus: tuple[Sku, ...]) -> ReferenceSet:
        index_of = {sku.sku_id: i for i, sku in enumerate(skus)}
        n = meta.reference_count
        ids, sku_index = np.zeros(n, np.int64), np.zeros(n, np.int32)
        vectors = np.zeros((n, self.dim), np.float32)
        digest = hashlib.sha256()
        count = 0
        cursor = self._connection.execute(
            f'SELECT {rows.REFERENCE_COLUMNS} FROM "references" ORDER BY id'
        )
        for row in cursor:
            what = f"{self.path}: reference {row[0]}"
            reference_id, sku_id, blob, *_ = rows.verify(row, what)
            if sku_id not in index_of:
                raise GalleryError(f"{what}: its SKU {sku_id!r} is missing")
            if count < n:
                ids[count], sku_index[count] = reference_id, index_of[sku_id]
                vectors[count] = rows.to_vector(blob, self.dim, what)
            digest.update(row[-1])
            count += 1
        self._check_count("references", count, n)
        if np.any(np.diff(ids) <= 0):
            raise GalleryError(f"{self.path}: damaged gallery: references out of order")
        return ReferenceSet(ids, sku_index, vectors, digest.hexdigest())

    def _insert(self, table: str, columns: str, values: tuple[object, ...]) -> None:
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)

    def _check_count(self, what: str, found: int, expected: int) -> None:
        if found != expected:
            raise GalleryError(
                f"{self.path}: damaged gallery: {found} {what} found, {expected} were enrolled"
            )

    def _check(self, reference: NewReference) -> None:
        vector: F32 = reference.vector
        where = f"{self.path}: {reference.source}"
        if vector.shape != (self.dim,) or vector.dtype != np.float32:
            raise GalleryError(
                f"{where}: vector must be float32 ({self.dim},), got {vector.dtype} {vector.shape}"
            )
        norm = float(np.linalg.norm(vector))
        if not abs(norm - 1.0) <= _NORM_TOLERANCE:
            raise GalleryError(f"{where}: vector must have L2 norm 1, got {norm:.4g}")
        if not reference.jpeg.startswith(b"\xff\xd8"):
            raise GalleryError(f"{where}: the reference's picture is not a JPEG")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
