"""Exact binomial intervals (Clopper and Pearson, 1934), and the lowest threshold they certify."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
F64 = NDArray[np.float64]


def lower_limit(right: int, answers: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower limit of a share; 0 without any answer."""
    if not 0 <= right <= answers:
        raise ValueError(f"right must lie between 0 and {answers}, got {right}")
    return 1.0 - _most_errors(answers - right, answers, 1.0 - confidence)


def upper_limit(right: int, answers: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper limit of a share; 1 without any answer."""
    if not 0 <= right <= answers:
        raise ValueError(f"right must lie between 0 and {answers}, got {right}")
    return _most_errors(right, answers, 1.0 - confidence)


def interval(right: int, answers: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided interval of a share."""
    one_sided = (1.0 + confidence) / 2.0
    return lower_limit(right, answers, one_sided), upper_limit(right, answers, one_sided)


def answers_needed(target: float, errors: int = 0, confidence: float = CONFIDENCE) -> int:
    """The fewest answers, ``errors`` of them wrong, that certify a precision of ``target``."""
    if not 0.0 < target < 1.0:
        raise ValueError(f"target must lie between 0 and 1, got {target}")
    few = max(1, errors + 1, math.ceil(math.log(1.0 - confidence) / math.log(target)))
    while lower_limit(few - errors, few, confidence) < target:
        few += 1
    return few


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold, and the answers at and above it in the set where they certify least."""

    threshold: float
    answers: int
    right: int
    low: float


def certify(
    scores: Sequence[F64],
    rights: Sequence[NDArray[np.bool_]],
    target: float,
    confidence: float = CONFIDENCE,
) -> Certified | None:
    """The lowest threshold whose precision is at least ``target`` with ``confidence`` in every set.

    Each set has ``score (N,)``, which ranks its answers, and ``right (N,)``. Answers of equal score
    stand or fall together. None where no threshold holds.
    """
    ranked = [np.sort(score) for score in scores]
    good = []
    for score, right in zip(scores, rights, strict=True):
        hits = right[np.argsort(score, kind="stable")].astype(np.int64)
        good.append(np.append(np.cumsum(hits[::-1])[::-1], 0))
    known: dict[tuple[int, int], float] = {}
    for threshold in np.unique(np.concatenate(ranked)).tolist():
        worst: Certified | None = None
        for score, right_above in zip(ranked, good, strict=True):
            start = int(np.searchsorted(score, threshold))
            answers, correct = len(score) - start, int(right_above[start])
            # cheap and necessary: the share itself lies above its lower limit
            if answers == 0 or correct < target * answers:
                break
            pair = (correct, answers)
            low = known[pair] if pair in known else lower_limit(correct, answers, confidence)
            known[pair] = low
            if low < target:
                break
            if worst is None or low < worst.low:
                worst = Certified(threshold, answers, correct, low)
        else:
            return worst
    return None


def _most_errors(errors: int, answers: int, tail: float) -> float:
    """The rate u at which ``errors`` or fewer out of ``answers`` have probability ``tail``."""
    if errors >= answers:
        return 1.0
    if errors == 0:
        return float(1.0 - tail ** (1.0 / answers))
    ways = _log_ways(errors, answers)
    count = np.arange(errors + 1)
    low, high = errors / answers, 1.0
    for _ in range(60):
        rate = (low + high) / 2.0
        logs = ways + count * math.log(rate) + (answers - count) * math.log1p(-rate)
        top = float(logs.max())
        if top + math.log(float(np.exp(logs - top).sum())) > math.log(tail):
            low = rate
        else:
            high = rate
        if high - low < 1e-12:
            break
    return high


def _log_ways(errors: int, answers: int) -> F64:
    """log of answers over 0, 1, … errors."""
    steps = np.arange(1, errors + 1)
    logs = np.log(answers - steps + 1.0) - np.log(steps)
    return np.concatenate([[0.0], np.cumsum(logs)])
