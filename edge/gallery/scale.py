"""Indexes of millions of references: built block by block, resumable, within a bounded memory.

In memory are the graph over the main axes (about 520 bytes a reference) and which reference is which
node; the vectors go to a file in half precision, where a search reads the few that it compares.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edge.errors import GalleryError
from edge.gallery import cache, recall, stored
from edge.gallery.graph import Graph
from edge.gallery.hnsw import HnswIndex, Parts
from edge.gallery.measured import Recall
from edge.gallery.nodes import Nodes
from edge.gallery.projection import SAMPLE, Projection
from edge.gallery.sources import OnDisk
from edge.gallery.workspace import Workspace, take_vectors
from edge.types import F32, I64

ON_DISK_FROM = 500_000
"""References from which the vectors are searched on disk and not held in memory."""
CHECKPOINT_NODES = 250_000
"""Nodes after which the graph is saved again: a kill costs at most the minutes that these take."""
BLOCK = 16384
"""Nodes that are added to the graph between two reports of progress."""

Source = Callable[[int], Iterator[tuple[I64, F32]]]
"""All references with ids above the given one, ascending: blocks of ids ``(N,)`` and unit vectors
``(N, D) float32``."""
Progress = Callable[[str, int, int], None]
"""Called with the stage (``copy``, ``graph``, ``measure``), what is done and all there is."""

_log = logging.getLogger("edge.gallery")


def build_on_disk(
    index: Path,
    origin: cache.Origin,
    source: Source,
    *,
    references: int,
    last_seq: int,
    target: float = recall.TARGET,
    checkpoint_nodes: int = CHECKPOINT_NODES,
    block: int = BLOCK,
    progress: Progress | None = None,
) -> cache.Header:
    """Build the index of a gallery's ``references`` at its state ``last_seq`` under the name ``index``.

    A build that was killed goes on where it was. Raises OutputError when the disk is full or another
    process is building, and whatever ``source`` raises; what is done by then is kept for the next try.
    """
    report = progress or (lambda stage, done, total: None)
    with cache.writing(index) as mine:
        if not mine:
            raise GalleryError(f"{index}: another process is building this index")
        cache.clean(index)
        work = Workspace(index.with_name(index.name + ".work"), origin, last_seq)
        if work.resumed:
            _log.info("%s: going on after %d of %d references", index, work.references, references)
        for ids, vectors in source(work.last_id):
            work.append(ids, vectors)
            report("copy", work.references, max(references, work.references))
        if not work.nodes:
            raise GalleryError(f"{index}: no references to index")
        vectors_on_disk = OnDisk(work.vectors, origin.dim, work.nodes)
        projection = _learn(vectors_on_disk)
        graph, held = _grow(work, vectors_on_disk, projection, (checkpoint_nodes, block), report)
        made = HnswIndex(Parts(graph, projection, _nodes(work), vectors_on_disk))
        report("measure", 0, 1)
        found = recall.complete(made, held, target=target)
        report("measure", 1, 1)
        header = _publish(index, made, origin, work, found)
        work.remove()
    return header


def _learn(vectors: OnDisk) -> Projection:
    count = len(vectors)
    some = np.arange(0, count, -(-count // SAMPLE), dtype=np.int64)
    return Projection.learn(vectors.take(some))


def _grow(
    work: Workspace,
    vectors: OnDisk,
    projection: Projection,
    steps: tuple[int, int],
    report: Progress,
) -> tuple[Graph, I64]:
    """A graph of all nodes but those held out, and these."""
    checkpoint_nodes, block = steps
    count = len(vectors)
    graph = work.load_graph(projection.dim, count)
    missing = np.ones(count, bool)
    missing[graph.nodes()] = False
    held = recall.hold_out(count)
    held = held[missing[held]]
    missing[held] = False
    saved = len(graph)
    for first in range(0, count, block):
        some = first + np.flatnonzero(missing[first : first + block])
        if not len(some):
            continue
        points = projection(vectors.block(first, min(count, first + block)))
        graph.add(points[some - first], some)
        report("graph", min(count, first + block), count)
        if len(graph) - saved >= checkpoint_nodes:
            work.save_graph(graph)
            saved = len(graph)
    return graph, held


def _nodes(work: Workspace) -> Nodes:
    ids, node, digest = work.table()
    start = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=len(digest)))])
    return Nodes(ids[np.argsort(node, kind="stable")], start.astype(np.int64), digest)


def _publish(
    index: Path, made: HnswIndex, origin: cache.Origin, work: Workspace, found: Recall
) -> cache.Header:
    version = cache.new_version()
    path = {role: cache.new_file(index, version, role) for role in cache.ROLES}
    # the vectors last: until they are moved, a kill costs nothing
    files = {
        "hnsw": stored.write_graph(path["hnsw"], made.parts.graph),
        "nodes": stored.write_nodes(path["nodes"], made.parts.nodes, made.parts.projection),
        "vectors": take_vectors(work, path["vectors"]),
    }
    header = stored.header_of(made, origin, work.last_seq, found, files)
    cache.publish(index, header)
    return header
