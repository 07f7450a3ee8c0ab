"""A clean product picture as a camera will see it: cut to the product, and at shelf size.

A detector cuts tightly around a facing that is a hundred pixels high; a packshot has wide margins and
every detail. Measured on four rendered stores with true boxes and one clean front a SKU: the nearest SKU
is right for 96.7 to 98.5% of the facings with these two views, for 92.9 to 98.5% with the picture as it
is.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import U8

SHELF_PX = 120
"""Height of a typical facing on a shelf photo."""
_RING = 0.02
_PLAIN = 8.0
_DIFFERENT = 18
_LEAST_SHARE = 0.03


def enrolment_views(image: U8) -> list[U8]:
    """The views to enrol of one picture ``(H, W, 3) uint8`` RGB.

    A product on a plain background gives the product cut out and, where that is much larger than a
    facing on a shelf, the same at shelf size. Any other picture is taken as it is.
    """
    cut = cut_to_product(image)
    if cut is None:
        return [image]
    height, width = cut.shape[:2]
    if height < 1.5 * SHELF_PX:
        return [cut]
    size_wh = (max(1, round(width * SHELF_PX / height)), SHELF_PX)
    small = cv2.resize(cut, size_wh, interpolation=cv2.INTER_AREA)
    # a lens and a sensor between the product and its pixels
    small = cv2.GaussianBlur(small, (0, 0), 0.6)
    return [cut, np.asarray(small, dtype=np.uint8)]


def cut_to_product(image: U8) -> U8 | None:
    """The smallest part that holds all that differs from a plain background.

    None where the border is not plain, where the product reaches it all around, or where nothing of
    size is in front of it.
    """
    height, width = image.shape[:2]
    ring = max(2, round(_RING * min(height, width)))
    if min(height, width) <= 4 * ring:
        return None
    border = np.concatenate(
        [
            image[:ring].reshape(-1, 3),
            image[-ring:].reshape(-1, 3),
            image[:, :ring].reshape(-1, 3),
            image[:, -ring:].reshape(-1, 3),
        ]
    ).astype(np.float32)
    if float(border.std(axis=0).max()) > _PLAIN:
        return None
    background = np.median(border, axis=0)
    different = np.abs(image.astype(np.int16) - background.astype(np.int16)).max(axis=2)
    rows = np.flatnonzero((different > _DIFFERENT).any(axis=1))
    columns = np.flatnonzero((different > _DIFFERENT).any(axis=0))
    if not len(rows):
        return None
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    share = cut.shape[0] * cut.shape[1] / (height * width)
    return cut if _LEAST_SHARE <= share < 1.0 else None
