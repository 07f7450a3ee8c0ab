"""What the start of a gallery finds of an end that was none: lost, recovered or left behind."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery.ledger import Ledger
from edge.gallery.meta import Meta
from edge.gallery.records import Change
from edge.gallery.sidecar import Mark, sidecar_path

log = logging.getLogger("edge.gallery")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the start of a writer put in order; false when there was nothing."""

    killed: str | None = None
    """The last writer, when it ended without closing the gallery."""
    journal_bytes: int = 0
    """Size of the write-ahead log that it left: replayed."""
    changes: tuple[Change, ...] = ()
    """Committed, but not acknowledged when it ended: kept."""
    temporaries: tuple[str, ...] = ()
    """Half-written files that were removed."""

    def __bool__(self) -> bool:
        return bool(self.killed or self.changes or self.temporaries)

    def to_text(self) -> str:
        """One line for a log."""
        parts = []
        if self.killed:
            parts.append(f"its last writer ended without closing it ({self.killed})")
        if self.journal_bytes:
            parts.append(f"replayed {self.journal_bytes} bytes of its journal")
        if self.changes:
            what = "; ".join(f"{change.seq}: {change.summary}" for change in self.changes[-3:])
            number = len(self.changes)
            parts.append(f"recovered {number} change{'s' if number > 1 else ''} ({what})")
        if self.temporaries:
            parts.append(f"removed half-written files ({', '.join(self.temporaries)})")
        return ", ".join(parts)


def unacknowledged(
    path: Path, marks: Sequence[Mark] | None, ledger: Ledger, meta: Meta
) -> tuple[Change, ...]:
    """The changes that are in the gallery but not yet in the sidecar's ``marks``.

    ``marks`` must have been read before ``meta``: a writer at work may be ahead of them, never
    behind. Raises GalleryError when the gallery lost acknowledged changes, or when nothing shows
    whether it did.
    """
    sidecar = sidecar_path(path)
    repair = f"edge gallery repair {path}"
    if marks is None:
        raise GalleryError(
            f"{path}: {sidecar.name} is missing beside it, so that nothing shows whether its last"
            f" changes are all there: copy it too, or take the gallery as it is with: {repair}"
        )
    mine = [mark for mark in marks if mark.gallery_id == meta.gallery_id]
    if not mine:
        others = ", ".join(mark.gallery_id for mark in marks)
        raise GalleryError(
            f"{sidecar}: belongs to gallery {others}, {path} is gallery {meta.gallery_id}: put the"
            f" right file beside it, or take the gallery as it is with: {repair}"
        )
    mark = max(mine, key=lambda mark: mark.last_seq)
    if meta.last_seq < mark.last_seq:
        raise GalleryError(
            f"{path}: its last changes are lost: it ends at number {meta.last_seq}, acknowledged"
            f" was up to {mark.last_seq} ({mark.change}): put back a copy of both files, or accept"
            f" the loss with: {repair} --accept-loss"
        )
    if meta.last_seq == mark.last_seq:
        return ()
    if not ledger.journal.reaches_back_to(mark.last_seq, meta.last_seq):
        raise GalleryError(
            f"{sidecar}: ends at number {mark.last_seq}, {path} at {meta.last_seq}, which no crash"
            f" explains: one of the two was put back from a copy: take the gallery as it is with:"
            f" {repair}"
        )
    return ledger.journal.changes(meta.last_seq, mark.last_seq)


def remove_leftovers(gallery: Path) -> tuple[str, ...]:
    """Remove the half-written files of writers that are gone; their names.

    The caller holds the writer lock, so that no other process is writing any.
    """
    name = re.escape(gallery.name)
    pattern = re.compile(rf"\.{name}(\.seq)?\.[0-9a-f]{{8,12}}\.tmp(-wal|-shm)?")
    removed = sorted(p for p in gallery.parent.iterdir() if pattern.fullmatch(p.name))
    for path in removed:
        path.unlink(missing_ok=True)
    return tuple(path.name for path in removed)
