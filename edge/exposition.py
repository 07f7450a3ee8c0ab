"""Reading Prometheus' text format, as far as our own metrics use it."""

from __future__ import annotations

import re

Samples = dict[str, dict[str, float]]
"""Value by metric and by the text of its labels (without braces)."""

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def parse_samples(text: str) -> Samples:
    """All samples of an exposition; comments and lines of another form are left out."""
    found: Samples = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            found.setdefault(match[1], {})[match[2] or ""] = float(match[3])
    return found


def quantile(first: Samples, last: Samples, metric: str, labels: str, share: float) -> float:
    """The bucket bound that ``share`` of what came between two expositions does not exceed.

    ``metric`` is the histogram's ``…_bucket``; inf when nothing came or it lies above all bounds.
    """
    before, after = first.get(metric, {}), last.get(metric, {})
    bounds = []
    for key, count in after.items():
        rest, _, bound = key.rpartition('le="')
        if rest.rstrip(",") == labels:
            bounds.append((float(bound.rstrip('"')), count - before.get(key, 0.0)))
    bounds.sort()
    if not bounds or bounds[-1][1] <= 0:
        return float("inf")
    return next(bound for bound, count in bounds if count >= share * bounds[-1][1])
