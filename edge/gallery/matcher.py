"""The decision: which SKU a crop shows, or which category, or that it is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.manifest import OperatingPoint
from edge.types import F32, I32, I64, Candidate, Matches, Neighbors

MAX_NEIGHBORS = 256
"""Bound on the neighbours of a crop for further candidates; a margin gets all that it needs."""

_LOWEST = -1.0  # of any cosine


class Matcher:
    """Turns nearest references into SKUs at one operating point. Holds no state between calls.

    A SKU's similarity is that of its best reference: a facing looks like one view of its product,
    and a further view must not lower the score. ``margin`` is the best SKU's similarity minus that
    of the best other SKU; where the gallery has no other SKU, minus the lowest cosine, -1; where
    fewer than ``k`` neighbours were searched and all are of one SKU, minus the last neighbour's
    similarity, which no unseen SKU exceeds.

    A SKU is accepted when similarity and margin reach the operating point and no other SKU is
    exactly as similar; its category is then its full path. Otherwise, where the operating point
    has a ``category_similarity`` and the best similarity reaches it, the category is the common
    beginning of the paths of all SKUs found within ``margin`` of the best; otherwise it is empty.
    """

    def __init__(
        self,
        sku_ids: Sequence[str],
        categories: Sequence[tuple[str, ...]],
        reference_ids: I64,
        reference_sku: I32,
        operating_point: OperatingPoint,
        *,
        top_k: int = 5,
    ) -> None:
        """``categories`` parallel to ``sku_ids``; ``reference_ids (R,)`` ascending, and the index
        of each one's SKU ``(R,)``; ``top_k`` is the number of candidates kept a crop."""
        if top_k < 2:
            raise ValueError(f"top_k must be at least 2 to know a margin, got {top_k}")
        self._sku_ids = tuple(sku_ids)
        self._categories = tuple(categories)
        self._reference_ids = reference_ids
        self._reference_sku = reference_sku
        self._point = operating_point
        self._top_k = top_k
        views = (
            np.sort(np.bincount(reference_sku))[::-1] if len(reference_sku) else np.zeros(1, int)
        )
        self._enrolled_skus = int(np.count_nonzero(views))
        for_candidates = min(int(views[: top_k - 1].sum()) + 1, MAX_NEIGHBORS)
        for_margin = int(views[0]) + 1
        self._k = max(1, min(max(for_candidates, for_margin), len(reference_ids)))

    @property
    def k(self) -> int:
        """How many neighbours to search a crop.

        Always enough for two SKUs, and for ``top_k`` SKUs within MAX_NEIGHBORS.
        """
        return self._k

    def match(self, neighbors: Neighbors) -> Matches:
        """One decision a row of ``neighbors``; GalleryError for a reference that is not enrolled.

        Without any neighbour the similarity is -1, the margin 0 and the SKU unknown.
        """
        sku, similarity = self._per_sku(neighbors)
        found = sku >= 0
        best = np.where(found[:, 0], similarity[:, 0], np.float32(_LOWEST))
        margin = np.where(found[:, 0], best - self._best_other(neighbors, sku, similarity), 0.0)
        margin = margin.astype(np.float32)
        accepted = found[:, 0] & (best >= self._point.similarity)
        accepted &= (margin >= self._point.margin) & (margin > 0)
        return Matches(
            sku_id=tuple(
                self._sku_ids[i] if ok else None
                for i, ok in zip(sku[:, 0].tolist(), accepted.tolist(), strict=True)
            ),
            category=self._categories_of(sku, similarity, best, accepted),
            similarity=best.astype(np.float32),
            margin=margin,
            probability=np.full(len(best), np.nan, np.float32),
            top=self._top(sku, similarity),
        )

    def _per_sku(self, neighbors: Neighbors) -> tuple[I64, F32]:
        """SKU indices ``(N, k)``, each once at its best similarity, best first; -1 at the end."""
        ids, similarity = neighbors.reference_id, neighbors.similarity
        if ids.shape[1] == 0:
            ids = np.full((len(ids), 1), -1, np.int64)
            similarity = np.full(ids.shape, -np.inf, np.float32)
        real = ids >= 0
        sku = np.full(ids.shape, -1, np.int64)
        if real.any():
            sku[real] = self._sku_of(ids[real])
        # the first of each SKU in its row: equal SKUs are neighbours in a stable order by SKU
        order = np.argsort(sku, axis=1, kind="stable")
        grouped = np.take_along_axis(sku, order, axis=1)
        repeated = np.zeros(ids.shape, bool)
        repeated[:, 1:] = grouped[:, 1:] == grouped[:, :-1]
        keep = np.zeros(ids.shape, bool)
        np.put_along_axis(keep, order, ~repeated, axis=1)
        keep &= real
        front = np.argsort(~keep, axis=1, kind="stable")
        sku = np.take_along_axis(np.where(keep, sku, -1), front, axis=1)
        kept = np.where(keep, similarity, np.float32(-np.inf)).astype(np.float32)
        return sku, np.take_along_axis(kept, front, axis=1)

    def _sku_of(self, ids: I64) -> I64:
        at = np.searchsorted(self._reference_ids, ids)
        at[at == len(self._reference_ids)] = 0
        if not len(self._reference_ids) or np.any(self._reference_ids[at] != ids):
            raise GalleryError("the index holds a reference that the gallery does not: rebuild it")
        return self._reference_sku[at].astype(np.int64)

    def _best_other(self, neighbors: Neighbors, sku: I64, similarity: F32) -> F32:
        """Similarity ``(N,)`` of the best other SKU, or the bound on it that is known."""
        bound = np.full(len(sku), _LOWEST, np.float32)
        if self._enrolled_skus > 1 and neighbors.similarity.shape[1]:
            last = np.where(neighbors.reference_id >= 0, neighbors.similarity, np.inf).min(axis=1)
            bound = np.where(np.isfinite(last), last, bound).astype(np.float32)
        if sku.shape[1] < 2:
            return bound
        other: F32 = np.where(sku[:, 1] >= 0, similarity[:, 1], bound).astype(np.float32)
        return other

    def _categories_of(
        self, sku: I64, similarity: F32, best: F32, accepted: npt.NDArray[np.bool_]
    ) -> tuple[tuple[str, ...], ...]:
        certain = self._point.category_similarity
        level = np.zeros(len(best), bool) if certain is None else best >= certain
        band = (sku >= 0) & (similarity >= (best - np.float32(self._point.margin))[:, None])
        paths: list[tuple[str, ...]] = []
        for row in range(len(best)):
            if accepted[row]:
                paths.append(self._categories[sku[row, 0]])
            elif level[row] and sku[row, 0] >= 0:
                paths.append(common_path([self._categories[i] for i in sku[row, band[row]]]))
            else:
                paths.append(())
        return tuple(paths)

    def _top(self, sku: I64, similarity: F32) -> tuple[tuple[Candidate, ...], ...]:
        rows = zip(
            sku[:, : self._top_k].tolist(), similarity[:, : self._top_k].tolist(), strict=True
        )
        return tuple(
            tuple(
                Candidate(self._sku_ids[i], value)
                for i, value in zip(skus, values, strict=True)
                if i >= 0
            )
            for skus, values in rows
        )


def common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The levels, from the coarsest on, that all paths share."""
    first, last = min(paths), max(paths)
    for level, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return first[:level]
    return first
