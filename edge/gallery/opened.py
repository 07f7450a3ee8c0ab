"""A gallery file as a state in memory: read, verified, and with the best base there is for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import cache, graph
from edge.gallery.base import Base, Keep, extend, load_base, make_base
from edge.gallery.places import index_places
from edge.gallery.records import ReferenceSet
from edge.gallery.state import GalleryState
from edge.gallery.store import GalleryStore

BACKLOG_AT_LEAST = 2000
BACKLOG_SHARE = 0.05
"""References that a base may lack or have too many, before it is extended: they cost time in every
search, and memory."""

_log = logging.getLogger("edge.gallery")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a gallery file is, whatever it holds; ``places`` are names of its index (see there)."""

    gallery_id: str
    tower: str
    dim: int
    precision: str
    places: tuple[Path, ...]

    def keep(self, last_seq: int) -> Keep:
        """Where an index of the state ``last_seq`` is kept, and as what."""
        return Keep(self.places[0], self.origin, last_seq)

    @property
    def origin(self) -> cache.Origin:
        """What a kept index must have been made from."""
        return cache.Origin(self.gallery_id, self.tower, self.dim)


def is_due(state: GalleryState) -> bool:
    """Whether the base should be extended."""
    return state.backlog > max(BACKLOG_AT_LEAST, BACKLOG_SHARE * len(state.ids))


def open_state(
    path: Path, *, tower: str | None, threshold: int, at_once: bool
) -> tuple[Identity, GalleryState]:
    """Read and verify the gallery at ``path``; with ``tower``, only if that tower made it.

    Above ``threshold`` references the kept index is loaded, or built and kept. One that is of an
    earlier state is extended first where much has changed, but not when it is wanted ``at_once``.
    Raises GalleryError.
    """
    with GalleryStore.open(path, tower=tower) as store:
        snapshot = store.snapshot()
        places = index_places(path)
        identity = Identity(store.gallery_id, store.tower, store.dim, store.precision, places)
    ids, vectors = snapshot.references.ids, snapshot.references.vectors
    keep = identity.keep(snapshot.last_seq)
    base, reason = _loaded(snapshot.references, identity, threshold)
    if base is None:
        base = make_base(ids, vectors, threshold=threshold, keep=keep, reason=reason)
    state = GalleryState.of(snapshot, base)
    if is_due(state) and not at_once:
        base = extend(base, ids, vectors, threshold=threshold, keep=keep)
        state = GalleryState.of(snapshot, base)
    return identity, state


def _loaded(
    references: ReferenceSet, identity: Identity, threshold: int
) -> tuple[Base | None, str]:
    """A kept index that can serve these references, or why there is none."""
    reason = ""
    if len(references) <= threshold or not graph.available():
        return None, reason
    for place in identity.places:
        try:
            keep = Keep(place, identity.origin, 0)
            return load_base(references.ids, references.vectors, keep), ""
        except GalleryError as error:
            reason = str(error)
            _log.warning("the HNSW graph %s is built: %s", place, reason)
    return None, reason
