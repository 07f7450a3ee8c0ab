"""The true nearest nodes of many queries, without comparing all vectors with all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.gallery.projection import Projection
from edge.gallery.sources import Vectors
from edge.types import F32

Bools = npt.NDArray[np.bool_]

_NODE_ROWS, _QUERY_ROWS = 16384, 512  # one block of bounds: 32 MiB
_SLACK = 1e-4  # what float32 loses in the bound


def nearest(
    queries: F32, vectors: Vectors, projection: Projection, left_out: Bools, least: F32
) -> F32:
    """The similarities ``(Q, k)`` of each query's k nearest nodes, best first; exact.

    ``left_out (N,)`` marks nodes that do not count; ``least (Q, k)`` are the similarities of any k
    nodes that do, or -inf: the nearer they are, the quicker it is. A node is compared with a query
    only where it may be nearer than these: with points p of the projection and distances r from its
    plane, the product of two vectors is at most ``p·p' + r r'`` and what their norms add.
    """
    enough = least.min(axis=1) - _SLACK
    best = np.full_like(least, -np.inf)
    k = best.shape[1]
    ours = np.hstack([_bound(queries, projection), np.ones((len(queries), 1), np.float32)])
    ours[:, [-2, -1]] = ours[:, [-1, -2]]
    first = 0
    for block in vectors.blocks(_NODE_ROWS):
        alive = np.flatnonzero(~left_out[first : first + len(block)])
        first += len(block)
        block = block[alive]
        bound = np.hstack([_bound(block, projection), np.ones((len(block), 1), np.float32)])
        for start in range(0, len(queries), _QUERY_ROWS):
            rows = slice(start, start + _QUERY_ROWS)
            at_least = np.maximum(enough[rows], best[rows, -1] - _SLACK)
            may = ours[rows] @ bound.T >= at_least[:, None]
            columns = np.flatnonzero(may.any(axis=0))
            if len(columns):
                both = np.hstack([best[rows], queries[rows] @ block[columns].T])
                best[rows] = -np.sort(-np.partition(both, -k, axis=1)[:, -k:], axis=1)
    return best


def _bound(vectors: F32, projection: Projection) -> F32:
    """Points, distances from the plane, and half of what the squared norm is beyond both."""
    point = projection(vectors)
    squared = np.einsum("nd,nd->n", vectors, vectors)
    centred = squared - 2 * (vectors @ projection.mean) + projection.mean @ projection.mean
    on_plane = np.einsum("np,np->n", point, point)
    away = np.sqrt(np.maximum(0, centred - on_plane))
    rest = (squared - centred) / 2
    return np.hstack([point, away[:, None], rest[:, None]]).astype(np.float32)
