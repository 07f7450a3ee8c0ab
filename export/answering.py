"""How a gallery is asked best: how many views speak for a SKU, and what tells the category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.answers import Answers, Labelled, answer, join

VIEWS = (1, 2, 3)
RIDGES = (1.0,)
"""Penalties of the category classifier that are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """How answers are found best, and those answers, one set a draw."""

    views: int
    ridge: float | None
    draws: list[Answers]


def best_answers(
    tasks: Sequence[tuple[Labelled, Labelled]], views: int | None, depth: int
) -> Found:
    """How many views speak for a SKU, whether a classifier tells the category, and the answers so.

    Without a number of views, that with which most known queries find their SKU; the smaller
    number where they are equal. Then the classifier with which most queries, known or not, find their
    whole category path; none where they are equal.
    """
    choices = VIEWS if views is None else (views,)
    plain = [_answers(tasks, count, depth, None) for count in choices]
    right = [_known_right(made) for made in plain]
    at = int(np.argmax(right))
    best, ridge = plain[at], None
    for penalty in RIDGES if depth else ():
        made = _answers(tasks, choices[at], depth, penalty)
        if _whole(made) > _whole(best):
            best, ridge = made, penalty
    return Found(choices[at], ridge, best)


def _answers(
    tasks: Sequence[tuple[Labelled, Labelled]], views: int, depth: int, ridge: float | None
) -> list[Answers]:
    return [answer(g, asked, views=views, depth=depth, ridge=ridge) for g, asked in tasks]


def _known_right(draws: Sequence[Answers]) -> float:
    every = join(draws)
    return float(every.right[every.known, -1].mean()) if every.known.any() else 0.0


def _whole(draws: Sequence[Answers]) -> float:
    return float(np.mean([made.whole[:, 0].mean() for made in draws]))
