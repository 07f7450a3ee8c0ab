"""Which pictures are not worth enrolling, and why: blurred, tiny, there already, or contradictory.

The thresholds for what a picture shows stand here, those for two pictures that show the same in
``edge.gallery.twins``, in physical terms, with what they were measured on.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.gallery.thumbnail import shrink
from edge.gallery.twins import Enrolled, Near
from edge.types import F32, U8

MIN_LONG_PX = 24
MIN_SHORT_PX = 10
"""A product of fewer pixels is tiny.

124 packaged references of GroceryStoreDataset looked up with 248 photos: 88% right with references
of a long side of 224 px, 89% at 32 px, 86% at 24, 81% at 16, 65% at 12, 30% at 8.
"""

MAX_BLUR = 0.025
"""Blur above this is refused: the standard deviation of the equal Gaussian, by the long side.

Its edges, 10% to 90%, are then 6% of the product wide. References blurred so much are right for
84% of the same photos (unblurred 88%), at 0.03 for 80%, at 0.04 for 63%.

Neither tiny nor blurred are all 2,640 training and 81 clean pictures of GroceryStoreDataset, 200
crops of products-9 and 360 of rendered shelves; 99.0% of 300 crops of products-24, and 99.3% of 450
facings on real shelf photos of 640 to 960 px. Blurred by 0.03, 91 to 100% of each of these are
refused, by 0.04 to 0.1, 99 to 100%; by 0.02, 0 to 26%.
"""

NEAR_DUPLICATE = "near-duplicate"
CONTRADICTORY = "contradictory"
"""How these two reasons begin."""

_OWN_BLUR, _AGAIN = 0.008, 0.02
_EDGES = 95.0
_FAINTEST = 1.0
_FEWEST_EDGES = 8
_EVEN = 3.0


def flaws(image: U8) -> list[str]:
    """Why a picture of one product ``(H, W, 3) uint8`` RGB cannot be enrolled; empty when it can."""
    height, width = image.shape[:2]
    if max(height, width) < MIN_LONG_PX or min(height, width) < MIN_SHORT_PX:
        return [
            f"tiny: {width}x{height} pixels, at least {MIN_LONG_PX} on the long side and"
            f" {MIN_SHORT_PX} on the short one are needed"
        ]
    found = blur(image)
    if found > MAX_BLUR:
        return [
            f"blurred: edges as wide as after a Gaussian blur of {found:.1%} of the product, at"
            f" most {MAX_BLUR:.1%} is allowed"
        ]
    return []


def check(
    image: U8, vector: F32, sku_id: str, enrolled: Enrolled, near: Near | None = None
) -> list[str]:
    """Why a picture cannot be enrolled for ``sku_id``, a line a reason; empty when it can.

    Args:
        image: ``(H, W, 3) uint8`` RGB, as the tower sees it.
        vector: its embedding ``(D,) float32`` of L2 norm 1.
        sku_id: the product that it is to be enrolled for.
        enrolled: what it is compared with.
        near: what ``enrolled.near`` found for its vector earlier.
    """
    reasons = flaws(image)
    twins = enrolled.twins(image, vector, near)
    others = [twin for twin in twins if twin.sku_id != sku_id]
    if others:
        reasons.append(
            f"{CONTRADICTORY}: nearly the same picture is SKU {others[0].sku_id!r} as"
            f" {others[0].what}"
        )
    elif twins:
        reasons.append(f"{NEAR_DUPLICATE}: nearly the same picture is {twins[0].what}")
    return reasons


def blur(image: U8) -> float:
    """Blur of a picture's strongest edges as the standard deviation of a Gaussian, by its long side.

    The picture is blurred again by a known amount; how much an edge's gradient falls tells how
    wide it was (Zhuo and Sim, "Defocus map estimation from a single image", 2011). Of the two
    directions the worse counts. 0 for an even picture; 1 for one with contrast but without any
    edge.
    """
    grey = cv2.cvtColor(shrink(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    long_side = float(max(grey.shape))
    # grain and the steps of 8 bits would pass for sharp edges
    first = _OWN_BLUR * long_side
    if first < 0.3:
        first = 0.0
    seen = cv2.GaussianBlur(grey, (0, 0), first) if first else grey
    second = max(1.0, _AGAIN * long_side)
    again = cv2.GaussianBlur(seen, (0, 0), second)
    kernel = np.array([[-0.5, 0.0, 0.5]], np.float32)
    widths = []
    for direction in (kernel, kernel.T):
        steep = np.abs(cv2.filter2D(seen, -1, direction))
        flat = np.abs(cv2.filter2D(again, -1, direction))
        edges = steep >= max(float(np.percentile(steep, _EDGES)), _FAINTEST)
        if np.count_nonzero(edges) >= _FEWEST_EDGES:
            ratio = np.square(steep[edges] / np.maximum(flat[edges], 1e-3))
            widths.append(float(np.median(second / np.sqrt(np.maximum(ratio - 1.0, 1e-2)))))
    if not widths:
        return 1.0 if float(grey.std()) > _EVEN else 0.0
    return math.sqrt(max(max(widths) ** 2 - first**2, 0.0)) / long_side
