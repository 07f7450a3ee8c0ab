"""What a search was measured to find, and what may be promised of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

_Z = 1.6449
"""Of a one-sided bound that holds in 95 of 100 measurements."""


@dataclass(frozen=True, slots=True)
class Recall:
    """``ann_recall@1`` and ``@10`` at the beam ``ef``, over ``queries`` that the graph did not hold.

    No queries: the beam is as wide as the whole graph, and misses nothing.
    """

    ef: int
    at_1: float
    at_10: float
    queries: int
    target: float

    @property
    def at_1_low(self) -> float:
        """What ``at_1`` is at least, with 95% confidence (Wilson, 1927)."""
        return wilson_low(self.at_1, self.queries) if self.queries else self.at_1

    @property
    def met(self) -> bool:
        """Whether the target is reached beyond the chance of the sample."""
        return self.at_1_low >= self.target

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Self:
        """What ``to_json`` gave."""
        numbers = {name: float(str(stored[name])) for name in ("at_1", "at_10", "target")}
        return cls(ef=int(str(stored["ef"])), queries=int(str(stored["queries"])), **numbers)

    def to_json(self) -> dict[str, object]:
        """For headers and reports: all fields, and ``at_1_low``."""
        return asdict(self) | {"at_1_low": round(self.at_1_low, 5)}


def wilson_low(share: float, count: int) -> float:
    """The lower end of Wilson's interval for a ``share`` seen in ``count`` trials, one-sided 95%."""
    middle = share + _Z * _Z / (2 * count)
    spread = _Z * float(np.sqrt(share * (1 - share) / count + _Z * _Z / (4 * count * count)))
    return max(0.0, (middle - spread) / (1 + _Z * _Z / count))
