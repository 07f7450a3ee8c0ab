"""From answers on held-out pictures to the operating point: probabilities and certified thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.gallery.decision import may_answer, probabilities
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.types import F32, I64
from export.answers import Answers, Flags, join
from export.calibration_report import report
from export.clustered import Pool, design_effect, lower_by_sku, lowest_threshold
from export.intervals import CONFIDENCE, answers_needed
from export.probability import fit_probability

LADDER = (0.995, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.9, 0.88, 0.85, 0.8, 0.7)
"""Targets tried from the highest on where the highest that can be certified is asked for."""

EVEN_ODDS = 0.5
"""Confidence at which category paths reach their target: more likely than not, for other SKUs."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """An operating point with the answers of one draw by its rules, and how honest it is."""

    point: OperatingPoint
    report: dict[str, Any]


def calibrate(
    draws: Sequence[Answers],
    *,
    views: int,
    target: float,
    level_target: float,
    measured: str,
    ridge: float | None = None,
) -> Calibrated:
    """The operating point from several draws of who is unknown, over the same queries.

    Probabilities are fitted to all draws together. For SKUs, the threshold is the lowest whose precision
    is at least the target for other SKUs, with 95% confidence (see ``clustered``). Categories of all
    levels share one model and one threshold, for each level alone has too few answers: the lowest
    probability from which on whole category paths, those of the SKUs accepted included, are more likely
    than not right in a share of ``level_target`` for other SKUs. What each level makes of it, and its
    lower limit, stands in its point. Without such a threshold no category is ever answered.

    Raises:
        ConfigError: when the SKU target cannot be certified; says how many answers it takes.
    """
    pooled = join(draws)
    depth = pooled.depth
    models = _fit(pooled)
    chances = _chances(models, pooled)
    number = np.unique(np.array(pooled.labels, np.str_), return_inverse=True)[1].astype(np.int64)
    pool = _Pooled(pooled, chances, number, len(draws))
    sku = _sku(models[depth], pool, target)
    if sku.accept is None:
        raise ConfigError(refusal(draws, target))
    accepted = _given(sku, pool, depth)
    floor = _whole_paths(pool, accepted, level_target) if depth else None
    levels: list[AnswerPoint] = []
    for level in range(depth):
        levels.append(_level(models[level], pool, accepted, level, floor, level_target))
    calibration = Calibration(sku=sku, levels=tuple(levels), category_ridge=ridge)
    point = OperatingPoint(
        similarity=sku.min_similarity,
        margin=0.0,
        views=views,
        calibration=calibration,
        measured=measured,
    )
    return Calibrated(point, report(calibration, draws))


def highest_target(draws: Sequence[Answers], ladder: Sequence[float] = LADDER) -> float | None:
    """The highest target of the ladder that ``calibrate`` can certify for SKUs."""
    pooled = join(draws)
    chance = _chances(_fit(pooled), pooled)[:, -1].astype(np.float64)
    usable = pooled.margins[:, -1] > 0
    labels = [label for label, keep in zip(pooled.labels, usable, strict=True) if keep]
    pool = Pool.of(chance[usable], pooled.right[usable, -1], labels, len(draws))
    for target in sorted(ladder, reverse=True):
        if lowest_threshold(pool, target) is not None:
            return target
    return None


def refusal(draws: Sequence[Answers], target: float) -> str:
    """Why a target cannot be certified, and what it takes."""
    needed = answers_needed(target)
    most = min(int(np.count_nonzero(answers.margins[:, -1] > 0)) for answers in draws)
    start = (
        f"a precision of {target:.1%} at {CONFIDENCE:.0%} confidence needs at least {needed}"
        " accepted answers without an error"
    )
    if most < needed:
        return f"{start}; these pictures give {most} answers in all"
    skus = len(set(draws[0].labels))
    best = highest_target(draws)
    known = f"; {best:.1%} can be certified" if best is not None else ""
    return (
        f"{start}, and more where those of one SKU err together; {most} answers about {skus} SKUs do"
        f" not suffice{known}"
    )


def _fit(every: Answers) -> list[ProbabilityModel]:
    """One model for all category levels, fitted to the answers of all, and that of the SKU last."""
    own = fit_probability(every.score, every.margins[:, -1], every.right[:, -1])
    if not every.depth:
        return [own]
    shared = fit_probability(
        np.repeat(every.score, every.depth),
        every.margins[:, :-1].reshape(-1),
        every.right[:, :-1].reshape(-1),
    )
    return [shared] * every.depth + [own]


def _chances(models: Sequence[ProbabilityModel], answers: Answers) -> F32:
    unused = {"accept": None, "min_similarity": -1.0, "target": 0.0}
    counts = {"answers": 0, "right": 0, "precision_low": 0.0}
    points = [AnswerPoint.model_validate({"model": m, **unused, **counts}) for m in models]
    calibration = Calibration(sku=points[-1], levels=tuple(points[:-1]))
    return probabilities(calibration, answers.score, answers.margins, answers.agree)


@dataclass(frozen=True, slots=True, eq=False)
class _Pooled:
    """Answers of all draws with the probability of each level, and the number of the SKU asked for."""

    answers: Answers
    chances: F32
    sku: I64
    draws: int

    def pool(self, keep: Flags, level: int, told: Flags) -> Pool:
        score = self.chances[keep, level].astype(np.float64)
        return Pool(score, told[keep], self.sku[keep], self.draws)


def _given(point: AnswerPoint, pool: _Pooled, level: int) -> Flags:
    """Which answers a point would give at its level, whatever is given deeper."""
    answers = pool.answers
    return may_answer(point, answers.score, answers.margins[:, level], pool.chances[:, level])


def _sku(model: ProbabilityModel, pool: _Pooled, target: float) -> AnswerPoint:
    answers = pool.answers
    usable = answers.margins[:, -1] > 0
    found = lowest_threshold(pool.pool(usable, answers.depth, answers.right[:, -1]), target)
    if found is None:
        return _never(model, target)
    given = usable & (pool.chances[:, -1] >= np.float32(found.threshold))
    return AnswerPoint(
        model=model,
        accept=found.threshold,
        min_similarity=float(answers.score[given].min()),
        target=target,
        answers=found.answers,
        right=found.right,
        precision_low=found.low,
    )


def _whole_paths(pool: _Pooled, accepted: Flags, target: float) -> float | None:
    """The lowest probability from which on whole paths are right in a share of ``target``."""
    answers = pool.answers
    length = np.isfinite(answers.margins[:, :-1]).sum(axis=1)
    at = np.maximum(length - 1, 0)[:, None]
    margin = np.take_along_axis(answers.margins, at, axis=1)[:, 0]
    score = np.take_along_axis(pool.chances, at, axis=1)[:, 0].astype(np.float64)
    free = ~accepted & (length > 0) & (margin > 0)
    found = lowest_threshold(
        Pool(score[free], answers.whole[free, 0], pool.sku[free], pool.draws),
        target,
        given=Pool(score[accepted], answers.whole[accepted, 1], pool.sku[accepted], pool.draws),
        confidence=EVEN_ODDS,
    )
    return None if found is None else found.threshold


def _level(
    model: ProbabilityModel,
    pool: _Pooled,
    accepted: Flags,
    level: int,
    accept: float | None,
    target: float,
) -> AnswerPoint:
    """What a level answers at the threshold of all levels, SKUs accepted included."""
    if accept is None:
        return _never(model, target)
    answers = pool.answers
    score = pool.chances[:, level]
    own = ~accepted & (answers.margins[:, level] > 0) & (score >= np.float32(accept))
    told = np.where(accepted, answers.nearest[:, level], answers.right[:, level])
    given = pool.pool(own | (accepted & np.isfinite(answers.margins[:, level])), level, told)
    return AnswerPoint(
        model=model,
        accept=accept,
        min_similarity=float(answers.score[own].min()) if own.any() else -1.0,
        target=target,
        answers=round(len(given.right) / pool.draws),
        right=round(int(np.count_nonzero(given.right)) / pool.draws),
        precision_low=lower_by_sku(given, design_effect(given)),
    )


def _never(model: ProbabilityModel, target: float) -> AnswerPoint:
    return AnswerPoint(
        model=model, accept=None, min_similarity=-1.0, target=target,
        answers=0, right=0, precision_low=0.0,
    )  # fmt: skip
