"""Exact binomial intervals (Clopper and Pearson, 1934), and the lowest threshold they certify."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
    """A threshold, and the answers that it gives in the set where they certify least."""

    threshold: float
    answers: int
    right: int
    low: float


def certify(
    scores: Sequence[F64],
    rights: Sequence[Flags],
    target: float,
    *,
    given: Sequence[Flags] | None = None,
    confidence: float = CONFIDENCE,
) -> Certified | None:
    """The lowest threshold whose precision is at least ``target`` with ``confidence`` in every set.

    Each set has ``score (N,)``, which ranks its answers, ``right (N,)``, and where wanted
    ``given (M,)``: whether answers that were given before are right. These count as well, but the
    answers at and above the threshold must by themselves be right in a share of ``target``. Answers of
    equal score stand or fall together. None where no threshold holds.
    """
    candidates = np.unique(np.concatenate(scores))
    usable = np.ones(len(candidates), np.bool_)
    counts = []
    for place, (score, right) in enumerate(zip(scores, rights, strict=True)):
        order = np.argsort(score, kind="stable")
        hits = np.append(np.cumsum(right[order][::-1])[::-1], 0)
        start = np.searchsorted(score[order], candidates)
        own, own_right = len(score) - start, hits[start]
        before = given[place] if given is not None else np.zeros(0, np.bool_)
        answers, correct = own + len(before), own_right + int(np.count_nonzero(before))
        # cheap and necessary: a share lies above its lower limit
        usable &= (own > 0) & (own_right >= target * own) & (correct >= target * answers)
        counts.append((answers, correct))
    known: dict[tuple[int, int], float] = {}
    for at in np.flatnonzero(usable).tolist():
        pairs = [(int(correct[at]), int(answers[at])) for answers, correct in counts]
        for pair in pairs:
            if pair not in known:
                known[pair] = lower_limit(*pair, confidence)
            if known[pair] < target:
                break
        else:
            right_count, count = min(pairs, key=lambda pair: known[pair])
            low = known[right_count, count]
            return Certified(float(candidates[at]), count, right_count, low)
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
