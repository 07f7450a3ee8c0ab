"""How often the graph finds what exact search finds, and the smallest beam that is good enough.

Nodes of a graph flatter it when they are asked for their nearest other: they were linked along the very
way that the search then goes. At 3.5 million references such a sample promised 99.6% where new queries
got 97.0%. So some nodes are held out while a graph grows, asked before they are added, and added then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.gallery.hnsw import HnswIndex
from edge.gallery.measured import Recall
from edge.gallery.truth import nearest
from edge.types import F32, I64

TARGET = 0.99
"""Share of queries whose nearest reference must be the one that exact search finds."""
DEPTH = 10
BEAMS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
HELD_OUT = 3000
"""Nodes that are held out: enough to tell 99.3% from 99%."""
FEWEST = 500
"""Queries without which nothing can be told about a target of 99%."""
_MOST_HELD_OUT = 0.25  # of all nodes
_SEED = 7
_SAME = 1e-6  # similarities that float32 sums in another order cannot tell apart


def hold_out(count: int, *, first: int = 0) -> I64:
    """The nodes from ``first`` to ``count`` that are held out, about HELD_OUT of them, ascending.

    Chosen by a fixed seed, so that a build that is resumed holds out the same ones.
    """
    fresh = count - first
    share = min(_MOST_HELD_OUT, HELD_OUT / max(1, fresh))
    draw = np.random.default_rng(_SEED).random(count)[first:]
    return first + np.flatnonzero(draw < share)


def choose_beam(
    index: HnswIndex, held: I64, *, target: float = TARGET, beams: Sequence[int] = BEAMS
) -> Recall:
    """The smallest of ``beams`` that reaches ``target`` with confidence, else the largest.

    ``held`` are nodes that have a vector but are not in the graph yet: they are the queries. A graph
    of no more nodes than the largest beam needs no query.
    """
    living = np.diff(index.parts.nodes.start) > 0
    living[held] = False
    depth = min(DEPTH, int(np.count_nonzero(living)))
    if not len(held) or np.count_nonzero(living) <= beams[-1]:
        return Recall(beams[-1], 1.0, 1.0, 0, target)
    queries = index.parts.vectors.take(held)
    wide = np.sort(index.propose(queries, beams[-1], depth)[1], axis=1)[:, -depth:]
    truth = nearest(queries, index.parts.vectors, index.parts.projection, ~living, wide)
    result = None
    for ef in beams:
        result = _measure(index, queries, truth, ef, target)
        if result.met:
            break
    assert result is not None
    return result


def complete(
    index: HnswIndex, held: I64, *, target: float = TARGET, least: Recall | None = None
) -> Recall:
    """Measure ``index`` by the nodes ``held`` that its graph lacks, then add them to the graph.

    ``least`` is what was measured before the graph was extended: the beam is not less, and where
    fewer than FEWEST are held, it stands.
    """
    if least is not None and len(held) < FEWEST:
        found = least
    else:
        beams = [ef for ef in BEAMS if least is None or ef >= least.ef]
        found = choose_beam(index, held, target=target, beams=beams)
    if len(held):
        points = index.parts.projection(index.parts.vectors.take(held))
        index.parts.graph.add(points, held)
    return found


def _measure(index: HnswIndex, queries: F32, truth: F32, ef: int, target: float) -> Recall:
    depth = truth.shape[1]
    _, similarity = index.propose(queries, max(ef, depth), depth)
    best = -np.sort(-similarity, axis=1)[:, :depth]
    # what counts is how near, so that ties do not
    hit = best >= truth - _SAME
    return Recall(ef, float(hit[:, 0].mean()), float(hit.mean()), len(queries), target)
