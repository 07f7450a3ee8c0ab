"""Exact search: every query against every reference."""

from __future__ import annotations

import numpy as np

from edge.gallery.queries import no_neighbors, unit_queries
from edge.types import F32, I64, Neighbors

_ONE_THREAD = 262144  # multiplications up to which OpenBLAS keeps to the calling thread
_TILE_ROWS = 32
_QUERY_ROWS, _REFERENCE_ROWS = 256, 16384  # one block of similarities: 16 MiB


class ExactIndex:
    """Compares every query with every reference, block by block."""

    def __init__(self, ids: I64, vectors: F32, *, kind: str = "exact", note: str = "") -> None:
        """``ids (N,) int64``; ``vectors (N, D) float32`` of L2 norm 1."""
        self.kind = kind
        self.note = note
        self.ids = ids
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, vectors: F32, k: int) -> Neighbors:
        """See ``edge.gallery.index.Index``; equal similarities come in the order of their ids."""
        queries, usable = unit_queries(vectors, self.vectors.shape[1])
        ids, similarity = no_neighbors(len(queries), k)
        for start in range(0, len(queries), _QUERY_ROWS):
            rows = slice(start, start + _QUERY_ROWS)
            for first in range(0, len(self.ids), _REFERENCE_ROWS):
                block = slice(first, first + _REFERENCE_ROWS)
                found = _cosines(queries[rows], self.vectors[block])
                known = np.broadcast_to(self.ids[block], found.shape)
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


def _cosines(queries: F32, references: F32) -> F32:
    """``(N, D)`` times ``(R, D)`` as products that are too small for OpenBLAS to share out.

    Its threads wait for each other by spinning: beside an inference session, or any other busy
    process, a product of 0.2 ms was measured to take 24 ms.
    """
    n, dim = queries.shape
    tile = max(1, _ONE_THREAD // (_TILE_ROWS * dim))
    whole = len(references) // tile * tile
    tiles = references[:whole].reshape(-1, tile, dim).transpose(0, 2, 1)
    out = np.empty((n, len(references)), np.float32)
    for start in range(0, n, _TILE_ROWS):
        some = queries[start : start + _TILE_ROWS]
        out[start : start + _TILE_ROWS, :whole].reshape(len(some), -1, tile)[:] = np.matmul(
            some, tiles
        ).transpose(1, 0, 2)
        out[start : start + _TILE_ROWS, whole:] = some @ references[whole:].T
    return out


def _best(ids: I64, similarity: F32, k: int) -> tuple[I64, F32]:
    order = np.lexsort((ids, -similarity), axis=1)[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarity, order, axis=1)
