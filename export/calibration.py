"""From answers on held-out pictures to the operating point: probabilities and certified thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.gallery.decision import UNKNOWN, deepest, probabilities
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.types import F32, I64
from export.answers import Answers, Flags, join
from export.intervals import CONFIDENCE, answers_needed, certify
from export.metrics import bootstrap_ci95
from export.probability import (
    expected_calibration_error,
    fit_probability,
    held_out_probability,
    reliability,
)

LADDER = (0.995, 0.99, 0.98, 0.97, 0.95, 0.93, 0.9, 0.85, 0.8, 0.7)
"""Targets tried from the highest on where the highest that can be certified is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """An operating point with the answers of one draw by its rules, and how honest it is."""

    point: OperatingPoint
    report: dict[str, Any]


def calibrate(
    draws: Sequence[Answers], *, views: int, target: float, level_target: float, measured: str
) -> Calibrated:
    """The operating point from several draws of who is unknown, over the same SKUs.

    Probabilities are fitted to all draws together. A threshold is the lowest whose precision is at
    least the target with 95% confidence (Clopper-Pearson, one-sided) in *every* draw. SKUs come
    first, then each level from the finest on: the target holds for all answers at this level or
    deeper, and those at this level alone are right in at least that share. A level that cannot be
    certified is never answered.

    Raises:
        ConfigError: when the SKU target cannot be certified; says how many answers it takes.
    """
    depth = draws[0].depth
    models = _fit(draws)
    chances = [_chances(models, answers) for answers in draws]
    taken = [np.zeros(len(answers.score), np.bool_) for answers in draws]
    sku = _point(models[depth], draws, chances, taken, depth, target)
    if sku.accept is None:
        raise ConfigError(refusal(draws, chances, target))
    levels: list[AnswerPoint] = []
    for level in reversed(range(depth)):
        levels.insert(0, _point(models[level], draws, chances, taken, level, level_target))
    calibration = Calibration(sku=sku, levels=tuple(levels))
    point = OperatingPoint(
        similarity=sku.min_similarity,
        margin=0.0,
        views=views,
        calibration=calibration,
        measured=measured,
    )
    return Calibrated(point, _report(calibration, draws))


def highest_target(draws: Sequence[Answers], ladder: Sequence[float] = LADDER) -> float | None:
    """The highest target of the ladder that ``calibrate`` can certify for SKUs."""
    models = _fit(draws)
    chances = [_chances(models, answers) for answers in draws]
    depth = draws[0].depth
    for target in sorted(ladder, reverse=True):
        free = [np.zeros(len(answers.score), np.bool_) for answers in draws]
        if _point(models[depth], draws, chances, free, depth, target).accept is not None:
            return target
    return None


def decide(calibration: Calibration, answers: Answers) -> tuple[I64, F32]:
    """The level answered ``(Q,)``, L for the SKU and -1 for unknown, and probabilities by level."""
    each = probabilities(calibration, answers.score, answers.margins)
    return deepest(calibration, answers.score, answers.margins, each), each


def refusal(draws: Sequence[Answers], chances: Sequence[F32], target: float) -> str:
    """Why a target cannot be certified, and what it takes."""
    needed = answers_needed(target)
    most = min(int(np.count_nonzero(answers.margins[:, -1] > 0)) for answers in draws)
    start = (
        f"a precision of {target:.1%} at {CONFIDENCE:.0%} confidence needs at least {needed}"
        " accepted answers without an error"
    )
    if most < needed:
        return f"{start}; these pictures give {most} answers in all"
    runs = [_right_in_a_row(c[:, -1], a.right[:, -1]) for c, a in zip(chances, draws, strict=True)]
    best = highest_target(draws)
    known = f"; {best:.1%} can be certified" if best is not None else ""
    return f"{start}; the {min(runs)} most probable ones are right, then one is wrong{known}"


def _right_in_a_row(chance: F32, right: Flags) -> int:
    wrong = np.flatnonzero(~right[np.argsort(-chance, kind="stable")])
    return int(wrong[0]) if len(wrong) else len(right)


