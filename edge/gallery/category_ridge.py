"""Categories learned from the gallery itself: what its SKUs of one category have in common.

The nearest SKU tells the category well while the SKU is enrolled. Where it is not, its look-alike may be
of another category, while a linear classifier over all enrolled SKUs still finds what sisters share.
Ridge regression on one vector a SKU needs no training: it is solved in closed form from the references
whenever they change. Most of its penalty lies where pictures of one SKU differ, as in regularised
discriminant analysis (Friedman, 1989): what light and angle change tells nothing of a category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from edge.gallery.evidence import LOWEST, Evidence
from edge.gallery.hierarchy import Hierarchy
from edge.types import F32, I64

F64 = npt.NDArray[np.float64]

WITHIN = 0.75
"""Share of the penalty that follows the spread within SKUs; the rest is the same in all directions."""

MAX_REFERENCES = 16384
"""Bound on the references that are learned from: the fit must not hold up an enrolment."""


@dataclass(frozen=True, slots=True, eq=False)
class CategoryRidge:
    """One linear score a category path: ``weights (D, C)``, ``bias (C,)``, ``paths`` of length C."""

    weights: F32
    bias: F32
    paths: tuple[tuple[str, ...], ...]
    hierarchy: Hierarchy

    @classmethod
    def fit(
        cls,
        vectors: F32,
        sku_index: npt.NDArray[np.integer],
        categories: Sequence[tuple[str, ...]],
        depth: int,
        ridge: float,
    ) -> Self:
        """Learn the paths, cut to ``depth`` levels, of the SKUs that have both a path and a reference.

        ``vectors (R, D)`` and ``sku_index (R,)`` are the references; ``categories`` is by SKU.
        ``ridge`` is the penalty in units of the mean variance of a dimension (Hoerl and Kennard,
        1970), ``WITHIN`` of it along the spread within SKUs, where any has several references. Every
        SKU weighs the same, however many references it has.
        """
        cut = [path[:depth] for path in categories]
        paths = tuple(sorted({cut[i] for i in np.unique(sku_index).tolist() if cut[i]}))
        number = {path: i for i, path in enumerate(paths)}
        hierarchy = Hierarchy(paths, np.ones(len(paths), np.bool_), depth)
        means, within, skus = _by_sku(vectors, sku_index)
        own = np.array([number.get(cut[i], -1) for i in skus.tolist()], np.int64)
        means, own = means[own >= 0], own[own >= 0]
        if not len(means):
            dim = vectors.shape[1]
            return cls(np.zeros((dim, 0), np.float32), np.zeros(0, np.float32), (), hierarchy)
        target = np.eye(len(paths))[own]
        centre, share = means.mean(axis=0), target.mean(axis=0)
        spread = means - centre
        gram = spread.T @ spread / len(means)
        penalty = max(ridge * float(np.trace(gram)) / len(gram), 1e-9)
        cross = spread.T @ (target - share) / len(means)
        weights = np.linalg.solve(gram + penalty * _shape(within), cross)
        bias = share - centre @ weights
        return cls(weights.astype(np.float32), bias.astype(np.float32), paths, hierarchy)

    def margins(self, vectors: F32) -> tuple[I64, F32]:
        """The best path ``(N,)``, -1 where there is none, and by level ``(N, depth)`` its score minus
        that of the best path elsewhere; NaN below the end of the path."""
        depth = self.hierarchy.depth
        if not self.paths:
            return np.full(len(vectors), -1, np.int64), np.full(
                (len(vectors), depth), np.nan, np.float32
            )
        score = (vectors @ self.weights + self.bias).astype(np.float32)
        rows = np.arange(len(score))
        best = np.argmax(score, axis=1)
        order = np.tile(np.arange(len(self.paths), dtype=np.int64), (len(score), 1))
        order[rows, best], order[:, 0] = 0, best
        found = Evidence(
            order, np.take_along_axis(score, order, axis=1), np.full(len(score), LOWEST)
        )
        return best, self.hierarchy.margins(found)[:, :depth]


def _by_sku(
    vectors: F32, sku_index: npt.NDArray[np.integer]
) -> tuple[F64, F64, npt.NDArray[np.integer]]:
    """The mean vector of each SKU that has references, the covariance ``(D, D)`` around these means,
    each SKU weighing the same, and the SKUs, ascending."""
    order = np.argsort(sku_index, kind="stable")
    skus, start, count = np.unique(sku_index[order], return_index=True, return_counts=True)
    dim = vectors.shape[1]
    if not len(skus):
        return np.zeros((0, dim)), np.zeros((dim, dim)), skus
    sorted_ = vectors[order]
    means = np.add.reduceat(sorted_, start, axis=0, dtype=np.float64) / count[:, None]
    of_sku = np.repeat(np.arange(len(skus)), count)
    rest = sorted_ - means.astype(np.float32)[of_sku]
    rest /= np.sqrt(count, dtype=np.float32)[of_sku, None]
    return means, (rest.T @ rest).astype(np.float64) / len(skus), skus


def _shape(within: F64) -> F64:
    """The penalty's directions ``(D, D)``, of mean 1 on the diagonal."""
    even = np.eye(len(within))
    mean = float(np.trace(within)) / len(within)
    # pictures of one SKU that are all the same leave rounding errors
    return even if mean < 1e-9 else (1.0 - WITHIN) * even + WITHIN * within / mean
