"""Nearest references by cosine similarity: exact search, and HNSW for large galleries.

This is the only module that imports hnswlib (lazily) and the only one that knows its distances.
"""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge.errors import GalleryError
from edge.gallery import cache
from edge.gallery.exact import ExactIndex
from edge.gallery.queries import no_neighbors, unit_queries
from edge.types import F32, I64, Neighbors

EXACT_UP_TO = 8000
"""References up to which ``make_index`` searches exactly.

Measured on two busy cores, 150 queries a frame, k = 21, clustered vectors of 24 intrinsic
dimensions, median ms of exact search and of HNSW at ef = 128, at 1,000, 4,000, 8,000 and 16,000
references: 256 dimensions: 3, 14, 32, 80 and 12, 22, 28, 72; 512 dimensions: 12, 39, 94, 131 and
20, 57, 128, 125. HNSW begins to pay between 8,000 and 16,000, and finds the same first neighbour
in all of them; exact search needs no build and no cache, and cannot miss.
"""

METRIC = "cosine"
M = 16
EF_CONSTRUCTION = 200
EF = 128
MIN_SELF_RECALL = 0.99
"""Share of references that must find themselves in their graph, else search is exact."""
_SEED = 100

_log = logging.getLogger("edge.gallery")


class Index(Protocol):
    """Nearest-neighbour search over references. Immutable; may be shared between threads."""

    @property
    def kind(self) -> str:
        """``exact``, ``hnsw`` or ``exact (hnswlib missing)``."""

    @property
    def note(self) -> str:
        """How the index came to be, for a report; empty when there is nothing to say."""

    def __len__(self) -> int:
        """The number of references."""

    def search(self, vectors: F32, k: int) -> Neighbors:
        """The k nearest references of each query ``(N, D)``, best first.

        Rows are filled up with id -1 and similarity -inf where there are fewer than k references,
        and for a query that is zero or not finite. Raises GalleryError for another dimension.
        """


class HnswIndex:
    """An HNSW graph (Malkov and Yashunin, 2018) of hnswlib over the references."""

    kind = "hnsw"

    def __init__(self, graph: Any, *, ef: int, note: str) -> None:
        """Used by ``build`` and ``load``; ``graph`` is an ``hnswlib.Index``."""
        self._graph = graph
        self._ef = ef
        self.note = note
        graph.set_ef(ef)  # a saved graph does not hold it
        graph.set_num_threads(len(os.sched_getaffinity(0)))

    @classmethod
    def build(cls, ids: I64, vectors: F32, *, ef: int = EF, note: str = "") -> HnswIndex:
        """A graph over ``ids (N,) int64`` and ``vectors (N, D) float32`` of L2 norm 1."""
        graph = importlib.import_module("hnswlib").Index(METRIC, vectors.shape[1])
        graph.init_index(len(ids), M=M, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
        graph.set_num_threads(len(os.sched_getaffinity(0)))
        graph.add_items(vectors, ids)
        return cls(graph, ef=ef, note=note)

    @classmethod
    def load(cls, path: Path, ids: I64, dim: int, *, ef: int = EF) -> HnswIndex:
        """A saved graph, after ``cache.flaw`` found none: hnswlib checks nothing itself.

        Raises GalleryError when it holds other ids than ``ids``, or hnswlib cannot load it.
        """
        graph = importlib.import_module("hnswlib").Index(METRIC, dim)
        try:
            graph.load_index(str(path))
        except RuntimeError as error:
            raise GalleryError(f"{path}: hnswlib cannot load it: {error}") from error
        if not np.array_equal(np.sort(np.asarray(graph.get_ids_list(), np.int64)), ids):
            raise GalleryError(f"{path}: holds other references than the gallery")
        return cls(graph, ef=ef, note="graph loaded from cache")

    def save(self, path: Path, key: cache.CacheKey) -> None:
        """Write the graph and its header beside the gallery; raises OSError."""
        cache.save(
            path, key, lambda body: self._graph.save_index(str(body)), self._graph.index_file_size()
        )

    def __len__(self) -> int:
        return int(self._graph.get_current_count())

    def search(self, vectors: F32, k: int) -> Neighbors:
        """See ``Index.search``; a neighbour may be missed, never invented."""
        queries, usable = unit_queries(vectors, self._graph.dim)
        ids, similarity = no_neighbors(len(queries), k)
        wanted = min(k, len(self))
        if usable.any() and wanted:
            found, distance = self._query(queries[usable], wanted)
            ids[usable, :wanted] = found
            similarity[usable, :wanted] = 1.0 - distance
        return Neighbors(ids, similarity)

    def self_recall(self, ids: I64, vectors: F32) -> float:
        """Share of up to 256 references, chosen by a fixed seed, that find themselves or an equal.

        Graphs of many equal vectors fall into pieces; this shows it without an exact search.
        """
        some = np.random.default_rng(_SEED).permutation(len(ids))[:256]
        nearest = self.search(vectors[some], 1)
        return float(np.mean(nearest.similarity[:, 0] > 1.0 - 1e-3)) if len(some) else 1.0

    def _query(self, queries: F32, k: int) -> tuple[I64, F32]:
        while True:
            if self._ef < k:
                self._grow(k)
            try:
                labels, distance = self._graph.knn_query(queries, k=k)
                return labels.astype(np.int64), distance
            except RuntimeError as error:
                if self._ef >= len(self):
                    raise GalleryError(f"HNSW graph finds no {k} neighbours: {error}") from error
                self._grow(self._ef * 4)

    def _grow(self, ef: int) -> None:
        # only ever larger, so that searches in other threads lose nothing
        self._ef = max(self._ef, min(ef, len(self)))
        self._graph.set_ef(self._ef)


def make_index(
    ids: I64,
    vectors: F32,
    *,
    threshold: int = EXACT_UP_TO,
    keep: tuple[Path, cache.CacheKey] | None = None,
) -> Index:
    """Exact search up to ``threshold`` references, above it HNSW where hnswlib is installed.

    With ``keep`` (where the graph lies, and what it must be made from) the graph is loaded from
    there, or built and saved when it is missing, damaged or of other references; which of these is
    in ``note`` and logged. A graph that cannot be saved is logged and does no harm.
    """
    if len(ids) <= threshold:
        return ExactIndex(ids, vectors)
    if not _has_hnswlib():
        _log.warning("hnswlib is not installed: %d references are searched exactly", len(ids))
        return ExactIndex(ids, vectors, kind="exact (hnswlib missing)")
    index = _load_or_build(ids, vectors, *keep) if keep else HnswIndex.build(ids, vectors)
    recall = index.self_recall(ids, vectors)
    if recall < MIN_SELF_RECALL:
        note = f"HNSW graph finds only {recall:.1%} of its own references: searched exactly"
        _log.warning("%s", note)
        return ExactIndex(ids, vectors, note=note)
    return index


def _load_or_build(ids: I64, vectors: F32, graph: Path, key: cache.CacheKey) -> HnswIndex:
    reason = cache.flaw(graph, key)
    if reason is None:
        try:
            return HnswIndex.load(graph, ids, vectors.shape[1])
        except GalleryError as error:
            reason = str(error)
    _log.warning("building the HNSW graph %s of %d references: %s", graph, len(ids), reason)
    index = HnswIndex.build(ids, vectors, note=f"graph built: {reason}")
    try:
        index.save(graph, key)
    except OSError as error:
        _log.warning("the HNSW graph %s is not kept: %s", graph, error)
    return index


def _has_hnswlib() -> bool:
    try:
        importlib.import_module("hnswlib")
    except ImportError:
        return False
    return True
