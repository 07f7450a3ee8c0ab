"""``gallery.db``: the enrolled SKUs and their references, and the only truth about them."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from edge.errors import GalleryError
from edge.gallery import opening, undo
from edge.gallery.connection import sqlite_errors
from edge.gallery.ledger import now
from edge.gallery.meta import Meta
from edge.gallery.reader import GalleryReader
from edge.gallery.records import Change, NewReference, Sku
from edge.types import F32

_NORM_TOLERANCE = 1e-3


class GalleryStore(GalleryReader):
    """A gallery file that is open for reading, or by its one writer.

    Every change is one transaction: all of it or nothing, and on disk, in the database and in the
    sidecar, when the call returns. All errors are GalleryError (OutputError when the disk is full
    or read-only) with one line that names the file.
    """

    def __init__(self, path: Path, opened: opening.Opened) -> None:
        """Used by ``create`` and ``open``; takes over the open file."""
        self._opened = opened
        super().__init__(path, opened.connection)
        self.recovery = opened.recovery
        """What opening it for writing has put in order."""
        self._ledger.durable = opened.durable
        if opened.writer:
            self._ledger.acknowledged = self.last_seq

    @classmethod
    def create(
        cls, path: Path, *, tower: str, dim: int, precision: str, unpublished: bool = False
    ) -> Self:
        """An empty gallery for vectors of length ``dim`` from the tower with this fingerprint.

        ``unpublished``: at a temporary name of ``edge.gallery.replace.replacing``, quicker, because
        nothing need be on disk before that publishes it, and no change need be undone.
        """
        meta = Meta(secrets.token_hex(4), tower, dim, precision, now(), 0, 0, 0)
        make = opening.create_unpublished if unpublished else opening.create
        return cls(path, make(path, meta))

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        tower: str | None = None,
        read_only: bool = True,
        check_tail: bool = True,
    ) -> Self:
        """Open a gallery; with ``tower``, only when that tower made its vectors.

        A gallery that lost acknowledged changes is refused; ``check_tail=False`` reads what is
        left of one (only to repair it). One writer at a time: GalleryError names who it is.
        """
        if read_only:
            opened = opening.open_to_read(path, check_tail=check_tail)
        else:
            opened = opening.open_to_write(path)
        try:
            store = cls(path, opened)
            if tower is not None and tower != store.tower:
                raise GalleryError(
                    f"{path}: made with image tower {store.tower}, the bundle has {tower}: make one"
                    f" for it with: edge gallery reembed {path} --out NEW"
                )
        except BaseException:
            opened.close()
            raise
        return store

    @contextmanager
    def change(self, kind: str, summary: str) -> Iterator[None]:
        """All writes within are one change: committed together at the end, undone together.

        An error within, also one that is caught there, takes all of it back.
        """
        with self._ledger.writing(kind, summary):
            yield

    def add_sku(self, sku: Sku) -> None:
        """Enrol a product; refuses a ``sku_id`` or GTIN that is there already."""
        self.add_skus([sku])

    def add_skus(self, skus: Sequence[Sku]) -> None:
        """Enrol products; refuses ids and GTINs that are there, and circles of categories."""
        with self._ledger.writing(
            "add_skus", _several("SKU", [sku.sku_id for sku in skus])
        ) as edit:
            edit.add_skus(skus)

    def update_sku(self, sku: Sku) -> None:
        """Replace all that is known about the product of this id."""
        with self._ledger.writing("update_sku", f"SKU {sku.sku_id!r}") as edit:
            edit.update_sku(sku)

    def remove_skus(self, sku_ids: Sequence[str]) -> None:
        """Remove products together with all their references."""
        sku_ids = list(dict.fromkeys(sku_ids))
        with self._ledger.writing("remove_skus", _several("SKU", sku_ids)) as edit:
            edit.remove_skus(sku_ids)

    def add_references(self, references: Sequence[NewReference]) -> tuple[int, ...]:
        """Enrol pictures; their new ids, which are never used for another picture."""
        for reference in references:
            self._check(reference)
        skus = list(dict.fromkeys(reference.sku_id for reference in references))
        summary = f"{len(references)} for {_several('SKU', skus)}"
        with self._ledger.writing("add_references", summary) as edit:
            return edit.add_references(references)

    def remove_references(self, reference_ids: Sequence[int]) -> None:
        """Remove pictures; their SKUs stay."""
        ids = _plain(reference_ids)
        with self._ledger.writing("remove_references", _several("reference", ids)) as edit:
            edit.remove_references(ids)

    def relabel(self, reference_ids: Sequence[int], sku_id: str) -> None:
        """Give pictures to another product."""
        ids = _plain(reference_ids)
        summary = f"{_several('reference', ids)} to SKU {sku_id!r}"
        with self._ledger.writing("relabel", summary) as edit:
            edit.relabel(ids, sku_id)

    def merge(self, from_sku: str, into_sku: str) -> None:
        """Give all pictures of one product to another, and remove the one."""
        if from_sku == into_sku:
            raise GalleryError(f"{self.path}: SKU {from_sku!r} cannot be merged into itself")
        with self._ledger.writing("merge", f"SKU {from_sku!r} into {into_sku!r}") as edit:
            edit.merge(from_sku, into_sku)

    def undo(self) -> Change:
        """Take back the last change that still stands; what it was. Repeat it to go further back.

        Itself a change, which ``redo`` takes back. Raises GalleryError when nothing is left.
        """
        self._ledger.refuse_within_a_change("undo")
        target = undo.to_undo(self.history())
        if target is None:
            raise GalleryError(f"{self.path}: there is nothing to undo")
        self._revert("undo", target, {target.seq: True})
        return target

    def redo(self) -> Change:
        """Do again what the last ``undo`` took back; what it was.

        Raises GalleryError when there is none, or when something else was changed since.
        """
        self._ledger.refuse_within_a_change("redo")
        found = undo.to_redo(self.history())
        if found is None:
            raise GalleryError(f"{self.path}: there is nothing to redo")
        undoing, target = found
        self._revert("redo", undoing, {undoing.seq: True, target.seq: False})
        return target

    def begin_history(self, kind: str, summary: str) -> None:
        """Forget all changes so far; history begins with this one, which undo does not take back.

        For a gallery that was built from something else: no part of that is to be undone.
        """
        self._ledger.begin_history(kind, summary)

    def compact(self) -> int:
        """Give the space of removed rows back to the disk; the number of bytes.

        Needs as much free space as the gallery takes. A crash leaves it as it was.
        """
        self._ledger.refuse_within_a_change("compaction")
        before = self.path.stat().st_size
        with sqlite_errors(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before - self.path.stat().st_size

    def close(self) -> None:
        """Fold the write-ahead log into the file, close it, and let the next writer in."""
        with contextlib.suppress(sqlite3.Error):  # else it is read at the next start
            if self._opened.writer:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._opened.close()

    def _revert(self, kind: str, change: Change, undone: dict[int, bool]) -> None:
        with self._ledger.writing(kind, f"{change.seq}: {change.kind}: {change.summary}") as edit:
            edit.revert(self._ledger.journal.steps(change.seq))
            edit.undone.update(undone)

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


def _plain(ids: Sequence[int]) -> list[int]:
    """Each id once, as Python's own int, which SQLite and JSON know."""
    return list(dict.fromkeys(int(i) for i in ids))


def _several(what: str, names: Sequence[object]) -> str:
    """``SKU 'a'``, or ``3 SKUs ('a', 'b', …)``."""
    if len(names) == 1:
        return f"{what} {names[0]!r}"
    shown = ", ".join(repr(name) for name in names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}s" + (f" ({shown})" if names else "")
