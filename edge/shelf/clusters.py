"""Crops that look alike, put together: average-linkage clustering of embeddings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.types import F32, I64


def cluster(vectors: F32, similarity: float) -> I64:
    """A cluster number ``(N,)`` for each of the vectors ``(N, D) float32`` of L2 norm 1.

    Two clusters are joined while the mean cosine similarity between their members is at least
    ``similarity`` (average linkage, UPGMA, by the nearest-neighbour chain of Murtagh, 1983: about
    N^2 operations and a matrix of N^2 floats). Numbers go by size, largest first, then by the first
    member.
    """
    n = len(vectors)
    if n == 0:
        return np.zeros(0, np.int64)
    between = np.asarray(vectors @ vectors.T, np.float32)
    np.fill_diagonal(between, -np.inf)
    size = np.ones(n, np.float32)
    owner = np.arange(n)
    alive = np.ones(n, bool)
    chain: list[int] = []
    while True:
        if not chain:
            # a row whose nearest is too far will never be joined: average linkage is monotone
            open_rows = np.flatnonzero(alive)
            if not len(open_rows):
                return _numbered(owner)
            chain.append(int(open_rows[0]))
        last = chain[-1]
        nearest = int(np.argmax(between[last]))
        before = chain[-2] if len(chain) > 1 else -1
        if before >= 0 and between[last, before] >= between[last, nearest]:
            nearest = before
        if between[last, nearest] < similarity:
            # nothing in the chain is nearer to anything: the last one is complete
            alive[last] = False
            between[last, :] = between[:, last] = -np.inf
            chain.pop()
        elif nearest == before:
            _join(between, size, last, before)
            alive[last] = False
            owner[owner == last] = before
            del chain[-2:]
        else:
            chain.append(nearest)


def representatives(vectors: F32, sharpness: npt.NDArray[np.float64], count: int) -> list[int]:
    """Indices of up to ``count`` members that show a cluster: typical first, then what differs.

    The first is nearest to the mean; each further one is farthest from those chosen (Gonzalez,
    1985), the sharper half before the other.
    """
    centre = vectors.mean(axis=0)
    sharp = sharpness >= np.median(sharpness)
    near = vectors @ centre - np.where(sharp, 0.0, 1.0)
    chosen = [int(np.argmax(near))]
    while len(chosen) < min(count, len(vectors)):
        distance = 1.0 - (vectors @ vectors[chosen].T).max(axis=1)
        distance = np.where(sharp, distance + 2.0, distance)
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
    return chosen


def _join(between: F32, size: F32, gone: int, kept: int) -> None:
    total = size[gone] + size[kept]
    # -inf of a row that is complete stays so
    mean = (size[gone] * between[gone] + size[kept] * between[kept]) / total
    between[kept, :] = between[:, kept] = mean
    between[gone, :] = between[:, gone] = -np.inf
    between[kept, kept] = -np.inf
    size[kept] = total


def _numbered(owner: I64) -> I64:
    _, first, inverse, counts = np.unique(
        owner, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return np.asarray(rank[inverse], np.int64)
