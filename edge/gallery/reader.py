"""A gallery file as a reader sees it: one committed state at a time, every row verified."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge.closing import Closing
from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.connection import schema_version, sqlite_errors
from edge.gallery.following import read_changes
from edge.gallery.ledger import Ledger
from edge.gallery.meta import Meta
from edge.gallery.packed_skus import PackedSkus, SkuPlaces
from edge.gallery.records import Change, Changes, Reference, ReferenceSet, Sku, Snapshot
from edge.types import I32

Places = Callable[[Sequence[str]], Sequence[int] | I32]
"""Of SKU ids: where each is in the list of SKUs, -1 for one that is not there."""


class GalleryReader(Closing):
    """An open gallery. All errors are GalleryError with one line that names the file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Takes over the connection."""
        self.path = path
        self._connection = connection
        with sqlite_errors(path):
            self._schema_version = schema_version(connection)
        self._ledger = Ledger(path, connection, self._schema_version)
        meta = self._ledger.meta()
        self.gallery_id, self.tower, self.dim = meta.gallery_id, meta.tower, meta.dim
        self.precision, self.created_at = meta.precision, meta.created_at

    @property
    def version(self) -> str:
        """The last change's sequence number and the gallery's id: ``152-3f9a1c20``."""
        return self._ledger.meta().version

    @property
    def last_seq(self) -> int:
        """The last change's sequence number."""
        return self._ledger.meta().last_seq

    @property
    def reference_count(self) -> int:
        """The number of references."""
        return self._ledger.meta().reference_count

    def skus(self) -> tuple[Sku, ...]:
        """All products, sorted by id."""
        with self._ledger.reading() as meta:
            return tuple(sorted(self._each_sku(meta), key=lambda sku: sku.sku_id))

    def packed_skus(self) -> PackedSkus:
        """All products, in a tenth of the memory."""
        with self._ledger.reading() as meta:
            try:
                return PackedSkus.of(self._each_sku(meta))
            except ValueError as error:
                raise GalleryError(f"{self.path}: damaged gallery: {error}") from error

    def references(self, sku_id: str | None = None) -> Iterator[Reference]:
        """All references, or those of one SKU, with their pictures, one at a time, by id."""
        where, values = ("", ()) if sku_id is None else ("WHERE sku_id = ?", (sku_id,))
        with sqlite_errors(self.path):
            cursor = self._connection.execute(
                f'SELECT {rows.REFERENCE_ROW} FROM "references" {where} ORDER BY id', values
            )
            for row in cursor:
                yield rows.to_reference(row, self.dim, str(self.path))

    def same_picture(self, source_sha256: str) -> dict[int, str]:
        """The SKU, by reference id, of every reference made from this very file."""
        with sqlite_errors(self.path):
            found = self._connection.execute(
                'SELECT id, sku_id FROM "references" WHERE source_sha256 = ? ORDER BY id',
                (source_sha256,),
            )
            return dict(found.fetchall())

    def vectors(self) -> ReferenceSet:
        """All vectors, each row verified; the pictures are not read."""
        return self.snapshot().references

    def snapshot(self) -> Snapshot:
        """Version, SKUs and vectors of one committed state."""
        with self._ledger.reading() as meta:
            skus = self.skus()
            place = {sku.sku_id: i for i, sku in enumerate(skus)}
            references = self._vectors(meta, lambda ids: [place.get(sku_id, -1) for sku_id in ids])
            return Snapshot(meta.version, meta.last_seq, skus, references)

    def blocks(
        self, size: int, *, after: int = -1, skus: PackedSkus | None = None
    ) -> Iterator[ReferenceSet]:
        """All vectors of one committed state in blocks of ``size`` references, each row verified.

        For galleries that are too large for ``snapshot``. Only those with ids above ``after``; from
        the beginning on, the end also finds whether any is missing. ``sku_index`` is into ``skus``,
        the ``packed_skus`` of this very state where the caller has them.
        """
        with self._ledger.reading() as meta:
            places = SkuPlaces(self.packed_skus() if skus is None else skus)
            yield from self._blocks(meta, places, size, after)

    def changes_since(self, seq: int) -> Changes | None:
        """What differs between the state after change ``seq`` and the latest, vectors verified.

        None where that cannot be told and the reader must take a new ``snapshot``: the journal
        does not reach back to ``seq``, ``seq`` lies ahead of this file, or too much has changed.
        """
        with self._ledger.reading() as meta:
            if self._schema_version == 1:
                return None
            return read_changes(self.path, self._connection, self._ledger.journal, meta, seq)

    def history(self) -> tuple[Change, ...]:
        """The changes that the journal still holds, oldest first; none in schema 1."""
        return self._ledger.history()

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
        try:
            with self._ledger.reading():
                self._check_edges()
                self._ledger.check_what_undo_needs()
        except GalleryError as error:
            yield str(error)

    def close(self) -> None:
        """Close the file; what was opened is not usable any more."""
        self._connection.close()

    def _each_sku(self, meta: Meta) -> Iterator[Sku]:
        """All products, by id as SQLite keeps them; at the end, whether any is missing."""
        count, total = 0, rows.NOTHING
        for row in self._connection.execute(f"SELECT {rows.SKU_ROW} FROM skus"):
            yield rows.to_sku(row, str(self.path))
            count, total = count + 1, rows.plus(total, row[-1])
        self._check_whole("SKUs", count, meta.sku_count, total, meta.sku_sum)

    def _vectors(self, meta: Meta, places: Places) -> ReferenceSet:
        n = meta.reference_count
        ids, sku_index = np.zeros(n, np.int64), np.zeros(n, np.int32)
        vectors = np.zeros((n, self.dim), np.float32)
        digest = hashlib.sha256()
        at = 0
        for block in self._blocks(meta, places, 4096, -1):
            place = slice(at, at := at + len(block))
            ids[place], sku_index[place] = block.ids, block.sku_index
            vectors[place] = block.vectors
            digest.update(block.digest.encode())
        return ReferenceSet(ids, sku_index, vectors, digest.hexdigest())

    def _blocks(self, meta: Meta, places: Places, size: int, after: int) -> Iterator[ReferenceSet]:
        count, total, last = 0, rows.NOTHING, after
        cursor = self._connection.execute(
            f'SELECT {rows.REFERENCE_COLUMNS} FROM "references" WHERE id > ? ORDER BY id', (after,)
        )
        while found := cursor.fetchmany(size):
            ids = np.array([row[0] for row in found], np.int64)
            sku_index = np.array(places([row[rows.REFERENCE_SKU] for row in found]), np.int32)
            vectors = np.zeros((len(found), self.dim), np.float32)
            digest = hashlib.sha256()
            for at, row in enumerate(found):
                what = f"{self.path}: reference {row[0]}"
                _, sku_id, blob, *_ = rows.verify(row, what)
                if sku_index[at] < 0:
                    raise GalleryError(f"{what}: its SKU {sku_id!r} is missing")
                vectors[at] = rows.to_vector(blob, self.dim, what)
                digest.update(row[-1])
            if ids[0] <= last or np.any(np.diff(ids) <= 0):
                raise GalleryError(f"{self.path}: damaged gallery: references out of order")
            count, last = count + len(found), int(ids[-1])
            total = rows.plus(total, *(row[-1] for row in found))
            if after < 0 and count > meta.reference_count:
                break  # more than there should be: no need to read them all
            yield ReferenceSet(ids, sku_index, vectors, digest.hexdigest())
        if after < 0:
            self._check_whole("references", count, meta.reference_count, total, meta.reference_sum)

    def _check_whole(
        self, what: str, found: int, expected: int, total: bytes, expected_total: bytes
    ) -> None:
        if found != expected:
            raise GalleryError(
                f"{self.path}: damaged gallery: {found} {what} found, {expected} were enrolled"
            )
        if total != expected_total and self._schema_version > 1:
            raise GalleryError(
                f"{self.path}: damaged gallery: its {what} are not those that were enrolled last"
            )

    def _check_edges(self) -> None:
        expected: dict[tuple[str, str], int] = {}
        for sku in self._each_sku(self._ledger.meta()):
            for edge in sku.category_edges:
                expected[edge] = expected.get(edge, 0) + 1
        if self._schema_version == 1:
            return
        found = self._connection.execute("SELECT parent, child, skus FROM category_edges")
        if {(parent, child): count for parent, child, count in found} != expected:
            raise GalleryError(
                f"{self.path}: damaged gallery: its categories are not counted right"
            )
