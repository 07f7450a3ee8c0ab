"""The HNSW graph (Malkov and Yashunin, 2018); the only module that imports hnswlib, and lazily.

hnswlib checks nothing: it loads a file of another dimension or metric, crashes on a damaged one, says
nothing when a disk is full, crashes when it is changed while it is searched, and raises when a beam
finds fewer nodes than were asked for. ``edge.gallery.cache`` keeps the first three away; a published
graph is never changed; the last is answered here with rows that are filled up.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge.errors import GalleryError
from edge.types import F32, I64

METRIC = "l2"
M = 16
EF_CONSTRUCTION = 100
"""Beam of the build. Measured on 512 dimensions: a build at 200 takes twice as long, and search at the
same ``ef`` gains less than a larger ``ef`` costs."""
_SEED = 100


def available() -> bool:
    """Whether hnswlib is installed."""
    try:
        importlib.import_module("hnswlib")
    except ImportError:
        return False
    return True


class Graph:
    """Nodes of ``dim`` coordinates, known by the numbers under which they were added.

    ``add`` and ``forget`` belong to the one thread that builds; from the moment others search it, a
    graph must not change.
    """

    def __init__(self, hnsw: Any, dim: int) -> None:
        """Used by ``empty`` and ``load``; takes over an ``hnswlib.Index``."""
        self.dim = dim
        self._hnsw = hnsw
        self._deleted = 0
        hnsw.set_num_threads(len(os.sched_getaffinity(0)))

    @classmethod
    def empty(cls, dim: int, capacity: int) -> Self:
        """A graph without nodes, with room for ``capacity``."""
        hnsw = importlib.import_module("hnswlib").Index(METRIC, dim)
        hnsw.init_index(max(1, capacity), M=M, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
        return cls(hnsw, dim)

    @classmethod
    def load(cls, path: Path, dim: int, nodes: int, *, deleted: int = 0, room: int = 0) -> Self:
        """A saved graph of ``nodes`` nodes, with ``room`` for more.

        Only for a file whose checksum holds. Raises GalleryError when hnswlib cannot load it or it
        has another number of nodes.
        """
        hnsw = importlib.import_module("hnswlib").Index(METRIC, dim)
        try:
            hnsw.load_index(str(path), max_elements=nodes + room)
        except RuntimeError as error:
            raise GalleryError(f"{path}: hnswlib cannot load it: {error}") from error
        graph = cls(hnsw, dim)
        graph._deleted = deleted
        if len(graph) != nodes or hnsw.M != M:
            raise GalleryError(
                f"{path}: holds {len(graph)} nodes of M {hnsw.M}, not {nodes} of {M}"
            )
        return graph

    def __len__(self) -> int:
        """The number of nodes, forgotten ones included."""
        return int(self._hnsw.get_current_count())

    @property
    def alive(self) -> int:
        """The number of nodes that can be found."""
        return len(self) - self._deleted

    @property
    def file_bytes(self) -> int:
        """The size that a saved graph must have."""
        return int(self._hnsw.index_file_size())

    def nodes(self) -> I64:
        """The numbers of all its nodes, forgotten ones included, ascending."""
        return np.sort(np.array(self._hnsw.get_ids_list(), np.int64))

    def add(self, points: F32, nodes: I64) -> None:
        """Add ``nodes (N,)`` with ``points (N, dim) float32``; GalleryError where there is no room."""
        if len(self) + len(points) > self._hnsw.get_max_elements():
            raise GalleryError(f"the HNSW graph has no room for {len(points)} more nodes")
        self._hnsw.add_items(points, nodes)

    def forget(self, nodes: I64) -> None:
        """Let nodes never be found again; each at most once."""
        for node in nodes.tolist():
            self._hnsw.mark_deleted(node)
        self._deleted += len(nodes)

    def save(self, path: Path) -> None:
        """Write the graph; whether all of it is there, the caller must check by ``file_bytes``."""
        self._hnsw.save_index(str(path))

    def search(self, points: F32, beam: int) -> I64:
        """The nodes ``(N, beam) int64`` that a beam of this width finds, nearest first.

        A row has -1 at its end where fewer nodes could be reached.
        """
        # hnswlib searches with the larger of ef and k: asking for the whole beam sets no state
        width = min(beam, self.alive)
        try:
            if width == beam and len(points):
                return np.asarray(self._hnsw.knn_query(points, k=beam)[0]).view(np.int64)
        except RuntimeError:
            pass  # a row finds fewer: row by row, then
        found = np.full((len(points), beam), -1, np.int64)
        if width and len(points):
            try:
                found[:, :width] = self._hnsw.knn_query(points, k=width)[0]
            except RuntimeError:
                for row, point in enumerate(points):
                    reached = self._reach(point, width)
                    found[row, : len(reached)] = reached
        return found

    def _reach(self, point: F32, width: int) -> I64:
        while width:
            try:
                return np.asarray(self._hnsw.knn_query(point, k=width)[0][0], np.int64)
            except RuntimeError:
                width //= 2
        return np.zeros(0, np.int64)
