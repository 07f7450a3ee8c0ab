"""The figures of `edge bench`: rounds of a frame and its bare model runs, and what they say."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Way = tuple[int, int]
"""How the bare tower ran: workers (0: one after the other, all threads on each operator), batch."""


@dataclass(frozen=True, slots=True)
class BenchRound:
    """Times of one round in milliseconds: the frame, its stages, the bare detector once on the whole
    frame, and the bare tower on as many crops as were found, by every way of running it."""

    frame_ms: float
    stages_ms: dict[str, float]
    detector_ms: float
    tower_ms: dict[Way, float]

    def ratio(self, way: Way) -> float:
        """Frame time over bare time, the tower running this way."""
        return self.frame_ms / (self.detector_ms + self.tower_ms[way])


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What the rounds say.

    ``overhead_ratio`` is what a frame costs, from decoded pixels to its result, over ``session.run``
    alone: the detector once on the whole frame (further passes for scale count as overhead) and the
    tower on as many crops as were found. It is the median over rounds of the ratio within the round,
    and ``overhead_quartiles`` are the quartiles of these ratios. The bare tower runs in the way that
    was fastest here, by its median over all rounds: in batches of ``best_batch`` on ``bare_workers``
    threads, or (0) one after the other with all threads on each operator. ``frame_ms``, ``stages_ms``
    and ``bare_ms`` are medians each for itself: over a drifting clock their quotient is not the ratio.
    """

    facings: int
    rounds: int
    overhead_ratio: float
    overhead_quartiles: tuple[float, float]
    frame_ms: float
    stages_ms: dict[str, float]
    bare_ms: dict[str, float]
    best_batch: int
    bare_workers: int
    scale: str
    provider: str
    bundle: str
    peak_rss_mb: float

    @property
    def facings_per_second(self) -> float:
        """Facings found and matched a second."""
        return self.facings / self.frame_ms * 1000.0

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "facings": self.facings,
            "overhead_ratio": round(self.overhead_ratio, 4),
            "overhead_quartiles": [round(value, 4) for value in self.overhead_quartiles],
            "rounds": self.rounds,
            "facings_per_second": round(self.facings_per_second, 1),
            "frame_ms": round(self.frame_ms, 2),
            "stages_ms": {k: round(v, 2) for k, v in self.stages_ms.items()},
            "bare_ms": {k: round(v, 2) for k, v in self.bare_ms.items()},
            "best_batch": self.best_batch,
            "bare_workers": self.bare_workers,
            "scale": self.scale,
            "provider": self.provider,
            "bundle": self.bundle,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
        }

    def to_text(self) -> str:
        """For people."""
        stages = ", ".join(f"{k} {v:.1f}" for k, v in self.stages_ms.items())
        bare = ", ".join(f"{k} {v:.1f}" for k, v in self.bare_ms.items())
        low, high = self.overhead_quartiles
        return "\n".join(
            [
                f"{self.facings} facings in {self.frame_ms:.0f} ms on {self.provider}"
                f" ({self.facings_per_second:.0f} facings/s), scale {self.scale}",
                f"overhead {self.overhead_ratio:.3f} x the bare models, quartiles {low:.3f} to"
                f" {high:.3f} of {self.rounds} rounds",
                f"bare models: {bare} ms, batch {self.best_batch} on"
                f" {self.bare_workers or 'all'} threads",
                f"stages (ms): {stages}",
                f"peak memory {self.peak_rss_mb:.0f} MB; bundle {self.bundle}",
            ]
        )


def summarise(
    rounds: Sequence[BenchRound], *, facings: int, scale: str, provider: str, bundle: str
) -> BenchReport:
    """The report of one round or more, and the most memory that this process had so far."""
    towers = {way: statistics.median(r.tower_ms[way] for r in rounds) for way in rounds[0].tower_ms}
    best = min(towers, key=lambda way: towers[way])
    low, middle, high = np.quantile([r.ratio(best) for r in rounds], (0.25, 0.5, 0.75)).tolist()
    detector = statistics.median(r.detector_ms for r in rounds)
    return BenchReport(
        facings=facings,
        rounds=len(rounds),
        overhead_ratio=middle,
        overhead_quartiles=(low, high),
        frame_ms=statistics.median(r.frame_ms for r in rounds),
        stages_ms={
            stage: statistics.median(r.stages_ms.get(stage, 0.0) for r in rounds)
            for stage in rounds[0].stages_ms
        },
        bare_ms={"detector": detector, "tower": towers[best]},
        best_batch=best[1],
        bare_workers=best[0],
        scale=scale,
        provider=provider,
        bundle=bundle,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    )
