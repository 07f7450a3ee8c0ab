"""References of an open change: live rows, removed rows that undo can bring back, and sums."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.meta import Meta
from edge.gallery.records import NewReference


class ReferenceRows:
    """The references of one open transaction. Errors are GalleryError that names file and id."""

    def __init__(self, path: Path, connection: sqlite3.Connection, meta: Meta) -> None:
        self._path = path
        self._connection = connection
        self._meta = meta

    def of_sku(self, sku_id: str) -> list[int]:
        """The ids of a SKU's references, ascending."""
        found = self._connection.execute(
            'SELECT id FROM "references" WHERE sku_id = ? ORDER BY id', (sku_id,)
        )
        return [row[0] for row in found]

    def add(self, references: Sequence[NewReference], at: str) -> range:
        """Insert references; their ids, which count on from the last sequence number."""
        first = self._meta.last_seq + 1
        checksums = []
        for reference_id, new in enumerate(references, first):
            values = rows.reference_values(new, reference_id, at)
            try:
                checksums.append(self._insert(values, new.jpeg))
            except sqlite3.IntegrityError as error:
                raise GalleryError(
                    f"{self._path}: {new.source}: no SKU {new.sku_id!r} to enrol it for"
                ) from error
        self._meta.last_seq += len(references)
        self._meta.reference_count += len(references)
        self._meta.reference_sum = rows.plus(self._meta.reference_sum, *checksums)
        return range(first, self._meta.last_seq + 1)

    def remove(self, ids: Sequence[int]) -> None:
        """Move references out of the gallery, to where undo finds them."""
        self._meta.last_seq += 1
        for reference_id in ids:
            *values, digest, jpeg = self._row(reference_id)
            kept = (values[0], self._meta.last_seq, *values[1:])
            # the same reference may have been removed and restored before
            self._connection.execute("DELETE FROM removed_references WHERE id = ?", (values[0],))
            self._connection.execute(
                f"INSERT INTO removed_references ({rows.REMOVED_ROW})"
                f" VALUES ({', '.join('?' * (len(kept) + 2))})",
                (*kept, rows.checksum(kept), jpeg),
            )
            self._connection.execute('DELETE FROM "references" WHERE id = ?', (reference_id,))
            self._meta.reference_sum = rows.minus(self._meta.reference_sum, digest)
        self._meta.reference_count -= len(ids)

    def restore(self, ids: Sequence[int]) -> None:
        """Put removed references back, to the byte as they were."""
        self._meta.last_seq += 1
        for reference_id in ids:
            row = self._connection.execute(
                f"SELECT {rows.REMOVED_ROW} FROM removed_references WHERE id = ?", (reference_id,)
            ).fetchone()
            what = f"{self._path}: removed reference {reference_id}"
            if row is None:
                raise GalleryError(f"{what}: is not kept any more")
            *kept, jpeg = row
            values = rows.verify(kept, what)
            rows.verify_picture(jpeg, values[-1], what)
            digest = self._insert((values[0], *values[2:]), jpeg)
            self._connection.execute("DELETE FROM removed_references WHERE id = ?", (reference_id,))
            self._meta.reference_sum = rows.plus(self._meta.reference_sum, digest)
        self._meta.reference_count += len(ids)

    def relabel(self, ids: Sequence[int], sku_id: str) -> dict[str, list[int]]:
        """Give references to another SKU, which must exist; those that moved, by the SKU before."""
        moved: dict[str, list[int]] = {}
        self._meta.last_seq += 1
        for reference_id in ids:
            *values, digest, _ = self._row(reference_id)
            before = values[rows.REFERENCE_SKU]
            if before == sku_id:
                continue
            values[rows.REFERENCE_SKU] = sku_id
            values[rows.REFERENCE_SEQ] = self._meta.last_seq
            changed = rows.checksum(values)
            self._connection.execute(
                'UPDATE "references" SET sku_id = ?, seq = ?, checksum = ? WHERE id = ?',
                (sku_id, self._meta.last_seq, changed, reference_id),
            )
            self._meta.reference_sum = rows.minus(self._meta.reference_sum, digest)
            self._meta.reference_sum = rows.plus(self._meta.reference_sum, changed)
            moved.setdefault(before, []).append(reference_id)
        return moved

    def _insert(self, values: rows.Row, jpeg: bytes) -> bytes:
        digest = rows.checksum(values)
        self._connection.execute(
            f'INSERT INTO "references" ({rows.REFERENCE_ROW})'
            f" VALUES ({', '.join('?' * (len(values) + 2))})",
            (*values, digest, jpeg),
        )
        return digest

    def _row(self, reference_id: int) -> rows.Row:
        """A verified live row with checksum and picture."""
        row: rows.Row | None = self._connection.execute(
            f'SELECT {rows.REFERENCE_ROW} FROM "references" WHERE id = ?', (reference_id,)
        ).fetchone()
        if row is None:
            raise GalleryError(f"{self._path}: no reference {reference_id}")
        rows.verify(row[:-1], f"{self._path}: reference {reference_id}")
        return row
