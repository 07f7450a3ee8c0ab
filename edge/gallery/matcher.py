"""The decision: which SKU a crop shows, or which category, or that it is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.gallery.category_ridge import CategoryRidge
from edge.gallery.decision import UNKNOWN, deepest, probabilities
from edge.gallery.evidence import LOWEST, Evidence, gather
from edge.gallery.hierarchy import Hierarchy
from edge.manifest import Calibration, OperatingPoint
from edge.types import F32, I32, I64, Candidate, Matches, Neighbors

Flags = npt.NDArray[np.bool_]

MAX_NEIGHBORS = 256
"""Bound on the neighbours of a crop for further candidates; a margin gets all that it needs."""


class Matcher:
    """Turns nearest references into SKUs at one operating point. Holds no state between calls.

    A SKU's similarity is the mean of its best ``views`` references, as the operating point says.
    ``margin`` is the best SKU's similarity minus that of the best other SKU; where the gallery has
    no other SKU, minus the lowest cosine, -1; where fewer than ``k`` neighbours were searched and
    all are of one SKU, minus the last neighbour's similarity, which no unseen SKU exceeds.

    With a calibration, a SKU is accepted when it is probable enough; otherwise the category is the
    deepest level that is probable enough, of the best SKU's path or, where the calibration has a
    ``category_ridge``, of the path that this classifier finds; otherwise the crop is unknown. The
    probability is that of the answer given, and for an unknown crop that of its best SKU.

    Without one, a SKU is accepted when similarity and margin reach the operating point, and the
    probability is NaN. Otherwise, where the operating point has a ``category_similarity`` and the
    best similarity reaches it, the category is the common beginning of the paths of all SKUs found
    within ``margin`` of the best.

    No SKU is accepted while another is exactly as similar. An accepted SKU's category is its path.
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
        ridge: CategoryRidge | None = None,
    ) -> None:
        """``categories`` parallel to ``sku_ids``; ``reference_ids (R,)`` ascending, and the index
        of each one's SKU ``(R,)``; ``top_k`` is the number of candidates kept a crop; ``ridge`` is
        there exactly when the operating point asks for it."""
        if top_k < 2:
            raise ValueError(f"top_k must be at least 2 to know a margin, got {top_k}")
        if (ridge is None) != (ridge_of(operating_point) is None):
            raise ValueError("a category classifier is needed where the operating point has one")
        self._ridge = ridge
        self._sku_ids = tuple(sku_ids)
        self._categories = tuple(categories)
        self._reference_ids = reference_ids
        self._reference_sku = reference_sku
        self._sku_by_id = _table(reference_ids, reference_sku)
        self._point = operating_point
        self._top_k = top_k
        self._views = np.bincount(reference_sku, minlength=len(self._sku_ids))
        calibration = operating_point.calibration
        depth = len(calibration.levels) if calibration is not None else 0
        self._hierarchy = Hierarchy(self._categories, self._views > 0, depth)
        views = np.sort(self._views)[::-1] if len(self._views) else np.zeros(1, int)
        for_candidates = min(int(views[: top_k - 1].sum()) + 1, MAX_NEIGHBORS)
        for_margin = int(views[0]) + 1
        self._k = max(1, min(max(for_candidates, for_margin), len(reference_ids)))

    @property
    def operating_point(self) -> OperatingPoint:
        """Where a SKU is accepted."""
        return self._point

    @property
    def k(self) -> int:
        """How many neighbours to search a crop.

        Always enough for two SKUs, and for ``top_k`` SKUs within MAX_NEIGHBORS.
        """
        return self._k

    def match(self, neighbors: Neighbors, vectors: F32 | None = None) -> Matches:
        """One decision a row of ``neighbors``; GalleryError for a reference that is not enrolled.

        ``vectors (N, D)`` are what was searched for; only a category classifier needs them. Without
        any neighbour the similarity is -1, the margin 0 and the SKU unknown.
        """
        evidence, margins = self.measure(neighbors)
        found = evidence.sku[:, 0] >= 0
        best = np.where(found, evidence.score[:, 0], LOWEST).astype(np.float32)
        margin = np.where(found, margins[:, -1], np.float32(0.0)).astype(np.float32)
        enough = found & (best >= self._point.similarity)
        enough &= (margin >= self._point.margin) & (margin > 0)
        calibration = self._point.calibration
        if calibration is None:
            accepted = enough
            category = self._shared_categories(evidence, best, accepted)
            chance = np.full(len(best), np.nan, np.float32)
        else:
            told, agree = self._told(evidence.sku[:, 0], margins, vectors)
            level, chance = _answers(calibration, best, margins, enough, agree)
            accepted = level == len(calibration.levels)
            category = self._cut_categories(evidence.sku[:, 0], told, level)
        return Matches(
            sku_id=tuple(
                self._sku_ids[i] if ok else None
                for i, ok in zip(evidence.sku[:, 0].tolist(), accepted.tolist(), strict=True)
            ),
            category=category,
            similarity=best,
            margin=margin,
            probability=chance,
            top=self._top(evidence),
        )

    def measure(self, neighbors: Neighbors) -> tuple[Evidence, F32]:
        """What a decision rests on: evidence by SKU, and margins by level, the SKU's own last."""
        ids = neighbors.reference_id
        owner = np.full(ids.shape, -1, np.int64)
        real = ids >= 0
        if real.any():
            owner[real] = self._sku_of(ids[real])
        evidence = gather(neighbors, owner, self._views, self._point.views)
        return evidence, self._hierarchy.margins(evidence)

    def _sku_of(self, ids: I64) -> I64:
        if self._sku_by_id is not None:
            known = ids < len(self._sku_by_id)
            sku = self._sku_by_id[np.where(known, ids, 0)]
            missing = ~known | (sku < 0)
        else:
            at = np.searchsorted(self._reference_ids, ids)
            at[at == len(self._reference_ids)] = 0
            sku, missing = self._reference_sku[at], self._reference_ids[at] != ids
        if np.any(missing):
            raise GalleryError("the index holds a reference that the gallery does not: rebuild it")
        return sku.astype(np.int64)

    def _told(
        self, sku: I64, margins: F32, vectors: F32 | None
    ) -> tuple[Sequence[tuple[str, ...]], Flags]:
        """The path told of each crop, and whether it is its best SKU's; the classifier's margins
        replace those of the categories in ``margins``."""
        own = [self._categories[i] if i >= 0 else () for i in sku.tolist()]
        if self._ridge is None:
            return own, np.ones(len(own), np.bool_)
        if vectors is None:
            raise ValueError("a category classifier needs the vectors that were searched for")
        best, found = self._ridge.margins(vectors)
        found[sku < 0] = np.nan
        margins[:, :-1] = found
        told = [self._ridge.paths[i] if i >= 0 else () for i in best.tolist()]
        depth = self._hierarchy.depth
        return told, np.array([a[:depth] == b for a, b in zip(own, told, strict=True)], np.bool_)

    def _cut_categories(
        self, sku: I64, told: Sequence[tuple[str, ...]], level: I64
    ) -> tuple[tuple[str, ...], ...]:
        depth = self._hierarchy.depth
        return tuple(
            ()
            if answer == UNKNOWN
            else path[: answer + 1]
            if answer < depth
            else self._categories[i]
            for i, path, answer in zip(sku.tolist(), told, level.tolist(), strict=True)
        )

    def _shared_categories(
        self, evidence: Evidence, best: F32, accepted: Flags
    ) -> tuple[tuple[str, ...], ...]:
        certain = self._point.category_similarity
        level = np.zeros(len(best), bool) if certain is None else best >= certain
        sku = evidence.sku
        band = (sku >= 0) & (evidence.score >= (best - np.float32(self._point.margin))[:, None])
        paths: list[tuple[str, ...]] = []
        for row in range(len(best)):
            if accepted[row]:
                paths.append(self._categories[sku[row, 0]])
            elif level[row] and sku[row, 0] >= 0:
                paths.append(common_path([self._categories[i] for i in sku[row, band[row]]]))
            else:
                paths.append(())
        return tuple(paths)

    def _top(self, evidence: Evidence) -> tuple[tuple[Candidate, ...], ...]:
        best = evidence.sku[:, : self._top_k]
        name = self._sku_ids.__getitem__
        return tuple(
            tuple(map(Candidate, map(name, skus[:count]), scores))
            for skus, scores, count in zip(
                best.tolist(),
                evidence.score[:, : self._top_k].tolist(),
                (best >= 0).sum(axis=1).tolist(),
                strict=True,
            )
        )


