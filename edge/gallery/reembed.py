"""The gallery of a new tower, made from the pictures that the old gallery keeps."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge.atomic import cannot_write, make_folder, write_text
from edge.errors import GalleryError
from edge.gallery.exact import ExactIndex
from edge.gallery.records import NewReference, Reference, ReferenceSet
from edge.gallery.replace import replacing
from edge.gallery.store import GalleryStore
from edge.gallery.twins import decode
from edge.types import U8, Embeddings

BATCH = 64
SAMPLE = 2000
"""References whose answers are compared, spread over all."""
_STATE = "source.json"
_WORK = "gallery.db"
_BLOCK = 256

Embed = Callable[[list[U8]], Embeddings]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """What was made, and how the answers changed.

    Of ``compared`` references, each looked up among all others (further views of its own picture
    included): the share whose nearest is of their
    own SKU in the old gallery and in the new one, and the share for which both name the same SKU.
    ``resumed`` references were there from a run that broke off.
    """

    path: str
    old_tower: str
    new_tower: str
    skus: int
    references: int
    resumed: int
    compared: int
    old_right: float
    new_right: float
    agreement: float

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


def reembed_gallery(
    path: Path,
    out: Path,
    *,
    embed: Embed,
    tower: str,
    dim: int,
    precision: str,
    progress: Progress | None = None,
) -> ReembedReport:
    """Make the gallery ``out`` of another tower beside the gallery at ``path``, which is only read.

    ``embed`` takes up to BATCH pictures ``(H, W, 3) uint8`` RGB. Work in progress lies in the folder
    ``out + ".reembed"``; a run that was killed goes on where it was, as long as neither the old
    gallery nor the tower has changed since. ``out`` appears whole, and replaces a gallery there.

    Raises:
        GalleryError: the old gallery is damaged, a picture of it cannot be decoded, or ``out`` is
            the old gallery itself.
        OutputError: no space, no permission.
    """
    if out.exists() and out.samefile(path):
        raise GalleryError(f"{out}: is the gallery to read: name another file to write")
    work = out.with_name(out.name + ".reembed")
    with GalleryStore.open(path) as old, old.reading():
        made_from = {
            "gallery": old.version,
            "tower": tower,
            "precision": precision,
        }
        total = len(old.vectors())
        with _work_store(work, made_from, dim) as new:
            resumed = _copy(old, new, embed, total, progress)
            report = _compare(str(out), old, new, resumed)
        _publish(work, out)
    return report


def _work_store(folder: Path, made_from: dict[str, str], dim: int) -> GalleryStore:
    """The store of an earlier run when it is of the same gallery and tower, else a new one."""
    state, path = folder / _STATE, folder / _WORK
    try:
        if path.exists() and json.loads(state.read_text(encoding="utf-8")) == made_from:
            return GalleryStore.open(path, tower=made_from["tower"], read_only=False)
    except (OSError, ValueError, GalleryError):
        pass  # nothing of it is needed: it is made again from the old gallery
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    store = GalleryStore.create(
        path, tower=made_from["tower"], dim=dim, precision=made_from["precision"]
    )
    write_text(state, json.dumps(made_from, indent=1) + "\n")
    return store


def _copy(
    old: GalleryStore, new: GalleryStore, embed: Embed, total: int, progress: Progress | None
) -> int:
    """Embed what is not there yet, a durable step a batch; how many were there already."""
    known = {sku.sku_id for sku in new.skus()}
    missing = [sku for sku in old.skus() if sku.sku_id not in known]
    if missing:
        new.add_skus(missing)
    there = done = len(new.vectors())
    batch: list[Reference] = []
    for number, reference in enumerate(old.references(), 1):
        if number <= there:
            continue
        batch.append(reference)
        if len(batch) == BATCH or number == total:
            images = [
                decode(one.jpeg, f"{old.path}: reference {one.reference_id}") for one in batch
            ]
            found = embed(images)
            if found.tower != new.tower:
                raise GalleryError(f"{new.path}: of tower {new.tower}, embedded with {found.tower}")
            new.add_references(
                [_moved(one, v) for one, v in zip(batch, found.vectors, strict=True)]
            )
            done += len(batch)
            batch = []
            if progress is not None:
                progress(done, total)
    return there


def _moved(one: Reference, vector: np.ndarray) -> NewReference:
    return NewReference(
        one.sku_id, vector, one.jpeg, one.source, one.source_sha256, one.quality, one.created_at
    )


def _compare(path: str, old: GalleryStore, new: GalleryStore, resumed: int) -> ReembedReport:
    before, after = old.vectors(), new.vectors()
    n = len(before)
    some = np.unique(np.linspace(0, max(n - 1, 0), min(SAMPLE, n)).astype(np.int64))
    old_sku, new_sku = _nearest_other(before, some), _nearest_other(after, some)
    own = before.sku_index[some]

    def share(flags: np.ndarray) -> float:
        return float(flags.mean()) if len(flags) else 1.0

    return ReembedReport(
        path=path,
        old_tower=old.tower,
        new_tower=new.tower,
        skus=len(old.skus()),
        references=n,
        resumed=resumed,
        compared=len(some),
        old_right=share(old_sku == own),
        new_right=share(new_sku == own),
        agreement=share(old_sku == new_sku),
    )


def _nearest_other(references: ReferenceSet, rows: np.ndarray) -> np.ndarray:
    """The SKU's number of the nearest other reference of each row; -1 where there is none."""
    index = ExactIndex(np.arange(len(references), dtype=np.int64), references.vectors)
    nearest = np.full(len(rows), -1, np.int64)
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        found = index.search(references.vectors[part], 2).reference_id
        other = np.where(found[:, 0] == part, found[:, 1], found[:, 0])
        nearest[start : start + _BLOCK] = np.where(other >= 0, references.sku_index[other], -1)
    return nearest


def _publish(work: Path, out: Path) -> None:
    with replacing(out) as new:
        try:
            # a second name: until the target is there, a kill costs nothing
            os.link(work / _WORK, new.path)
        except OSError:  # a file system without links
            _move(work / _WORK, new.path)
        new.publish()
    shutil.rmtree(work, ignore_errors=True)


def _move(path: Path, to: Path) -> None:
    try:
        path.replace(to)
    except OSError as error:
        raise cannot_write(to, error) from error
