"""Counters and histograms that the inference process reports to the supervisor."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

AGE_BUCKETS_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """How often a value was at most each bound; the last count is of those above all bounds."""

    bounds: tuple[float, ...] = AGE_BUCKETS_S
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def quantile(self, share: float) -> float:
        """The smallest bound that at least ``share`` of the values do not exceed; inf above all."""
        needed, seen = share * sum(self.counts), 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            if seen >= needed:
                return bound
        return float("inf")

    def to_json(self) -> dict[str, object]:
        """Counts a bucket, not cumulated, and the sum."""
        return {"counts": list(self.counts), "sum": self.total}


@dataclass(slots=True)
class LaneFigures:
    """One camera's counters since this process began."""

    processed: int = 0
    dropped: int = 0
    errors: int = 0
    detector_runs: int = 0
    embedded: int = 0
    spared: int = 0
    postponed: int = 0
    facings: int = 0
    slots: int = 0
    changes: int = 0
    age: Histogram = field(default_factory=Histogram)

    def to_json(self) -> dict[str, object]:
        """For the status message."""
        values = {k: getattr(self, k) for k in self.__slots__ if k != "age"}
        return values | {"age": self.age.to_json()}


@dataclass(slots=True)
class StageTimes:
    """Milliseconds by stage, summed."""

    total_ms: dict[str, float] = field(default_factory=dict)

    def add(self, timings_ms: Mapping[str, float]) -> None:
        """Add the stages of one round."""
        for stage, spent in timings_ms.items():
            self.total_ms[stage] = self.total_ms.get(stage, 0.0) + spent
