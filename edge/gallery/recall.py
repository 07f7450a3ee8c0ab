"""How often the graph finds what exact search finds, and the smallest beam that is good enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from edge.gallery.hnsw import HnswIndex
from edge.types import F32, I64

TARGET = 0.99
"""Share of queries whose nearest reference must be the one that exact search finds."""
DEPTH = 10
BEAMS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
SAMPLES = 1000
_MULTIPLICATIONS = 4e11  # of the exact search at most: seconds on two cores
_BLOCK = 16384
_SEED = 7
_SAME = 1e-6  # similarities that float32 sums in another order cannot tell apart


@dataclass(frozen=True, slots=True)
class Recall:
    """``ann_recall@1`` and ``@10`` at a beam, over ``queries`` references that leave themselves out."""

    ef: int
    at_1: float
    at_10: float
    queries: int
    target: float

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.at_1 >= self.target

    def to_json(self) -> dict[str, object]:
        """For headers and reports."""
        return asdict(self)


def choose_beam(index: HnswIndex, *, target: float = TARGET) -> Recall:
    """The smallest of BEAMS that reaches ``target``, else the largest, with its recall.

    Up to SAMPLES nodes, chosen by a fixed seed, are the queries; each leaves itself out, so that it is
    asked for its nearest other. Fewer where exact search would take minutes.
    """
    nodes = index.parts.nodes
    alive = np.flatnonzero(np.diff(nodes.start))
    dim = len(index.parts.projection.mean)
    count = int(min(SAMPLES, max(100, _MULTIPLICATIONS // max(1, len(alive) * dim))))
    some = np.sort(np.random.default_rng(_SEED).permutation(alive)[:count])
    depth = min(DEPTH, len(alive) - 1)
    if depth < 1:
        return Recall(BEAMS[0], 1.0, 1.0, 0, target)
    queries = index.parts.vectors.take(some)
    truth = _exact(queries, some, index, depth)
    result = None
    for ef in BEAMS:
        result = _measure(index, queries, some, truth, ef, target)
        if result.met:
            break
    assert result is not None
    return result


def _measure(
    index: HnswIndex, queries: F32, own: I64, truth: F32, ef: int, target: float
) -> Recall:
    depth = truth.shape[1]
    found, similarity = index.propose(queries, max(ef, depth + 1))
    similarity = np.where(found == own[:, None], -np.inf, similarity)
    best = -np.sort(-similarity, axis=1)[:, :depth]
    # what counts is how near, so that ties do not
    hit = best >= truth - _SAME
    return Recall(ef, float(hit[:, 0].mean()), float(hit.mean()), len(own), target)


def _exact(queries: F32, own: I64, index: HnswIndex, k: int) -> F32:
    """The similarities ``(Q, k)`` of the k nearest nodes that live, each query's ``own`` left out."""
    dead = np.diff(index.parts.nodes.start) == 0
    best = np.full((len(queries), k), -np.inf, np.float32)
    first = 0
    for block in index.parts.vectors.blocks(_BLOCK):
        last = first + len(block)
        cosine = queries @ block.T
        cosine[:, dead[first:last]] = -np.inf
        mine = (own >= first) & (own < last)
        cosine[mine, own[mine] - first] = -np.inf
        both = np.concatenate([best, cosine], axis=1)
        best = -np.partition(-both, k - 1, axis=1)[:, :k]
        first = last
    return -np.sort(-best, axis=1)
