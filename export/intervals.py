"""Exact binomial intervals (Clopper and Pearson, 1934)."""

from __future__ import annotations

import math

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
