"""A base brought up to a state, at the cost of what has changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from edge.atomic import cannot_write
from edge.errors import GalleryError
from edge.gallery import cache, recall, stored
from edge.gallery.base import Base, Keep, make_base, prove
from edge.gallery.exact import ExactIndex
from edge.gallery.graph import Graph
from edge.gallery.hnsw import HnswIndex, Parts
from edge.gallery.nodes import Nodes
from edge.gallery.sources import InMemory, OnDisk
from edge.gallery.state import GalleryState
from edge.types import F32, I64

MAX_DEAD = 0.3
"""Share of dead nodes from which a graph is built anew instead of extended."""


def extend(state: GalleryState, *, threshold: int, keep: Keep) -> Base:
    """An index of all living references of ``state``; its own base is as it was.

    Raises GalleryError (OutputError when a disk is full) and then nothing has changed.
    """
    base = state.base
    if isinstance(base, ExactIndex) or len(state.ids) <= threshold:
        return make_base(state.ids, state.vectors(), threshold=threshold, keep=keep)
    parts = base.parts
    nodes, rows, dead = parts.nodes.updated(state.ids, state.digests(base))
    on_disk = isinstance(parts.vectors, OnDisk)
    if len(parts.graph) - parts.graph.alive + len(dead) > MAX_DEAD * len(nodes) and not on_disk:
        return make_base(state.ids, state.vectors(), threshold=threshold, keep=keep)
    # what the graph lacks is what the state holds beside its base
    fresh = state.delta_vectors[np.searchsorted(state.delta_ids, state.ids[rows])]
    graph = _copy(parts.graph, len(rows), keep)
    held = recall.hold_out(len(nodes), first=len(parts.nodes))
    at_once = np.setdiff1d(np.arange(len(parts.nodes), len(nodes)), held)
    graph.add(parts.projection(fresh[at_once - len(parts.nodes)]), at_once)
    graph.forget(dead)
    note = f"graph extended by {len(rows)} references"
    if isinstance(parts.vectors, OnDisk):
        fresh_nodes = (fresh, held)
        return _on_disk(base, parts.vectors, graph, nodes, fresh_nodes, keep, state.last_seq, note)
    old = parts.vectors.take(np.arange(len(parts.nodes)))
    source = InMemory(np.concatenate([old, fresh]))
    made = HnswIndex(Parts(graph, parts.projection, nodes, source), ef=base.ef, note=note)
    return prove(made, held, state.ids, state.vectors(), keep, base.recall)


def _on_disk(
    base: HnswIndex,
    old: OnDisk,
    graph: Graph,
    nodes: Nodes,
    fresh_nodes: tuple[F32, I64],
    keep: Keep,
    last_seq: int,
    note: str,
) -> HnswIndex:
    """The index of a grown ``graph``; ``fresh_nodes`` are the new vectors, and the nodes held out."""
    fresh, held = fresh_nodes
    with cache.writing(keep.index) as mine:
        if not mine:
            raise GalleryError(f"{keep.index}: another process is writing this index")
        try:
            version = cache.new_version()
            path = {role: cache.new_file(keep.index, version, role) for role in cache.ROLES}
            _append(old.path, path["vectors"], fresh)
            source = OnDisk(path["vectors"], base.dim, len(nodes))
            made = HnswIndex(Parts(graph, base.parts.projection, nodes, source), note=note)
            found = recall.complete(made, held, least=base.recall)
            files = {
                "hnsw": stored.write_graph(path["hnsw"], graph),
                "nodes": stored.write_nodes(path["nodes"], nodes, base.parts.projection),
                "vectors": cache.seal(path["vectors"], 2 * base.dim * len(nodes)),
            }
            header = stored.header_of(made, keep.origin, last_seq, found, files)
            cache.publish(keep.index, header)
        finally:
            cache.clean(keep.index)
    return HnswIndex(made.parts, note=note, recall=found)


def _append(old: Path, new: Path, fresh: F32) -> None:
    try:
        shutil.copyfile(old, new)
        with new.open("ab") as file:
            file.write(fresh.astype("<f2").tobytes())
    except OSError as error:
        raise cannot_write(new, error) from error


def _copy(old: Graph, room: int, keep: Keep) -> Graph:
    """A graph that may be changed; hnswlib can copy one only by way of a file."""
    folder = keep.index.parent if os.access(keep.index.parent, os.W_OK) else None
    try:
        with tempfile.TemporaryDirectory(prefix=".hnsw-copy-", dir=folder) as place:
            path = Path(place) / "graph"
            stored.write_graph(path, old)
            deleted = len(old) - old.alive
            return Graph.load(path, old.dim, len(old), deleted=deleted, room=room)
    except OSError as error:
        raise cannot_write(folder or Path(tempfile.gettempdir()), error) from error
