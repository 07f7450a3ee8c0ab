"""Weight-space averages: interpolation with the start (WiSE-FT) and greedy soups.

Wortsman et al., "Robust fine-tuning of zero-shot models" (CVPR 2022) and "Model soups" (ICML 2022).
Whatever is chosen is chosen by a validation measure that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.errors import ConfigError

State = dict[str, Tensor]
Measure = Callable[[State], float]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The best state, and the curve of (what, measure) that it was chosen from."""

    state: State
    curve: tuple[tuple[str, float], ...]


def interpolate(start: State, tuned: State, share: float) -> State:
    """(1 − share) · start + share · tuned; integers come from `tuned`. Shapes must agree."""
    different = [key for key in tuned if key not in start or start[key].shape != tuned[key].shape]
    if different:
        raise ConfigError(f"weights of different models: {', '.join(different[:3])}")
    return {
        key: torch.lerp(start[key].to(value.dtype), value, share)
        if value.dtype.is_floating_point
        else value
        for key, value in tuned.items()
    }


def wise_ft(
    start: State,
    tuned: State,
    measure: Measure,
    shares: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
) -> Chosen:
    """The interpolation with the best measure; of equals the one nearest to the tuned weights."""
    curve = [(share, measure(interpolate(start, tuned, share))) for share in sorted(shares)]
    best = max(curve, key=lambda point: (point[1], point[0]))
    named = tuple((f"share {share:g}", value) for share, value in curve)
    return Chosen(interpolate(start, tuned, best[0]), named)


def greedy_soup(states: Sequence[State], measure: Measure) -> Chosen:
    """Averages runs, best first; each stays only where it does not lower the measure."""
    if not states:
        raise ConfigError("a soup needs at least one run")
    order = sorted(range(len(states)), key=lambda i: -measure(states[i]))
    soup, members, best = states[order[0]], 1, measure(states[order[0]])
    curve = [(f"run {order[0]}", best)]
    for index in order[1:]:
        mixed = interpolate(soup, states[index], 1 / (members + 1))
        value = measure(mixed)
        curve.append((f"+ run {index}", value))
        if value >= best:
            soup, members, best = mixed, members + 1, value
    return Chosen(soup, tuple(curve))
