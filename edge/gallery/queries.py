"""What every index does with its queries before it searches."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from edge.errors import GalleryError
from edge.types import F32, I64

_NORM_TOLERANCE = 1e-2
_log = logging.getLogger("edge.gallery")


def unit_queries(vectors: F32, dim: int) -> tuple[F32, npt.NDArray[np.bool_]]:
    """The queries at L2 norm 1, and which of them are usable (finite and not zero)."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise GalleryError(f"queries must be (N, {dim}) as the gallery, got {vectors.shape}")
    exact = vectors.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.sqrt(np.einsum("nd,nd->n", exact, exact))
    usable = np.isfinite(norm) & (norm > 0)
    if usable.all():
        return (exact / norm[:, None]).astype(np.float32), usable
    _log.warning("%d of %d queries are zero or not finite", int((~usable).sum()), len(usable))
    unit = np.zeros_like(vectors, dtype=np.float32)
    unit[usable] = vectors[usable] / norm[usable, None]
    return unit, usable


def check_references(ids: I64, vectors: F32) -> None:
    """Raise GalleryError for a reference that is not finite or not of L2 norm 1: a graph takes all."""
    norm = np.linalg.norm(vectors, axis=1) if vectors.size else np.ones(len(ids))
    wrong = np.flatnonzero(~(np.abs(norm - 1.0) <= _NORM_TOLERANCE))
    if len(wrong):
        raise GalleryError(
            f"reference {ids[wrong[0]]}: vector must have L2 norm 1, got {norm[wrong[0]]:.4g}"
            f" ({len(wrong)} of {len(ids)} are wrong)"
        )


def no_neighbors(n: int, k: int) -> tuple[I64, F32]:
    """Ids ``(n, k)`` of -1 and similarities ``(n, k)`` of -inf."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
