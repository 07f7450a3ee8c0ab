"""Calibrated answers: how probable each level is, and the deepest that is certain enough."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.manifest import AnswerPoint, Calibration, ProbabilityModel
from edge.types import F32, I64

F64 = npt.NDArray[np.float64]

UNKNOWN = -1


def probability(model: ProbabilityModel, score: F32, margin: F32) -> F32:
    """``(N,) float32`` in [0, 1]: how probable an answer is right; 0 where the margin is NaN."""
    s = np.clip(score, *model.similarity_range).astype(np.float64)
    m = np.clip(np.nan_to_num(margin), *model.margin_range).astype(np.float64)
    logit = model.bias + model.similarity * s + model.margin * m
    # exp of a large number is inf, and its inverse 0, which is meant
    with np.errstate(over="ignore"):
        value = 1.0 / (1.0 + np.exp(-logit))
    return np.where(np.isnan(margin), 0.0, value).astype(np.float32)


def probabilities(
    calibration: Calibration, score: F32, margins: F32, agree: npt.NDArray[np.bool_] | None = None
) -> F32:
    """``(N, L + 1) float32``, coarsest level first and the SKU last, by level never rising with depth.

    ``score (N,)`` is the evidence for the best SKU, ``margins (N, L + 1)`` as of
    ``Hierarchy.margins``. Who is right about a level is right about those above it, so that a level
    is at least as probable as all below it. This holds for the SKU where ``agree (N,)`` says that its
    category is the one that is told; everywhere, without it.
    """
    models = [*(point.model for point in calibration.levels), calibration.sku.model]
    each = np.stack(
        [probability(m, score, margins[:, level]) for level, m in enumerate(models)], axis=1
    )
    below = each if agree is None else np.where(agree[:, None], each, _without_sku(each))
    rising = np.maximum.accumulate(below[:, ::-1], axis=1)[:, ::-1]
    rising = np.concatenate([rising[:, :-1], each[:, -1:]], axis=1)
    return np.asarray(np.where(np.isnan(margins), 0.0, rising), np.float32)


def _without_sku(each: F32) -> F32:
    return np.concatenate([each[:, :-1], np.zeros((len(each), 1), np.float32)], axis=1)


def deepest(calibration: Calibration, score: F32, margins: F32, each: F32) -> I64:
    """``(N,) int64``: the deepest level whose answer may be given, L for the SKU, -1 for none.

    ``each`` are the ``probabilities``. An answer needs a margin above 0, whatever its probability.
    """
    points = [*calibration.levels, calibration.sku]
    given = np.stack(
        [may_answer(p, score, margins[:, i], each[:, i]) for i, p in enumerate(points)], axis=1
    )
    last = given.shape[1] - 1 - np.argmax(given[:, ::-1], axis=1)
    return np.where(given.any(axis=1), last, UNKNOWN)


def may_answer(point: AnswerPoint, score: F32, margin: F32, chance: F32) -> npt.NDArray[np.bool_]:
    """``(N,)``: whether an answer of this kind is given at its operating point."""
    if point.accept is None:
        return np.zeros(len(score), np.bool_)
    enough = chance >= np.float32(point.accept)
    return np.asarray(enough & (score >= np.float32(point.min_similarity)) & (margin > 0))
