"""Fits probabilities to what was right and wrong, and measures how honest they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.gallery.decision import probability
from edge.manifest import ProbabilityModel
from edge.types import F32

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
RIDGE = 1.0
"""Pull of the standardised weights towards 0, in units of one answer: keeps them finite where similarity
and margin separate right from wrong without a rest."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """One bin of a reliability table: mean probability against the share that was right."""

    count: int
    probability: float
    right: float


def fit_probability(score: F32, margin: F32, right: Flags) -> ProbabilityModel:
    """The logistic model of ``right`` on score and margin, by ridge-penalised Newton steps.

    Targets are those of Platt (1999), (n₊+1)/(n₊+2) and 1/(n₋+2), so that a set without errors does not
    give certainty. A weight that would be negative is 0. Rows of NaN margin are left out; without any
    row the model answers 1/2.
    """
    usable = np.isfinite(margin)
    s, m, good = score[usable].astype(np.float64), margin[usable].astype(np.float64), right[usable]
    if not len(s):
        return ProbabilityModel(
            bias=0.0, similarity=0.0, margin=0.0, similarity_range=(0, 0), margin_range=(0, 0)
        )
    features = np.stack([s, m], axis=1)
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    plus = int(np.count_nonzero(good))
    minus = len(good) - plus
    target = np.where(good, (plus + 1.0) / (plus + 2.0), 1.0 / (minus + 2.0))
    standard = (features - centre) / scale
    active = [0, 1]
    while True:
        bias, weights = _newton(standard[:, active], target)
        if not active or weights.min() >= 0:
            break
        active.pop(int(np.argmin(weights)))
    slope = np.zeros(2)
    slope[active] = weights
    slope /= scale
    return ProbabilityModel(
        bias=float(bias - slope @ centre),
        similarity=float(slope[0]),
        margin=float(slope[1]),
        similarity_range=(float(s.min()), float(s.max())),
        margin_range=(float(m.min()), float(m.max())),
    )


def held_out_probability(
    score: F32, margin: F32, right: Flags, groups: Sequence[str], *, folds: int = 5, seed: int = 0
) -> F32:
    """The probability of each answer by a model that saw no answer of its group (SKU)."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[int(at)]: place % folds for place, at in enumerate(order)}
    fold = np.array([fold_of[g] for g in groups])
    out = np.zeros(len(score), np.float32)
    for number in range(folds):
        held = fold == number
        model = fit_probability(score[~held], margin[~held], right[~held])
        out[held] = probability(model, score[held], margin[held])
    return out


def reliability(chance: F32, right: Flags, bins: int = 10) -> list[Reliability]:
    """Bins of equal width over [0, 1]; empty ones are left out."""
    place = np.minimum((chance * bins).astype(int), bins - 1)
    return [
        Reliability(
            int(np.count_nonzero(place == b)),
            float(chance[place == b].mean()),
            float(right[place == b].mean()),
        )
        for b in range(bins)
        if np.any(place == b)
    ]


def expected_calibration_error(chance: F32, right: Flags, bins: int = 10) -> float:
    """Mean distance of probability and share of right answers, weighted by count (Naeini, 2015)."""
    if not len(chance):
        return float("nan")
    rows = reliability(chance, right, bins)
    return sum(row.count * abs(row.probability - row.right) for row in rows) / len(chance)


def _newton(features: F64, target: F64) -> tuple[float, F64]:
    design = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    penalty = np.diag([0.0] + [RIDGE] * features.shape[1])
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(target.mean() / (1.0 - target.mean()))
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (target - chance) - penalty @ beta
        weight = np.maximum(chance * (1.0 - chance), 1e-9)
        hessian = (design * weight[:, None]).T @ design + penalty
        step = np.linalg.solve(hessian + 1e-9 * np.eye(len(beta)), gradient)
        beta += np.clip(step, -4.0, 4.0)
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(beta[0]), beta[1:]
