"""Approximate search: a graph proposes, the full vectors decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.gallery.graph import Graph
from edge.gallery.measured import Recall
from edge.gallery.nodes import Nodes, vector_digests
from edge.gallery.projection import Projection
from edge.gallery.queries import check_references, no_neighbors, unit_queries
from edge.gallery.sources import InMemory, Vectors
from edge.types import F32, I64, Neighbors

EF = 48
"""Beam of a search until ``edge.gallery.recall`` has chosen one."""
_GATHER = 1 << 22  # numbers compared at a time: 16 MiB
_BESIDE = 12
"""Candidates compared beside the k nearest points, at least, and a third of the beam: among 117,000
facings, the nearest of all coordinates was never behind the 16th by 64 of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """All that an index of references consists of; immutable once it is searched."""

    graph: Graph
    projection: Projection
    nodes: Nodes
    vectors: Vectors


class HnswIndex:
    """A graph over the main axes of the references, its candidates compared by all coordinates.

    Similarities are exact (to half precision where the vectors lie on disk); a neighbour may be
    missed, never invented.
    """

    kind = "hnsw"

    def __init__(
        self, parts: Parts, *, ef: int = EF, note: str = "", recall: Recall | None = None
    ) -> None:
        """``ef`` is the beam: how many candidates the graph proposes a query, at least.

        ``recall`` is what was measured, and then has the beam.
        """
        self.parts = parts
        self.ef = recall.ef if recall is not None else ef
        self.note = note
        self.recall = recall

    @classmethod
    def build(
        cls,
        ids: I64,
        vectors: F32,
        *,
        ef: int = EF,
        note: str = "",
        hold_out: Callable[[int], I64] | None = None,
    ) -> HnswIndex:
        """An index of ``ids (N,) int64`` ascending, ``vectors (N, D) float32`` of L2 norm 1.

        ``hold_out`` tells of how many nodes which the graph is not to hold yet. Raises GalleryError
        for a vector that is NaN, zero or of another length.
        """
        check_references(ids, vectors)
        nodes, rows, _ = Nodes.none().updated(ids, vector_digests(vectors))
        distinct = vectors if len(rows) == len(vectors) else vectors[rows]
        projection = Projection.learn(distinct)
        graph = Graph.empty(projection.dim, len(distinct))
        points, numbers = projection(distinct), np.arange(len(distinct))
        if hold_out is not None:
            numbers = np.delete(numbers, hold_out(len(numbers)))
            points = points[numbers]
        graph.add(points, numbers)
        return cls(Parts(graph, projection, nodes, InMemory(distinct)), ef=ef, note=note)

    def __len__(self) -> int:
        """The number of references."""
        return len(self.parts.nodes.ids)

    @property
    def ids(self) -> I64:
        """The references, in no particular order."""
        return self.parts.nodes.ids

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return len(self.parts.projection.mean)

    def search(self, vectors: F32, k: int) -> Neighbors:
        """See ``edge.gallery.index.Index``."""
        return self.search_at(vectors, k, self.ef)

    def search_at(self, vectors: F32, k: int, ef: int) -> Neighbors:
        """``search`` with another beam."""
        queries, usable = unit_queries(vectors, self.dim)
        beam = min(max(ef, 2 * k), max(len(self.parts.nodes), 1))
        if usable.all():
            return Neighbors(*self.parts.nodes.expand(*self.propose(queries, beam, k), k))
        reference_id, similarity = no_neighbors(len(queries), k)
        if usable.any():
            found = self.parts.nodes.expand(*self.propose(queries[usable], beam, k), k)
            reference_id[usable], similarity[usable] = found
        return Neighbors(reference_id, similarity)

    def propose(self, queries: F32, beam: int, k: int) -> tuple[I64, F32]:
        """The nodes ``(Q, C)`` found for unit ``queries``, and their cosines, to take the k best of.

        Of the ``beam`` that the graph proposes, those are compared that it holds for nearest.
        """
        compared = min(beam, max(2 * k, k + max(_BESIDE, beam // 3)))
        found = self.parts.graph.search(self.parts.projection(queries), beam)[:, :compared]
        return found, self._compare(queries, found)

    def _compare(self, queries: F32, found: I64) -> F32:
        """The cosine of each query with each of its candidates; -inf where there is none."""
        if len(found) == 1 and found[0, -1] >= 0:  # a query of its own needs none of the below
            return np.asarray(self.parts.vectors.take(found[0]) @ queries[0], np.float32)[None]
        out = np.full(found.shape, -np.inf, np.float32)
        step = max(1, _GATHER // max(1, found.shape[1] * queries.shape[1]))
        for start in range(0, len(queries), step):
            some = found[start : start + step]
            real = some >= 0
            vectors = self.parts.vectors.take(np.where(real, some, 0).reshape(-1))
            vectors = vectors.reshape(*some.shape, queries.shape[1])
            cosine = np.matmul(vectors, queries[start : start + step, :, None])[..., 0]
            out[start : start + step] = np.where(real, cosine, -np.inf)
        return out
