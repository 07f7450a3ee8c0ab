"""Frame results with chosen facings, and pictures to go with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from edge.shelf.facings import Product
from edge.types import U8, Candidate, Detections, Frame, FrameResult, Matches

PRODUCTS = {
    "a": Product("Alpine Milk", "Bergland", ("Food", "Dairy")),
    "b": Product("Blue Cola", "Fizz", ("Drinks",)),
    "c": Product("Cola Zero", "Fizz", ("Drinks",)),
}
TAKEN = datetime(2026, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)


def picture(width: int = 400, height: int = 200, seed: int = 0) -> U8:
    """Random pixels, ``(height, width, 3) uint8``."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def frame(source: str = "shelf.jpg", index: int = 0, width: int = 400, height: int = 200) -> Frame:
    """A frame of random pixels."""
    return Frame(picture(width, height), source, index, TAKEN)


def result(
    sku_ids: Sequence[str | None],
    *,
    source: str = "shelf.jpg",
    index: int = 0,
    widths: Sequence[float] | None = None,
    size_wh: tuple[int, int] = (400, 200),
) -> FrameResult:
    """Boxes side by side from the left; unknown ones have a nearest SKU but no neighbour beyond."""
    n = len(sku_ids)
    wide = np.array([20.0] * n if widths is None else widths, np.float32)
    right = np.cumsum(wide)
    xyxy = np.stack([right - wide, np.full(n, 10.0), right, np.full(n, 90.0)], axis=1)
    return FrameResult(
        source=source,
        index=index,
        captured_at=TAKEN,
        size_wh=size_wh,
        scale="whole",
        provider="cpu",
        bundle_id="tiny 1",
        gallery_version="7",
        detections=Detections(
            xyxy.astype(np.float32).reshape(n, 4),
            np.linspace(0.9, 0.5, n, dtype=np.float32),
            np.zeros(n, np.int32),
        ),
        matches=Matches(
            tuple(sku_ids),
            tuple(("Food",) if sku is None else () for sku in sku_ids),
            np.array([0.4 if sku is None else 0.8 for sku in sku_ids], np.float32),
            np.full(n, 0.123456, np.float32),
            np.full(n, math.nan, np.float32),
            tuple((Candidate(sku or "a", 0.8), Candidate("z", -math.inf)) for sku in sku_ids),
        ),
        timings_ms={"detect": 12.3456, "embed": 4.0},
    )
