"""Evidence for SKUs from the nearest references: several views of one SKU speak together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.types import F32, I64, Neighbors

LOWEST = np.float32(-1.0)
"""Of any cosine."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """SKUs found for each crop, best first.

    ``sku (N, K) int64`` holds indices of SKUs, each at most once a row, -1 at the end;
    ``score (N, K) float32`` the mean of the ``views`` best cosines, -inf where there is no SKU;
    ``bound (N,) float32`` what no SKU that is not listed can exceed.
    """

    sku: I64
    score: F32
    bound: F32


def gather(
    neighbors: Neighbors, owner: I64, views_of_sku: npt.NDArray[np.integer], views: int
) -> Evidence:
    """Combine the neighbours of each crop by SKU.

    A SKU's evidence is the mean similarity of its ``views`` best references, or of all when it has
    fewer. A reference that was not among the neighbours counts as the last of them, which it cannot
    exceed. ``owner (N, k) int64`` is the SKU index of each neighbour, -1 for none;
    ``views_of_sku (S,)`` the number of references enrolled of each.
    """
    if owner.shape[1] == 0:
        owner = np.full((len(owner), 1), -1, np.int64)
        similarity = np.full(owner.shape, -np.inf, np.float32)
    else:
        similarity = neighbors.similarity
    real = owner >= 0
    last = np.where(real, similarity, np.inf).min(axis=1)
    bound = np.where(np.isfinite(last), last, LOWEST).astype(np.float32)
    # equal SKUs become neighbours, each run in descending order of similarity
    order = np.argsort(owner, axis=1, kind="stable")
    sku = np.take_along_axis(owner, order, axis=1)
    value = np.take_along_axis(similarity, order, axis=1)
    head = sku >= 0
    head[:, 1:] &= sku[:, 1:] != sku[:, :-1]
    score = value if views == 1 else _means(sku, value, head, bound, views_of_sku, views)
    score = np.where(head, score, np.float32(-np.inf))
    place = np.argsort(-score, axis=1, kind="stable")
    score = np.take_along_axis(score, place, axis=1)
    sku = np.take_along_axis(np.where(head, sku, -1), place, axis=1)
    most = max(1, int(head.sum(axis=1).max(initial=0)))
    return Evidence(sku[:, :most], score[:, :most], bound)


def _means(
    sku: I64,
    value: F32,
    head: npt.NDArray[np.bool_],
    bound: F32,
    views_of_sku: npt.NDArray[np.integer],
    views: int,
) -> F32:
    """At each head of a run, the mean of its first ``views`` values; other places mean nothing."""
    wanted = np.where(head, np.minimum(views_of_sku[sku], views), 1)
    total = value.astype(np.float64)
    for step in range(1, views):
        later = np.broadcast_to(bound[:, None], value.shape).copy()
        width = value.shape[1] - step
        if width > 0:
            same = sku[:, step:] == sku[:, :width]
            later[:, :width][same] = value[:, step:][same]
        total += np.where(wanted > step, later, 0.0)
    return (total / wanted).astype(np.float32)
