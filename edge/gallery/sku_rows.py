"""SKUs of an open change: rows, GTINs, category edges and sums that always agree."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.categories import CategoryGraph, Edge, circle_text
from edge.gallery.gtin import gtin14
from edge.gallery.meta import Meta
from edge.gallery.records import Sku


class SkuRows:
    """The SKUs of one open transaction. Errors are GalleryError that names the file and the id."""

    def __init__(self, path: Path, connection: sqlite3.Connection, meta: Meta) -> None:
        self._path = path
        self._connection = connection
        self._meta = meta
        self._graph: CategoryGraph | None = None

    def get(self, sku_id: str) -> Sku:
        """The SKU of this id."""
        return rows.to_sku(self._row(sku_id), str(self._path))

    def add(self, sku: Sku) -> None:
        """Insert a SKU whose id and GTIN are free and whose category makes no circle."""
        if self._find(sku.sku_id) is not None:
            raise GalleryError(f"{self._path}: SKU {sku.sku_id!r}: its id is enrolled already")
        self._check_gtin(sku)
        self._add_edges(sku)
        self._meta.last_seq += 1
        values = rows.sku_values(sku, self._meta.last_seq)
        digest = rows.insert(self._connection, "skus", rows.SKU_COLUMNS, values)
        self._meta.sku_count += 1
        self._meta.sku_sum = rows.plus(self._meta.sku_sum, digest)

    def remove(self, sku_id: str) -> Sku:
        """Remove a SKU, whose references must be gone; what it was."""
        row = self._row(sku_id)
        sku = rows.to_sku(row, str(self._path))
        self._connection.execute("DELETE FROM skus WHERE sku_id = ?", (sku_id,))
        self._drop_edges(sku)
        self._meta.last_seq += 1
        self._meta.sku_count -= 1
        self._meta.sku_sum = rows.minus(self._meta.sku_sum, row[-1])
        return sku

    def replace(self, sku: Sku) -> Sku:
        """Change what is known about a SKU; what it was."""
        row = self._row(sku.sku_id)
        before = rows.to_sku(row, str(self._path))
        self._check_gtin(sku)
        self._drop_edges(before)
        self._add_edges(sku)
        self._meta.last_seq += 1
        values = rows.sku_values(sku, self._meta.last_seq)
        digest = rows.checksum(values)
        # in place: its references must not be without it for a moment
        self._connection.execute(
            "UPDATE skus SET gtin = ?, brand = ?, names = ?, category = ?, seq = ?, checksum = ?"
            " WHERE sku_id = ?",
            (*values[1:], digest, sku.sku_id),
        )
        self._meta.sku_sum = rows.plus(rows.minus(self._meta.sku_sum, row[-1]), digest)
        return before

    def _check_gtin(self, sku: Sku) -> None:
        if sku.gtin is None:
            return
        owner = self._connection.execute(
            "SELECT sku_id FROM skus WHERE gtin IS NOT NULL"
            " AND substr('00000000000000' || gtin, -14) = ? AND sku_id <> ?",
            (gtin14(sku.gtin), sku.sku_id),
        ).fetchone()
        if owner is not None:
            raise GalleryError(
                f"{self._path}: SKU {sku.sku_id!r}: GTIN {sku.gtin} is that of SKU {owner[0]!r}"
            )

    def _add_edges(self, sku: Sku) -> None:
        if self._graph is None:
            self._graph = CategoryGraph(
                self._connection.execute("SELECT parent, child FROM category_edges").fetchall()
            )
        circle = self._graph.add(sku)
        if circle is not None:
            owner = self._owner(circle[1])
            raise GalleryError(f"{self._path}: {circle_text(sku.sku_id, circle, owner)}")
        for edge in sku.category_edges:
            self._count_edge(edge, 1)

    def _drop_edges(self, sku: Sku) -> None:
        for edge in sku.category_edges:
            self._count_edge(edge, -1)
        self._graph = None

    def _count_edge(self, edge: Edge, by: int) -> None:
        found = self._connection.execute(
            "SELECT skus FROM category_edges WHERE parent = ? AND child = ?", edge
        ).fetchone()
        count = (found[0] if found else 0) + by
        if count > 0:
            self._connection.execute(
                "INSERT OR REPLACE INTO category_edges (parent, child, skus) VALUES (?, ?, ?)",
                (*edge, count),
            )
        else:
            self._connection.execute(
                "DELETE FROM category_edges WHERE parent = ? AND child = ?", edge
            )

    def _owner(self, edge: Edge) -> str:
        """A SKU whose category has this edge."""
        text = json.dumps(list(edge), ensure_ascii=False)[1:-1]
        row = self._connection.execute(
            "SELECT sku_id FROM skus WHERE instr(category, ?) ORDER BY sku_id", (text,)
        ).fetchone()
        return str(row[0]) if row else "?"

    def _row(self, sku_id: str) -> rows.Row:
        row = self._find(sku_id)
        if row is None:
            raise GalleryError(f"{self._path}: no SKU {sku_id!r}")
        return row

    def _find(self, sku_id: str) -> rows.Row | None:
        row: rows.Row | None = self._connection.execute(
            f"SELECT {rows.SKU_ROW} FROM skus WHERE sku_id = ?", (sku_id,)
        ).fetchone()
        return row
