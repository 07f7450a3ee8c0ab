"""Rows of the store: their checksums, and how they become records. Damage raises GalleryError."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.errors import GalleryError
from edge.gallery.records import NewReference, Reference, Sku
from edge.types import F32

META_COLUMNS_1 = (
    "gallery_id, tower, dim, precision, created_at, last_seq, sku_count, reference_count"
)
META_COLUMNS = f"{META_COLUMNS_1}, sku_sum, reference_sum"
SKU_COLUMNS = "sku_id, gtin, brand, names, category, seq"
SKU_ROW = f"{SKU_COLUMNS}, checksum"
REFERENCE_COLUMNS = (
    "id, sku_id, vector, source, source_sha256, quality, created_at, seq, jpeg_checksum, checksum"
)
# the picture is last, so that SQLite need not read it for the columns before it
REFERENCE_ROW = f"{REFERENCE_COLUMNS}, jpeg"
REFERENCE_SKU, REFERENCE_SEQ = 1, 7  # places in REFERENCE_COLUMNS
REMOVED_ROW = REFERENCE_ROW.replace("id, ", "id, removed_seq, ", 1)

NOTHING = bytes(16)
"""The sum of no checksums."""

Row = Sequence[Any]

_HEAD = struct.Struct("<cQ").pack
_FLOAT = struct.Struct("<d").pack


def checksum(values: Row) -> bytes:
    """16 bytes of BLAKE2b over the values with their types and lengths, so that none can shift."""
    parts: list[bytes] = []
    for value in values:
        if isinstance(value, bytes):
            parts += (_HEAD(b"b", len(value)), value)
        elif isinstance(value, str):
            data = value.encode()
            parts += (_HEAD(b"t", len(data)), data)
        elif isinstance(value, int):
            data = b"%d" % value
            parts += (_HEAD(b"i", len(data)), data)
        elif isinstance(value, float):
            parts += (_HEAD(b"f", 8), _FLOAT(value))
        elif value is None:
            parts.append(_HEAD(b"n", 0))
        else:
            raise TypeError(f"a row cannot hold {type(value).__name__}")
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def verify(row: Row, what: str) -> Row:
    """``row`` without its last value, which must be the checksum of those before it."""
    *values, stored = row
    if stored != checksum(values):
        raise GalleryError(f"{what}: the stored checksum does not match; the row is damaged")
    return values


def verify_picture(jpeg: bytes, jpeg_checksum: bytes, what: str) -> None:
    """GalleryError when a reference's picture is not the one its row was made with."""
    if checksum([jpeg]) != jpeg_checksum:
        raise GalleryError(f"{what}: the picture does not match its checksum")


def plus(total: bytes, *checksums: bytes) -> bytes:
    """The sum of checksums modulo 2**128: the same in any order, another one for other rows."""
    return _total(_number(total) + sum(_number(c) for c in checksums))


def minus(total: bytes, checksum_of_row: bytes) -> bytes:
    """``plus`` taken back."""
    return _total(_number(total) - _number(checksum_of_row))


def _number(checksum_of_row: bytes) -> int:
    return int.from_bytes(checksum_of_row, "little")


def _total(value: int) -> bytes:
    return (value % (1 << 128)).to_bytes(16, "little")


def insert(connection: sqlite3.Connection, table: str, columns: str, values: Row) -> bytes:
    """Insert ``values`` into ``columns`` and their checksum after them; the checksum.

    A column ``id`` that is always 1 is not covered.
    """
    covered = values[1:] if table == "meta" else values
    digest = checksum(covered)
    marks = ", ".join("?" * (len(values) + 1))
    connection.execute(
        f"INSERT INTO {table} ({columns}, checksum) VALUES ({marks})", (*values, digest)
    )
    return digest


def sku_values(sku: Sku, seq: int) -> tuple[Any, ...]:
    """``sku`` as the values of SKU_ROW without the checksum."""
    names = json.dumps(dict(sorted(sku.names.items())), ensure_ascii=False)
    category = json.dumps(list(sku.category), ensure_ascii=False)
    return sku.sku_id, sku.gtin, sku.brand, names, category, seq


def to_sku(row: Row, where: str) -> Sku:
    """A row of SKU_ROW as a record."""
    what = f"{where}: SKU {row[0]!r}"
    sku_id, gtin, brand, names, category, _ = verify(row, what)
    try:
        return Sku(sku_id, gtin, brand, json.loads(names), tuple(json.loads(category)))
    except ValueError as error:
        raise GalleryError(f"{what}: {error}") from error


def vector_blob(vector: F32) -> bytes:
    """A vector as little-endian float32."""
    return vector.astype("<f4", copy=False).tobytes()


def to_vector(blob: bytes, dim: int, what: str) -> F32:
    """A stored vector ``(dim,) float32``."""
    if len(blob) != 4 * dim:
        raise GalleryError(f"{what}: vector has {len(blob)} bytes, expected {4 * dim}")
    return np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False)


def reference_values(new: NewReference, seq: int, created_at: str) -> tuple[Any, ...]:
    """``new``, enrolled now (``created_at``), as the values of REFERENCE_COLUMNS without the checksum;
    its id is ``seq``."""
    return (
        seq,
        new.sku_id,
        vector_blob(new.vector),
        new.source,
        new.source_sha256,
        float(new.quality),
        new.created_at or created_at,
        seq,
        checksum([new.jpeg]),
    )


def to_reference(row: Row, dim: int, where: str) -> Reference:
    """A row of REFERENCE_ROW as a record, the picture verified too."""
    what = f"{where}: reference {row[0]}"
    values = verify(row[:-1], what)
    jpeg = row[-1]
    verify_picture(jpeg, values[-1], what)
    reference_id, sku_id, blob, source, sha256, quality, created_at, seq, _ = values
    vector = to_vector(blob, dim, what)
    return Reference(reference_id, sku_id, vector, jpeg, source, sha256, quality, created_at, seq)
