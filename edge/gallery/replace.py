"""A new gallery file in the place of an old one, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.errors import GalleryError, OutputError
from edge.gallery import connection as sqlite
from edge.gallery.cache import discard, graph_path
from edge.gallery.files import publish, sync_file, temporary_name
from edge.gallery.recovery import remove_leftovers
from edge.gallery.sidecar import Mark, read_marks, write_marks
from edge.gallery.store import GalleryStore
from edge.gallery.writer_lock import WriterLock


@dataclass(frozen=True, slots=True)
class Replacement:
    """A gallery in the making at ``path``, which is to become ``target``."""

    target: Path
    path: Path

    def publish(self) -> None:
        """Put the closed gallery at ``path`` in the target's place; on disk when it returns.

        Raises GalleryError when the target is no gallery or in use; then it is as it was.
        """
        with GalleryStore.open(self.path, check_tail=False) as store:
            history = store.history()
            new = Mark(store.gallery_id, store.last_seq, history[-1].summary if history else "made")
        try:
            sync_file(self.path)
            sqlite.take_over(self.target)
            old: tuple[Mark, ...] = ()
            if self.target.exists():
                with suppress(GalleryError):  # what is damaged has nothing to keep
                    old = read_marks(self.target) or ()
            # both until the rename is done: whichever file is there has its line
            write_marks(self.target, [*old, new])
            publish(self.path, self.target)
            write_marks(self.target, [new])
            discard(graph_path(self.target))
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self.target}: cannot be written: {reason}") from error


@contextmanager
def replacing(target: Path) -> Iterator[Replacement]:
    """Make a gallery (``GalleryStore.create(new.path, …, unpublished=True)``), then ``publish`` it.

    Until then the target can be read, but not written: what is added to a gallery that is about to
    be replaced would be lost. Raises OutputError when the target's folder cannot be written.
    Errors within name the target, not the file that was to become it.
    """
    _check_target(target)
    with WriterLock(target, wait_s=sqlite.BUSY_TIMEOUT_S):
        remove_leftovers(target)
        temporary = temporary_name(target)
        try:
            yield Replacement(target, temporary)
        except (GalleryError, OutputError) as error:
            raise type(error)(str(error).replace(str(temporary), str(target))) from error
        finally:
            for suffix in ("", "-wal", "-shm"):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _check_target(target: Path) -> None:
    if not target.parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target}: the folder {target.parent} is read-only")