def ridge_of(point: OperatingPoint) -> float | None:
    """The penalty of the category classifier that the operating point asks for."""
    return None if point.calibration is None else point.calibration.category_ridge


def _table(reference_ids: I64, reference_sku: I32) -> I32 | None:
    """The SKU index by reference id, -1 where there is none; None where that would be mostly holes."""
    size = int(reference_ids[-1]) + 1 if len(reference_ids) else 1
    if size > 8 * len(reference_ids) + 1024:
        return None
    table = np.full(size, -1, np.int32)
    table[reference_ids] = reference_sku
    return table


def _answers(
    calibration: Calibration, best: F32, margins: F32, enough: Flags, agree: Flags
) -> tuple[I64, F32]:
    """The level answered ``(N,)``, -1 for none, and the probability ``(N,)`` of that answer."""
    each = probabilities(calibration, best, margins, agree)
    usable = margins.copy()
    usable[~enough, -1] = np.nan
    level = deepest(calibration, best, usable, each)
    told = np.where(level == UNKNOWN, margins.shape[1] - 1, level)
    return level, np.take_along_axis(each, told[:, None], axis=1)[:, 0]


def common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The levels, from the coarsest on, that all paths share."""
    first, last = min(paths), max(paths)
    for level, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return first[:level]
    return first
