"""Retrieval measures on embeddings: accuracy by rank and level, intervals, open-set curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Per query the best SKUs, best first: `label (Q, k) int64` (−1 = none), `similarity (Q, k)`.

    Each SKU stands at most once, with its best reference.
    """

    label: I64
    similarity: F32


def rank(
    gallery: F32,
    gallery_labels: I64,
    queries: F32,
    *,
    k: int = 5,
    exclude: NDArray[np.bool_] | None = None,
    chunk: int = 512,
) -> Ranking:
    """Cosine nearest SKUs of each query. Vectors are (·, D) with L2 norm 1.

    `exclude` (Q, G) marks references that a query must not see (itself, its own photo).
    """
    classes, column = np.unique(gallery_labels, return_inverse=True)
    order = np.argsort(column, kind="stable")
    starts = np.searchsorted(column[order], np.arange(len(classes)))
    k = min(k, len(classes))
    labels = np.full((len(queries), k), -1, np.int64)
    similarity = np.full((len(queries), k), -np.inf, np.float32)
    for at in range(0, len(queries), chunk):
        scores = queries[at : at + chunk] @ gallery.T
        if exclude is not None:
            scores[exclude[at : at + chunk]] = -np.inf
        best = np.maximum.reduceat(scores[:, order], starts, axis=1)
        top = np.argsort(-best, axis=1, kind="stable")[:, :k]
        value = np.take_along_axis(best, top, axis=1)
        labels[at : at + chunk] = np.where(np.isfinite(value), classes[top], -1)
        similarity[at : at + chunk] = value
    return Ranking(labels, similarity)


def hits(ranking: Ranking, truth: I64, k: int) -> NDArray[np.bool_]:
    """(Q,) whether the right SKU is among the first k."""
    return np.asarray((ranking.label[:, :k] == truth[:, None]).any(axis=1))


def bootstrap_ci95(
    values: NDArray[np.bool_], groups: Sequence[str] | None = None, *, seed: int = 0, n: int = 1000
) -> tuple[float, float]:
    """95% percentile interval of the mean; whole `groups` (photos) are resampled together."""
    rng = np.random.default_rng(seed)
    names = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = np.bincount(names)
    right = np.bincount(names, weights=values.astype(np.float64))
    picks = rng.integers(len(total), size=(n, len(total)))
    means = right[picks].sum(axis=1) / total[picks].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class OpenSetCurve:
    """For each threshold: FPIR (unknown accepted) and FNIR (known missed or mistaken)."""

    threshold: F64
    fpir: F64
    fnir: F64

    def fnir_at(self, fpir: float) -> float:
        """The least FNIR whose FPIR does not exceed `fpir`."""
        allowed = self.fpir <= fpir
        return float(self.fnir[allowed].min()) if allowed.any() else 1.0


def open_set_curve(
    known_similarity: F32,
    known_right: NDArray[np.bool_],
    unknown_similarity: F32,
    points: int = 201,
) -> OpenSetCurve:
    """Best similarity and correctness of known queries, best similarity of unknown ones."""
    both = np.concatenate([known_similarity, unknown_similarity]).astype(np.float64)
    threshold = np.linspace(both.min(), np.nextafter(both.max(), 2), points)
    fpir = (unknown_similarity[None] >= threshold[:, None]).mean(axis=1)
    found = known_right[None] & (known_similarity[None] >= threshold[:, None])
    return OpenSetCurve(threshold, fpir, 1 - found.mean(axis=1))


def spread(vectors: F32) -> float:
    """1 − mean cosine between different vectors: 0 when collapsed, about 1 when well spread."""
    count = len(vectors)
    total = np.asarray(vectors, np.float64).sum(axis=0)
    return float(1 - (total @ total - count) / (count * (count - 1)))
