"""Which slot a change belongs to, and how much of its facing looks different."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.shelf.block_shares import Blocks
from edge.types import F32

Mask = npt.NDArray[np.bool_]
_OWN = 0.35  # of a changed region in a slot, from which it is the slot's own
_FILLS = 0.4  # of a slot covered by a region, from which it is the slot's own, too


def measure(open_: Mask, energy: F32, slots: tuple[Blocks, ...]) -> tuple[F32, F32]:
    """The changed share ``(S,)`` of each slot, and the contrast ``(S,)`` of its strongest spot.

    What changes beside a slot (a neighbour taken away, its shadow) reaches into it. So only regions
    count that lie in the slot to a good part, or that fill a good part of it.

    Args:
        open_: changed blocks ``(rows, columns)`` that are still, with nobody in front.
        energy: mean square difference a block, in grey levels squared.
        slots: rows and columns of each slot's blocks.
    """
    share = np.zeros(len(slots), np.float32)
    contrast = np.zeros(len(slots), np.float32)
    count, labels = cv2.connectedComponents(open_.astype(np.uint8), connectivity=8)
    if count == 1:
        return share, contrast
    sizes = np.bincount(labels.ravel(), minlength=count)
    for index, blocks in enumerate(slots):
        part = labels[blocks]
        if not part.any():
            continue
        inside = np.bincount(part.ravel(), minlength=count)
        own = (inside >= _OWN * sizes) | (inside >= _FILLS * part.size)
        own[0] = False
        mine = own[part]
        if mine.any():
            share[index] = mine.mean()
            contrast[index] = np.sqrt(energy[blocks][mine].max())
    return share, contrast