def _fit(draws: Sequence[Answers]) -> list[ProbabilityModel]:
    every = join(draws)
    return [
        fit_probability(every.score, every.margins[:, level], every.right[:, level])
        for level in range(every.depth + 1)
    ]


def _chances(models: Sequence[ProbabilityModel], answers: Answers) -> F32:
    unused = {"accept": None, "min_similarity": -1.0, "target": 0.0}
    counts = {"answers": 0, "right": 0, "precision_low": 0.0}
    points = [AnswerPoint.model_validate({"model": m, **unused, **counts}) for m in models]
    calibration = Calibration(sku=points[-1], levels=tuple(points[:-1]))
    return probabilities(calibration, answers.score, answers.margins)


def _point(
    model: ProbabilityModel,
    draws: Sequence[Answers],
    chances: Sequence[F32],
    taken: list[Flags],
    level: int,
    target: float,
) -> AnswerPoint:
    """The threshold of one level; the answers that it takes are marked in ``taken``."""
    pools = [answers.margins[:, level] > 0 for answers in draws]
    free = [pool & ~took for pool, took in zip(pools, taken, strict=True)]
    found = certify(
        [chance[own, level].astype(np.float64) for chance, own in zip(chances, free, strict=True)],
        [answers.right[own, level] for answers, own in zip(draws, free, strict=True)],
        target,
        given=[
            answers.right[pool & took, level]
            for answers, pool, took in zip(draws, pools, taken, strict=True)
        ],
    )
    if found is None:
        return AnswerPoint(
            model=model, accept=None, min_similarity=-1.0, target=target,
            answers=0, right=0, precision_low=0.0,
        )  # fmt: skip
    lowest = 1.0
    for place, (chance, answers, own) in enumerate(zip(chances, draws, free, strict=True)):
        given = own & (chance[:, level] >= np.float32(found.threshold))
        lowest = min(lowest, float(answers.score[given].min()))
        taken[place] = taken[place] | given
    return AnswerPoint(
        model=model,
        accept=found.threshold,
        min_similarity=lowest,
        target=target,
        answers=found.answers,
        right=found.right,
        precision_low=found.low,
    )


def _report(calibration: Calibration, draws: Sequence[Answers]) -> dict[str, Any]:
    every = join(draws)
    level, _ = decide(calibration, every)
    names = [f"level{n}" for n in range(1, every.depth + 1)] + ["sku"]
    shares = {name: round(float(np.mean(level == number)), 4) for number, name in enumerate(names)}
    rows = []
    for number, name in enumerate(names):
        usable = np.isfinite(every.margins[:, number])
        score, margin = every.score[usable], every.margins[usable, number]
        right = every.right[usable, number]
        labels = [label for label, keep in zip(every.labels, usable, strict=True) if keep]
        chance = held_out_probability(score, margin, right, labels)
        bins = [
            [row.count, round(row.probability, 4), round(row.right, 4)]
            for row in reliability(chance, right)
        ]
        ece = round(expected_calibration_error(chance, right), 4) if len(chance) else None
        given = level[usable] >= number
        spread = _by_sku(right[given], [x for x, told in zip(labels, given, strict=True) if told])
        rows.append(
            {
                "level": name,
                "ece": ece,
                "precision_ci95_resampling_skus": spread,
                "count_probability_right": bins,
            }
        )
    return {
        "draws": len(draws),
        "queries": len(draws[0].labels),
        "known": [int(np.count_nonzero(answers.known)) for answers in draws],
        "coverage": {**shares, "unknown": round(float(np.mean(level == UNKNOWN)), 4)},
        "reliability": rows,
    }


def _by_sku(right: Flags, labels: Sequence[str]) -> list[float] | None:
    """The 95% interval of a precision when whole SKUs are drawn anew: what other SKUs may bring.

    The certificate counts pictures; those of one SKU err together, so that this is wider.
    """
    if not len(right):
        return None
    low, high = bootstrap_ci95(right, labels)
    return [round(low, 4), round(high, 4)]
