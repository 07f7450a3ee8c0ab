"""What stands on the shelf: facings per SKU, and their share of the shelf's width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor
from statistics import median

import numpy as np

from edge.types import FrameResult


@dataclass(frozen=True, slots=True)
class Product:
    """What reports say about a SKU; the gallery knows it."""

    name: str
    brand: str = ""
    category: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the width of all boxes, 0..1: each mapping and ``unknown`` add up to 1 together.

    All are empty or 0 where nothing was detected. SKUs without a brand are under ``""``.
    """

    by_sku: Mapping[str, float]
    by_brand: Mapping[str, float]
    unknown: float

    def to_json(self) -> dict[str, object]:
        """As it stands in ``summary.json``."""
        return {
            "by_sku": {sku: round(share, 6) for sku, share in self.by_sku.items()},
            "by_brand": {brand: round(share, 6) for brand, share in self.by_brand.items()},
            "unknown": round(self.unknown, 6),
        }


@dataclass(frozen=True, slots=True)
class SourceFacings:
    """The facings of one input: of a picture as seen, of a clip the median over its frames."""

    source: str
    frames: int
    facings: Mapping[str, int]
    unknown: int


@dataclass(slots=True)
class _Tally:
    """What was seen in the frames of one input."""

    counts: list[Counter[str | None]] = field(default_factory=list)
    widths: dict[str | None, float] = field(default_factory=dict)


class FacingsCounter:
    """Adds up frame results; results of the same ``source`` are frames of one view.

    Pictures are summed. A clip or camera counts once, with the median per SKU over its frames (a
    half is rounded up), so that one bad frame changes nothing. Widths are fractions of the frame's
    width, so that a photo of twice the pixels does not weigh twice.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(self, result: FrameResult) -> None:
        """Take in one frame."""
        tally = self._tallies.setdefault(result.source, _Tally())
        tally.counts.append(Counter(result.matches.sku_id))
        xyxy = result.detections.xyxy
        widths = np.maximum(xyxy[:, 2] - xyxy[:, 0], 0.0) / result.size_wh[0]
        for sku, width in zip(result.matches.sku_id, widths, strict=True):
            tally.widths[sku] = tally.widths.get(sku, 0.0) + float(width)

    def per_source(self) -> list[SourceFacings]:
        """Facings of each input, in the order in which the inputs came."""
        return [
            SourceFacings(
                source,
                len(tally.counts),
                {sku: n for sku, n in _medians(tally.counts) if sku is not None and n},
                dict(_medians(tally.counts)).get(None, 0),
            )
            for source, tally in self._tallies.items()
        ]

    def facings(self) -> dict[str, int]:
        """Facings per SKU over all inputs, most first."""
        total: Counter[str] = Counter()
        for source in self.per_source():
            total.update(source.facings)
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def unknown(self) -> int:
        """Detections that are no known SKU, over all inputs."""
        return sum(source.unknown for source in self.per_source())

    def shares(self, products: Mapping[str, Product]) -> Shares:
        """Share of shelf by box width, over all inputs; a clip weighs as its mean frame."""
        widths: dict[str | None, float] = {}
        for tally in self._tallies.values():
            for sku, width in tally.widths.items():
                widths[sku] = widths.get(sku, 0.0) + width / len(tally.counts)
        total = sum(widths.values())
        if total <= 0:
            return Shares({}, {}, 0.0)
        unknown = widths.pop(None, 0.0) / total
        by_sku = {str(sku): width / total for sku, width in widths.items()}
        by_brand: dict[str, float] = {}
        for sku, share in by_sku.items():
            brand = products[sku].brand if sku in products else ""
            by_brand[brand] = by_brand.get(brand, 0.0) + share
        return Shares(_largest_first(by_sku), _largest_first(by_brand), unknown)


def _medians(counts: list[Counter[str | None]]) -> list[tuple[str | None, int]]:
    seen = dict.fromkeys(sku for count in counts for sku in count)
    return [(sku, floor(median(count[sku] for count in counts) + 0.5)) for sku in seen]


def _largest_first(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
