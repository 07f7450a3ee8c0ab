"""The `open-set` protocol: some SKUs are not enrolled, and the decision must not be fooled by them.

Each seeded split halves the SKUs. One half calibrates the decision, the other is asked; a share of the
SKUs of each is left out of the gallery. Calibration asks for the pictures of its own half only, in a
gallery of the size of the one that is judged: what is enrolled of the other half is there for its
pictures to be taken for. No picture that is asked, and none of a SKU that is left out, is seen before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.gallery.decision import UNKNOWN
from edge.manifest import Calibration, OperatingPoint
from export.answering import Found, best_answers
from export.answers import Answers, Flags, Labelled, answer, depth_of, draw, draw_in_turn
from export.calibration import calibrate, highest_target
from export.calibration_report import decide
from export.intervals import interval
from export.probability import expected_calibration_error


@dataclass(frozen=True, slots=True)
class OpenSetOptions:
    """How a split is made. ``target`` None takes the highest that can be certified."""

    unknown_share: float = 1 / 3
    target: float | None = None
    level_target: float = 0.95
    views: int | None = None
    draws: int = 9

    def __post_init__(self) -> None:
        if not 0 < self.unknown_share < 1:
            raise ConfigError(f"unknown_share must lie between 0 and 1, got {self.unknown_share}")
        for name in ("target", "level_target"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was answered to queries at one operating point."""

    answers: Answers
    depth_of_truth: tuple[int, ...]
    level: np.ndarray[Any, np.dtype[np.int64]]
    chance: np.ndarray[Any, np.dtype[np.float32]]

    def to_json(self) -> dict[str, Any]:
        """Coverage, precision, FPIR, FNIR, accuracy and share by level."""
        answers, level = self.answers, self.level
        sku = answers.depth
        accepted, right = level == sku, answers.right[:, sku]
        known = answers.known
        deepest_true = self._at_leaf()
        full = np.where(accepted, answers.whole[:, 1], answers.whole[:, 0])
        answered = level != UNKNOWN
        told = np.take_along_axis(answers.right, np.maximum(level, 0)[:, None], axis=1)[:, 0]
        return {
            "queries": len(level),
            "known": int(np.count_nonzero(known)),
            "coverage": _share(accepted, np.ones_like(accepted)),
            "accepted": int(np.count_nonzero(accepted)),
            "precision": _share(right, accepted),
            "precision_ci95": _interval(right, accepted),
            "fpir": _share(accepted, ~known),
            "fnir": _share(~(accepted & right), known),
            "levels_nearest": self._nearest(),
            "answered_at": {
                _name(number, sku): {
                    "share": round(float(np.mean(level == number)), 4),
                    "right": _share(answers.right[:, number], level == number),
                }
                for number in range(sku + 1)
            },
            "unknown": round(float(np.mean(~answered)), 4),
            "answered_right": _share(told, answered),
            "class_or_deeper": _share(deepest_true, np.ones_like(deepest_true)),
            "class_or_deeper_right": _share(full, deepest_true),
            "class_or_deeper_exact": _share(told, deepest_true),
            "ece_sku": round(expected_calibration_error(self.chance[:, sku], right), 4),
        }

    def _path_length(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.asarray(np.isfinite(self.answers.margins[:, :-1]).sum(axis=1), np.int64)

    def _at_leaf(self) -> Flags:
        """Answered with the SKU, or with a whole path."""
        length = self._path_length()
        return np.asarray((self.level == self.answers.depth) | (self.level >= length - 1))

    def _nearest(self) -> dict[str, float | None]:
        """Of known queries with a path that deep: is what is found right at this level?"""
        answers, length = self.answers, np.array(self.depth_of_truth)
        out = {
            _name(number, answers.depth): _share(
                answers.right[:, number], answers.known & (length > number)
            )
            for number in range(answers.depth)
        }
        return {**out, "sku": _share(answers.right[:, -1], answers.known)}


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One seeded split: what was certified, and what came of it."""

    seed: int
    target: float | None
    point: OperatingPoint | None
    outcome: Outcome | None

    def to_json(self) -> dict[str, Any]:
        """One row of a report."""
        row: dict[str, Any] = {"seed": self.seed, "target": self.target}
        if self.point is not None and self.point.calibration is not None:
            sku = self.point.calibration.sku
            row |= {
                "views": self.point.views,
                "category_ridge": self.point.calibration.category_ridge,
                "calibration_answers": sku.answers,
                "calibration_right": sku.right,
                "precision_low": round(sku.precision_low, 4),
            }
        return row | (self.outcome.to_json() if self.outcome is not None else {})


def judge(calibration: Calibration, answers: Answers, queries: Labelled) -> Outcome:
    """What ``calibration`` makes of the answers to ``queries``."""
    level, each = decide(calibration, answers)
    return Outcome(answers, tuple(len(path) for path in queries.paths), level, each)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A split with all its answers, before anything is decided."""

    seed: int
    calibration: Found
    evaluation: Answers
    queries: Labelled


def run_split(gallery: Labelled, queries: Labelled, options: OpenSetOptions, seed: int) -> Split:
    """One split; without any target that can be certified, ``point`` and ``outcome`` are None.

    Raises ConfigError where a half has too few SKUs.
    """
    return settle(ask(gallery, queries, options, seed), options)


def ask(gallery: Labelled, queries: Labelled, options: OpenSetOptions, seed: int) -> Asked:
    """The answers of both halves of a split. Raises ConfigError where a half has too few SKUs."""
    rng = np.random.default_rng(seed)
    skus = frozenset(gallery.labels) & frozenset(queries.labels)
    if len(skus) < 8:
        raise ConfigError(f"open-set needs 8 SKUs or more in gallery and queries, got {len(skus)}")
    ours = draw(sorted(skus), 0.5, rng)
    theirs = skus - ours
    left_out = draw(sorted(theirs), options.unknown_share, rng)
    fits = draw_in_turn(sorted(ours), options.unknown_share, options.draws, rng)
    depth = depth_of(gallery)
    found = best_answers(
        [(gallery.of(skus - left_out - unknown), queries.of(ours)) for unknown in fits],
        options.views,
        depth,
    )
    asked = queries.of(theirs)
    enrolled = gallery.of(skus - left_out - fits[0])
    answers = answer(enrolled, asked, views=found.views, depth=depth, ridge=found.ridge)
    return Asked(seed, found, answers, asked)


def settle(asked: Asked, options: OpenSetOptions) -> Split:
    """Calibrate on one half's answers at the options' targets, and judge the other's."""
    found, seed = asked.calibration, asked.seed
    target = options.target or highest_target(found.draws)
    if target is None:
        return Split(seed, None, None, None)
    try:
        done = calibrate(
            found.draws, views=found.views, target=target, level_target=options.level_target,
            measured=f"open-set protocol, seed {seed}", ridge=found.ridge,
        )  # fmt: skip
    except ConfigError:
        return Split(seed, None, None, None)
    calibration = done.point.calibration
    assert calibration is not None
    return Split(seed, target, done.point, judge(calibration, asked.evaluation, asked.queries))


def run_calibrated(
    gallery: Labelled, queries: Labelled, point: OperatingPoint, options: OpenSetOptions, seed: int
) -> Split:
    """An operating point from elsewhere, judged with a share of the SKUs left out of the gallery."""
    if point.calibration is None:
        raise ConfigError("the operating point is not calibrated")
    skus = frozenset(gallery.labels)
    left_out = draw(sorted(skus), options.unknown_share, np.random.default_rng(seed))
    depth = len(point.calibration.levels)
    answers = answer(
        gallery.of(skus - left_out), queries, views=point.views, depth=depth,
        ridge=point.calibration.category_ridge,
    )  # fmt: skip
    return Split(
        seed, point.calibration.sku.target, point, judge(point.calibration, answers, queries)
    )


def _name(level: int, depth: int) -> str:
    return "sku" if level == depth else f"level{level + 1}"


def _share(flags: Flags, among: Flags) -> float | None:
    return round(float(flags[among].mean()), 4) if among.any() else None


def _interval(flags: Flags, among: Flags) -> list[float] | None:
    if not among.any():
        return None
    low, high = interval(int(np.count_nonzero(flags & among)), int(np.count_nonzero(among)))
    return [round(low, 4), round(high, 4)]
