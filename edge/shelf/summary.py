"""The numbers of an audit, as they stand in ``summary.json`` and in the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge.shelf.facings import Product, Shares, SourceFacings

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be audited, or not to its end."""

    source: str
    error: str


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """All numbers of an audit; report and files are made from this object only.

    ``facings`` is per SKU, most first; ``timings_ms`` the mean per frame and stage; ``gallery``
    what the caller knows of the gallery; ``annotated`` the drawn pictures per source, relative to
    the audit's folder.
    """

    frames: int
    facings: Mapping[str, int]
    unknown: int
    shares: Shares
    timings_ms: Mapping[str, float]
    provider: str
    bundle: str
    gallery: Mapping[str, object]
    sources: Sequence[SourceFacings] = ()
    annotated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def known(self) -> int:
        """Facings with a SKU."""
        return sum(self.facings.values())

    @property
    def exit_status(self) -> int:
        """0, or 1 where an input failed."""
        return 1 if self.failures else 0

    def to_json(self) -> dict[str, object]:
        """What ``summary.json`` holds."""
        return {
            "format": FORMAT,
            "frames": self.frames,
            "facings": dict(self.facings),
            "unknown": self.unknown,
            "share_of_shelf": self.shares.to_json(),
            "timings_ms": {stage: round(ms, 3) for stage, ms in self.timings_ms.items()},
            "provider": self.provider,
            "bundle": self.bundle,
            "gallery": dict(self.gallery),
            "sources": [
                {
                    "source": source.source,
                    "frames": source.frames,
                    "facings": dict(source.facings),
                    "unknown": source.unknown,
                    "annotated": list(self.annotated.get(source.source, ())),
                }
                for source in self.sources
            ],
            "failures": [{"source": f.source, "error": f.error} for f in self.failures],
            "created_at": self.created_at.isoformat(timespec="seconds"),
        }


def facings_csv(summary: AuditSummary, products: Mapping[str, Product]) -> str:
    """``facings.csv``: a row a SKU, most facings first; the last row, without an id, is unknown.

    The share is of the shelf's width, 0..1. Texts that a spreadsheet would run as a formula get an
    apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sku_id", "name", "brand", "category", "facings", "share"])
    shares = summary.shares.by_sku
    for sku in dict.fromkeys([*summary.facings, *shares]):
        product = products.get(sku, Product(sku))
        texts = [sku, product.name, product.brand, " > ".join(product.category)]
        share = f"{shares.get(sku, 0.0):.6f}"
        writer.writerow([*map(_no_formula, texts), summary.facings.get(sku, 0), share])
    if summary.unknown or summary.shares.unknown:
        writer.writerow(["", "unknown", "", "", summary.unknown, f"{summary.shares.unknown:.6f}"])
    return text.getvalue()


def _no_formula(text: str) -> str:
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
