"""A gallery as plain files and back: nothing is lost, and nothing altered comes in.

An export is a folder, or a ZIP file of the same:

- ``gallery.json``: tower, dimension, precision, numbers, the SHA-256 of all files but pictures, and
  its own;
- ``skus.csv``: as ``edge.gallery.catalogue`` reads it;
- ``references.csv``: a line a reference, in the order of enrolment, with a checksum over all of it,
  vector and picture included;
- ``parts/00000/``: of each thousand references ``vectors.npz`` (``vectors (N, D) float32``) and the
  pictures, ``000001.jpg`` and so on.

Numbers of references and the history of changes belong to a file and are not exported.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import GalleryError
from edge.gallery import sku_table
from edge.gallery.exchange_files import Reader, open_reader, open_writer
from edge.gallery.exchange_format import (
    COLUMNS,
    FORMAT,
    HEAD,
    PART,
    REFERENCES,
    SKUS,
    SUM,
    checked,
    checksum_of,
    picture_name,
    read_head,
    sha256_of,
    sum_of,
    vectors_name,
)
from edge.gallery.records import NewReference, Reference, Sku
from edge.gallery.replace import replacing
from edge.gallery.store import GalleryStore
from edge.types import F32

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExchangeReport:
    """What was written or read."""

    path: str
    tower: str
    skus: int
    references: int

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


def export_gallery(path: Path, out: Path, *, progress: Progress | None = None) -> ExchangeReport:
    """Write the gallery at ``path`` into ``out``: a ZIP file where it ends in ``.zip``, else a folder.

    ``gallery.json`` comes last, so that an export that broke off cannot be imported. Raises
    GalleryError for damage, OutputError where ``out`` cannot be written or holds something.
    """
    with GalleryStore.open(path) as store, store.reading(), open_writer(out) as writer:
        skus = store.skus()
        sums: dict[str, str] = {}

        def keep(name: str, data: bytes) -> None:
            sums[name] = sha256_of(data)
            writer.write(name, data)

        keep(SKUS, sku_table.to_text(skus))
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(COLUMNS)
        count = 0
        references = store.references()
        while part := list(islice(references, PART)):
            for reference in part:
                count += 1
                name = picture_name(count)
                rows.writerow(_row(name, reference))
                writer.write(name, reference.jpeg)
            packed = io.BytesIO()
            np.savez(packed, vectors=np.stack([reference.vector for reference in part]))
            keep(vectors_name(count), packed.getvalue())
            if progress is not None:
                progress(count, 0)
        keep(REFERENCES, table.getvalue().encode())
        head: dict[str, object] = {
            "format": FORMAT,
            "tower": store.tower,
            "dim": store.dim,
            "precision": store.precision,
            "version": store.version,
            "skus": len(skus),
            "references": count,
            "files": sums,
        }
        head[SUM] = sum_of(head)
        writer.write(HEAD, json.dumps(head, indent=1).encode() + b"\n")
    return ExchangeReport(str(out), store.tower, len(skus), count)


def import_gallery(
    source: Path, out: Path, *, tower: str | None = None, progress: Progress | None = None
) -> ExchangeReport:
    """Make the gallery ``out`` of an export, whole or not at all; one that is there is replaced.

    Every vector, picture and line is checked. Raises GalleryError that names what is missing or
    altered, and when the export is of another tower than ``tower`` or than the gallery it replaces:
    both are named.
    """
    with open_reader(source) as reader:
        head = read_head(reader)
        made_with = str(head["tower"])
        if tower is not None and made_with != tower:
            raise GalleryError(
                f"{source}: made with image tower {made_with}, the bundle has {tower}"
            )
        if out.is_file():
            with GalleryStore.open(out) as old:
                if old.tower != made_with:
                    raise GalleryError(
                        f"{source}: made with image tower {made_with}, the gallery {out} with"
                        f" {old.tower}"
                    )
        skus = sku_table.from_text(checked(reader, head, SKUS).decode(), f"{source}: {SKUS}")
        with replacing(out) as new:
            count = _fill(new.path, reader, head, skus, progress)
            new.publish()
    return ExchangeReport(str(out), made_with, len(skus), count)


def _fill(
    path: Path,
    reader: Reader,
    head: dict[str, Any],
    skus: list[Sku],
    progress: Progress | None,
) -> int:
    dim, total = int(head["dim"]), int(head["references"])
    store = GalleryStore.create(
        path,
        tower=str(head["tower"]),
        dim=dim,
        precision=str(head["precision"]),
        unpublished=True,
    )
    try:
        store.add_skus(skus)
        count = 0
        for part in _parts(reader, head, dim):
            store.add_references(part)
            count += len(part)
            if progress is not None:
                progress(count, total)
        if count != total or len(skus) != head["skus"]:
            raise GalleryError(
                f"{reader.path}: {count} references of {len(skus)} SKUs, {HEAD} says {total} of"
                f" {head['skus']}"
            )
    finally:
        store.close()
    return count


def _parts(reader: Reader, head: dict[str, Any], dim: int) -> Iterator[list[NewReference]]:
    where = f"{reader.path}: {REFERENCES}"
    text = checked(reader, head, REFERENCES).decode()
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    if tuple(next(lines, ())) != COLUMNS:
        raise GalleryError(f"{where}: line 1: the columns are not {', '.join(COLUMNS)}")
    count = 0
    while rows := list(islice(lines, PART)):
        name = vectors_name(count + len(rows))
        vectors = _read_vectors(reader, name, checked(reader, head, name), (len(rows), dim))
        part = []
        for row, vector in zip(rows, vectors, strict=True):
            count += 1
            if len(row) != len(COLUMNS) or row[0] != picture_name(count):
                raise GalleryError(f"{where}: reference {count}: not such a line: {row!r}")
            _, sku_id, origin, sha256, quality, created_at, stored = row
            jpeg = reader.read(row[0])
            try:
                level = float(quality)
            except ValueError as error:
                raise GalleryError(f"{where}: reference {count}: quality: {error}") from error
            new = NewReference(sku_id, vector, jpeg, origin, sha256, level, created_at)
            if checksum_of(new, created_at) != stored:
                raise GalleryError(f"{where}: reference {count}: altered: line, vector or picture")
            part.append(new)
        yield part


def _read_vectors(reader: Reader, name: str, data: bytes, shape: tuple[int, int]) -> F32:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        vectors = stored["vectors"]
    if vectors.dtype != np.float32 or vectors.shape != shape:
        raise GalleryError(
            f"{reader.path}: {name}: vectors must be float32 {shape}, got {vectors.dtype}"
            f" {vectors.shape}"
        )
    return np.asarray(vectors, np.float32)


def _row(name: str, reference: Reference) -> list[object]:
    return [
        name,
        reference.sku_id,
        reference.source,
        reference.source_sha256,
        repr(reference.quality),
        reference.created_at,
        checksum_of(reference, reference.created_at),
    ]
