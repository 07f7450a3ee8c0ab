"""A gallery file as a state in memory: read, verified, and with the best base there is for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge.atomic import make_folder
from edge.errors import GalleryError
from edge.gallery import cache, graph, stored
from edge.gallery.base import Base, Keep, load_base, make_base
from edge.gallery.compaction import extend
from edge.gallery.places import index_places
from edge.gallery.records import ReferenceSet
from edge.gallery.scale import ON_DISK_FROM, Progress, build_on_disk
from edge.gallery.state import GalleryState
from edge.gallery.store import GalleryStore
from edge.types import F32, I64

BACKLOG_AT_LEAST = 2000
BACKLOG_SHARE = 0.05
"""References that a base may lack or have too many, before it is extended: they cost time in every
search, and memory."""

_BLOCK = 16_384  # references read at a time from a gallery that is too large to be read at once

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
    path: Path,
    *,
    tower: str | None,
    threshold: int,
    at_once: bool,
    progress: Progress | None = None,
) -> tuple[Identity, GalleryState]:
    """Read and verify the gallery at ``path``; with ``tower``, only if that tower made it.

    Above ``threshold`` references the kept index is loaded, or built and kept; above ON_DISK_FROM
    its vectors stay on disk, and ``progress`` (else the log) is told how the build goes. One that is
    of an earlier state is extended first where much has changed, but not when it is wanted
    ``at_once``. Raises GalleryError.
    """
    with GalleryStore.open(path, tower=tower) as store:
        places = index_places(path)
        identity = Identity(store.gallery_id, store.tower, store.dim, store.precision, places)
        count = store.reference_count
        if count > max(threshold, ON_DISK_FROM) and graph.available():
            base: Base = _on_disk(path, identity, count, store.last_seq, progress)
            with store.reading():
                skus = store.packed_skus()
                blocks = store.blocks(_BLOCK, skus=skus)
                state = GalleryState.read(store.version, store.last_seq, skus, blocks, base)
        else:
            snapshot = store.snapshot()
            keep = identity.keep(snapshot.last_seq)
            state = GalleryState.of(
                snapshot, _in_memory(snapshot.references, keep, places, threshold)
            )
    if is_due(state) and not at_once:
        state = state.on(extend(state, threshold=threshold, keep=identity.keep(state.last_seq)))
    return identity, state


def _in_memory(
    references: ReferenceSet, keep: Keep, places: tuple[Path, ...], threshold: int
) -> Base:
    """The kept index that can serve these references, or a new one."""
    reason = ""
    if len(references) > threshold and graph.available():
        for place in _twice(places):
            try:
                return load_base(references.ids, references.vectors, replace(keep, index=place))
            except GalleryError as error:
                reason = str(error)
        _log.warning("the HNSW graph %s is built: %s", keep.index, reason)
    return make_base(
        references.ids, references.vectors, threshold=threshold, keep=keep, reason=reason
    )


def _on_disk(
    path: Path, identity: Identity, count: int, last_seq: int, progress: Progress | None
) -> Base:
    reason = ""
    for place in _twice(identity.places):
        try:
            return stored.load(place, cache.read(place, identity.origin))
        except GalleryError as error:
            reason = str(error)
    place = identity.places[0]
    _log.warning("the HNSW graph %s is built, which takes long: %s", place, reason)
    make_folder(place.parent)

    def source(after: int) -> Iterator[tuple[I64, F32]]:
        with GalleryStore.open(path) as store:
            for block in store.blocks(_BLOCK, after=after):
                yield block.ids, block.vectors

    build_on_disk(
        place,
        identity.origin,
        source,
        references=count,
        last_seq=last_seq,
        progress=progress or _said_every_minute(place),
    )
    return stored.load(place, cache.read(place, identity.origin))


def _twice(places: tuple[Path, ...]) -> tuple[Path, ...]:
    # another process may have put a newer index in its place while this one was reading it
    return (*places, *places)


def _said_every_minute(place: Path) -> Progress:
    said = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > 60:
            said = time.monotonic()
            _log.warning("%s: %s, %d of %d", place, stage, done, total)

    return progress
