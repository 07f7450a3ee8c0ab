"""The base of a gallery's search: chosen, built, kept in its cache, loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.atomic import make_folder
from edge.errors import OutputError
from edge.gallery import cache, graph, recall, stored
from edge.gallery.exact import ExactIndex
from edge.gallery.hnsw import HnswIndex, Parts
from edge.gallery.measured import Recall
from edge.gallery.nodes import U64, Bools, Nodes, vector_digests
from edge.gallery.sources import InMemory
from edge.types import F32, I64

MIN_RECALL = 0.95
"""``ann_recall@1`` below which a graph is not used while exact search is bearable."""
EXACT_BEARABLE = 200_000

_log = logging.getLogger("edge.gallery")

Base = ExactIndex | HnswIndex


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the index is kept, and what it is an index of: a gallery at its change ``last_seq``."""

    index: Path
    origin: cache.Origin
    last_seq: int


def make_base(
    ids: I64, vectors: F32, *, threshold: int, keep: Keep | None = None, reason: str = ""
) -> Base:
    """An index of all references ``ids (N,) int64`` ascending, ``vectors (N, D) float32``.

    Exact up to ``threshold`` references, where hnswlib is missing, and where a graph finds too few of
    its neighbours; ``note`` and the log say which. A graph is kept as ``keep`` says; its note has the
    ``reason`` why it was built.
    """
    if len(ids) <= threshold:
        return ExactIndex(ids, vectors)
    if not graph.available():
        _log.warning("hnswlib is not installed: %d references are searched exactly", len(ids))
        return ExactIndex(ids, vectors, kind="exact (hnswlib missing)")
    note = f"graph built: {reason}" if reason else "graph built"
    made = HnswIndex.build(ids, vectors, note=note, hold_out=recall.hold_out)
    held = recall.hold_out(len(made.parts.nodes))
    return prove(made, held, ids, vectors, keep)


def load_base(ids: I64, vectors: F32, keep: Keep) -> HnswIndex:
    """The kept index, searched with ``vectors`` of the references ``ids`` that it has in common with
    the gallery; others, it must be asked to pass over.

    Raises GalleryError with the reason why there is none to load.
    """
    header = cache.read(keep.index, keep.origin)
    points, projection, nodes = stored.load_parts(keep.index, header)
    rows, same = rows_in(nodes, ids, vector_digests(vectors))
    node = np.repeat(np.arange(len(nodes)), np.diff(nodes.start))
    of_node = np.full(len(nodes), -1, np.int64)
    of_node[node[same]] = rows[same]
    if np.array_equal(of_node, np.arange(len(ids))):
        source = InMemory(vectors)  # no copy, as long as nothing has changed
    else:
        source = InMemory(np.where((of_node >= 0)[:, None], vectors[of_node], np.float32(0)))
    parts = Parts(points, projection, nodes, source)
    return HnswIndex(parts, note="graph loaded from cache", recall=header.measured)


def rows_in(nodes: Nodes, ids: I64, digest: U64) -> tuple[I64, Bools]:
    """For each of ``nodes.ids``: its row in ``ids``, and whether it is there with the same vector (the
    row means nothing otherwise)."""
    if not len(ids):
        return np.zeros(len(nodes.ids), np.int64), np.zeros(len(nodes.ids), bool)
    rows = np.minimum(np.searchsorted(ids, nodes.ids), len(ids) - 1)
    same = (ids[rows] == nodes.ids) & (digest[rows] == nodes.reference_digests())
    return rows, same


def prove(
    made: HnswIndex,
    held: I64,
    ids: I64,
    vectors: F32,
    keep: Keep | None,
    least: Recall | None = None,
) -> Base:
    """``made`` completed by the nodes ``held``, with the smallest beam that is good enough, kept.

    Exact search where it is no good. See ``recall.complete``.
    """
    found = recall.complete(made, held, least=least)
    made = HnswIndex(made.parts, note=made.note, recall=found)
    if found.at_1 < MIN_RECALL and len(ids) <= EXACT_BEARABLE:
        note = f"HNSW graph finds only {found.at_1:.1%} of the nearest references: searched exactly"
        _log.warning("%s", note)
        return ExactIndex(ids, vectors, note=note)
    if not found.met:
        _log.warning("HNSW graph finds %.1f%% of the nearest references", 100 * found.at_1)
    if keep is not None:
        _keep(made, keep, found)
    return made


def _keep(made: HnswIndex, keep: Keep, found: Recall) -> None:
    try:
        make_folder(keep.index.parent)  # the user's cache may not have it yet
        with cache.writing(keep.index) as mine:
            if mine:
                stored.save(keep.index, made, keep.origin, keep.last_seq, found)
            else:
                _log.info("the HNSW graph %s is being written by another process", keep.index)
    except OutputError as error:
        _log.warning("the HNSW graph is not kept, and will be built again: %s", error)
