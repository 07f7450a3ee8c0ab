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
from edge.gallery.queries import no_neighbors, unit_queries
from edge.types import F32, I64, Neighbors

EXACT_UP_TO = 5000
"""References up to which ``make_index`` searches exactly.

Measured on two busy cores, 256 dimensions, 150 queries a frame, k = 21: exact search takes 36 ms at
4,000 references, 48 ms at 8,000 and 230 ms at 32,000; HNSW at ef = 128 takes 20, 23 and 73 ms with the
same first neighbours. HNSW is faster from about 2,000 on, but up to 5,000 it saves at most 20 ms of a
frame that takes far longer to embed, while exact search needs no build, no cache, and cannot miss.
"""

METRIC = "cosine"
M = 16
EF_CONSTRUCTION = 200
EF = 128
MIN_SELF_RECALL = 0.99
"""Share of references that must find themselves in their graph, else search is exact."""
_SEED = 100
_QUERY_ROWS, _REFERENCE_ROWS = 256, 16384  # one block of similarities: 16 MiB

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

        Rows are filled up with id -1 and similarity -inf where there are fewer than k references, and
        for a query that is zero or not finite. Raises GalleryError for another dimension.
        """


class ExactIndex:
    """Compares every query with every reference, block by block."""

    def __init__(self, ids: I64, vectors: F32, *, kind: str = "exact", note: str = "") -> None:
        """``ids (N,) int64``; ``vectors (N, D) float32`` of L2 norm 1."""
        self.kind = kind
        self.note = note
        self._ids = ids
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._ids)

    def search(self, vectors: F32, k: int) -> Neighbors:
        """See ``Index.search``; equal similarities are returned in the order of their ids."""
        queries, usable = unit_queries(vectors, self._vectors.shape[1])
        ids, similarity = no_neighbors(len(queries), k)
        for start in range(0, len(queries), _QUERY_ROWS):
            rows = slice(start, start + _QUERY_ROWS)
            for first in range(0, len(self._ids), _REFERENCE_ROWS):
                block = slice(first, first + _REFERENCE_ROWS)
                found = queries[rows] @ self._vectors[block].T
                known = np.broadcast_to(self._ids[block], found.shape)
                if found.shape[1] > k:
                    best = np.argpartition(found, found.shape[1] - k, axis=1)[:, -k:]
                    found = np.take_along_axis(found, best, axis=1)
                    known = np.take_along_axis(known, best, axis=1)
                ids[rows], similarity[rows] = _best(
                    np.concatenate([ids[rows], known], axis=1),
                    np.concatenate([similarity[rows], found], axis=1),
                    k,
                )
        ids[~usable], similarity[~usable] = -1, -np.inf
        return Neighbors(ids, similarity)


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

    With ``keep`` (where the graph lies, and what it must be made from) the graph is loaded from there, or
    built and saved when it is missing, damaged or of other references; which of these is in ``note``
    and logged. A graph that cannot be saved is logged and does no harm.
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


def _best(ids: I64, similarity: F32, k: int) -> tuple[I64, F32]:
    order = np.lexsort((ids, -similarity), axis=1)[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarity, order, axis=1)
