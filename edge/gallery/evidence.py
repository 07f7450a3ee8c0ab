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
    # equal SKUs become neighbours, each run in descending order of similarity; 16 bits sort fastest
    keys = owner.astype(np.int16) if len(views_of_sku) <= np.iinfo(np.int16).max else owner
    order = np.argsort(keys, axis=1, kind="stable")
    order += np.arange(0, owner.size, owner.shape[1])[:, None]
    sku, value = owner.take(order), similarity.take(order)
    head = sku >= 0
    head[:, 1:] &= sku[:, 1:] != sku[:, :-1]
    width = sku.shape[1]
    heads = np.flatnonzero(head)
    row = heads // width
    own, score = sku.take(heads), value.take(heads)
    if views > 1:
        # a run ends with its row
        left = (row + 1) * width - heads
        score = _means(sku, value, heads, left, bound[row], views_of_sku[own], views)
    place = np.cumsum(head, axis=1).take(heads) - 1
    most = max(1, int(place.max(initial=0)) + 1)
    found = np.full((len(owner), most), -1, np.int64)
    evidence = np.full((len(owner), most), -np.inf, np.float32)
    place += row * most
    found.put(place, own)
    evidence.put(place, score)
    best_first = np.argsort(-evidence, axis=1, kind="stable")
    return Evidence(
        np.take_along_axis(found, best_first, axis=1),
        np.take_along_axis(evidence, best_first, axis=1),
        bound,
    )


def _means(
    sku: I64,
    value: F32,
    heads: npt.NDArray[np.intp],
    left: npt.NDArray[np.intp],
    bound: F32,
    enrolled: npt.NDArray[np.integer],
    views: int,
) -> F32:
    """The mean ``(H,)`` of the first ``views`` values of each run.

    ``heads`` are places of ``sku`` and ``value``, counted through all rows; of the other arrays each
    run has its own value: places ``left`` in its row, its row's ``bound``, views ``enrolled``.
    """
    own = sku.take(heads)
    wanted = np.minimum(enrolled, views)
    total = value.take(heads).astype(np.float64)
    for step in range(1, views):
        later = heads + step
        same = (left > step) & (sku.take(later, mode="clip") == own)
        total += np.where(
            wanted > step, np.where(same, value.take(later, mode="clip"), bound), np.float32(0)
        )
    return np.asarray(total / wanted, np.float32)
