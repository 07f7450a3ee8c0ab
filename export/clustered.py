"""What a share of right answers says about SKUs that were not asked: thresholds certified by SKU.

Pictures of one SKU are right or wrong together, so that 200 answers about 15 SKUs weigh as much as far
fewer independent ones. The design effect says how many fewer (Kish, 1965); Clopper-Pearson limits are
taken with that many answers (Korn and Graubard, 1998). The same queries are asked in several draws of
which SKUs are unknown: their answers are averaged, and never count as more queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.intervals import CONFIDENCE, lower_limit

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
NORMAL_95 = 1.6449
"""The 95% quantile of the normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Answers of all draws: ``score (N,)`` ranks them, ``right (N,)``, and the SKU asked for ``(N,)``.

    ``draws`` is how often each query was asked.
    """

    score: F64
    right: Flags
    sku: NDArray[np.int64]
    draws: int

    @classmethod
    def of(cls, score: F64, right: Flags, labels: Sequence[str], draws: int) -> Pool:
        """With SKUs by name."""
        _, sku = np.unique(np.array(labels, np.str_), return_inverse=True)
        return cls(score, right, sku.astype(np.int64), draws)

    def above(self, threshold: float) -> Pool:
        """The answers at and above a threshold."""
        keep = self.score >= threshold
        return Pool(self.score[keep], self.right[keep], self.sku[keep], self.draws)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold: answers and right ones in a draw, on average, and the lower limit by SKU."""

    threshold: float
    answers: int
    right: int
    low: float


def lower_by_sku(pool: Pool, effect: float, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower limit of the share that is right among answers about other SKUs.

    ``effect`` is the design effect. The fewer SKUs, the less it is known itself, which the ratio of
    normal and Student quantiles makes up for.
    """
    if not len(pool.right):
        return 0.0
    skus = len(np.unique(pool.sku))
    count = len(pool.right) / pool.draws / effect * _student(skus - 1)
    answers = math.floor(count)
    right = math.floor(float(pool.right.mean()) * answers + 1e-9)
    return lower_limit(right, answers, confidence) if answers else 0.0


def design_effect(pool: Pool) -> float:
    """How much wider the spread of the precision is than if all answers were independent; at least 1.

    By linearisation of the ratio of right answers to answers over SKUs.
    """
    if not len(pool.right):
        return 1.0
    rate = float(pool.right.mean())
    answers = np.bincount(pool.sku) / pool.draws
    hits = np.bincount(pool.sku, weights=pool.right.astype(np.float64)) / pool.draws
    answers, hits = answers[answers > 0], hits[answers > 0]
    total, skus = float(answers.sum()), len(answers)
    if skus < 2 or rate in (0.0, 1.0):
        return 1.0
    between = skus / (skus - 1) * float(np.sum((hits - rate * answers) ** 2)) / total**2
    return max(1.0, between / (rate * (1.0 - rate) / total))


def lowest_threshold(
    pool: Pool, target: float, *, given: Pool | None = None, confidence: float = CONFIDENCE
) -> Threshold | None:
    """The lowest score from which on the lower limit by SKU reaches ``target``; None without any.

    ``confidence`` is that of this limit; ``low`` of the threshold found has 95% in any case.

    ``given`` are answers that stand already and count as well. The design effect is that of the most
    answers that are right in a share of ``target``: with few errors it cannot be measured.
    """
    loosest = _loosest(pool, target, given)
    if loosest is None:
        return None
    effect = design_effect(_with(pool.above(loosest), given))
    for threshold in np.unique(pool.score[pool.score >= loosest]).tolist():
        found = _with(pool.above(threshold), given)
        if lower_by_sku(found, effect, confidence) >= target:
            return Threshold(
                threshold,
                round(len(found.right) / pool.draws),
                round(int(np.count_nonzero(found.right)) / pool.draws),
                lower_by_sku(found, effect),
            )
    return None


def _loosest(pool: Pool, target: float, given: Pool | None) -> float | None:
    order = np.argsort(-pool.score, kind="stable")
    before = 0 if given is None else len(given.right)
    right_before = 0 if given is None else int(np.count_nonzero(given.right))
    right = right_before + np.cumsum(pool.right[order])
    share = right / (before + np.arange(1, len(order) + 1))
    # answers of equal score stand or fall together
    ends = np.append(np.diff(pool.score[order]) != 0, True)[: len(order)]
    good = np.flatnonzero((share >= target) & ends)
    return float(pool.score[order[good[-1]]]) if len(good) else None


def _with(pool: Pool, given: Pool | None) -> Pool:
    if given is None:
        return pool
    return Pool(
        np.concatenate([pool.score, given.score]),
        np.concatenate([pool.right, given.right]),
        np.concatenate([pool.sku, given.sku]),
        pool.draws,
    )


def _student(freedom: int) -> float:
    """(normal quantile / Student quantile) squared at 95%, by the first term of Cornish and Fisher."""
    if freedom < 1:
        return 0.0
    quantile = NORMAL_95 + (NORMAL_95**3 + NORMAL_95) / (4.0 * freedom)
    return (NORMAL_95 / quantile) ** 2
