"""The gallery of a new tower, made from the pictures that the old gallery keeps."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.atomic import cannot_write, make_folder, write_text
from edge.errors import GalleryError
from edge.gallery.records import NewReference, Reference
from edge.gallery.replace import replacing
from edge.gallery.store import GalleryStore
from edge.gallery.twins import decode
from edge.types import F32, I64, U8, Embeddings

BATCH = 64
SAMPLE = 2000
"""References whose answers are compared, spread over all."""
_STATE = "source.json"
_WORK = "gallery.db"
BLOCK = 4096

Bools = npt.NDArray[np.bool_]
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
        total = old.reference_count
        with _work_store(work, made_from, dim) as new:
            resumed = _copy(old, new, embed, total, progress)
            # no batch of it is a change that undo could take back
            new.begin_history("reembed", f"{total} references")
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
    there = done = new.reference_count
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


def _moved(one: Reference, vector: F32) -> NewReference:
    return NewReference(
        one.sku_id, vector, one.jpeg, one.source, one.source_sha256, one.quality, one.created_at
    )


def _compare(path: str, old: GalleryStore, new: GalleryStore, resumed: int) -> ReembedReport:
    n = old.reference_count
    some = np.unique(np.linspace(0, max(n - 1, 0), min(SAMPLE, n)).astype(np.int64))
    own, old_sku = _nearest_other(old, some)
    _, new_sku = _nearest_other(new, some)

    def share(flags: Bools) -> float:
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


def _nearest_other(store: GalleryStore, rows: I64) -> tuple[I64, I64]:
    """Numbers of the SKUs of ``rows`` and of the nearest other reference of each, -1 for none.

    Rows count in the order of the ids, so that they mean the same in both galleries.
    """
    queries = np.zeros((len(rows), store.dim), np.float32)
    own, nearest = np.full(len(rows), -1, np.int64), np.full(len(rows), -1, np.int64)
    best = np.full(len(rows), -np.inf, np.float32)
    first = 0
    for block in store.blocks(BLOCK):
        here = (rows >= first) & (rows < first + len(block))
        queries[here] = block.vectors[rows[here] - first]
        own[here] = block.sku_index[rows[here] - first]
        first += len(block)
    first = 0
    for block in store.blocks(BLOCK):
        similarity = queries @ block.vectors.T
        selves = np.flatnonzero((rows >= first) & (rows < first + len(block)))
        similarity[selves, rows[selves] - first] = -np.inf
        at = similarity.argmax(axis=1)
        found = np.take_along_axis(similarity, at[:, None], axis=1)[:, 0]
        better = found > best
        best[better], nearest[better] = found[better], block.sku_index[at[better]]
        first += len(block)
    return own, nearest


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
