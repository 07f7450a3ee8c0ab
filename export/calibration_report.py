"""What an operating point answers to the pictures that made it, and how honest its probabilities are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.gallery.decision import UNKNOWN, deepest, probabilities
from edge.manifest import Calibration
from edge.types import F32, I64
from export.answers import Answers, Flags, join
from export.metrics import bootstrap_ci95
from export.probability import expected_calibration_error, held_out_probability, reliability


def decide(calibration: Calibration, answers: Answers) -> tuple[I64, F32]:
    """The level answered ``(Q,)``, L for the SKU and -1 for unknown, and probabilities by level."""
    each = probabilities(calibration, answers.score, answers.margins, answers.agree)
    return deepest(calibration, answers.score, answers.margins, each), each


def report(calibration: Calibration, draws: Sequence[Answers]) -> dict[str, Any]:
    """Coverage by level, and by level how honest the probabilities of SKUs not fitted to are."""
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

    Beside the certificate, which rests on a design effect: the same question asked by resampling.
    """
    if not len(right):
        return None
    low, high = bootstrap_ci95(right, labels)
    return [round(low, 4), round(high, 4)]
