"""A gallery that is searched while it is enrolled into."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Self

from edge.closing import Closing
from edge.errors import EdgeError, GalleryError
from edge.gallery.compaction import extend
from edge.gallery.gallery import Gallery
from edge.gallery.index import EXACT_UP_TO
from edge.gallery.opened import Identity, is_due, open_state
from edge.gallery.state import GalleryState
from edge.gallery.store import GalleryStore

_log = logging.getLogger("edge.gallery")


class LiveGallery(Closing):
    """The latest committed state of a gallery file, as an immutable ``Gallery`` at any moment.

    Readers take ``current`` once a frame and search that; it never changes under them. ``refresh``
    follows the file, in milliseconds for what was added, removed or relabelled since; a thread of its
    own extends the base when many changes have come together, and swaps it in. Any thread may call
    anything.
    """

    def __init__(
        self, path: Path, identity: Identity, state: GalleryState, *, threshold: int
    ) -> None:
        """Used by ``open``."""
        self._path = path
        self._threshold = threshold
        self._identity = identity
        self._state = state
        self._current = Gallery(path, identity, state)
        self._changing = threading.Lock()
        self._compaction: threading.Thread | None = None
        self._stopped = False
        self._compact_when_due()

    @classmethod
    def open(cls, path: Path, *, tower: str | None = None, threshold: int = EXACT_UP_TO) -> Self:
        """As ``Gallery.open``; an index that is behind is extended in the background."""
        identity, state = open_state(path, tower=tower, threshold=threshold, at_once=True)
        return cls(path, identity, state, threshold=threshold)

    @property
    def current(self) -> Gallery:
        """The state at the last ``refresh``."""
        return self._current

    @property
    def compacting(self) -> bool:
        """Whether the base is being extended right now."""
        thread = self._compaction
        return thread is not None and thread.is_alive()

    def refresh(self) -> bool:
        """Bring ``current`` to the file's latest committed state; whether that is another one.

        Raises GalleryError when the file is damaged, gone, or of another tower now; ``current`` is
        then as it was, and the next call tries again.
        """
        with self._changing:
            with GalleryStore.open(self._path, tower=self._identity.tower) as store:
                same = store.gallery_id == self._identity.gallery_id
                if same and store.version == self._state.version:
                    return False
                changes = store.changes_since(self._state.last_seq) if same else None
            if changes is None:
                self._reload()
            else:
                try:
                    self._publish(self._state.after(changes))
                except GalleryError as error:
                    _log.warning("%s: read anew: %s", self._path, error)
                    self._reload()
            self._compact_when_due()
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no base is being extended; False when that takes longer than ``timeout_s``."""
        thread = self._compaction
        if thread is not None:
            thread.join(timeout_s)
        return not self.compacting

    def close(self) -> None:
        """Start nothing more, and wait for what is under way."""
        self._stopped = True
        self.wait()

    def _reload(self) -> None:
        identity, state = open_state(
            self._path, tower=self._identity.tower, threshold=self._threshold, at_once=True
        )
        self._identity = identity
        self._publish(state)

    def _publish(self, state: GalleryState) -> None:
        # a reader has the old gallery or the new one: the assignment is the swap
        self._current = Gallery(self._path, self._identity, state)
        self._state = state

    def _compact_when_due(self) -> None:
        if self._stopped or self.compacting or not is_due(self._state):
            return
        self._compaction = threading.Thread(
            target=self._compact,
            args=(self._identity, self._state),
            name="gallery-compaction",
            daemon=True,
        )
        self._compaction.start()

    def _compact(self, identity: Identity, state: GalleryState) -> None:
        try:
            base = extend(state, threshold=self._threshold, keep=identity.keep(state.last_seq))
        except (EdgeError, MemoryError, OSError, RuntimeError) as error:
            # the old base with its exact delta still gives right answers, only slower
            _log.warning("%s: its index was not extended: %s", self._path, error)
            return
        with self._changing:
            if identity is self._identity:
                self._publish(self._state.on(base))
